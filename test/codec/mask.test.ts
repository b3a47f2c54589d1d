import { describe, it } from "node:test";
import { assertEquals, assertNotEquals } from "@std/assert";
import {
  applyMask,
  maskPlain,
  maskWords,
  NON_ASCII_BITS,
  randomMaskKey,
  readMaskKey,
  rotateKey,
  writeMaskKey,
} from "../../server/codec/mask.ts";
import { seededRandom } from "./recorder.ts";

const WAYS = { applyMask, maskWords };
const LENGTHS = [0, 1, 3, 7, 8, 23, 24, 31, 64, 65, 767, 768, 2_047, 2_048, 16_383, 16_384, 16_385, 40_000];

describe("mask", () => {
  it("is the XOR of RFC 6455 section 5.3, and its own inverse", () => {
    const bytes = new Uint8Array([0x7f, 0x9f, 0x4d, 0x51, 0x58]);
    const key = readMaskKey(new Uint8Array([0x37, 0xfa, 0x21, 0x3d]), 0);
    maskPlain(bytes, 0, 5, key);
    assertEquals(new TextDecoder().decode(bytes), "Hello");
    maskPlain(bytes, 0, 5, key);
    assertEquals([...bytes], [0x7f, 0x9f, 0x4d, 0x51, 0x58]);
  });

  for (const [name, way] of Object.entries(WAYS)) {
    it(`${name} does what the plain version does, at every alignment, and touches nothing else`, () => {
      const random = seededRandom(1);
      for (const length of LENGTHS) {
        for (let alignment = 0; alignment < 8; alignment++) {
          const key = random(2 ** 32) | 0;
          const buffer = Uint8Array.from({ length: length + 32 }, () => random(256)).buffer;
          const bytes = new Uint8Array(buffer, alignment & 3);
          const start = alignment >> 1;
          const expected = bytes.slice();
          const expectedBits = maskPlain(expected, start, start + length, key);
          const bits = way(bytes, start, start + length, key);
          assertEquals(bytes.every((byte, at) => byte === expected[at]), true, `${length} at ${alignment}`);
          assertEquals((bits & NON_ASCII_BITS) === 0, (expectedBits & 0x80) === 0, `bits of ${length}`);
        }
      }
    });

    it(`${name} tells ASCII from one byte that is not, wherever it stands`, () => {
      for (const length of [1, 30, 100, 900, 3_000]) {
        for (const place of [0, length >> 1, length - 1]) {
          const key = 0xd1_82_f3_94 | 0;
          const masked = new Uint8Array(length).fill(0x61);
          maskPlain(masked, 0, length, key);
          assertEquals(way(masked.slice(), 0, length, key) & NON_ASCII_BITS, 0);
          masked[place] = (masked[place] ?? 0) ^ 0x80;
          assertNotEquals(way(masked, 0, length, key) & NON_ASCII_BITS, 0, `${place} of ${length}`);
        }
      }
    });
  }

  it("can be done in pieces with a rotated key", () => {
    const whole = Uint8Array.from({ length: 100 }, (_, at) => at);
    const pieces = whole.slice();
    maskPlain(whole, 0, 100, 0xfedcba98 | 0);
    for (let at = 0; at < 100; at += 7) {
      applyMask(pieces, at, Math.min(at + 7, 100), rotateKey(0xfedcba98 | 0, at));
    }
    assertEquals(pieces, whole);
  });

  it("reads a key as it writes it, and draws different ones", () => {
    const bytes = new Uint8Array(5);
    writeMaskKey(bytes, 1, 0xf1020304);
    assertEquals(readMaskKey(bytes, 1), 0xf1020304 | 0);
    const keys = new Set(Array.from({ length: 5_000 }, randomMaskKey));
    assertEquals(keys.size > 4_980, true);
  });
});
