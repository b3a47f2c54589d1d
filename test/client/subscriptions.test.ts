/** What subscribers are handed when lines come and go, offsets jump and topics start afresh. */
import { describe, it } from "node:test";
import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { type Gap, type Message, MillraceError } from "../../client/mod.ts";
import { matches } from "../../client/topics.ts";
import { Patterns } from "../../server/patterns.ts";
import { scripted, type ScriptedSocket } from "./scripted.ts";

const E = "epoch";

function message(topic: string, offset: number, more: Record<string, unknown> = {}) {
  return { type: "message", topic, data: `m${offset}`, offset, epoch: E, ...more };
}

/** A connected client, with what it is told written down in one list. */
function open(options: Parameters<typeof scripted>[0] = {}) {
  const script = scripted(options);
  const story: unknown[] = [];
  const listener = (message: Message) => void story.push(message.offset);
  const onGap = ({ reason, from, to }: Gap) => void story.push([reason, from, to]);
  const again = (): ScriptedSocket => {
    script.socket().end(1006);
    script.clock.advance(1e5);
    script.socket().greet();
    return script.socket();
  };
  return { ...script, story, listener, onGap, again };
}

/** Subscribed to `a`, whose offset was 5. */
function subscribed() {
  const script = open();
  script.client.subscribe("a", script.listener, { onGap: script.onGap });
  script.socket().greet();
  script.socket().reply("subscribe", { topic: "a", epoch: E, offset: 5 });
  return script;
}

describe("subscribers of the client", () => {
  it("go on from where they were on the next line, and get nothing twice", () => {
    const { socket, story, again } = subscribed();
    for (const offset of [6, 7]) socket().say(message("a", offset));
    const next = again();
    assertEquals(next.last("subscribe")["since"], { epoch: E, offset: 7 });
    next.say(message("a", 99));
    next.reply("subscribe", { epoch: E, offset: 9, recovered: true });
    for (const offset of [7, 8, 9]) next.say(message("a", offset, { replayed: true }));
    next.say(message("a", 10));
    assertEquals(story, [6, 7, 8, 9, 10]);
  });

  it("are told what the history has lost", () => {
    const { story, again, told } = subscribed();
    const next = again();
    next.reply("subscribe", { epoch: E, offset: 9, recovered: false });
    next.say(message("a", 10));
    const gap = ["expired", 6, 9];
    assertEquals(story, [gap, 10]);
    assertEquals(told, [{ topic: "a", reason: "expired", epoch: E, from: 6, to: 9 }]);
  });

  it("are told that a topic has started afresh, and get what is kept of the new epoch", () => {
    const { story, again } = subscribed();
    const next = again();
    next.reply("subscribe", { epoch: "new", offset: 2, recovered: false });
    assertEquals(next.last("subscribe")["since"], { epoch: "new", offset: 0 });
    next.reply("subscribe", { epoch: "new", offset: 2, recovered: true });
    for (const offset of [1, 2]) next.say(message("a", offset, { epoch: "new" }));
    assertEquals(story, [["epoch", 1, 0], 1, 2]);
  });

  it("are told when nothing is kept of the new epoch either", () => {
    const { story, again } = subscribed();
    const next = again();
    next.reply("subscribe", { epoch: "new", offset: 2, recovered: false });
    next.reply("subscribe", { epoch: "new", offset: 2, recovered: false });
    next.say(message("a", 3, { epoch: "new" }));
    assertEquals(story, [["epoch", 1, 0], ["expired", 1, 2], 3]);
  });

  it("see a jump of offsets as a gap, and are not told of it again", () => {
    const { socket, story } = subscribed();
    socket().say(message("a", 8));
    socket().say({ type: "gap", topic: "a", epoch: E, from: 6, to: 7, reason: "slow" });
    socket().say({ type: "gap", topic: "a", epoch: E, from: 9, to: 11, reason: "slow" });
    socket().say({ type: "gap", topic: "a", epoch: "new", from: 1, to: 0, reason: "expired" });
    socket().say(message("a", 1, { epoch: "new" }));
    assertEquals(story, [["skipped", 6, 7], 8, ["slow", 9, 11], ["epoch", 1, 0], 1]);
  });

  it("share one subscription at the server, each from its own place on", () => {
    const { client, socket, story, listener, onGap } = subscribed();
    socket().say(message("a", 6));
    const other: unknown[] = [];
    client.subscribe("a", ({ offset }) => other.push(offset), { since: { epoch: E, offset: 3 } });
    assertEquals(socket().last("subscribe")["since"], { epoch: E, offset: 3 });
    socket().reply("subscribe", { epoch: E, offset: 6, recovered: true });
    for (const offset of [4, 5, 6]) socket().say(message("a", offset, { replayed: true }));
    client.subscribe("a", listener, { onGap });
    socket().say(message("a", 7));
    assertEquals([story, other], [[6, 7, 7], [4, 5, 6, 7]]);
    assertEquals(socket().of("subscribe").length, 2);
  });

  it("lose nothing to another that asks for more than the history holds", () => {
    const { client, socket, story } = subscribed();
    const other: unknown[] = [];
    client.subscribe("a", ({ offset }) => other.push(offset), {
      since: { epoch: E, offset: 1 },
      onGap: ({ from, to }) => other.push([from, to]),
    });
    socket().reply("subscribe", { epoch: E, offset: 7, recovered: false });
    assertEquals(socket().last("subscribe")["since"], { epoch: E, offset: 5 });
    socket().reply("subscribe", { epoch: E, offset: 7, recovered: true });
    for (const offset of [6, 7, 8]) socket().say(message("a", offset));
    assertEquals([story, other], [[6, 7, 8], [[2, 7], 8]]);
  });

  it("end behind the last user, whether the server has answered or not", () => {
    const { client, socket, listener } = open();
    const [one, two] = [client.subscribe("a", listener), client.subscribe("a", listener)];
    const stopping = new AbortController();
    client.subscribe("b", listener, { signal: stopping.signal });
    socket().greet();
    socket().last("subscribe");
    one.unsubscribe();
    assertEquals(socket().of("unsubscribe").length, 0);
    two.unsubscribe();
    stopping.abort();
    assertEquals(socket().of("unsubscribe").map(({ topic }) => topic), ["a", "b"]);
    client.subscribe("a", listener);
    assertEquals(socket().last("subscribe")["topic"], "a");
  });

  it("of patterns are told that something may be missing behind each cut, and of jumps", () => {
    const { client, socket, story, listener, onGap, again, told } = open();
    client.subscribe("a.*", listener, { onGap });
    socket().greet();
    socket().reply("subscribe");
    const of = (topic: string, offset: number) => message(topic, offset, { pattern: "a.*" });
    for (const event of [of("a.x", 4), of("a.y", 1), of("a.x", 4), of("a.x", 6)]) socket().say(event);
    socket().say({ type: "gap", topic: "a.y", epoch: E, from: 2, to: 3, reason: "slow" });
    socket().say({ type: "gap", topic: "b.y", epoch: E, from: 2, to: 3, reason: "slow" });
    const next = again();
    next.reply("subscribe");
    next.say(of("a.x", 9));
    assertEquals(story, [
      4,
      1,
      ["skipped", 5, 5],
      6,
      ["slow", 2, 3],
      ["disconnected", undefined, undefined],
      9,
    ]);
    assertEquals(told.at(-1), { topic: "a.*", pattern: "a.*", reason: "disconnected" });
  });

  it("end with the server's refusal, which is told once; what may pass is asked again", async () => {
    const { client, clock, socket, told, listener } = open();
    const errors: string[] = [];
    const first = client.subscribe("a", listener, { onError: ({ code }) => errors.push(code) });
    socket().greet();
    socket().refuse("subscribe", "broker_unavailable");
    clock.advance(500);
    assertEquals(socket().of("subscribe").length, 2);
    socket().refuse("subscribe", "forbidden");
    await assertRejects(() => first.ready, MillraceError, "forbidden");
    const second = client.subscribe("a", listener);
    socket().refuse("subscribe", "forbidden");
    await assertRejects(() => second.ready, MillraceError);
    assertEquals([errors, told], [["forbidden"], ["forbidden"]]);
  });

  it("ask again when a new token has ended subscriptions, for it is not said which", () => {
    const { client, clock, socket, listener, told } = subscribed();
    client.subscribe("b", listener);
    socket().reply("subscribe", { epoch: E, offset: 1 });
    for (let count = 0; count < 2; count++) {
      socket().say({ type: "error", code: "forbidden", message: "It has ended." });
    }
    clock.advance(0);
    assertEquals(socket().of("subscribe").slice(2).map(({ topic }) => topic), ["a", "b"]);
    socket().refuse("subscribe", "forbidden");
    assertEquals(told, ["forbidden"]);
  });

  it("may throw, which is told and stops nothing; also in a listener of errors", () => {
    const { client, socket, told, listener, story } = open();
    client.subscribe("a", () => {
      throw new Error("a bug");
    });
    client.subscribe("a", listener);
    socket().greet();
    socket().reply("subscribe", { epoch: E, offset: 0 });
    socket().say(message("a", 1));
    assertEquals([story, told], [[1], ["listener_failed"]]);
  });

  it("get only names that are names", () => {
    const { client, listener } = open();
    for (const name of ["", "a b", "a.>.b", "a*", "x".repeat(201)]) {
      assertThrows(() => client.subscribe(name, listener), TypeError, "not a topic");
    }
    for (const name of ["a", "*", ">", "a.*.b", "*.*", "a.>", "..", "x".repeat(200)]) {
      client.subscribe(name, listener).unsubscribe();
    }
    const since = { epoch: E, offset: 1 };
    assertThrows(() => client.subscribe("a.>", listener, { since }), TypeError);
  });

  it("match patterns as the server does", () => {
    const tokens = ["a", "b", "*", ">", ""];
    const names = [
      ...tokens,
      ...tokens.flatMap((one) => tokens.map((two) => `${one}.${two}`)),
      "a.b.a",
      "a.*.>",
    ];
    for (const pattern of names.filter((name) => !/>\./.test(name))) {
      const patterns = new Patterns();
      patterns.add(pattern);
      for (const topic of names.filter((name) => !/[*>]/.test(name))) {
        assertEquals([pattern, topic, matches(pattern, topic)], [
          pattern,
          topic,
          [
            ...patterns.matching(topic),
          ].length > 0,
        ]);
      }
    }
  });
});

describe("messages as an async iterator", () => {
  it("come in order, and a consumer that is slow is told what was left out", async () => {
    const { client, socket, told } = open();
    const stream = client.messages("a", { bufferLimit: 2 });
    socket().greet();
    socket().reply("subscribe", { epoch: E, offset: 0 });
    await stream.ready;
    for (let offset = 1; offset <= 5; offset++) socket().say(message("a", offset));
    const seen: number[] = [];
    for await (const { offset } of stream) {
      seen.push(offset);
      if (offset === 5) break;
    }
    assertEquals(seen, [4, 5]);
    assertEquals(told, [{ topic: "a", reason: "consumer", epoch: E, from: 1, to: 3 }]);
    assertEquals(socket().of("unsubscribe").length, 1);
  });

  it("end with their signal, with the client, and with an error that the server gave", async () => {
    const { client, socket, told } = open();
    const stopping = new AbortController();
    const stopped = client.messages("a", { signal: stopping.signal }).next();
    const refused = client.messages("b").next();
    const closed = client.messages("c").next();
    socket().greet();
    stopping.abort();
    assertEquals(await stopped, { done: true, value: undefined });
    const id = socket().sent.find(({ topic }) => topic === "b")?.["id"];
    socket().say({ type: "error", id, code: "forbidden", message: "no" });
    await assertRejects(() => refused, MillraceError, "no");
    assertEquals(told, []);
    void client.close({ flushMs: 0 });
    assertEquals(await closed, { done: true, value: undefined });
  });
});
