/**
 * Test data made from fixed seeds, so that two runs send the same octets. One generator for each kind of content that
 * compresses differently. Knows nothing of frames.
 */

const SEED = 0x9e3779b9;
const WORDS = [
  "water",
  "wheel",
  "stone",
  "grain",
  "river",
  "mill",
  "race",
  "sluice",
  "miller",
  "flour",
  "bread",
  "under",
  "over",
  "the",
  "and",
  "with",
  "through",
  "turns",
  "falls",
  "grinds",
  "slowly",
  "at",
  "night",
  "before",
  "a",
  "of",
  "in",
];

/** A small generator of pseudo-random 32-bit numbers (xorshift). */
function random(seed: number): () => number {
  let state = seed | 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}

/** Bytes that no compressor can shorten. */
export function noise(bytes: number, seed = SEED): Uint8Array {
  const next = random(seed);
  return Uint8Array.from({ length: bytes }, () => next() >>> 11);
}

function repeatUntil(bytes: number, piece: () => string): Uint8Array {
  const out = new Uint8Array(bytes);
  const encoder = new TextEncoder();
  for (let at = 0; at < bytes;) {
    const part = encoder.encode(piece()).subarray(0, bytes - at);
    out.set(part, at);
    at += part.length;
  }
  return out;
}

function word(next: () => number): string {
  return WORDS[next() % WORDS.length] ?? "";
}

/** ASCII that looks like a large JSON file. */
export function json(bytes: number): Uint8Array {
  const next = random(SEED);
  return repeatUntil(
    bytes,
    () =>
      `{"id":${next()},"name":"${word(next)} ${word(next)}","tags":["${word(next)}"],"on":${
        next() % 2 === 0
      }},\n`,
  );
}

/** ASCII that looks like a large HTML file. */
export function html(bytes: number): Uint8Array {
  const next = random(SEED + 1);
  return repeatUntil(
    bytes,
    () =>
      `<li class="${word(next)}"><a href="/${word(next)}/${next() % 1000}">${word(next)} ${
        word(next)
      }</a></li>\n`,
  );
}

/** ASCII that looks like a book. */
export function prose(bytes: number): Uint8Array {
  const next = random(SEED + 2);
  return repeatUntil(bytes, () => word(next) + (next() % 9 === 0 ? ".\r\n" : " "));
}

/** Bytes that look like a grey picture: neighbours differ little. */
export function picture(bytes: number): Uint8Array {
  const next = random(SEED + 3);
  let grey = 128;
  return Uint8Array.from({ length: bytes }, () => grey = (grey + next() % 7 - 3) & 0xff);
}
