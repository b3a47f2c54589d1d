/** What follows from a topic's place: whether a message is next, was seen, or shows that others are missing. */
import { type Gap, GapReason, type Message, type Place } from "./message.ts";

/**
 * What is missing between the last place that was seen and a message.
 * @returns undefined when it is the next one, and null when it has been seen
 */
export function missingBefore(place: Place, message: Message): Gap | null | undefined {
  const { topic, epoch, offset } = message;
  const pattern = message.pattern === undefined ? {} : { pattern: message.pattern };
  if (place.epoch !== epoch) {
    return { topic, ...pattern, reason: GapReason.Epoch, epoch, from: 1, to: offset - 1 };
  }
  if (offset === place.offset + 1) return undefined;
  if (offset <= place.offset) return null;
  return { topic, ...pattern, reason: GapReason.Skipped, epoch, from: place.offset + 1, to: offset - 1 };
}

/**
 * A gap that was told, without what is known of it already.
 * @returns undefined when all of it is
 */
export function newPartOf(
  gap: Gap & { readonly from: number; readonly to: number },
  place: Place,
): Gap | undefined {
  if (place.epoch !== gap.epoch) return { ...gap, reason: GapReason.Epoch };
  return gap.to <= place.offset ? undefined : { ...gap, from: place.offset + 1 };
}
