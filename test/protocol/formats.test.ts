/** The formats: what each reads and writes, and that both say the same. */
import { Buffer } from "node:buffer";
import { describe, it } from "node:test";
import { assert, assertEquals, assertInstanceOf, assertThrows } from "@std/assert";
import { pack } from "msgpackr";
import { toCommand } from "../../server/protocol/command.ts";
import { formats, negotiateFormat } from "../../server/protocol/formats.ts";
import { jsonFormat } from "../../server/protocol/json.ts";
import { msgpackFormat } from "../../server/protocol/msgpack.ts";
import { CommandError, type Format, type ServerEvent } from "../../server/protocol/protocol.ts";
import { type Random, seededRandom } from "../helpers/random.ts";

function hex(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, "hex"));
}

/** What a client of `format` reads. */
function read(format: Format, event: ServerEvent): unknown {
  return format.decode(format.encode(event));
}

describe("the formats", () => {
  const events: ServerEvent[] = [
    {
      type: "welcome",
      session: "s",
      node: "n",
      format: "json",
      heartbeatSeconds: 30,
      maxMessageBytes: 65_536,
      authRequired: false,
    },
    { type: "ack", id: "a", topic: "t", epoch: "e", offset: 7 },
    { type: "ack", id: -1, sent: 0 },
    {
      type: "message",
      topic: "t",
      data: { a: [1, "ü", null, true, 1.5] },
      offset: 2 ** 40,
      epoch: "e",
    },
    { type: "broadcast", data: null },
    { type: "gap", topic: "t", epoch: "e", from: 1, to: 2, reason: "slow" },
    { type: "drain", reconnectAfterMs: 1, deadlineMs: 10_000 },
    { type: "error", id: 1, code: "invalid_topic", message: "no" },
    { type: "error", code: "invalid_json", message: "no" },
    { type: "pong" },
    { type: "echo", id: 0, data: "" },
  ];
  for (const format of formats) {
    for (const event of events) {
      it(`${format.name} writes ${event.type} so that a client reads the same`, () => {
        const message = format.encode(event);
        assert(format.accepts(message), "it has the frame kind of its format");
        assertEquals(format.decode(message), event);
      });
    }
  }

  it("say the same of random values that both can carry, whichever wrote them", () => {
    const random = seededRandom(20_260_101);
    for (let i = 0; i < 500; i++) {
      const data = randomValue(random, 4);
      const event: ServerEvent = { type: "message", topic: "t", data, offset: i, epoch: "e" };
      const [first, second] = formats.map((format) => read(format, event));
      assertEquals(first, { ...event });
      assertEquals(second, first);
      const back = read(msgpackFormat, { type: "echo", data: (first as { data: unknown }).data });
      assertEquals(read(jsonFormat, back as ServerEvent), { type: "echo", data });
    }
  });

  it("carry every integer that a number holds exactly, in both", () => {
    for (let bits = 0; bits <= 53; bits++) {
      for (const data of [2 ** bits - 1, 1 - 2 ** bits, Math.min(2 ** bits, Number.MAX_SAFE_INTEGER)]) {
        for (const format of formats) {
          assertEquals(read(format, { type: "echo", data }), { type: "echo", data });
        }
      }
    }
  });

  it("take their own kind of frame only", () => {
    assertEquals([jsonFormat.accepts("{}"), jsonFormat.accepts(new Uint8Array(2))], [true, false]);
    assertEquals([msgpackFormat.accepts("{}"), msgpackFormat.accepts(new Uint8Array(2))], [false, true]);
  });
});

describe("the format json", () => {
  const shown: [string, unknown, unknown][] = [
    ["bytes as base64", new Uint8Array([255, 0, 1]), "/wAB"],
    ["a Buffer as base64 too, not as its toJSON", Buffer.from([255, 0, 1]), "/wAB"],
    ["no bytes as empty text", new Uint8Array(0), ""],
    ["integers beyond 2^53 as decimal text", 2n ** 64n - 1n, "18446744073709551615"],
    ["times as ISO 8601", new Date(0), "1970-01-01T00:00:00.000Z"],
    ["NaN as null", NaN, null],
    ["a value deep inside", [{ a: [1n] }, { b: new Uint8Array([0]) }], [{ a: ["1"] }, { b: "AA==" }]],
  ];
  for (const [name, data, expected] of shown) {
    it(`shows ${name}`, () => {
      assertEquals(read(jsonFormat, { type: "echo", data }), { type: "echo", data: expected });
    });
  }

  for (const bad of ["", "{", "{]", "nul", "{'a':1}", "\u0000", '{"a":1}x', "[1,]"]) {
    it(`refuses ${JSON.stringify(bad)} as invalid_json`, () => {
      const error = assertThrows(() => jsonFormat.decode(bad), CommandError);
      assertEquals(error.code, "invalid_json");
    });
  }
});

describe("the format msgpack", () => {
  it("carries bytes, times and large integers as they are", () => {
    const data = { bytes: new Uint8Array([0, 255]), time: new Date(1_700_000_000_123), large: 2n ** 63n };
    const { data: back } = read(msgpackFormat, { type: "echo", data }) as { data: typeof data };
    assertEquals([...back.bytes], [0, 255]);
    assertEquals([back.time, back.large], [data.time, data.large]);
  });

  it("keeps no view of the bytes that it was lent", () => {
    const message = new Uint8Array(pack({ data: new Uint8Array([1, 2, 3]), text: "text" }));
    const decoded = msgpackFormat.decode(message) as { data: Uint8Array; text: string };
    message.fill(0);
    assertEquals([[...decoded.data], decoded.text], [[1, 2, 3], "text"]);
  });

  it("writes each event into bytes of its own", () => {
    const first = msgpackFormat.encode({ type: "echo", data: "first" });
    msgpackFormat.encode({ type: "echo", data: "other" });
    assertEquals(msgpackFormat.decode(first), { type: "echo", data: "first" });
  });

  const bad: [string, string][] = [
    ["nothing", ""],
    ["a map that ends early", "82a161"],
    ["text that ends early", "a568"],
    ["an array that claims 2^32 - 1 items", "ddffffffff"],
    ["an array that claims 30 million items", "dd01c9c380"],
    ["a map that claims 2^27 entries", "df07ffffff"],
    ["bytes that claim 2^32 - 1", "c6ffffffff"],
    ["text that claims 2^32 - 1", "dbffffffff"],
    ["two values", "c0c0"],
    ["an extension that nobody knows", "d46300"],
  ];
  for (const [name, bytes] of bad) {
    it(`refuses ${name} as invalid_message`, () => {
      const error = assertThrows(() => msgpackFormat.decode(hex(bytes)), CommandError);
      assertEquals(error.code, "invalid_message");
    });
  }

  it("gives no command for the byte that is never used, alone or as data", () => {
    const echo = (data: string) => `82a474797065a46563686fa464617461${data}`;
    assertEquals(toCommand(msgpackFormat.decode(hex(echo("c2")))).type, "echo");
    for (const bytes of ["c1", echo("c1")]) {
      assertThrows(() => toCommand(msgpackFormat.decode(hex(bytes))), CommandError);
    }
  });

  it("reads no message differently for what an earlier one declared", () => {
    // msgpackr's record extension: from now on 0x40 is a record with the field "a".
    try {
      msgpackFormat.decode(hex("d4724091a16105"));
    } catch (error) {
      assertInstanceOf(error, CommandError);
    }
    assertEquals(msgpackFormat.decode(hex("81a16440")), { d: 0x40 });
  });

  it("does not let a __proto__ key through to an object's prototype", () => {
    const decoded = msgpackFormat.decode(hex("81a95f5f70726f746f5f5f81a17801")) as object;
    assertEquals(Object.getPrototypeOf(decoded), Object.prototype);
    assertEquals((decoded as { x?: unknown }).x, undefined);
  });

  it("survives 20,000 random byte strings with a value or a CommandError", () => {
    const random = seededRandom(7);
    for (let i = 0; i < 20_000; i++) {
      const bytes = Uint8Array.from({ length: random.below(40) }, () => random.below(256));
      try {
        msgpackFormat.decode(bytes);
      } catch (error) {
        assertInstanceOf(error, CommandError);
      }
    }
  });
});

describe("negotiation of the format", () => {
  const [json, msgpack] = ["millrace.v1.json", "millrace.v1.msgpack"];
  const offers: [string | undefined, string | undefined, string | undefined][] = [
    [undefined, "json", undefined],
    ["", "json", undefined],
    ["  ", "json", undefined],
    [json, "json", json],
    [msgpack, "msgpack", msgpack],
    [`${msgpack}, ${json}`, "msgpack", msgpack],
    [`${json},${msgpack}`, "json", json],
    [`x , \t${msgpack}\t`, "msgpack", msgpack],
    [`${json}, ${json}`, "json", json],
    ["x", undefined, undefined],
    ["x, y", undefined, undefined],
    ["MILLRACE.V1.JSON", undefined, undefined],
    ["millrace.v1", undefined, undefined],
    [`${json}x`, undefined, undefined],
    [",", undefined, undefined],
  ];
  for (const [offer, name, answer] of offers) {
    it(`takes ${JSON.stringify(offer)} for ${name ?? "a refusal"}`, () => {
      const negotiated = negotiateFormat(offer);
      assertEquals([negotiated?.format.name, negotiated?.subprotocol], [name, answer]);
    });
  }
});

/** A value that JSON and MessagePack can both carry. */
function randomValue(random: Random, depth: number): unknown {
  const kind = random.below(depth === 0 ? 5 : 7);
  switch (kind) {
    case 0:
      return random.pick([null, true, false]);
    case 1:
      return random.below(2 ** 31) * random.pick([1, -1, 2 ** 21]);
    case 2:
      return (random.below(2 ** 31) + 1) / 2 ** 20;
    case 3:
      return 'aü€😀\u0000"\\'.repeat(random.below(8));
    case 4:
      return random.pick(["", "x".repeat(random.below(300))]);
    case 5:
      return Array.from({ length: random.below(20) }, () => randomValue(random, depth - 1));
    default:
      return Object.fromEntries(
        Array.from({ length: random.below(20) }, (_, index) => [
          `${random.pick(["key", "ü", "0", "constructor", "toString"])}${index}`,
          randomValue(random, depth - 1),
        ]),
      );
  }
}
