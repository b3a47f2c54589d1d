/** From a decoded value to a command: what is taken, what is refused, and how the refusal is told. */
import { describe, it } from "node:test";
import { assert, assertEquals, assertThrows } from "@std/assert";
import { MAX_DEPTH, toCommand } from "../../server/protocol/command.ts";
import { CommandError } from "../../server/protocol/protocol.ts";

const longestId = "i".repeat(64);
const everyCharacter = "ABCXYZabcxyz0189_-.:/@=,;";

/** `depth` arrays around a number. */
function nested(depth: number): unknown {
  let value: unknown = 1;
  for (let i = 0; i < depth; i++) value = [value];
  return value;
}

describe("a command", () => {
  const plain = { type: "subscribe", since: undefined, presence: false };
  const valid: [string, object, object][] = [
    ["subscribe", { type: "subscribe", id: 1, topic: "t" }, { ...plain, id: 1, topic: "t" }],
    ["subscribe without id", { type: "subscribe", topic: "t" }, { ...plain, id: undefined, topic: "t" }],
    [
      "subscribe from a place, with presence",
      { type: "subscribe", topic: "t", since: { epoch: "e", offset: 0 }, presence: true },
      { type: "subscribe", id: undefined, topic: "t", since: { epoch: "e", offset: 0 }, presence: true },
    ],
    ["subscribe to a pattern", { type: "subscribe", topic: "a.*.>" }, {
      ...plain,
      id: undefined,
      topic: "a.*.>",
    }],
    ["history", { type: "history", id: 1, topic: "t" }, {
      type: "history",
      id: 1,
      topic: "t",
      since: undefined,
      limit: 100,
    }],
    [
      "history from a place",
      { type: "history", id: 1, topic: "t", since: { epoch: "e", offset: 7, more: 1 }, limit: 1000 },
      { type: "history", id: 1, topic: "t", since: { epoch: "e", offset: 7 }, limit: 1000 },
    ],
    ["presence", { type: "presence", id: 1, topic: "t" }, { type: "presence", id: 1, topic: "t" }],
    ["auth", { type: "auth", id: 1, token: "" }, { type: "auth", id: 1, token: "" }],
    ["unsubscribe", { type: "unsubscribe", id: "x", topic: "t" }, {
      type: "unsubscribe",
      id: "x",
      topic: "t",
    }],
    [
      "publish",
      { type: "publish", id: 2, topic: "t", data: { a: 1 } },
      { type: "publish", id: 2, topic: "t", data: { a: 1 } },
    ],
    ["broadcast", { type: "broadcast", data: [1] }, { type: "broadcast", id: undefined, data: [1] }],
    ["echo", { type: "echo", id: 0, data: "" }, { type: "echo", id: 0, data: "" }],
    ["ping", { type: "ping", id: -7 }, { type: "ping", id: -7 }],
    ["data null", { type: "echo", data: null }, { type: "echo", id: undefined, data: null }],
    ["data false", { type: "echo", data: false }, { type: "echo", id: undefined, data: false }],
    ["data 0", { type: "echo", data: 0 }, { type: "echo", id: undefined, data: 0 }],
    ["an empty id", { type: "ping", id: "" }, { type: "ping", id: "" }],
    ["the longest id", { type: "ping", id: longestId }, { type: "ping", id: longestId }],
    [
      "the largest id",
      { type: "ping", id: Number.MAX_SAFE_INTEGER },
      { type: "ping", id: Number.MAX_SAFE_INTEGER },
    ],
    [
      "a topic of every character",
      { type: "subscribe", topic: everyCharacter },
      { ...plain, id: undefined, topic: everyCharacter },
    ],
    [
      "the longest topic",
      { type: "subscribe", topic: "t".repeat(200) },
      { ...plain, id: undefined, topic: "t".repeat(200) },
    ],
    ["unknown fields, which are left out", { type: "ping", id: 1, later: true }, { type: "ping", id: 1 }],
    ["keys that only look special", { type: "echo", data: { constructor: 1, prototype: 2, toString: 3 } }, {
      type: "echo",
      id: undefined,
      data: { constructor: 1, prototype: 2, toString: 3 },
    }],
  ];
  for (const [name, value, command] of valid) {
    it(`is taken: ${name}`, () => assertEquals(toCommand(value) as object, command));
  }

  const invalid: [string, unknown, string, string | number | undefined][] = [
    ["text", "ping", "invalid_message", undefined],
    ["a number", 5, "invalid_message", undefined],
    ["undefined", undefined, "invalid_message", undefined],
    ["null", null, "invalid_message", undefined],
    ["an array", [{ type: "ping" }], "invalid_message", undefined],
    ["bytes", new Uint8Array(3), "invalid_message", undefined],
    ["a time", new Date(0), "invalid_message", undefined],
    ["a Map", new Map([["type", "ping"]]), "invalid_message", undefined],
    ["an empty object", {}, "invalid_message", undefined],
    ["no type", { id: 1 }, "invalid_message", 1],
    ["a type that is a number", { type: 5, id: 1 }, "invalid_message", 1],
    ["a type that is null", { type: null, id: 1 }, "invalid_message", 1],
    ["a type in capitals", { type: "PING", id: 1 }, "unknown_type", 1],
    ["a type with a space", { type: "ping ", id: 1 }, "unknown_type", 1],
    ["an empty type", { type: "", id: 1 }, "unknown_type", 1],
    ["a type of Object.prototype", { type: "toString", id: 1 }, "unknown_type", 1],
    ["a type of the server", { type: "welcome", id: 1 }, "unknown_type", 1],
    ["an id that is null", { type: "ping", id: null }, "invalid_message", undefined],
    ["an id that is true", { type: "ping", id: true }, "invalid_message", undefined],
    ["an id that is an object", { type: "ping", id: {} }, "invalid_message", undefined],
    ["an id that is an array", { type: "ping", id: [1] }, "invalid_message", undefined],
    ["an id of 65 characters", { type: "ping", id: `${longestId}i` }, "invalid_message", undefined],
    ["an id that is no integer", { type: "ping", id: 0.5 }, "invalid_message", undefined],
    ["an id that is NaN", { type: "ping", id: NaN }, "invalid_message", undefined],
    ["an id beyond 2^53", { type: "ping", id: 2 ** 53 }, "invalid_message", undefined],
    ["an id that is a bigint", { type: "ping", id: 1n }, "invalid_message", undefined],
    ["no topic", { type: "subscribe", id: 1 }, "invalid_topic", 1],
    ["an empty topic", { type: "unsubscribe", id: 1, topic: "" }, "invalid_topic", 1],
    ["a topic of 201 characters", { type: "subscribe", id: 1, topic: "t".repeat(201) }, "invalid_topic", 1],
    ["a topic with a space", { type: "subscribe", id: 1, topic: "a b" }, "invalid_topic", 1],
    ["a topic with a line end", { type: "subscribe", id: 1, topic: "t\n" }, "invalid_topic", 1],
    ["a topic with a letter beyond ASCII", { type: "subscribe", id: 1, topic: "ü" }, "invalid_topic", 1],
    ["a topic with a NUL", { type: "subscribe", id: 1, topic: "a\u0000" }, "invalid_topic", 1],
    ["publishing to a pattern", { type: "publish", id: 1, topic: "a.*", data: 1 }, "invalid_topic", 1],
    ["a topic that is a number", { type: "publish", id: 1, topic: 5, data: 1 }, "invalid_topic", 1],
    [
      "a topic that is an array of one",
      { type: "publish", id: 1, topic: ["t"], data: 1 },
      "invalid_topic",
      1,
    ],
    ["publish without data", { type: "publish", id: 1, topic: "t" }, "invalid_message", 1],
    [
      "since without an epoch",
      { type: "subscribe", id: 1, topic: "t", since: { offset: 1 } },
      "invalid_message",
      1,
    ],
    [
      "since with a negative offset",
      { type: "subscribe", topic: "t", since: { epoch: "e", offset: -1 } },
      "invalid_message",
      undefined,
    ],
    [
      "since with half an offset",
      { type: "history", topic: "t", since: { epoch: "e", offset: 0.5 } },
      "invalid_message",
      undefined,
    ],
    [
      "since for a pattern",
      { type: "subscribe", id: 1, topic: "t.*", since: { epoch: "e", offset: 1 } },
      "invalid_message",
      1,
    ],
    [
      "presence of a pattern",
      { type: "subscribe", id: 1, topic: "t.*", presence: true },
      "invalid_message",
      1,
    ],
    [
      "presence that is neither yes nor no",
      { type: "subscribe", id: 1, topic: "t", presence: 1 },
      "invalid_message",
      1,
    ],
    ["a wildcard within a token", { type: "subscribe", id: 1, topic: "t.a*" }, "invalid_topic", 1],
    ["> before the end", { type: "subscribe", id: 1, topic: "t.>.a" }, "invalid_topic", 1],
    ["publishing to a pattern", { type: "publish", id: 1, topic: "t.*", data: 1 }, "invalid_topic", 1],
    ["the history of a pattern", { type: "history", id: 1, topic: "t.>" }, "invalid_topic", 1],
    ["no messages of history", { type: "history", id: 1, topic: "t", limit: 0 }, "invalid_message", 1],
    [
      "too many messages of history",
      { type: "history", id: 1, topic: "t", limit: 1001 },
      "invalid_message",
      1,
    ],
    ["auth without a token", { type: "auth", id: 1 }, "invalid_message", 1],
    ["broadcast without data", { type: "broadcast", id: 1 }, "invalid_message", 1],
    ["echo without data", { type: "echo", id: 1 }, "invalid_message", 1],
    ["echo of undefined", { type: "echo", id: 1, data: undefined }, "invalid_message", 1],
    ["a __proto__ key", JSON.parse(`{"type":"ping","id":1,"__proto__":{}}`), "invalid_message", 1],
    [
      "a __proto__ key deep inside",
      JSON.parse(`{"type":"echo","id":1,"data":[[{"a":{"__proto__":1}}]]}`),
      "invalid_message",
      1,
    ],
    ["a Set inside", { type: "echo", id: 1, data: new Set() }, "invalid_message", 1],
    ["a regular expression inside", { type: "echo", id: 1, data: [/a/] }, "invalid_message", 1],
    ["an error inside", { type: "echo", id: 1, data: new Error("x") }, "invalid_message", 1],
    ["nesting one too deep", { type: "echo", id: 1, data: nested(MAX_DEPTH + 1) }, "invalid_message", 1],
    ["nesting 5,000 deep", { type: "echo", id: 1, data: nested(5_000) }, "invalid_message", 1],
    ["nesting in a field nobody asked for", { type: "ping", id: 1, x: nested(99) }, "invalid_message", 1],
  ];
  for (const [name, value, code, id] of invalid) {
    it(`is refused with ${code}: ${name}`, () => {
      const error = assertThrows(() => toCommand(value), CommandError);
      assertEquals([error.code as string, error.id], [code, id]);
      assert(error.message.length > 20 && !error.message.includes("\n"), error.message);
    });
  }

  it(`may nest ${MAX_DEPTH} levels deep`, () => {
    const command = toCommand({ type: "echo", data: nested(MAX_DEPTH) });
    assertEquals(command.type, "echo");
  });

  it("is refused in words that never repeat what the client sent", () => {
    for (
      const value of [{ type: "secret" }, { type: "subscribe", topic: "se cret" }, {
        type: "ping",
        id: ["secret"],
      }]
    ) {
      const error = assertThrows(() => toCommand(value), CommandError);
      assert(!/se ?cret/.test(error.message), error.message);
    }
  });
});
