/** Each limit of one connection or one request, one below it, at it and one above it, on every engine. */
import { Buffer } from "node:buffer";
import process from "node:process";
import { describe, it } from "node:test";
import { assert, assertEquals, assertFalse, assertGreaterOrEqual, assertLess } from "@std/assert";
import { ManualClock } from "./helpers/manual_clock.ts";
import { encodeFrame, handshake, Opcode, RawClient } from "./helpers/raw_client.ts";
import { whyNot } from "./helpers/runtime.ts";
import { joinRaw } from "./helpers/server.ts";
import { ask, get, ownEngines, stage, tell } from "./helpers/stage.ts";
import { SECRET, sign } from "./helpers/tokens.ts";

const LONG = process.env["MILLRACE_LONG"] !== undefined;
/** What a native engine gives the head of a request, whatever it is told: ten seconds, by a coarse timer. */
const NATIVE_DEADLINE_MS = { min: 8_000, max: 14_000 };

/** A command of exactly so many bytes. */
function echo(bytes: number): string {
  const empty = JSON.stringify({ type: "echo", id: 1, data: "" });
  return JSON.stringify({ type: "echo", id: 1, data: "x".repeat(bytes - empty.length) });
}

for (const engine of ownEngines) {
  describe(`limits on ${engine}`, { skip: await whyNot(engine) }, () => {
    const start = stage(engine);

    it("maxTopicsPerConnection: one above is too_many_topics, and there is room again behind an unsubscribe", async () => {
      const { url } = await start({ maxTopicsPerConnection: 3 });
      const client = await joinRaw(url);
      const answers = [];
      const commands = ["a", "b", "c", "d", "a", "-a", "d", "e"];
      for (const topic of commands) {
        const type = topic.startsWith("-") ? "unsubscribe" : "subscribe";
        const reply = await ask(client, { type, id: 1, topic: topic.replace("-", "") });
        answers.push(reply["code"] ?? reply["type"]);
      }
      assertEquals(answers, ["ack", "ack", "ack", "too_many_topics", "ack", "ack", "ack", "too_many_topics"]);
    });

    it("maxErrors: the connection lives on below it and is closed with 1008 at it", async () => {
      const { url } = await start({ maxErrors: 3 });
      const client = await joinRaw(url);
      for (let i = 0; i < 2; i++) {
        client.send(Opcode.Text, "?");
        assertEquals(JSON.parse((await client.receiveTexts(2 + i))[1 + i] ?? "").code, "invalid_json");
      }
      assertEquals((await ask(client, { type: "ping", id: 1 }))["type"], "pong");
      for (let i = 0; i < 2; i++) client.send(Opcode.Text, "?");
      assertEquals((await client.closed())?.code, 1008);
      assertEquals(client.textCount, 5);
    });

    it("maxMessageBytes: one below and at it are taken, whole or in fragments; one above is 1009", async () => {
      const { url } = await start({ maxMessageBytes: 1024 });
      const inTwo = (text: string) =>
        Buffer.concat([
          encodeFrame(Opcode.Text, text.slice(0, 600), { fin: false }),
          encodeFrame(Opcode.Continuation, text.slice(600)),
        ]);
      for (const encode of [(text: string) => encodeFrame(Opcode.Text, text), inTwo]) {
        const client = await joinRaw(url);
        for (const [i, bytes] of [1023, 1024].entries()) {
          client.write(encode(echo(bytes)));
          assertEquals((await client.receiveTexts(2 + i))[1 + i]?.length, bytes);
        }
        client.write(encode(echo(1025)));
        assertEquals((await client.closed())?.code, 1009);
        assertEquals(client.textCount, 3);
      }
    });

    it("maxHttpBodyBytes: one below and at it are read, one above is 413", async () => {
      const { url } = await start({ maxHttpBodyBytes: 100 });
      const statuses = [];
      for (const bytes of [99, 100, 101]) {
        const target = new URL("/health", url.replace(/^ws/, "http"));
        const response = await fetch(target, { method: "POST", body: "x".repeat(bytes) });
        await response.text();
        statuses.push(response.status);
      }
      assertEquals(statuses, [405, 405, 413]);
    });

    it("authTimeoutSeconds: a token is taken until it has passed, then there is 4003", async () => {
      const clock = new ManualClock();
      const server = await start({ jwtSecret: SECRET, authTimeoutSeconds: 3, heartbeatSeconds: 0 }, {
        clock,
      });
      const [late, punctual] = [await joinRaw(server.url), await joinRaw(server.url)];
      clock.advance(2_999);
      const token = await sign({ sub: "ann" });
      assertEquals((await ask(punctual, { type: "auth", id: 1, token }))["type"], "ack");
      assertEquals((await ask(late, { type: "ping", id: 1 }))["type"], "pong");
      clock.advance(1);
      assertEquals((await late.closed())?.code, 4003);
      clock.advance(600_000);
      assertEquals((await ask(punctual, { type: "ping", id: 1 }))["type"], "pong");
    });

    it("handshakeTimeoutSeconds: a handshake may come until it has passed, and no longer", async () => {
      const clock = new ManualClock();
      const server = await start({ handshakeTimeoutSeconds: 3, heartbeatSeconds: 0 }, { clock });
      const { url } = server;
      const startMs = performance.now();
      const [late, punctual] = [RawClient.connect(url), RawClient.connect(url)];
      const request = handshake(url);
      const cut = request.indexOf("Upgrade");
      for (const client of [late, punctual]) client.write(Buffer.from(request.slice(0, cut)));
      // Both have been accepted before a later request is answered, and what they wrote has been read.
      for (let turn = 0; turn < 3; turn++) await get(server, "/health");
      clock.advance(2_999);
      await get(server, "/health");
      assertFalse(late.ended);
      punctual.write(Buffer.from(request.slice(cut)));
      assertEquals((await punctual.receiveTexts(1)).length, 1);
      clock.advance(1);
      if (server.engine !== "ts" && !LONG) return;
      await late.gone();
      if (server.engine === "ts") assert(late.head.startsWith("HTTP/1.1 408 "));
      else {
        assertGreaterOrEqual(performance.now() - startMs, NATIVE_DEADLINE_MS.min);
        assertLess(performance.now() - startMs, NATIVE_DEADLINE_MS.max);
      }
      tell(punctual, { type: "ping", id: 1 });
      assertEquals((await punctual.receiveTexts(2)).length, 2);
    });
  });
}
