import { Buffer } from "node:buffer";
import { describe, it } from "node:test";
import process from "node:process";
import { assertEquals, assertLess, assertThrows } from "@std/assert";
import {
  compressedLimitBytes,
  Deflater,
  deflaterBytes,
  InflateFault,
  Inflater,
  inflaterBytes,
  isWorthDeflating,
} from "../../server/codec/deflate.ts";
import { decoderSettings } from "../../server/codec/header.ts";
import { CLIENT, Recorder, seededRandom, SERVER } from "./recorder.ts";
import { concat, frame, hex, unhex, utf8 } from "./reference.ts";

const LIMIT = 1 << 24;

function inflated(inflater: Inflater, payload: Uint8Array, limit = LIMIT): string | number {
  const length = inflater.inflate(payload, 0, payload.length, limit);
  if (length < 0) return length;
  const output = inflater.takeOutput();
  const text = hex(output.subarray(0, length));
  inflater.giveBackOutput(output);
  return text;
}

function deflated(deflater: Deflater, payload: Uint8Array): Uint8Array {
  const output = new Uint8Array(compressedLimitBytes(payload.length));
  return output.slice(0, deflater.deflate(payload, output));
}

const HELLO = "48656c6c6f";

describe("deflate", () => {
  for (const plain of [false, true]) {
    const way = plain ? "one-shot functions" : "a driven stream";

    it(`inflates the examples of RFC 7692 section 7.2.3 (${way})`, () => {
      const shared = new Inflater(false, 15, plain);
      for (
        const example of [
          "f248cdc9c90700",
          "000500fa ff48656c6c6f00",
          "f348cdc9c9070000",
          "f248050000 00ffffcac9c90700",
        ]
      ) {
        assertEquals(inflated(shared, unhex(example)), HELLO, example);
      }
      const dedicated = new Inflater(true, 15, plain);
      assertEquals(inflated(dedicated, unhex("f248cdc9c90700")), HELLO);
      assertEquals(inflated(dedicated, unhex("f200110000")), HELLO, "7.2.3.2: with takeover");
      dedicated.release();
      shared.release();
    });

    it(`keeps a window of its own, also of a Buffer that is written over afterwards (${way})`, () => {
      const deflater = new Deflater({ contextTakeover: true, windowBits: 9, plain });
      const inflater = new Inflater(true, 9);
      const message = new Uint8Array(1024).map((_, index) => index * index);
      const lent = Buffer.from(message);
      assertEquals(inflated(inflater, deflated(deflater, lent)), hex(message));
      lent.fill(0);
      // What the Buffer holds now would be found in a window that is not the deflater's own.
      assertEquals(inflated(inflater, deflated(deflater, lent)), hex(lent));
      deflater.release();
      inflater.release();
    });

    for (const contextTakeover of [false, true]) {
      for (const windowBits of [9, 12, 15]) {
        it(`brings back what it took: ${way}, takeover ${contextTakeover}, ${windowBits} bits`, () => {
          const random = seededRandom(windowBits);
          const deflater = new Deflater({ contextTakeover, windowBits, plain });
          // The other side does it the other way: the two must agree.
          const inflater = new Inflater(contextTakeover, windowBits, !plain);
          for (const length of [5, 0, 1, 125, 126, 3_000, 70_000, 0, 300_000, 40]) {
            const noise = length % 2 === 0;
            const payload = Uint8Array.from({ length }, (_, at) => noise ? random(256) : 97 + (at % 50) % 26);
            assertEquals(inflated(inflater, deflated(deflater, payload)), hex(payload), String(length));
          }
          deflater.release();
          inflater.release();
        });
      }
    }

    it(`stops a bomb at the limit, and works on (${way})`, () => {
      const deflater = new Deflater({ contextTakeover: false, level: 9 });
      const bomb = deflated(deflater, new Uint8Array(50_000_000));
      const inflater = new Inflater(false, 15, plain);
      const before = arrayBufferBytes();
      assertEquals(inflated(inflater, bomb, 100_000), InflateFault.TooBig);
      assertLess(arrayBufferBytes() - before, 10_000_000);
      assertEquals(inflated(inflater, unhex("f248cdc9c90700"), 5), HELLO);
      assertEquals(inflated(inflater, unhex("f248cdc9c90700"), 4), InflateFault.TooBig);
    });

    it(`refuses what is not DEFLATE, and works on (${way})`, () => {
      const inflater = new Inflater(false, 15, plain);
      for (const broken of ["ff", "07", "0005000000"]) {
        assertEquals(inflated(inflater, unhex(broken)), InflateFault.Invalid, broken);
        assertEquals(inflated(inflater, unhex("f248cdc9c90700")), HELLO);
      }
    });
  }

  it("takes final blocks, and not without end (7.2.3.4)", () => {
    const inflater = new Inflater(false);
    const final = "030000".repeat(2);
    assertEquals(inflated(inflater, unhex(final)), "");
    assertEquals(inflated(inflater, unhex("0300".repeat(1_000))), InflateFault.Invalid);
  });

  it("gives a frame that all subscribers share, compressed only where that makes it shorter", () => {
    const deflater = new Deflater({ contextTakeover: false });
    const text = "a message like many others, ".repeat(20);
    const frames = deflater.prepareFrame(text);
    assertEquals(frames[0], 0xc1);
    assertEquals(hex(deflater.prepareFrame(text)), hex(frames), "it depends on nothing before it");
    assertEquals(hex(deflater.prepareFrame("x")), "810178");
    const connection = new Recorder(CLIENT, new Inflater(false));
    connection.take(frames).take(deflater.prepareFrame(utf8(text))).take(deflater.prepareFrame("x"));
    assertEquals(connection.events, [`text:${hex(utf8(text))}`, `binary:${hex(utf8(text))}`, "text:78"]);
  });

  it("is inflated over fragments, with control frames between, and checked as text (6.1, 8.1)", () => {
    const connection = new Recorder(SERVER, new Inflater(true));
    const payload = unhex("f248cdc9c90700");
    const parts = [
      frame(0x41, payload.slice(0, 2)),
      frame(0x89, unhex("70")),
      frame(0x00, payload.slice(2, 5)),
    ];
    for (const part of [...parts, frame(0x80, payload.slice(5))]) connection.take(part);
    connection.take(frame(0xc2, unhex("f200110000")));
    assertEquals(connection.events, ["ping:70", `text:${HELLO}`, `binary:${HELLO}`]);
    const bad = new Recorder(SERVER, new Inflater(false));
    bad.take(frame(0xc1, deflated(new Deflater({ contextTakeover: false }), unhex("61ff"))));
    assertEquals(bad.outcome, { events: [], failure: 1007 });
    const broken = new Recorder(SERVER, new Inflater(false)).take(frame(0xc1, unhex("ff")));
    assertEquals(broken.outcome, { events: [], failure: 1007 });
  });

  it("puts RSV1 on the first data frame only, and only when negotiated (7692 section 6.1)", () => {
    const decode = (bytes: Uint8Array) => new Recorder(SERVER, new Inflater(false)).take(bytes).failure;
    assertEquals(decode(frame(0xc9, new Uint8Array(0))), 1002);
    assertEquals(decode(concat(frame(0x41, unhex("f248")), frame(0xc0, unhex("cdc9c90700")))), 1002);
    assertEquals(decode(concat(frame(0x41, unhex("f248")), frame(0x80, unhex("cdc9c90700")))), null);
  });

  it("lets an incompressible message of the largest size through, and not one byte more", () => {
    const limits = decoderSettings({ role: "server", maxPayloadBytes: 1_000, maxFragments: 2 });
    const random = seededRandom(9);
    for (const [length, failure] of [[1_000, null], [1_001, 1009]] as const) {
      const payload = Uint8Array.from({ length }, () => random(256));
      const sent = frame(0xc2, deflated(new Deflater({ contextTakeover: false }), payload));
      assertEquals(new Recorder(limits, new Inflater(false)).take(sent).failure, failure);
    }
  });

  it("says what a dedicated compressor costs, and takes windows only within bounds", () => {
    assertEquals([deflaterBytes(15), deflaterBytes(9, 1)], [262_144, 3_072]);
    assertEquals(inflaterBytes(15), 39_936);
    assertEquals([isWorthDeflating(0, 0), isWorthDeflating(99, 100), isWorthDeflating(100, 100)], [
      false,
      false,
      true,
    ]);
    assertThrows(() => new Inflater(false, 7), RangeError);
    assertThrows(() => new Deflater({ contextTakeover: false, windowBits: 8 }), RangeError);
    assertThrows(() => new Deflater({ contextTakeover: false, windowBits: 16 }), RangeError);
  });
});

function arrayBufferBytes(): number {
  return process.memoryUsage().arrayBuffers;
}
