// The end of a connection as the wire sees it: close payloads and codes (RFC 6455 sections 5.5.1 and 7.4), and the
// close handshake as states that say who began. Pure functions; when to close, and timeouts, are the engine's.

import { type MaskKey, NO_MASK } from "./mask.ts";
import { isValidUtf8, utf8Bytes, writeUtf8 } from "./utf8.ts";
import { FIN, MAX_CONTROL_PAYLOAD_BYTES, writeFrame } from "./frame.ts";
import { Opcode } from "./opcode.ts";

/** What the sink is told when the peer's close frame carries no code. Never sent (RFC 6455 section 7.4.1). */
export const NO_STATUS = 1005;
/** A connection that ended without a close frame. Never sent. */
export const ABNORMAL = 1006;

/** The longest reason: a control payload less the code. */
export const MAX_REASON_BYTES = MAX_CONTROL_PAYLOAD_BYTES - 2;

const FIRST_DEFINED = 1000;
const LAST_DEFINED = 1014;
const FIRST_LIBRARY = 3000;
const LAST_PRIVATE = 4999;

/**
 * Whether a close code may stand in a close frame: those of the IANA registry, of libraries (3000 to 3999) and of
 * applications (4000 to 4999); not 1004, 1005, 1006 and 1015, which only describe.
 */
export function isSendableCloseCode(code: number): boolean {
  if (!Number.isInteger(code)) return false;
  if (code >= FIRST_DEFINED && code <= LAST_DEFINED) {
    return code !== 1004 && code !== NO_STATUS && code !== ABNORMAL;
  }
  return code >= FIRST_LIBRARY && code <= LAST_PRIVATE;
}

/**
 * The code of a close payload (`NO_STATUS` if it is empty), or 0 if RFC 6455 forbids the payload: a single byte
 * or a code that may not be sent. The reason's text is checked by `closeReasonIsValid`.
 */
export function readCloseCode(bytes: Uint8Array, start: number, end: number): number {
  if (end === start) return NO_STATUS;
  if (end - start === 1) return 0;
  const code = ((bytes[start] as number) << 8) | (bytes[start + 1] as number); // two bytes or more
  return isSendableCloseCode(code) ? code : 0;
}

/** Whether what follows the code in a close payload is UTF-8. */
export function closeReasonIsValid(bytes: Uint8Array, start: number, end: number): boolean {
  return end - start <= 2 || isValidUtf8(bytes, start + 2, end);
}

const closePayload = new Uint8Array(MAX_CONTROL_PAYLOAD_BYTES);

/**
 * Writes a close frame at `offset` and answers where it ends; at most `MAX_CLOSE_FRAME_BYTES`. `NO_STATUS` writes
 * an empty payload. TypeError for a reason that is not a string (a typed array's length is not its bytes'), RangeError for
 * a code that may not be sent or a reason above `MAX_REASON_BYTES`.
 */
export function writeCloseFrame(
  target: Uint8Array,
  offset: number,
  code: number = NO_STATUS,
  reason: string = "",
  maskKey: MaskKey = NO_MASK,
): number {
  const first = FIN | Opcode.Close;
  if (typeof reason !== "string") throw new TypeError("a reason is a string");
  if (code === NO_STATUS) {
    if (reason !== "") throw new RangeError("a reason needs a code");
    return writeFrame(target, offset, first, closePayload, 0, 0, maskKey);
  }
  if (!isSendableCloseCode(code)) throw new RangeError(`close code ${code} may not be sent`);
  const reasonBytes = utf8Bytes(reason);
  if (reasonBytes > MAX_REASON_BYTES) throw new RangeError(`a reason has at most ${MAX_REASON_BYTES} bytes`);
  closePayload[0] = code >> 8;
  closePayload[1] = code;
  writeUtf8(closePayload, 2, reason);
  return writeFrame(target, offset, first, closePayload, 0, 2 + reasonBytes, maskKey);
}

/** The room a close frame can take. */
export const MAX_CLOSE_FRAME_BYTES = 6 + MAX_CONTROL_PAYLOAD_BYTES;

/** Where a close handshake stands, and who began it. */
export const CloseState = {
  /** Neither side has sent a close frame. */
  Open: 0,
  /** We have sent ours first and wait for the peer's; what else arrives is still delivered. */
  ClosedByUs: 1,
  /** The peer's came first; we owe an echo and may send nothing else. */
  ClosedByPeer: 2,
  /** Both are through, we began. The server closes the TCP connection. */
  DoneByUs: 3,
  /** Both are through, the peer began. */
  DoneByPeer: 4,
} as const;
export type CloseState = typeof CloseState[keyof typeof CloseState];

/** The state after we have sent a close frame. Throws TypeError if we had sent one before. */
export function closeSent(state: CloseState): CloseState {
  if (state === CloseState.Open) return CloseState.ClosedByUs;
  if (state === CloseState.ClosedByPeer) return CloseState.DoneByPeer;
  throw new TypeError("a close frame is sent once");
}

/** The state after the peer's close frame. The decoder delivers only the first, so a second is our bug. */
export function closeReceived(state: CloseState): CloseState {
  if (state === CloseState.Open) return CloseState.ClosedByPeer;
  if (state === CloseState.ClosedByUs) return CloseState.DoneByUs;
  throw new TypeError("a close frame is received once");
}

/** Whether we may still send data and pings: until our close frame or the peer's (RFC 6455 section 5.5.1). */
export function maySend(state: CloseState): boolean {
  return state === CloseState.Open;
}

/** Whether both close frames are through and the TCP connection may end (RFC 6455 section 7.1.1). */
export function isClosed(state: CloseState): boolean {
  return state >= CloseState.DoneByUs;
}
