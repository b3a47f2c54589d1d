/** The conformance runner's own tools: its choice of cases, its frames, its inflater, its reading of an extension answer. */
import { Buffer } from "node:buffer";
import { describe, it } from "node:test";
import { constants, deflateRawSync } from "node:zlib";
import { assertEquals, assertThrows } from "@std/assert";
import { ALL_CASES, selectCases } from "../../scripts/conformance/cases/mod.ts";
import { fragments, frame, FrameReader, hex, type RawFrame } from "../../scripts/conformance/frame.ts";
import { readAnswer } from "../../scripts/conformance/handshake.ts";
import { Inflater } from "../../scripts/conformance/inflate.ts";
import { json, noise, prose } from "../../scripts/conformance/payloads.ts";

describe("the catalogue of conformance cases", () => {
  it("has every case of Autobahn, each number once", () => {
    const ids = ALL_CASES.map(({ id }) => id);
    assertEquals(new Set(ids).size, ids.length);
    const count = (section: string) => ids.filter((id) => id.startsWith(`${section}.`)).length;
    const autobahn = { 1: 16, 2: 11, 3: 7, 4: 10, 5: 20, 6: 145, 7: 37, 9: 54, 10: 1, 12: 90, 13: 126 };
    for (const [section, cases] of Object.entries(autobahn)) assertEquals(count(section), cases, section);
  });

  it("chooses by number, section and exception, and never by mere digits", () => {
    const chosen = (...prefixes: string[]) => selectCases(prefixes).map(({ id }) => id);
    assertEquals(chosen("6.4.2"), ["6.4.2"]);
    assertEquals(chosen("10"), ["10.1.1"]);
    assertEquals(chosen("1").length, 16);
    assertEquals(chosen("7.3", "-7.3.1", "-7.3.2").length, 4);
    assertEquals(chosen("-12", "-13").length, ALL_CASES.length - 216);
    assertThrows(() => selectCases(["8"]), RangeError, "no case has the number 8");
  });
});

describe("the runner's own tools", () => {
  it("reads frames cut at every byte as it reads them whole, and notes mask, bits and long lengths", () => {
    const octets = [
      ...frame({ opcode: 1, payload: "Hello", rsv: 5, fin: false }),
      ...frame({ opcode: 2, payload: new Uint8Array(126).fill(1), mask: false }),
      ...frame({ opcode: 9, lengthBytes: 2, payload: "x", mask: false }),
      ...frame({ opcode: 8, mask: false }),
    ];
    const bytes = Uint8Array.from(octets);
    for (let cut = 0; cut <= bytes.length; cut++) {
      const seen: RawFrame[] = [];
      const reader = new FrameReader();
      reader.push(bytes.subarray(0, cut), (one) => seen.push(one));
      reader.push(bytes.subarray(cut), (one) => seen.push(one));
      assertEquals(
        seen.map(({ opcode, fin, rsv, masked, minimal, payload }) => [
          opcode,
          fin,
          rsv,
          masked,
          minimal,
          payload.length,
        ]),
        [[1, false, 5, true, true, 5], [2, true, 0, false, true, 126], [9, true, 0, false, false, 1], [
          8,
          true,
          0,
          false,
          true,
          0,
        ]],
      );
      assertEquals(new TextDecoder().decode(seen[0]?.payload), "Hello");
    }
  });

  it("cuts a message into fragments of which the last carries FIN (section 5.4)", () => {
    assertEquals(fragments(1, "abcde", 2).map((each) => each[0]), [0x01, 0x00, 0x80]);
    assertEquals(fragments(2, "", 2).map((each) => each[0]), [0x82]);
  });

  it("inflates what zlib deflates, and the examples of RFC 7692 section 7.2.3", () => {
    for (const payload of [json(100_000), noise(70_000), prose(3), new Uint8Array(200_000)]) {
      const deflated = deflateRawSync(payload, { finishFlush: constants.Z_SYNC_FLUSH }).subarray(0, -4);
      assertEquals(Buffer.compare(new Inflater(15, true).message(deflated), payload), 0);
    }
    const hello = (digits: string) => new TextDecoder().decode(new Inflater(15, true).message(hex(digits)));
    for (
      const digits of [
        "f248cdc9c90700",
        "000500faff48656c6c6f00",
        "f348cdc9c9070000",
        "f24805000000ffffcac9c90700",
      ]
    ) {
      assertEquals(hello(digits), "Hello");
    }
  });

  it("inflates with the history of earlier messages only where that was agreed on (RFC 7692 section 7.1.1.1)", () => {
    const kept = new Inflater(15, true);
    kept.message(hex("f248cdc9c90700"));
    assertEquals(new TextDecoder().decode(kept.message(hex("f200110000"))), "Hello");
    const fresh = new Inflater(15, false);
    fresh.message(hex("f248cdc9c90700"));
    assertThrows(() => fresh.message(hex("f200110000")), RangeError, "before the start of the history");
  });

  it("refuses a reference beyond the agreed window (RFC 7692 section 7.1.2.1)", () => {
    const half = noise(4_096);
    const both = new Uint8Array(8_192);
    both.set(half);
    both.set(half, half.length);
    const deflated = deflateRawSync(both, { finishFlush: constants.Z_SYNC_FLUSH }).subarray(0, -4);
    assertEquals(new Inflater(12, true).message(deflated).length, both.length);
    assertThrows(() => new Inflater(11, true).message(deflated), RangeError, "beyond the window");
  });

  it("refuses an extension answer that the offer does not allow (RFC 7692 section 7.1)", () => {
    const offer = "permessage-deflate; server_max_window_bits=10";
    assertEquals(readAnswer("permessage-deflate; server_max_window_bits=9", offer), {
      serverTakeover: true,
      serverWindowBits: 9,
      clientTakeover: true,
      clientWindowBits: 15,
    });
    assertEquals(readAnswer(undefined, offer), undefined);
    const fifteen = readAnswer("permessage-deflate", "permessage-deflate; server_max_window_bits=15");
    assertEquals(typeof fifteen, "object", "not to name the window is to promise 15");
    const wrong = [
      ["permessage-deflate; server_max_window_bits=11", offer],
      ["permessage-deflate", offer],
      ["permessage-deflate; client_max_window_bits=10", "permessage-deflate"],
      ["permessage-deflate; server_max_window_bits=7", "permessage-deflate"],
      ["permessage-deflate", ""],
      ["x-other", "permessage-deflate"],
    ] as const;
    for (const [answer, asked] of wrong) assertEquals(typeof readAnswer(answer, asked), "string", answer);
  });
});
