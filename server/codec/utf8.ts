// Text: UTF-8 (RFC 3629) to string and back, and the validation that RFC 6455 section 8.1 asks for, whole or as
// the bytes come. Knows bytes and strings, never frames. Each fast path has the plain version beside it.

import { Buffer, isAscii, isUtf8 } from "node:buffer";
import { NON_ASCII_BITS } from "./mask.ts";

/**
 * The runtime's own conversions, taken from Buffer's prototype because they also work on a Uint8Array and need
 * no view of the part they read. All three runtimes have them; the types do not.
 */
interface ByteConversions {
  latin1Slice(this: Uint8Array, start: number, end: number): string;
  utf8Slice(this: Uint8Array, start: number, end: number): string;
  utf8Write(this: Uint8Array, text: string, offset: number, maxBytes: number): number;
}
const { latin1Slice, utf8Slice, utf8Write } = Buffer.prototype as unknown as ByteConversions;

const bun = "Bun" in globalThis;
const deno = "Deno" in globalThis;

/** From the bench cell `choice/utf8/short text`: up to it, characters are put together here; above, in the runtime. */
const SHORT_DECODE_BYTES = bun ? 3 : 11;

/** From the bench cell `choice/utf8/short write`: up to it, ASCII is written here; above, by the runtime. */
const SHORT_ENCODE_CHARACTERS = deno ? 40 : 24;

/** From the bench cell `choice/utf8/validate`: from here on a view for the runtime's validator pays. */
const NATIVE_VALIDATION_BYTES = 32;

/** The same for the runtime's look for ASCII, against a plainer loop. */
const NATIVE_ASCII_BYTES = 64;

/** The state of a validator between characters: everything so far is whole and valid. */
export const UTF8_ACCEPT = 0;

/** The state after a byte that no valid text can have there. It never leaves this state. */
export const UTF8_REJECT = -1;

// Between the bytes of a character a state holds the number of bytes to come and the range of the next one:
// remaining << 16 | lowest << 8 | highest. The first continuation byte's range depends on the lead byte, which
// is what excludes overlong forms, surrogates and everything above U+10FFFF.
const TWO = 0x1_80_bf;
const THREE = 0x2_80_bf;
const FOUR = 0x3_80_bf;

function leadState(byte: number): number {
  if (byte < 0x80) return UTF8_ACCEPT;
  if (byte < 0xc2) return UTF8_REJECT;
  if (byte < 0xe0) return TWO;
  if (byte < 0xf0) return byte === 0xe0 ? 0x2_a0_bf : byte === 0xed ? 0x2_80_9f : THREE;
  if (byte < 0xf5) return byte === 0xf0 ? 0x3_90_bf : byte === 0xf4 ? 0x3_80_8f : FOUR;
  return UTF8_REJECT;
}

/** The plain validator: advances `state` over `bytes[start, end)`; stops at the first impossible byte. */
export function validatePlain(state: number, bytes: Uint8Array, start: number, end: number): number {
  for (let at = start; at < end; at++) {
    const byte = bytes[at] as number; // below `end`
    if (state === UTF8_ACCEPT) {
      if (byte >= 0x80) state = leadState(byte);
      if (state === UTF8_REJECT) return UTF8_REJECT;
      continue;
    }
    if (byte < ((state >> 8) & 0xff) || byte > (state & 0xff)) return UTF8_REJECT;
    const remaining = (state >> 16) - 1;
    state = remaining === 0 ? UTF8_ACCEPT : (remaining << 16) | 0x80bf;
  }
  return state;
}

/**
 * Advances a validator's state over `bytes[start, end)`: UTF8_ACCEPT between characters, UTF8_REJECT as soon as
 * no continuation could make the text valid, another number inside a character. Start with UTF8_ACCEPT.
 */
export function validateUtf8(state: number, bytes: Uint8Array, start: number, end: number): number {
  if (state === UTF8_REJECT || end - start < NATIVE_VALIDATION_BYTES) {
    return validatePlain(state, bytes, start, end);
  }
  let from = start;
  while (state > UTF8_ACCEPT && from < end) state = validatePlain(state, bytes, from, ++from);
  if (state === UTF8_REJECT) return UTF8_REJECT;
  const whole = lastBoundary(bytes, from, end);
  if (!isUtf8(part(bytes, from, whole))) return UTF8_REJECT;
  return validatePlain(UTF8_ACCEPT, bytes, whole, end);
}

/** Where the character that may be cut off at `end` begins: at most three bytes before it. */
function lastBoundary(bytes: Uint8Array, start: number, end: number): number {
  const earliest = end - 3 > start ? end - 3 : start;
  for (let at = end - 1; at >= earliest; at--) {
    const byte = bytes[at] as number; // within [start, end)
    if (byte < 0x80) return at + 1;
    if (byte >= 0xc0) return at;
  }
  return end;
}

/** Whether `bytes[start, end)` is whole, valid UTF-8. */
export function isValidUtf8(bytes: Uint8Array, start: number, end: number): boolean {
  if (end - start < NATIVE_VALIDATION_BYTES) {
    return validatePlain(UTF8_ACCEPT, bytes, start, end) === UTF8_ACCEPT;
  }
  return isUtf8(part(bytes, start, end));
}

/** A view of `bytes[start, end)`; the bytes themselves where that is all of them, for a view costs as much as a short look. */
function part(bytes: Uint8Array, start: number, end: number): Uint8Array {
  return end - start === bytes.length ? bytes : bytes.subarray(start, end);
}

/** Bits of `bytes[start, end)` in the sense of `applyMask`: what tells ASCII from the rest. */
export function asciiBits(bytes: Uint8Array, start: number, end: number): number {
  if (end - start >= NATIVE_ASCII_BYTES) {
    return isAscii(part(bytes, start, end)) ? 0 : NON_ASCII_BITS;
  }
  let bits = 0;
  let at = start;
  // The casts: every index is below `end`.
  for (const last = end - 3; at < last; at += 4) {
    bits |= (bytes[at] as number) | (bytes[at + 1] as number) | (bytes[at + 2] as number) |
      (bytes[at + 3] as number);
  }
  for (; at < end; at++) bits |= bytes[at] as number;
  return bits;
}

/**
 * The string of `bytes[start, end)`, or undefined if they are not valid UTF-8. `bits` is what `applyMask` or
 * `asciiBits` answered for the same bytes: ASCII needs no further look.
 */
export function decodeText(bytes: Uint8Array, start: number, end: number, bits: number): string | undefined {
  if ((bits & NON_ASCII_BITS) === 0) {
    return end - start <= SHORT_DECODE_BYTES
      ? shortAscii(bytes, start, end)
      : latin1Slice.call(bytes, start, end);
  }
  return isValidUtf8(bytes, start, end) ? utf8Slice.call(bytes, start, end) : undefined;
}

/** The string of bytes that are known to be valid UTF-8. */
export function decodeValid(bytes: Uint8Array, start: number, end: number): string {
  return utf8Slice.call(bytes, start, end);
}

/** The plain way from ASCII to a string. */
export function shortAscii(bytes: Uint8Array, start: number, end: number): string {
  let text = "";
  let at = start;
  // The casts: every index is below `end`.
  for (const last = end - 3; at < last; at += 4) {
    text += String.fromCharCode(
      bytes[at] as number,
      bytes[at + 1] as number,
      bytes[at + 2] as number,
      bytes[at + 3] as number,
    );
  }
  for (; at < end; at++) text += String.fromCharCode(bytes[at] as number);
  return text;
}

/** The most bytes a string of that many UTF-16 units can need. */
export function maxUtf8Bytes(characters: number): number {
  return characters * 3;
}

/** The bytes a string will need. */
export function utf8Bytes(text: string): number {
  return Buffer.byteLength(text);
}

/**
 * Writes a string as UTF-8 at `offset` and answers the number of bytes. The target must have room for
 * `maxUtf8Bytes`, or for what `utf8Bytes` says. A lone surrogate becomes U+FFFD, as the runtimes do.
 */
export function writeUtf8(target: Uint8Array, offset: number, text: string): number {
  if (text.length <= SHORT_ENCODE_CHARACTERS) {
    const written = writeShortAscii(target, offset, text);
    if (written >= 0) return written;
  }
  return utf8Write.call(target, text, offset, target.length - offset);
}

/** The plain way from a string to ASCII: the number of bytes, or -1 at a character that is not ASCII. */
export function writeShortAscii(target: Uint8Array, offset: number, text: string): number {
  const characters = text.length;
  for (let index = 0; index < characters; index++) {
    const unit = text.charCodeAt(index);
    if (unit >= 0x80) return -1;
    target[offset + index] = unit;
  }
  return characters;
}
