/** The whole server, seen through a client that can break every rule. Runs on the native engine of the runtime. */
import { after, describe, it } from "node:test";
import { assert, assertEquals, assertFalse, assertGreaterOrEqual, assertLessOrEqual } from "@std/assert";
import { pack, unpack } from "msgpackr";
import type { Options } from "../server/options.ts";
import type { Surroundings } from "../server/serve.ts";
import { ManualClock } from "./helpers/manual_clock.ts";
import { encodeFrame, handshake, Opcode, RawClient } from "./helpers/raw_client.ts";
import { whyNot } from "./helpers/runtime.ts";
import { joinRaw, startServer, type TestServer, unlimited } from "./helpers/server.ts";

describe("the server", { skip: await whyNot("auto") }, () => {
  const servers: TestServer[] = [];
  after(async () => {
    RawClient.destroyAll();
    await Promise.all(servers.map((server) => server.close()));
  });

  async function start(options: Partial<Options> = {}, surroundings: Surroundings = {}): Promise<TestServer> {
    const server = await startServer({ shutdownTimeoutSeconds: 0, ...options }, surroundings);
    servers.push(server);
    return server;
  }

  /** Sends one text and gives the next text that comes back. */
  async function ask(client: RawClient, command: unknown): Promise<Record<string, unknown>> {
    const before = client.texts().length;
    client.send(Opcode.Text, typeof command === "string" ? command : JSON.stringify(command));
    const texts = await client.receiveTexts(before + 1);
    return JSON.parse(texts[before] ?? "");
  }

  it("greets with what a client needs to know", async () => {
    const server = await start({ maxMessageBytes: 4096, heartbeatSeconds: 20 });
    const client = await joinRaw(server.url);
    const { session, ...welcome } = JSON.parse(client.texts()[0] ?? "");
    assertEquals(typeof session, "string");
    assertEquals(welcome, {
      type: "welcome",
      node: "test-node",
      format: "json",
      heartbeatSeconds: 20,
      maxMessageBytes: 4096,
      authRequired: false,
    });
  });

  it("acknowledges each command that has an id, and only those", async () => {
    const server = await start();
    const client = await joinRaw(server.url);
    const subscribed = await ask(client, { type: "subscribe", id: "s", topic: "news" });
    assertEquals(typeof subscribed["epoch"], "string");
    const { epoch } = subscribed;
    assertEquals(subscribed, { type: "ack", id: "s", topic: "news", epoch, offset: 0 });
    client.send(Opcode.Text, JSON.stringify({ type: "publish", topic: "news", data: { a: [1, null, "ü"] } }));
    client.send(Opcode.Text, JSON.stringify({ type: "publish", id: 7, topic: "news", data: 2 }));
    await client.receiveTexts(5);
    const replies = client.texts().slice(2).map((text) => JSON.parse(text));
    assertEquals(replies.filter((reply) => reply.type === "message"), [
      { type: "message", topic: "news", data: { a: [1, null, "ü"] }, offset: 1, epoch },
      { type: "message", topic: "news", data: 2, offset: 2, epoch },
    ]);
    assertEquals(replies.filter((reply) => reply.type === "ack"), [
      { type: "ack", id: 7, topic: "news", epoch, offset: 2 },
    ]);
    assertEquals(await ask(client, { type: "unsubscribe", id: 8, topic: "news" }), {
      type: "ack",
      id: 8,
      topic: "news",
    });
    assertEquals(await ask(client, { type: "publish", id: 9, topic: "news", data: 3 }), {
      type: "ack",
      id: 9,
      topic: "news",
      epoch,
      offset: 3,
    });
    assertEquals(await ask(client, { type: "ping", id: 10 }), { type: "pong", id: 10 });
    assertEquals(await ask(client, { type: "echo", id: 11, data: "e" }), { type: "echo", id: 11, data: "e" });
  });

  it("broadcasts to every connection in its own format and says to how many", async () => {
    const server = await start({ allowBroadcast: true });
    const json = await joinRaw(server.url);
    const msgpack = await RawClient.open(server.url, { "Sec-WebSocket-Protocol": "millrace.v1.msgpack" });
    await msgpack.frames.until((all) => all.length === 1);
    const data = { text: "to all" };
    json.send(Opcode.Text, JSON.stringify({ type: "broadcast", id: 1, data }));
    const texts = await json.receiveTexts(3);
    assertEquals(texts.slice(1).map((text) => JSON.parse(text)), [
      { type: "broadcast", data },
      { type: "ack", id: 1, sent: 2 },
    ]);
    await msgpack.frames.until((all) => all.length === 2);
    assertEquals(unpack(msgpack.frames.all[1]?.payload ?? new Uint8Array()), { type: "broadcast", data });
  });

  it("lets bytes and large integers pass between MessagePack clients, and shows them to JSON ones as text", async () => {
    const server = await start();
    const json = await joinRaw(server.url);
    const msgpack = await RawClient.open(server.url, { "Sec-WebSocket-Protocol": "millrace.v1.msgpack" });
    const command = { type: "subscribe", id: 1, topic: "t" };
    await ask(json, command);
    msgpack.send(Opcode.Binary, pack(command));
    const data = { bytes: new Uint8Array([255, 0, 1]), large: 9_223_372_036_854_775_807n, small: 5 };
    msgpack.send(Opcode.Binary, pack({ type: "publish", topic: "t", data }));
    await msgpack.frames.until((all) => all.length === 3);
    const received = unpack(msgpack.frames.all[2]?.payload ?? new Uint8Array());
    assertEquals([...received.data.bytes], [255, 0, 1]);
    assertEquals([received.data.large, received.data.small], [data.large, 5]);
    const texts = await json.receiveTexts(3);
    assertEquals(JSON.parse(texts[2] ?? "").data, { bytes: "/wAB", large: "9223372036854775807", small: 5 });
  });

  const tooDeep = `${"[".repeat(10_000)}1${"]".repeat(10_000)}`;
  const badMessages: [string, string, string, unknown][] = [
    ["broken JSON", `{"type":`, "invalid_json", undefined],
    ["an empty message", "", "invalid_json", undefined],
    ["JSON that is no object", "[1]", "invalid_message", undefined],
    ["null", "null", "invalid_message", undefined],
    ["a message without a type", `{"id":1}`, "invalid_message", 1],
    ["a type that is no string", `{"type":5,"id":1}`, "invalid_message", 1],
    ["an unknown type", `{"type":"fly","id":"x"}`, "unknown_type", "x"],
    ["a type from the prototype", `{"type":"constructor","id":1}`, "unknown_type", 1],
    ["an id that is an object", `{"type":"ping","id":{}}`, "invalid_message", undefined],
    ["an id that is too long", `{"type":"ping","id":"${"i".repeat(65)}"}`, "invalid_message", undefined],
    ["an id that is no integer", `{"type":"ping","id":1.5}`, "invalid_message", undefined],
    ["an empty topic", `{"type":"subscribe","id":1,"topic":""}`, "invalid_topic", 1],
    ["a missing topic", `{"type":"publish","id":1,"data":1}`, "invalid_topic", 1],
    ["a topic that is not text", `{"type":"publish","id":1,"topic":["t"],"data":1}`, "invalid_topic", 1],
    [
      "a topic that is too long",
      `{"type":"subscribe","id":1,"topic":"${"t".repeat(201)}"}`,
      "invalid_topic",
      1,
    ],
    ["a topic with a space", `{"type":"subscribe","id":1,"topic":"a b"}`, "invalid_topic", 1],
    ["a publish without data", `{"type":"publish","id":1,"topic":"t"}`, "invalid_message", 1],
    ["a __proto__ key", `{"type":"echo","id":1,"__proto__":{"x":1},"data":1}`, "invalid_message", 1],
    ["a __proto__ key inside data", `{"type":"echo","id":1,"data":[{"__proto__":1}]}`, "invalid_message", 1],
    ["nesting 10,000 deep", `{"type":"echo","id":1,"data":${tooDeep}}`, "invalid_message", 1],
    [
      "an unsubscribe from a topic never subscribed to",
      `{"type":"unsubscribe","id":1,"topic":"t"}`,
      "not_subscribed",
      1,
    ],
  ];
  for (const [what, message, code, id] of badMessages) {
    it(`answers ${what} with ${code} and lives on`, async () => {
      const server = await start();
      const client = await joinRaw(server.url);
      const error = await ask(client, message);
      assertEquals([error["type"], error["code"], error["id"]], ["error", code, id]);
      assertEquals(typeof error["message"], "string");
      assertEquals(await ask(client, { type: "ping", id: "alive" }), { type: "pong", id: "alive" });
      assertEquals(({} as Record<string, unknown>)["x"], undefined);
    });
  }

  it("takes the longest topic, id and nesting that it allows", async () => {
    const server = await start();
    const client = await joinRaw(server.url);
    const topic = "t".repeat(200);
    assertEquals((await ask(client, { type: "subscribe", id: "i".repeat(64), topic }))["topic"], topic);
    const data = JSON.parse(`${"[".repeat(63)}1${"]".repeat(63)}`);
    assertEquals((await ask(client, { type: "echo", id: 1, data }))["data"], data);
  });

  for (
    const [what, bytes] of [["0xc1", [0xc1]], ["two values", [0x01, 0x02]], ["a cut value", [
      0x81,
      0xa1,
    ]]] as const
  ) {
    it(`answers MessagePack that is ${what} with invalid_message`, async () => {
      const server = await start();
      const client = await RawClient.open(server.url, { "Sec-WebSocket-Protocol": "millrace.v1.msgpack" });
      client.send(Opcode.Binary, new Uint8Array(bytes));
      client.send(Opcode.Binary, pack({ type: "ping", id: 1 }));
      await client.frames.until((all) => all.length === 3);
      const [, error, pong] = client.frames.all.map((frame) => unpack(frame.payload));
      assertEquals([error.code, pong], ["invalid_message", { type: "pong", id: 1 }]);
    });
  }

  it("answers MessagePack nested 60,000 deep with invalid_message", async () => {
    const server = await start();
    const client = await RawClient.open(server.url, { "Sec-WebSocket-Protocol": "millrace.v1.msgpack" });
    client.send(Opcode.Binary, new Uint8Array(60_000).fill(0x91));
    await client.frames.until((all) => all.length === 2);
    assertEquals(unpack(client.frames.all[1]?.payload ?? new Uint8Array()).code, "invalid_message");
  });

  it("closes with 1008 at the last of maxErrors invalid messages, after telling each", async () => {
    const server = await start({ maxErrors: 3 });
    const client = await joinRaw(server.url);
    for (let i = 0; i < 2; i++) assertEquals((await ask(client, "?"))["code"], "invalid_json");
    assertEquals((await ask(client, { type: "ping" }))["type"], "pong");
    client.send(Opcode.Text, "?");
    assertEquals(await client.closed(), { code: 1008, reason: "too many invalid messages" });
    assertEquals(client.texts().length, 5);
  });

  it("closes with 1003 on a frame of the wrong kind", async () => {
    const server = await start();
    const json = await joinRaw(server.url);
    json.send(Opcode.Binary, pack({ type: "ping" }));
    assertEquals((await json.closed())?.code, 1003);
    const msgpack = await RawClient.open(server.url, { "Sec-WebSocket-Protocol": "millrace.v1.msgpack" });
    msgpack.send(Opcode.Text, `{"type":"ping"}`);
    assertEquals((await msgpack.closed())?.code, 1003);
  });

  it("takes a message of maxMessageBytes and closes with 1009 on one byte more", async () => {
    const server = await start({ maxMessageBytes: 1024 });
    const client = await joinRaw(server.url);
    const command = (length: number) => {
      const empty = JSON.stringify({ type: "echo", id: 1, data: "" });
      return JSON.stringify({ type: "echo", id: 1, data: "x".repeat(length - empty.length) });
    };
    assertEquals((await ask(client, command(1024)))["type"], "echo");
    client.send(Opcode.Text, command(1025));
    assertEquals((await client.closed())?.code, 1009);
  });

  it("refuses the topic after the last one that a connection may subscribe to", async () => {
    const server = await start({ maxTopicsPerConnection: 2 });
    const client = await joinRaw(server.url);
    assertEquals((await ask(client, { type: "subscribe", id: 1, topic: "a" }))["type"], "ack");
    assertEquals((await ask(client, { type: "subscribe", id: 2, topic: "b" }))["type"], "ack");
    assertEquals((await ask(client, { type: "subscribe", id: 3, topic: "c" }))["code"], "too_many_topics");
    assertEquals((await ask(client, { type: "subscribe", id: 4, topic: "b" }))["type"], "ack");
    await ask(client, { type: "unsubscribe", id: 5, topic: "a" });
    assertEquals((await ask(client, { type: "subscribe", id: 6, topic: "c" }))["type"], "ack");
  });

  it("picks the first subprotocol it knows, JSON without any, and refuses unknown ones with 400", async () => {
    const server = await start();
    const both = await RawClient.open(server.url, {
      "Sec-WebSocket-Protocol": "x, millrace.v1.msgpack, millrace.v1.json",
    });
    assert(/sec-websocket-protocol: millrace\.v1\.msgpack\r\n/i.test(both.head), both.head);
    const none = await RawClient.open(server.url);
    assertFalse(/sec-websocket-protocol/i.test(none.head), none.head);
    const refused = await RawClient.request(
      server.url,
      handshake(server.url, { "Sec-WebSocket-Protocol": "graphql-ws, mqtt" }),
    );
    assert(refused.head.startsWith("HTTP/1.1 400 "), refused.head);
  });

  it("answers plain HTTP: 426 on its path, 404 elsewhere, health and readiness", async () => {
    const server = await start();
    const base = server.url.replace("ws:", "http:");
    const get = async (path: string, method = "GET") => {
      const answer = await fetch(new URL(path, base), { method });
      return { status: answer.status, body: await answer.text(), headers: answer.headers };
    };
    const upgrade = await get("/ws");
    assertEquals(upgrade.status, 426);
    assert(upgrade.body.includes("WebSocket"), upgrade.body);
    assertEquals((await get("/nothing")).status, 404);
    assertEquals((await get("/wsx")).status, 404);
    assertEquals([(await get("/health")).status, (await get("/ready")).status], [200, 200]);
    assertEquals((await get("/health", "HEAD")).status, 200);
    assertEquals((await get("/health", "POST")).status, 405);
    const wrongPath = await RawClient.request(server.url, handshake(server.url.replace("/ws", "/other")));
    assert(wrongPath.head.startsWith("HTTP/1.1 404 "), wrongPath.head);
  });

  it("pings every connection each interval and closes with 4010 when no pong comes, whatever else it sends", async () => {
    const clock = new ManualClock();
    const server = await start({ heartbeatSeconds: 30, heartbeatTimeoutSeconds: 10 }, { clock });
    const deaf = await joinRaw(server.url);
    const alive = await joinRaw(server.url);
    await ask(deaf, { type: "subscribe", id: 1, topic: "t" });
    const pings = (client: RawClient) =>
      client.frames.all.filter((frame) => frame.opcode === Opcode.Ping).length;
    const pinged = (client: RawClient, times: number) =>
      client.frames.until(() => pings(client) === times, "a ping");
    const pong = async () => {
      alive.send(Opcode.Pong, "");
      await ask(alive, { type: "ping" });
    };
    clock.advance(29_999);
    assertEquals([pings(alive), pings(deaf)], [0, 0]);
    clock.advance(1);
    await Promise.all([pinged(alive, 1), pinged(deaf, 1)]);
    await pong();
    clock.advance(9_999);
    await ask(alive, { type: "publish", id: 1, topic: "t", data: "still sending" });
    await deaf.receiveTexts(3);
    assertFalse(deaf.ended);
    clock.advance(1);
    assertEquals(await deaf.closed(), { code: 4010, reason: "heartbeat timeout" });
    clock.advance(20_000);
    await pinged(alive, 2);
    await pong();
    clock.advance(29_999);
    assertFalse(alive.ended);
  });

  it("tells a client that skipped messages exactly which offsets it missed", async () => {
    const server = await start({ ...unlimited, slowPolicy: "skip", maxBackpressureBytes: 256 * 1024 });
    const slow = await joinRaw(server.url);
    const publisher = await joinRaw(server.url);
    await ask(slow, { type: "subscribe", id: 1, topic: "t" });
    slow.pause();
    const data = "d".repeat(16 * 1024);
    const count = 700;
    for (let id = 1; id <= count; id++) {
      publisher.send(Opcode.Text, JSON.stringify({ type: "publish", id, topic: "t", data }));
      if (id % 50 === 0) await publisher.receiveTexts(id + 1);
    }
    slow.resume();
    await slow.frames.until(() => slow.texts().some((text) => text.startsWith(`{"type":"gap"`)), "a gap");
    await ask(publisher, { type: "publish", id: 0, topic: "t", data: "last" });
    await slow.frames.until(() => slow.texts().some((text) => text.includes(`"last"`)), "the last message");
    const events = slow.texts().slice(2).map((text) => JSON.parse(text));
    const seen: number[] = [];
    for (const event of events) {
      if (event.type === "message") seen.push(event.offset);
      else for (let offset = event.from; offset <= event.to; offset++) seen.push(offset);
    }
    assertEquals(seen, Array.from({ length: count + 1 }, (_, index) => index + 1));
    assert(events.some((event) => event.type === "gap" && event.reason === "slow"));
  });

  it("shuts down in order: not ready, for each client in turn a drain, what was sent and 1001, and the end", async () => {
    const clock = new ManualClock();
    const server = await startServer({ reconnectWindowSeconds: 10, shutdownTimeoutSeconds: 10 }, { clock });
    const clients = await Promise.all(Array.from({ length: 20 }, () => joinRaw(server.url)));
    const ended = server.close();
    assertEquals(server.close(), ended);
    assertEquals((await fetch(new URL("/ready", server.url.replace("ws:", "http:")))).status, 503);
    clock.advance(8_000);
    const drains = await Promise.all(clients.map(async (client) => {
      assertEquals(await client.closed(), { code: 1001, reason: "server is shutting down" });
      const [, drain, ...more] = client.texts().map((text) => JSON.parse(text));
      assertEquals([drain.type, more], ["drain", []]);
      await client.close();
      return drain as { reconnectAfterMs: number; deadlineMs: number };
    }));
    await ended;
    const backMs = drains.map(({ reconnectAfterMs, deadlineMs }) => 10_000 - deadlineMs + reconnectAfterMs);
    assert(new Set(backMs).size > 10, `not spread: ${backMs}`);
    assertGreaterOrEqual(Math.min(...backMs), 0);
    assertLessOrEqual(Math.max(...backMs), 10_001);
  });

  it("cuts connections that do not close by the deadline", async () => {
    const clock = new ManualClock();
    const server = await startServer({ ...unlimited, shutdownTimeoutSeconds: 10, slowPolicy: "skip" }, {
      clock,
    });
    const stuck = await joinRaw(server.url);
    await ask(stuck, { type: "subscribe", id: 1, topic: "t" });
    const publisher = await joinRaw(server.url);
    stuck.pause();
    for (let id = 1; id <= 300; id++) {
      publisher.send(
        Opcode.Text,
        JSON.stringify({ type: "publish", id, topic: "t", data: "x".repeat(32_000) }),
      );
    }
    await publisher.receiveTexts(301);
    let done = false;
    const ended = server.close().then(() => done = true);
    await publisher.close();
    clock.advance(9_999);
    assertFalse(done);
    clock.advance(1);
    clock.advance(1_000);
    await ended;
    stuck.destroy();
  });

  it("never logs what a client sent", async () => {
    const server = await start();
    const client = await joinRaw(server.url);
    for (const bad of [`{"secret":`, `{"type":"secret"}`, `{"type":"echo","id":{"secret":1}}`]) {
      await ask(client, bad);
    }
    await ask(client, { type: "publish", id: 1, topic: "secret", data: "secret" });
    client.write(encodeFrame(3, "secret"));
    await client.gone();
    assertFalse(server.lines.some((line) => line.text.includes("secret")), JSON.stringify(server.lines));
  });

  it("refuses options that contradict each other before it listens", async () => {
    const error = await startServer({ heartbeatSeconds: 5, heartbeatTimeoutSeconds: 5 }).then(
      () => undefined,
      (error: Error) => error,
    );
    assertEquals(error?.name, "OptionsError");
  });
});
