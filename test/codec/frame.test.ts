import { describe, it } from "node:test";
import { assertEquals, assertThrows } from "@std/assert";
import {
  binaryFrameBytes,
  frameHeaderBytes,
  MAX_HEADER_BYTES,
  maxTextFrameBytes,
  prepareFrame,
  writeBinaryFrame,
  writeControlFrame,
  writeHeader,
  writeTextFrame,
} from "../../server/codec/frame.ts";
import { Opcode } from "../../server/codec/opcode.ts";
import { NO_MASK } from "../../server/codec/mask.ts";
import { frame, hex, unhex, utf8 } from "./reference.ts";

const KEY_BYTES = [0x37, 0xfa, 0x21, 0x3d];
const KEY = 0x3d21fa37;

describe("frame", () => {
  it("is what RFC 6455 section 5.7 shows", () => {
    const target = new Uint8Array(64);
    assertEquals(hex(target.slice(0, writeTextFrame(target, 0, "Hello"))), "810548656c6c6f");
    assertEquals(hex(target.slice(0, writeTextFrame(target, 0, "Hello", KEY))), "818537fa213d7f9f4d5158");
    const hello = utf8("Hello");
    assertEquals(hex(target.slice(0, writeControlFrame(target, 0, Opcode.Ping, hello))), "890548656c6c6f");
    assertEquals(
      hex(target.slice(0, writeControlFrame(target, 0, Opcode.Pong, hello, KEY))),
      "8a8537fa213d7f9f4d5158",
    );
  });

  it("has a header with the length in its least form, also beyond 32 bits (5.2)", () => {
    const headers: [number, string][] = [[0, "8200"], [125, "827d"], [126, "827e007e"], [65_535, "827effff"]];
    headers.push([65_536, "827f0000000000010000"], [2 ** 31, "827f0000000080000000"]);
    headers.push([2 ** 53 - 1, "827f001fffffffffffff"]);
    for (const [length, expected] of headers) {
      const target = new Uint8Array(MAX_HEADER_BYTES);
      assertEquals(hex(target.slice(0, writeHeader(target, 0, 0x82, length))), expected);
      assertEquals(frameHeaderBytes(length, false), expected.length / 2);
      assertEquals(frameHeaderBytes(length, true), expected.length / 2 + 4);
      assertEquals(writeHeader(target, 0, 0x82, length, KEY), expected.length / 2 + 4);
    }
  });

  for (const length of [0, 1, 16, 17, 41, 42, 43, 47, 48, 125, 126, 127, 21_845, 21_846, 65_535, 65_536]) {
    it(`of ${length} characters or bytes is written and prepared as the plain way makes it`, () => {
      const texts = ["a", "é", "€"].map((letter) => letter.repeat(length));
      for (const [maskKey, keyBytes] of [[NO_MASK, null], [KEY, KEY_BYTES]] as const) {
        for (const text of texts) {
          const expected = frame(0x81, utf8(text), keyBytes);
          const target = new Uint8Array(maxTextFrameBytes(length) + 1).fill(0xee);
          const end = writeTextFrame(target, 1, text, maskKey);
          assertEquals(hex(target.subarray(1, end)), hex(expected));
          assertEquals(target[0], 0xee);
          assertEquals(hex(prepareFrame(text, maskKey)), hex(expected));
        }
        const payload = Uint8Array.from({ length }, (_, at) => at);
        const expected = frame(0x82, payload, keyBytes);
        const target = new Uint8Array(binaryFrameBytes(length) + 1);
        assertEquals(hex(target.subarray(1, writeBinaryFrame(target, 1, payload, maskKey))), hex(expected));
        assertEquals(hex(prepareFrame(payload, maskKey)), hex(expected));
        assertEquals(payload.every((byte, at) => byte === at % 256), true, "the payload is as it was");
      }
    });
  }

  it("is not written where there is no room, nor a control frame that none may be", () => {
    assertThrows(() => writeTextFrame(new Uint8Array(maxTextFrameBytes(5) - 1), 0, "Hello"), RangeError);
    assertThrows(() => writeBinaryFrame(new Uint8Array(6), 0, utf8("Hello")), RangeError);
    assertEquals(writeBinaryFrame(new Uint8Array(7), 0, utf8("Hello")), 7);
    assertThrows(
      () => writeControlFrame(new Uint8Array(200), 0, Opcode.Ping, new Uint8Array(126)),
      RangeError,
    );
    assertThrows(() => writeControlFrame(new Uint8Array(200), 0, Opcode.Text, unhex("61")), TypeError);
  });
});
