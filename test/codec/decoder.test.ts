import { describe, it } from "node:test";
import { assertEquals, assertInstanceOf, assertThrows } from "@std/assert";
import fc from "fast-check";
import process from "node:process";
import { decoderSettings } from "../../server/codec/header.ts";
import {
  CLIENT,
  decodeCut,
  MAX_PAYLOAD_BYTES,
  Recorder,
  recorder,
  seededRandom,
  SERVER,
} from "./recorder.ts";
import { concat, decodeReference, frame, hex, unhex, utf8 } from "./reference.ts";

const LONG = process.env["MILLRACE_LONG"] !== undefined;

/** name, role, stream, events, close code of the failure. */
const VECTORS: [string, "server" | "client", string, string[], number | null][] = [
  ["5.7: an unmasked text message", "client", "81 05 48656c6c6f", ["text:48656c6c6f"], null],
  ["5.7: a masked text message", "server", "81 85 37fa213d 7f9f4d5158", ["text:48656c6c6f"], null],
  [
    "5.7: an unmasked message in two fragments",
    "client",
    "01 03 48656c 80 02 6c6f",
    ["text:48656c6c6f"],
    null,
  ],
  ["5.7: an unmasked ping", "client", "89 05 48656c6c6f", ["ping:48656c6c6f"], null],
  ["5.7: a masked pong", "server", "8a 85 37fa213d 7f9f4d5158", ["pong:48656c6c6f"], null],
  ["5.4: a ping between fragments", "client", "02 01 aa 89 01 70 80 01 bb", ["ping:70", "binary:aabb"], null],
  ["5.4: fragments without payload", "client", "01 00 00 00 80 00 81 01 78", ["text:", "text:78"], null],
  ["5.5.1: a close without payload", "client", "88 00 81 01 78", ["close:1005:"], null],
  ["5.5.1: a close with code and reason", "client", "88 05 03e8 627965", ["close:1000:bye"], null],
  ["5.5.1: a close with one byte", "client", "88 01 03", [], 1002],
  ["7.4.1: close code 1004", "client", "88 02 03ec", [], 1002],
  ["7.4.1: close code 1005", "client", "88 02 03ed", [], 1002],
  ["7.4.1: close code 1006", "client", "88 02 03ee", [], 1002],
  ["7.4.1: close code 1015", "client", "88 02 03f7", [], 1002],
  ["7.4.2: close code 999", "client", "88 02 03e7", [], 1002],
  ["7.4.2: close code 2999", "client", "88 02 0bb7", [], 1002],
  ["7.4.2: close code 3000", "client", "88 02 0bb8", ["close:3000:"], null],
  ["7.4.2: close code 4999", "client", "88 02 1387", ["close:4999:"], null],
  ["7.4.2: close code 5000", "client", "88 02 1388", [], 1002],
  ["5.5.1: a close reason that is not UTF-8", "client", "88 03 03e8 ff", [], 1007],
  ["5.2: RSV1 without an extension", "client", "c1 00", [], 1002],
  ["5.2: RSV2", "client", "a1 00", [], 1002],
  ["5.2: RSV3", "client", "91 00", [], 1002],
  ["5.2: opcode 3", "client", "83 00", [], 1002],
  ["5.2: opcode 7", "client", "87 00", [], 1002],
  ["5.2: opcode 11", "client", "8b 00", [], 1002],
  ["5.2: opcode 15", "client", "8f 00", [], 1002],
  ["5.1: an unmasked frame to a server", "server", "81 05 48656c6c6f", [], 1002],
  ["5.1: a masked frame to a client", "client", "81 85 37fa213d 7f9f4d5158", [], 1002],
  ["5.5: a ping of 126 bytes", "client", "89 7e 007e", [], 1002],
  ["5.5: a fragmented ping", "client", "09 00", [], 1002],
  ["5.4: a continuation of nothing", "client", "80 00", [], 1002],
  ["5.4: text inside a fragmented message", "client", "01 01 61 81 01 62", [], 1002],
  ["5.4: binary inside a fragmented message", "client", "01 01 61 82 01 62", [], 1002],
  ["5.4: a continuation after the end", "client", "01 01 61 80 01 62 80 01 63", ["text:6162"], 1002],
  ["5.2: 125 in sixteen bits", "client", "82 7e 007d", [], 1002],
  ["5.2: 65,535 in sixty-four bits", "client", "82 7f 000000000000ffff", [], 1002],
  ["5.2: a length of 2^63", "client", "82 7f 8000000000000000", [], 1002],
  ["10.4: a length of 2^53", "client", "82 7f 0020000000000000", [], 1009],
  ["10.4: a length of 2^31", "client", "82 7f 0000000080000000", [], 1009],
  ["8.1: text that is not UTF-8", "client", "81 01 ff", [], 1007],
  ["8.1: text that ends inside a character", "client", "81 02 e282", [], 1007],
  ["8.1: a character split between fragments", "client", "01 02 e282 80 01 ac", ["text:e282ac"], null],
  ["8.1: an impossible byte in an unfinished frame", "client", "81 05 61 f4 90", [], 1007],
  ["8.1: a surrogate in an unfinished frame", "client", "81 05 61 ed a0", [], 1007],
  ["8.1: an overlong form in an unfinished frame", "client", "81 05 61 c0", [], 1007],
];

const SETTINGS = { server: SERVER, client: CLIENT };
const BOUNDARY_LENGTHS = [
  0,
  1,
  2,
  15,
  16,
  31,
  47,
  63,
  64,
  65,
  124,
  125,
  126,
  127,
  128,
  65_535,
  65_536,
  65_537,
];

describe("decoder: vectors, whole and split at every byte", () => {
  for (const [name, role, text, events, failure] of VECTORS) {
    it(name, () => {
      const stream = unhex(text);
      const expected = { events, failure };
      assertEquals(decodeCut(stream, [], SETTINGS[role]), expected);
      for (let first = 1; first < stream.length; first++) {
        assertEquals(decodeCut(stream, [first], SETTINGS[role]), expected, `cut at ${first}`);
      }
      const everywhere = Array.from(stream, (_, at) => at);
      assertEquals(decodeCut(stream, everywhere, SETTINGS[role]), expected, "byte by byte");
    });
  }

  it("agrees with the reference on all of them", () => {
    for (const [name, role, text, events, failure] of VECTORS) {
      const rules = { server: role === "server", maxPayloadBytes: MAX_PAYLOAD_BYTES, maxFragments: 1024 };
      assertEquals(decodeReference(unhex(text), rules), { events, failure }, name);
    }
  });
});

describe("decoder: lengths and limits", () => {
  for (const length of BOUNDARY_LENGTHS) {
    it(`a payload of ${length} bytes comes out as it went in, masked and not, text and binary (5.2)`, () => {
      const payload = Uint8Array.from({ length }, (_, at) => 32 + (at * 7) % 90);
      for (const [settings, key] of [[SERVER, undefined], [CLIENT, null]] as const) {
        for (const [first, kind] of [[0x81, "text"], [0x82, "binary"]] as const) {
          const stream = concat(frame(first, payload, key), frame(0x89, unhex("70"), key));
          const expected = { events: [`${kind}:${hex(payload)}`, "ping:70"], failure: null };
          assertEquals(decodeCut(stream, [], settings), expected);
          assertEquals(decodeCut(stream, [1], settings), expected);
          assertEquals(decodeCut(stream, [stream.length >> 1], settings), expected);
          assertEquals(decodeCut(stream, [stream.length - 8], settings), expected);
        }
      }
    });
  }

  const small = decoderSettings({ role: "client", maxPayloadBytes: 10, maxFragments: 3 });

  it("refuses a message above the limit on its header, and takes one at the limit (10.4)", () => {
    assertEquals(decodeCut(unhex("82 0b"), [], small), { events: [], failure: 1009 });
    const ten = unhex("82 0a 00000000000000000000");
    assertEquals(decodeCut(ten, [], small).events, ["binary:00000000000000000000"]);
  });

  it("refuses a fragment on its header when the sum is above the limit (10.4)", () => {
    assertEquals(decodeCut(unhex("02 08 0000000000000000 80 03"), [], small), { events: [], failure: 1009 });
    const ten = unhex("02 08 0000000000000000 80 02 0000");
    assertEquals(decodeCut(ten, [], small).events, ["binary:00000000000000000000"]);
  });

  it("refuses a fragment more than the limit, empty ones too (10.4)", () => {
    assertEquals(decodeCut(unhex("02 00 00 00 00 00 80 00"), [], small), { events: [], failure: 1009 });
    assertEquals(decodeCut(unhex("02 00 00 00 80 00"), [], small).events, ["binary:"]);
  });

  it("takes settings only within bounds", () => {
    for (const maxPayloadBytes of [0, -1, 1.5, 2 ** 31, NaN]) {
      assertThrows(() => decoderSettings({ role: "server", maxPayloadBytes, maxFragments: 1 }), RangeError);
    }
    assertThrows(() => decoderSettings({ role: "server", maxPayloadBytes: 1, maxFragments: 0 }), RangeError);
  });
});

describe("decoder: delivery", () => {
  const three = unhex("81 01 61 81 01 62 81 01 63");

  it("delivers nothing more of a chunk once the sink has stopped it", () => {
    const connection = new Recorder(CLIENT);
    const stopping = {
      ...recorder,
      text: (to: Recorder, text: string) => {
        recorder.text(to, text);
        if (text === "b") to.stop();
      },
    };
    connection.push(Uint8Array.from(three), stopping);
    connection.push(Uint8Array.from(three), stopping);
    assertEquals(connection.events, ["text:61", "text:62"]);
    assertEquals(connection.isEnded, true);
  });

  const throwing = {
    ...recorder,
    text: (to: Recorder, text: string) => {
      recorder.text(to, text);
      if (text !== "b" && text !== "c") throw new Error(text);
    },
  };

  it("delivers the rest of a chunk before it throws what the sink threw", () => {
    const connection = new Recorder(CLIENT);
    const chunk = concat(three, unhex("81 03 64"));
    assertThrows(() => connection.push(chunk, throwing), Error, "a");
    assertThrows(() => connection.push(unhex("6566 81 01 62"), throwing), Error, "def");
    assertEquals(connection.events, ["text:61", "text:62", "text:63", "text:646566", "text:62"]);
    const failed = assertThrows(() => connection.push(unhex("81 01 78 81 01 79"), throwing), AggregateError);
    assertEquals(failed.errors.map((error) => error instanceof Error && error.message), ["x", "y"]);
  });

  it("survives a sink that throws on a message put together from fragments", () => {
    const connection = new Recorder(CLIENT);
    const chunk = unhex("01 01 78 80 01 79 01 01 62");
    const thrown = assertThrows(() => connection.push(chunk, throwing));
    assertInstanceOf(thrown, Error);
    connection.push(unhex("80 00"), throwing);
    assertEquals(connection.events, ["text:7879", "text:62"]);
  });

  it("hands over text as bytes that are valid when it is asked to", () => {
    const raw = decoderSettings({ role: "client", maxPayloadBytes: 100, maxFragments: 9, rawText: true });
    const connection = new Recorder(raw);
    connection.push(unhex("81 03 e282ac 01 01 c3 80 01 a4 81 01 61"), {
      ...recorder,
      text: () => {
        throw new TypeError("text as a string");
      },
    });
    assertEquals(connection.events, ["text:e282ac", "text:c3a4", "text:61"]);
    assertEquals(decodeCut(unhex("81 01 ff"), [], raw), { events: [], failure: 1007 });
  });

  it("lets a sink push to another connection while bytes are lent to it", () => {
    const outer = new Recorder(CLIENT);
    const inner = new Recorder(CLIENT);
    outer.push(unhex("02 01 aa 80 01 bb 81 01 61"), {
      ...recorder,
      binary: (to, bytes, start, end) => {
        inner.take(unhex("02 01 11 80 01 22 02 01 33"));
        recorder.binary(to, bytes, start, end);
      },
    });
    inner.take(unhex("80 01 44"));
    assertEquals([outer.events, inner.events], [["binary:aabb", "text:61"], ["binary:1122", "binary:3344"]]);
  });
});

const rules = { server: true, maxPayloadBytes: MAX_PAYLOAD_BYTES, maxFragments: 1024 };
const payloads = fc.oneof(
  fc.uint8Array({ maxLength: 200 }),
  fc.uint8Array({ minLength: 200, maxLength: 1_000 }),
  fc.string({ unit: "binary", maxLength: 60 }).map(utf8),
);
const keys = fc.array(fc.nat(255), { minLength: 4, maxLength: 4 });

/** A valid message: fragments, with pings in between. */
const messages = fc.record({
  text: fc.string({ unit: "grapheme", maxLength: 300 }),
  binary: fc.option(payloads),
  cuts: fc.array(fc.nat(400), { maxLength: 4 }),
  ping: fc.option(fc.uint8Array({ maxLength: 125 })),
  key: keys,
}).map(({ text, binary, cuts, ping, key }) => {
  const payload = binary ?? utf8(text);
  const places = [...cuts.map((cut) => Math.min(cut, payload.length)).sort((a, b) => a - b), payload.length];
  const frames: Uint8Array[] = [];
  const events: string[] = [];
  let from = 0;
  places.forEach((to, index) => {
    const opcode = index > 0 ? 0 : binary === null ? 1 : 2;
    frames.push(frame(opcode | (index === places.length - 1 ? 0x80 : 0), payload.slice(from, to), key));
    if (ping !== null && index === 0 && places.length > 1) {
      frames.push(frame(0x89, ping, key));
      events.push(`ping:${hex(ping)}`);
    }
    from = to;
  });
  events.push(`${binary === null ? "text" : "binary"}:${hex(payload)}`);
  return { bytes: concat(...frames), events };
});

describe("decoder: properties", () => {
  it("any sequence of valid messages, cut into any chunks, comes out whole and in order", () => {
    const streams = fc.record({
      sent: fc.array(messages, { maxLength: 6 }),
      cuts: fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 8 }),
    });
    fc.assert(
      fc.property(streams, ({ sent, cuts }) => {
        const stream = concat(...sent.map(({ bytes }) => bytes));
        const places = cuts.map((cut) => Math.floor(cut * stream.length)).sort((a, b) => a - b);
        const expected = { events: sent.flatMap(({ events }) => events), failure: null };
        assertEquals(decodeCut(stream, places), expected);
      }),
      { seed: 3, numRuns: LONG ? 20_000 : 400 },
    );
  });

  it("any mutation of bytes is taken, or refused with the code, as by the reference decoder", () => {
    const streams = fc.record({
      sent: fc.array(messages, { minLength: 1, maxLength: 3 }),
      changes: fc.array(fc.tuple(fc.nat(100_000), fc.nat(255)), { minLength: 1, maxLength: 4 }),
      cuts: fc.array(fc.nat(100_000), { maxLength: 4 }),
    });
    fc.assert(
      fc.property(streams, ({ sent, changes, cuts }) => {
        const stream = concat(...sent.map(({ bytes }) => bytes));
        for (const [at, value] of changes) stream[at % stream.length] = value;
        const places = cuts.map((cut) => cut % stream.length).sort((a, b) => a - b);
        assertEquals(decodeCut(stream, places), decodeReference(stream, rules));
      }),
      { seed: 4, numRuns: LONG ? 20_000 : 600 },
    );
  });

  it("random bytes are taken, or refused with the code, as by the reference decoder", () => {
    const random = seededRandom(5);
    for (let run = 0; run < (LONG ? 200_000 : 5_000); run++) {
      // First bytes that get somewhere are more likely than others.
      const stream = Uint8Array.from({ length: 1 + random(40) }, () => random(256));
      stream[0] = [0x81, 0x82, 0x01, 0x02, 0x88, 0x89, random(256)][random(7)] ?? 0;
      stream[1] = 0x80 | random(random(2) === 0 ? 12 : 128);
      assertEquals(decodeCut(stream, [random(stream.length)]), decodeReference(stream, rules), hex(stream));
    }
  });
});
