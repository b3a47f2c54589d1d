/** How the octets of several frames are cut into writes. A server must not care (RFC 6455 says nothing of segments). */
import type { Wire } from "./wire.ts";

/** All at once, one write a frame, or one write an octet. */
export type Cut = "one write" | "frame by frame" | "octet by octet";

/** All of them, mildest first. */
export const CUTS: readonly Cut[] = ["one write", "frame by frame", "octet by octet"];

/** Sends `frames` in this cut. */
export async function sendCut(wire: Wire, frames: readonly Uint8Array[], cut: Cut): Promise<void> {
  if (cut === "one write") return wire.send(...frames);
  if (cut === "octet by octet") return wire.writeChopped(wire.note(frames), 1);
  for (const each of frames) await wire.writeChopped(wire.note([each]), each.length);
}
