// Masking (RFC 6455 section 5.3): XOR with a four-byte key, the same operation both ways. A key is a signed 32-bit
// integer (JavaScriptCore is slow with others) whose lowest byte is the first on the wire. Knows bytes and keys, never frames.
// Two ways to the same result, by length: bytes and words. `maskPlain` is what they are tested against.

import { randomFillSync } from "node:crypto";

/** A key, or that there is none. */
export type MaskKey = number | undefined;

/** In place of a key: the frame is not masked. */
export const NO_MASK = undefined;

const bun = "Bun" in globalThis;

/** From the bench cell `choice/mask/words`: below it, finding the words costs more than they save. */
const WORDS_FROM_BYTES = bun ? 64 : 32;

/** What a byte outside ASCII leaves in the bits that masking returns, in any of a word's four bytes. */
export const NON_ASCII_BITS = 0x80808080 | 0;

const LITTLE_ENDIAN = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1;

/**
 * The key as it stands `bytes` bytes further into a payload: for a frame whose payload comes in pieces.
 */
export function rotateKey(key: number, bytes: number): number {
  const shift = (bytes & 3) << 3;
  return (key >>> shift) | (key << (32 - shift));
}

/**
 * Masks or unmasks `bytes[start, end)` in place with a key aligned to `start`. Answers bits: when
 * `bits & NON_ASCII_BITS` is 0, every byte of the result is ASCII.
 */
export function applyMask(bytes: Uint8Array, start: number, end: number, key: number): number {
  const length = end - start;
  if (length < WORDS_FROM_BYTES || !LITTLE_ENDIAN) return maskPlain(bytes, start, end, key);
  return maskWords(bytes, start, end, key);
}

/** The plain version: byte by byte. Same contract as `applyMask`. */
export function maskPlain(bytes: Uint8Array, start: number, end: number, key: number): number {
  const key0 = key & 0xff;
  const key1 = (key >>> 8) & 0xff;
  const key2 = (key >>> 16) & 0xff;
  const key3 = key >>> 24;
  let bits = 0;
  let at = start;
  // The casts below: every index is below `end`, which the caller keeps within the array.
  for (const last = end - 3; at < last; at += 4) {
    bits |= (bytes[at] = bytes[at] as number ^ key0) |
      (bytes[at + 1] = bytes[at + 1] as number ^ key1) |
      (bytes[at + 2] = bytes[at + 2] as number ^ key2) |
      (bytes[at + 3] = bytes[at + 3] as number ^ key3);
  }
  if (at < end) bits |= bytes[at] = bytes[at] as number ^ key0;
  if (at + 1 < end) bits |= bytes[at + 1] = bytes[at + 1] as number ^ key1;
  if (at + 2 < end) bits |= bytes[at + 2] = bytes[at + 2] as number ^ key2;
  return bits;
}

// The words of the bytes that were masked last. Reads come many from one buffer, and making a view costs as much as
// masking fifty bytes; on Bun even asking for the buffer is felt. It keeps one read buffer alive per process.
let wordsOf: Uint8Array | null = null;
let words: Int32Array = new Int32Array(0);

/** Four bytes at a time. Same contract as `applyMask`; little-endian machines only. */
export function maskWords(bytes: Uint8Array, start: number, end: number, key: number): number {
  // Below eight bytes there may be no whole word between head and tail.
  if (end - start < 8) return maskPlain(bytes, start, end, key);
  if (bytes !== wordsOf) {
    const { buffer } = bytes;
    if (buffer !== words.buffer) words = new Int32Array(buffer, 0, buffer.byteLength >> 2);
    wordsOf = bytes;
  }
  const view = words;
  const base = bytes.byteOffset;
  const head = -(base + start) & 3;
  const firstWord = start + head;
  const wordKey = rotateKey(key, head);
  let bits = 0;
  for (let at = start, rest = key; at < firstWord; at++, rest >>>= 8) {
    bits |= bytes[at] = bytes[at] as number ^ (rest & 0xff);
  }
  let at = (base + firstWord) >> 2;
  const stop = (base + end) >> 2;
  for (const last = stop - 7; at < last; at += 8) {
    bits |= (view[at] = view[at] as number ^ wordKey) |
      (view[at + 1] = view[at + 1] as number ^ wordKey) |
      (view[at + 2] = view[at + 2] as number ^ wordKey) |
      (view[at + 3] = view[at + 3] as number ^ wordKey) |
      (view[at + 4] = view[at + 4] as number ^ wordKey) |
      (view[at + 5] = view[at + 5] as number ^ wordKey) |
      (view[at + 6] = view[at + 6] as number ^ wordKey) |
      (view[at + 7] = view[at + 7] as number ^ wordKey);
  }
  for (; at < stop; at++) bits |= view[at] = view[at] as number ^ wordKey;
  for (let byte = (stop << 2) - base, rest = wordKey; byte < end; byte++, rest >>>= 8) {
    bits |= bytes[byte] = bytes[byte] as number ^ (rest & 0xff);
  }
  return bits;
}

const KEY_POOL_KEYS = 2_048;
const keyPool = new Int32Array(KEY_POOL_KEYS);
let nextKey = KEY_POOL_KEYS;

/** An unpredictable key for one frame (RFC 6455 sections 5.3 and 10.3), from a pool filled now and then. */
export function randomMaskKey(): number {
  if (nextKey === KEY_POOL_KEYS) {
    randomFillSync(keyPool);
    nextKey = 0;
  }
  return keyPool[nextKey++] as number; // below the pool's length
}

/** The key that stands on the wire as `bytes[offset, offset + 4)`. */
export function readMaskKey(bytes: Uint8Array, offset: number): number {
  // Four bytes that the caller has seen to be there.
  return (bytes[offset] as number) | ((bytes[offset + 1] as number) << 8) |
    ((bytes[offset + 2] as number) << 16) | ((bytes[offset + 3] as number) << 24);
}

/** Writes a key as it stands on the wire, four bytes at `offset`. */
export function writeMaskKey(bytes: Uint8Array, offset: number, key: number): void {
  bytes[offset] = key;
  bytes[offset + 1] = key >>> 8;
  bytes[offset + 2] = key >>> 16;
  bytes[offset + 3] = key >>> 24;
}
