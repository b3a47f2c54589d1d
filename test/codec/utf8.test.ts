import { describe, it } from "node:test";
import { assertEquals } from "@std/assert";
import {
  asciiBits,
  decodeText,
  isValidUtf8,
  maxUtf8Bytes,
  UTF8_ACCEPT,
  UTF8_REJECT,
  utf8Bytes,
  validatePlain,
  validateUtf8,
  writeUtf8,
} from "../../server/codec/utf8.ts";
import { seededRandom } from "./recorder.ts";
import { textState, unhex, utf8 } from "./reference.ts";

const VALID = [
  "",
  "24",
  "c2a2",
  "e0a080",
  "ed9fbf",
  "ee8080",
  "efbfbf",
  "e282ac",
  "f0908080",
  "f48fbfbf",
  "efbbbf61",
];
const INVALID = [
  "80",
  "c080",
  "c1bf",
  "e09fbf",
  "eda080",
  "edbfbf",
  "f08fbfbf",
  "f4908080",
  "f5808080",
  "ff",
  "61bf",
];
const CUT_OFF = ["c2", "e0", "e0a0", "e282", "f0", "f090", "f09080", "f48f"];

/** The bytes alone, and where they are long enough for the runtime's validator, at both ends of text. */
function* settings(bytes: Uint8Array): Iterable<Uint8Array> {
  const filler = utf8("ä€😀".repeat(20));
  yield bytes;
  yield new Uint8Array([...filler, ...bytes]);
  yield new Uint8Array([...filler, ...filler, ...bytes]);
}

describe("UTF-8", () => {
  it("is accepted, refused or open as RFC 3629 says, by every way of validating", () => {
    for (const [texts, expected] of [[VALID, "valid"], [INVALID, "bad"], [CUT_OFF, "open"]] as const) {
      for (const text of texts) {
        for (const bytes of settings(unhex(text))) {
          for (const validate of [validateUtf8, validatePlain]) {
            const state = validate(UTF8_ACCEPT, bytes, 0, bytes.length);
            const name = state === UTF8_ACCEPT ? "valid" : state === UTF8_REJECT ? "bad" : "open";
            assertEquals(name, expected, text);
          }
          assertEquals(isValidUtf8(bytes, 0, bytes.length), expected === "valid", text);
          const decoded = decodeText(bytes, 0, bytes.length, asciiBits(bytes, 0, bytes.length));
          assertEquals(
            decoded,
            expected === "valid" ? new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes) : undefined,
          );
        }
      }
    }
  });

  it("fails at the first impossible byte of any two, three and four, as the reference does (8.1)", () => {
    const leads = [
      0x00,
      0x7f,
      0x80,
      0xbf,
      0xc0,
      0xc1,
      0xc2,
      0xdf,
      0xe0,
      0xec,
      0xed,
      0xee,
      0xf0,
      0xf1,
      0xf4,
      0xf5,
      0xff,
    ];
    const nexts = [0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xff];
    for (const first of leads) {
      for (const second of nexts) {
        for (const third of nexts) {
          const bytes = [first, second, third, 0x80];
          for (let length = 1; length <= 4; length++) {
            const state = validatePlain(UTF8_ACCEPT, Uint8Array.from(bytes), 0, length);
            const name = state === UTF8_ACCEPT ? "valid" : state === UTF8_REJECT ? "bad" : "open";
            assertEquals(name, textState(bytes.slice(0, length)), bytes.slice(0, length).join());
          }
        }
      }
    }
  });

  it("gives the same state in pieces as in one, by the fast way as by the plain one", () => {
    const random = seededRandom(2);
    for (let run = 0; run < 300; run++) {
      const bytes = utf8("aä€😀".repeat(40));
      if (run % 3 > 0) bytes[random(bytes.length)] = random(256);
      const cut = random(bytes.length);
      const end = cut + random(bytes.length - cut);
      let state = validateUtf8(UTF8_ACCEPT, bytes, 0, cut);
      state = validateUtf8(state, bytes, cut, end);
      assertEquals(state, validatePlain(UTF8_ACCEPT, bytes, 0, end));
    }
  });

  it("is written as the runtime's own encoder writes it, lone surrogates included", () => {
    const texts = [
      "",
      "a",
      "ä",
      "abcdefghijklmnop",
      "abcdefghijklmnopq",
      "€".repeat(15),
      "😀".repeat(30),
      "a\ud800b",
    ];
    for (const text of [...texts, "x".repeat(39) + "é", "x".repeat(1_000), "ü".repeat(1_000)]) {
      const target = new Uint8Array(maxUtf8Bytes(text.length) + 5).fill(0xee);
      const length = writeUtf8(target, 3, text);
      assertEquals(target.slice(3, 3 + length), utf8(text));
      assertEquals([length, target[2], target[3 + length]], [utf8Bytes(text), 0xee, 0xee]);
    }
  });

  it("decodes what it encodes, at every short length", () => {
    for (let length = 0; length < 80; length++) {
      for (const letter of ["a", "é"]) {
        const text = letter.repeat(length);
        const bytes = new Uint8Array([1, ...utf8(text), 2]);
        assertEquals(decodeText(bytes, 1, bytes.length - 1, asciiBits(bytes, 1, bytes.length - 1)), text);
      }
    }
  });
});
