// Encoding: a frame written straight into the caller's buffer (RFC 6455 section 5.2), or prepared once as one
// Uint8Array for all its receivers. Never writes to a socket, keeps nothing, decides nothing about compression.
// Servers write with NO_MASK, which is the default; clients pass a key from `randomMaskKey`.

import { Buffer } from "node:buffer";
import { isControl, Opcode } from "./opcode.ts";
import { applyMask, type MaskKey, NO_MASK, writeMaskKey } from "./mask.ts";
import { maxUtf8Bytes, utf8Bytes, writeUtf8 } from "./utf8.ts";

/** The bit that ends a message (RFC 6455 section 5.2). */
export const FIN = 0x80;
/** The bit that says a message is compressed (RFC 7692 section 6). */
export const RSV1 = 0x40;
/** The other reserved bits, which nothing negotiated here uses. */
export const RSV2_RSV3 = 0x30;
/** The bit that says a masking key follows. */
export const MASKED = 0x80;

/** In the seven length bits: two bytes of length follow. */
export const LENGTH_16 = 126;
/** In the seven length bits: eight bytes of length follow. */
export const LENGTH_64 = 127;

/** The longest payload of a control frame (RFC 6455 section 5.5), and of a frame with the shortest header. */
export const MAX_CONTROL_PAYLOAD_BYTES = 125;
/** The longest payload whose length takes two bytes. */
export const MAX_LENGTH_16_BYTES = 0xffff;
/** The longest header there is: two bytes, a 64-bit length and a key. */
export const MAX_HEADER_BYTES = 14;

const SIZE_32 = 2 ** 32;

/** From here on a payload is better handed to the socket as it is, behind `writeHeader`, than copied. */
export const BY_REFERENCE_FROM_BYTES = 4_096;

/** How many bytes the header of a frame takes. */
export function frameHeaderBytes(payloadBytes: number, masked: boolean): number {
  const key = masked ? 4 : 0;
  if (payloadBytes <= MAX_CONTROL_PAYLOAD_BYTES) return 2 + key;
  return (payloadBytes <= MAX_LENGTH_16_BYTES ? 4 : 10) + key;
}

/**
 * Writes a header at `offset` and answers where the payload begins. `first` is the first byte: opcode, FIN, RSV1.
 * The length takes the least bytes that hold it. The caller has made room (`frameHeaderBytes`).
 */
export function writeHeader(
  target: Uint8Array,
  offset: number,
  first: number,
  payloadBytes: number,
  maskKey: MaskKey = NO_MASK,
): number {
  const masked = maskKey === NO_MASK ? 0 : MASKED;
  target[offset] = first;
  let at = offset + 2;
  if (payloadBytes <= MAX_CONTROL_PAYLOAD_BYTES) {
    target[offset + 1] = masked | payloadBytes;
  } else if (payloadBytes <= MAX_LENGTH_16_BYTES) {
    target[offset + 1] = masked | LENGTH_16;
    target[at] = payloadBytes >>> 8;
    target[at + 1] = payloadBytes;
    at += 2;
  } else {
    target[offset + 1] = masked | LENGTH_64;
    writeUint32(target, at, Math.floor(payloadBytes / SIZE_32));
    writeUint32(target, at + 4, payloadBytes);
    at += 8;
  }
  if (maskKey === NO_MASK) return at;
  writeMaskKey(target, at, maskKey);
  return at + 4;
}

function writeUint32(target: Uint8Array, offset: number, value: number): void {
  target[offset] = value >>> 24;
  target[offset + 1] = value >>> 16;
  target[offset + 2] = value >>> 8;
  target[offset + 3] = value;
}

/** The room a binary frame takes, header and all. */
export function binaryFrameBytes(payloadBytes: number): number {
  return payloadBytes + MAX_HEADER_BYTES;
}

/** The room `writeTextFrame` wants for a string of that many UTF-16 units. */
export function maxTextFrameBytes(characters: number): number {
  return maxUtf8Bytes(characters) + MAX_HEADER_BYTES;
}

/**
 * Writes a whole text message at `offset` and answers where it ends. Throws RangeError unless the target has
 * `maxTextFrameBytes(text.length)` from there; a caller with less uses `prepareFrame`.
 */
export function writeTextFrame(
  target: Uint8Array,
  offset: number,
  text: string,
  maskKey: MaskKey = NO_MASK,
): number {
  const characters = text.length;
  if (target.length - offset < maxTextFrameBytes(characters)) throw new RangeError("no room for the frame");
  // The header comes before the length is known: leave the room that ASCII would need, move if it was not ASCII.
  const header = frameHeaderBytes(characters, maskKey !== NO_MASK);
  let start = offset + header;
  const payloadBytes = writeUtf8(target, start, text);
  if (payloadBytes !== characters) {
    const needed = frameHeaderBytes(payloadBytes, maskKey !== NO_MASK);
    if (needed !== header) {
      target.copyWithin(offset + needed, start, start + payloadBytes);
      start = offset + needed;
    }
  }
  writeHeader(target, offset, FIN | Opcode.Text, payloadBytes, maskKey);
  const end = start + payloadBytes;
  if (maskKey !== NO_MASK) applyMask(target, start, end, maskKey);
  return end;
}

/** From the bench cell `choice/encode/binary`: from here on the runtime copies a whole array faster than a loop. */
const NATIVE_COPY_FROM_BYTES = 12;
/** The same for part of an array, which needs a view. */
const NATIVE_PART_FROM_BYTES = 32;

/** Copies `source[start, end)` to `offset`; the two may not overlap. Answers where the copy ends. */
export function copyBytes(
  target: Uint8Array,
  offset: number,
  source: Uint8Array,
  start: number,
  end: number,
): number {
  const length = end - start;
  if (length === source.length && length >= NATIVE_COPY_FROM_BYTES) {
    target.set(source, offset);
  } else if (length >= NATIVE_PART_FROM_BYTES) {
    target.set(source.subarray(start, end), offset);
  } else {
    for (let at = 0; at < length; at++) target[offset + at] = source[start + at] as number; // below `end`
  }
  return offset + length;
}

/**
 * Writes one frame with the payload `source[start, end)` at `offset` and answers where it ends. `first` is the
 * first byte of the header. Throws RangeError unless the target has room for it.
 */
export function writeFrame(
  target: Uint8Array,
  offset: number,
  first: number,
  source: Uint8Array,
  start: number,
  end: number,
  maskKey: MaskKey = NO_MASK,
): number {
  const payloadBytes = end - start;
  if (target.length - offset < payloadBytes + frameHeaderBytes(payloadBytes, maskKey !== NO_MASK)) {
    throw new RangeError("no room for the frame");
  }
  const at = writeHeader(target, offset, first, payloadBytes, maskKey);
  const after = copyBytes(target, at, source, start, end);
  if (maskKey !== NO_MASK) applyMask(target, at, after, maskKey);
  return after;
}

/** Writes a whole binary message at `offset` and answers where it ends. RangeError as for `writeFrame`. */
export function writeBinaryFrame(
  target: Uint8Array,
  offset: number,
  payload: Uint8Array,
  maskKey: MaskKey = NO_MASK,
): number {
  return writeFrame(target, offset, FIN | Opcode.Binary, payload, 0, payload.length, maskKey);
}

/**
 * Writes a ping, pong or close frame at `offset` and answers where it ends. Throws RangeError if the payload is
 * longer than a control frame's may be.
 */
export function writeControlFrame(
  target: Uint8Array,
  offset: number,
  opcode: Opcode,
  payload: Uint8Array,
  maskKey: MaskKey = NO_MASK,
): number {
  if (!isControl(opcode)) throw new TypeError("not a control opcode");
  if (payload.length > MAX_CONTROL_PAYLOAD_BYTES) {
    throw new RangeError("a control payload has at most 125 bytes");
  }
  return writeFrame(target, offset, FIN | opcode, payload, 0, payload.length, maskKey);
}

/** From the bench cell `choice/encode/prepared`: above it, guessing that a text is ASCII beats counting its bytes. */
const COUNT_UP_TO_CHARACTERS = 1_024;

const encoder = new TextEncoder();

/**
 * A whole message as one frame, header and payload in one array: made once, sent to every subscriber. The array
 * belongs to the caller and must not be changed while it is in use.
 */
export function prepareFrame(message: string | Uint8Array, maskKey: MaskKey = NO_MASK): Uint8Array {
  if (typeof message !== "string") return framePayload(FIN | Opcode.Binary, message, maskKey);
  const characters = message.length;
  if (characters > COUNT_UP_TO_CHARACTERS) {
    const frame = prepareAscii(message, maskKey);
    if (frame !== null) return frame;
  }
  const payloadBytes = utf8Bytes(message);
  const frame = Buffer.allocUnsafe(frameHeaderBytes(payloadBytes, maskKey !== NO_MASK) + payloadBytes);
  const at = writeHeader(frame, 0, FIN | Opcode.Text, payloadBytes, maskKey);
  writeUtf8(frame, at, message);
  if (maskKey !== NO_MASK) applyMask(frame, at, frame.length, maskKey);
  return frame;
}

/** The frame of a text that is ASCII, or null if it is not. */
function prepareAscii(text: string, maskKey: MaskKey): Uint8Array | null {
  const characters = text.length;
  const header = frameHeaderBytes(characters, maskKey !== NO_MASK);
  const frame = Buffer.allocUnsafe(header + characters);
  const { read } = encoder.encodeInto(text, frame.subarray(header));
  if (read !== characters) return null;
  writeHeader(frame, 0, FIN | Opcode.Text, characters, maskKey);
  if (maskKey !== NO_MASK) applyMask(frame, header, frame.length, maskKey);
  return frame;
}

/** One frame as an array of its own. `first` is the first byte of its header. */
export function framePayload(first: number, payload: Uint8Array, maskKey: MaskKey = NO_MASK): Uint8Array {
  const frame = Buffer.allocUnsafe(frameHeaderBytes(payload.length, maskKey !== NO_MASK) + payload.length);
  writeFrame(frame, 0, first, payload, 0, payload.length, maskKey);
  return frame;
}
