/** What follows from a topic's place: whether a message has been seen, and what is missing before it. */
import type { Gap, GapReason, Place } from "./message.ts";

/** Whether a topic that was heard up to `place` has come to `to` already. */
export function hasSeen(place: Place | undefined, to: Place): boolean {
  return place?.epoch === to.epoch && to.offset <= place.offset;
}

/**
 * What is missing when a topic that was heard up to `place` goes on behind the offset `to` of an epoch.
 * @returns undefined when nothing is
 */
export function missing(
  place: Place | undefined,
  { topic, epoch, pattern }: { readonly topic: string; readonly epoch: string; readonly pattern?: string },
  to: number,
  reason: GapReason,
): Gap | undefined {
  if (!place || (place.epoch === epoch && to <= place.offset)) return undefined;
  const isSameEpoch = place.epoch === epoch;
  return {
    topic,
    ...pattern && { pattern },
    reason: isSameEpoch ? reason : "epoch",
    epoch,
    from: isSameEpoch ? place.offset + 1 : 1,
    to,
  };
}
