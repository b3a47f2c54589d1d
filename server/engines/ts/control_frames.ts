/** Control frames of ours (RFC 6455 section 5.5), each in memory of its own: they may wait, and must not change then. */
import { Buffer } from "node:buffer";
import { MAX_CLOSE_FRAME_BYTES, NO_STATUS, writeCloseFrame } from "../../codec/closing.ts";
import { MAX_CONTROL_PAYLOAD_BYTES, writeControlFrame } from "../../codec/frame.ts";
import type { Opcode } from "../../codec/opcode.ts";

/** A ping or a pong. */
export function controlFrame(opcode: Opcode, payload: Uint8Array): Uint8Array {
  const frame = Buffer.allocUnsafe(2 + MAX_CONTROL_PAYLOAD_BYTES);
  return frame.subarray(0, writeControlFrame(frame, 0, opcode, payload));
}

/** A close frame; with {@link NO_STATUS} it is empty. */
export function closeFrame(code: number, reason: string): Uint8Array {
  const frame = Buffer.allocUnsafe(MAX_CLOSE_FRAME_BYTES);
  const length = code === NO_STATUS ? writeCloseFrame(frame, 0) : writeCloseFrame(frame, 0, code, reason);
  return frame.subarray(0, length);
}
