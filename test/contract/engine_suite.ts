/**
 * The promises of the engine contract, each a named test that every engine runs. An engine that truly cannot keep one
 * names it in `exceptions` with the reason, and docs/engines.md's engine table says so too.
 */
import { fileURLToPath } from "node:url";
import { after, before, describe, it } from "node:test";
import { assert, assertEquals, assertFalse, assertGreater, assertLessOrEqual } from "@std/assert";
import { type Engine, SendStatus, SlowPolicy, type Socket } from "../../server/engine.ts";
import { closePayload, handshake, Opcode, RawClient } from "../helpers/raw_client.ts";
import { ManualClock } from "../helpers/manual_clock.ts";
import { budgetCases } from "./budget_suite.ts";
import { type Event, type Fixture, limits, listen, type Name, type Tools } from "./fixture.ts";
import { tlsCases } from "./tls_suite.ts";

const FILLER = "f".repeat(32 * 1024);

export interface SuiteOptions {
  /** Why the engine cannot run on this runtime; then the whole suite is skipped. */
  readonly skip: string | false;
  /** Whether the engine tells a peer 1002, 1007 and 1009; native ones may just end the connection. */
  readonly tellsCloseCodes: boolean;
  /** Why the engine cannot refuse frames without a mask, if it cannot. */
  readonly unmasked?: string;
}

export function describeEngine(name: string, load: () => Promise<Engine>, options: SuiteOptions): void {
  describe(`the engine ${name} keeps the contract`, { skip: options.skip }, () => {
    let engine: Engine;
    const cleanups: (() => Promise<void>)[] = [];

    before(async () => {
      engine = await load();
    });
    after(async () => {
      RawClient.destroyAll();
      await Promise.all(cleanups.map((cleanup) => cleanup()));
    });

    async function start(...[options, overrides]: Parameters<Tools["start"]>) {
      const fixture = await listen(engine, options, overrides);
      cleanups.push(() => {
        for (const event of fixture.events.all) if (event.kind === "open") event.socket.terminate();
        return fixture.listener.close();
      });
      return fixture;
    }

    async function join(fixture: Fixture, name: Name): Promise<{ client: RawClient; socket: Socket<Name> }> {
      const client = await RawClient.open(`${fixture.url}/?${name}`);
      return { client, socket: await fixture.socket(name) };
    }

    /** Sends to a client that does not read until a message is dropped. */
    function fill(socket: Socket<Name>): { accepted: number } {
      let accepted = 0;
      // The kernel takes some megabytes before the engine has to queue.
      while (accepted < 4000 && socket.send(FILLER) !== SendStatus.Dropped) accepted++;
      assert(accepted < 4000, "the socket never filled");
      return { accepted };
    }

    it("1. open, then messages, then close, exactly once, after a close handshake", async () => {
      const fixture = await start();
      const { client } = await join(fixture, "a");
      client.send(Opcode.Text, "hello");
      client.send(Opcode.Binary, new Uint8Array([1, 2, 3]));
      await client.close(1000);
      await fixture.events.until(() => fixture.closes("a").length > 0);
      const kinds = fixture.events.all.map((event) => event.kind);
      assertEquals(kinds, ["open", "message", "message", "close"]);
      assertEquals(fixture.closes("a")[0]?.code, 1000);
      const messages = fixture.events.all.flatMap((event) => event.kind === "message" ? [event.message] : []);
      assertEquals(messages[0], "hello");
      assertEquals([...messages[1] as Uint8Array], [1, 2, 3]);
    });

    it("1. close comes exactly once after terminate, with 1006, and may run inside the call", async () => {
      const fixture = await start();
      const { client, socket } = await join(fixture, "a");
      socket.terminate();
      socket.terminate();
      await client.gone();
      await fixture.events.until(() => fixture.closes("a").length > 0);
      assertEquals(fixture.closes("a").map((event) => event.code), [1006]);
    });

    it("1. close comes exactly once when the network dies", async () => {
      const fixture = await start();
      const { client } = await join(fixture, "a");
      client.destroy();
      await fixture.events.until(() => fixture.closes("a").length > 0);
      assertEquals(fixture.closes("a").map((event) => event.code), [1006]);
    });

    it("1. a close of ours sends code and reason, and the close event carries them", async () => {
      const fixture = await start();
      const { client, socket } = await join(fixture, "a");
      socket.send("last words");
      socket.close(4010, "heartbeat timeout");
      assertEquals(await client.closed(), { code: 4010, reason: "heartbeat timeout" });
      assertEquals(client.texts(), ["last words"]);
      await client.close();
      await fixture.events.until(() => fixture.closes("a").length > 0);
      assertEquals(fixture.closes("a").map((event) => event.code), [4010]);
    });

    for (const [where, byMessage] of [["cork", false], ["a message handler", true]] as const) {
      it(`1. a close inside ${where} ends the connection once the peer has answered`, async () => {
        const farewell = (socket: Socket<Name>) => {
          socket.send("last words");
          socket.close(1001, "");
        };
        const fixture = await start({}, { message: farewell });
        const { client, socket } = await join(fixture, "a");
        if (byMessage) client.send(Opcode.Text, "close, please");
        else socket.cork(() => farewell(socket));
        assertEquals((await client.closed())?.code, 1001);
        assertEquals(client.texts(), ["last words"]);
        client.send(Opcode.Close, closePayload(1001));
        // Turns of the loop, not time: an engine that forgot the connection would leave it to a timer.
        for (let turns = 0; turns < 500 && !client.ended; turns++) {
          await (await RawClient.request(fixture.url, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")).destroy();
        }
        assert(client.ended, "the connection was left open");
      });
    }

    it("2. after close every method of a socket is a harmless no-op", async () => {
      const fixture = await start();
      const { client, socket } = await join(fixture, "a");
      socket.subscribe("before");
      await client.close();
      await fixture.events.until(() => fixture.closes("a").length > 0);
      assertEquals(socket.send("x"), SendStatus.Dropped);
      assertEquals(socket.bufferedAmount, 0);
      socket.subscribe("after");
      socket.unsubscribe("before");
      socket.cork(() => {
        throw new Error("cork ran on a closed socket");
      });
      socket.ping();
      socket.close(1000, "");
      socket.terminate();
      assertEquals(typeof socket.remoteAddress, "string");
      assertEquals([fixture.listener.subscriberCount("before"), fixture.listener.subscriberCount("after")], [
        0,
        0,
      ]);
      assertEquals(fixture.closes("a").length, 1);
    });

    it("3. a binary message is whole while its handler runs, and a text message stays", async () => {
      const sums: number[] = [];
      const fixture = await start({}, {
        message(socket, message) {
          if (typeof message === "string") return;
          sums.push(message.reduce((sum, byte) => sum + byte, 0));
          socket.send(message);
        },
      });
      const { client } = await join(fixture, "a");
      client.send(Opcode.Binary, new Uint8Array(1000).fill(3));
      await client.frames.find((frame) =>
        frame.opcode === Opcode.Binary && frame.payload.every((byte) => byte === 3)
      );
      assertEquals(sums, [3000]);
    });

    it("4. sends and publications reach a socket in the order of the calls", async () => {
      const fixture = await start();
      const { client, socket } = await join(fixture, "a");
      socket.subscribe("t");
      const expected: string[] = [];
      for (let round = 0; round < 200; round++) {
        expected.push(`send ${round}`, `publish ${round}`);
        socket.send(`send ${round}`);
        fixture.listener.publish("t", `publish ${round}`);
      }
      assertEquals(await client.receiveTexts(expected.length), expected);
    });

    it("4. a publication before an unsubscribe in the same turn is delivered, one after it is not", async () => {
      const fixture = await start();
      const { client, socket } = await join(fixture, "a");
      socket.subscribe("t");
      fixture.listener.publish("t", "before");
      socket.unsubscribe("t");
      fixture.listener.publish("t", "after");
      socket.subscribe("t");
      fixture.listener.publish("t", "again");
      socket.send("end");
      assertEquals(await client.receiveTexts(3), ["before", "again", "end"]);
    });

    it("4. a publication before a close in the same turn is delivered before the close frame", async () => {
      const fixture = await start();
      const { client, socket } = await join(fixture, "a");
      socket.subscribe("t");
      for (let i = 0; i < 100; i++) fixture.listener.publish("t", `publication ${i}`);
      socket.close(1001, "");
      assertEquals((await client.closed())?.code, 1001);
      assertEquals(client.texts().length, 100);
    });

    it("4. what is sent inside cork arrives in order", async () => {
      const fixture = await start();
      const { client, socket } = await join(fixture, "a");
      socket.subscribe("t");
      socket.cork(() => {
        socket.send("1");
        fixture.listener.publish("t", "2");
        socket.send("3");
      });
      assertEquals(await client.receiveTexts(3), ["1", "2", "3"]);
    });

    it("a topic's messages reach its subscribers and nobody else, in their own kind", async () => {
      const fixture = await start();
      const a = await join(fixture, "a");
      const b = await join(fixture, "b");
      a.socket.subscribe("t");
      a.socket.subscribe("t");
      assertEquals([fixture.listener.subscriberCount("t"), fixture.listener.subscriberCount("u")], [1, 0]);
      fixture.listener.publish("t", "text");
      fixture.listener.publish("t", new Uint8Array([7]));
      fixture.listener.publish("nobody", "lost");
      b.socket.send("only this");
      await a.client.frames.until((all) => all.length === 2);
      assertEquals(a.client.frames.all.map((frame) => frame.opcode), [Opcode.Text, Opcode.Binary]);
      assertEquals(await b.client.receiveTexts(1), ["only this"]);
    });

    it("5. a send above the limit answers Dropped and closes the slow socket with 4008 behind what it had accepted", async () => {
      const fixture = await start();
      const slow = await join(fixture, "slow");
      const other = await join(fixture, "other");
      slow.client.pause();
      const { accepted } = fill(slow.socket);
      assertLessOrEqual(slow.socket.bufferedAmount, limits.maxBackpressureBytes);
      assertEquals(slow.socket.send("hides the loss"), SendStatus.Dropped);
      assertEquals(other.socket.send("fine"), SendStatus.Sent);
      assertEquals(await other.client.receiveTexts(1), ["fine"]);
      slow.client.resume();
      assertEquals((await slow.client.closed())?.code, 4008);
      assertEquals(slow.client.texts(), new Array(accepted).fill(FILLER));
      await fixture.events.until(() => fixture.closes("slow").length > 0);
      assertEquals(fixture.closes("slow").map((event) => event.code), [4008]);
    });

    it("5. a slow subscriber is closed with 4008 without a hole in what it got, the others get everything", async () => {
      const fixture = await start();
      const slow = await join(fixture, "slow");
      const other = await join(fixture, "other");
      slow.client.pause();
      slow.socket.subscribe("t");
      other.socket.subscribe("t");
      const count = 1 + await publishUntilDropped(fixture, other.client, "slow");
      fixture.listener.publish("t", `${count - 1} after the close`);
      await other.client.receiveTexts(count);
      slow.client.resume();
      assertEquals((await slow.client.closed())?.code, 4008);
      const numbers = slow.client.texts().map((text) => Number(text.split(" ")[0]));
      assertEquals(numbers, numbers.map((_, index) => index), "a message is missing in the middle");
      assertGreater(count, numbers.length);
      assertEquals(other.client.texts().length, count);
    });

    it("6. with the policy skip, every message left out is reported, and delivery goes on after the drain", async () => {
      const fixture = await start({ slowPolicy: SlowPolicy.Skip });
      const slow = await join(fixture, "slow");
      const other = await join(fixture, "other");
      slow.client.pause();
      slow.socket.subscribe("t");
      other.socket.subscribe("t");
      let count = await publishUntilDropped(fixture, other.client, "slow");
      for (let i = 0; i < 50; i++) fixture.listener.publish("t", `${count++} more`);
      slow.client.resume();
      await fixture.events.find((event) => event.kind === "drain" && event.socket.data === "slow");
      await fixture.events.until(() => slow.socket.bufferedAmount === 0);
      fixture.listener.publish("t", `${count++} end`);
      await slow.client.frames.find((frame) => frame.payload.toString().endsWith("end"));
      const received = slow.client.texts().length;
      assertEquals(received + fixture.dropped("slow").length, count);
      assert(fixture.dropped("slow").every((event) => event.topic === "t"));
      assertEquals(fixture.dropped("other").length, 0);
      assertEquals(fixture.closes("slow").length, 0);
      const numbers = slow.client.texts().map((text) => Number(text.split(" ")[0]));
      assertEquals(numbers, [...numbers].sort((a, b) => a - b));
    });

    it("6. a slow subscriber's backlog stays within the limit and an eighth, for many topics too", async () => {
      const fixture = await start({ slowPolicy: SlowPolicy.Skip });
      const slow = await join(fixture, "slow");
      slow.client.pause();
      const topics = Array.from({ length: 32 }, (_, index) => `t${index}`);
      for (const topic of topics) slow.socket.subscribe(topic);
      const message = "m".repeat(1024);
      let most = 0;
      for (let round = 0; round < 1000 && fixture.dropped("slow").length === 0; round++) {
        for (const topic of topics) fixture.listener.publish(topic, message);
        await turn();
        most = Math.max(most, slow.socket.bufferedAmount);
      }
      assertGreater(fixture.dropped("slow").length, 0);
      const oneTurn = topics.length * (message.length + 4);
      assertLessOrEqual(most, limits.maxBackpressureBytes * 1.125 + oneTurn);
    });

    it("7. what waits in a backlog arrives unchanged, whatever is sent to others meanwhile", async () => {
      const fixture = await start({ maxBackpressureBytes: 64 * 1024 * 1024 }, {
        message: (socket, message) => void socket.send(message),
      });
      const { client } = await join(fixture, "slow");
      const other = await join(fixture, "other");
      client.pause();
      const text = (i: number) => `${i} ${String.fromCharCode(97 + i % 26).repeat(1000 + (i * 7919) % 3000)}`;
      const count = 5_000;
      for (let i = 0; i < count; i++) {
        client.send(Opcode.Text, text(i));
        if (i % 500 === 0) {
          other.client.send(Opcode.Text, "turn");
          await other.client.receiveTexts(1 + i / 500);
        }
      }
      client.resume();
      const received = await client.receiveTexts(count);
      assert(received.every((message, i) => message === text(i)), "a message was changed");
    });

    it("7. after Queued, drain comes once bytes have left", async () => {
      const fixture = await start();
      const { client, socket } = await join(fixture, "a");
      client.pause();
      let status: SendStatus = SendStatus.Sent;
      while (status === SendStatus.Sent) status = socket.send(FILLER);
      assertEquals(status, SendStatus.Queued);
      const backlog = socket.bufferedAmount;
      assertGreater(backlog, 0);
      assertFalse(fixture.events.all.some((event) => event.kind === "drain"));
      client.resume();
      await fixture.events.find((event) => event.kind === "drain");
      await fixture.events.until(() => socket.bufferedAmount < backlog);
    });

    it("8. a ping, a pong and a close frame pass a full socket", async () => {
      const fixture = await start({ slowPolicy: SlowPolicy.Skip });
      const { client, socket } = await join(fixture, "a");
      client.pause();
      fill(socket);
      socket.ping();
      client.send(Opcode.Ping, "from the peer");
      client.send(Opcode.Text, "after the ping");
      await fixture.events.find((event) => event.kind === "message");
      socket.close(1001, "bye");
      client.resume();
      assertEquals(await client.closed(), { code: 1001, reason: "bye" });
      const control = client.frames.all.filter((frame) => frame.opcode >= 8).map((frame) => frame.opcode);
      assertEquals(control, [Opcode.Ping, Opcode.Pong, Opcode.Close]);
    });

    it("8. a ping is answered with its payload, and a pong is reported (RFC 6455 section 5.5.3)", async () => {
      const fixture = await start();
      const { client, socket } = await join(fixture, "a");
      client.send(Opcode.Ping, "payload");
      const pong = await client.frames.find((frame) => frame.opcode === Opcode.Pong);
      assertEquals(pong.payload.toString(), "payload");
      socket.ping();
      await client.frames.find((frame) => frame.opcode === Opcode.Ping);
      client.send(Opcode.Pong, "");
      await fixture.events.find((event) => event.kind === "pong");
    });

    it("9. upgrade sees the request, may await, refuse, and choose the subprotocol", async () => {
      const seen: unknown[] = [];
      const fixture = await start({}, {
        async upgrade(request) {
          await turn();
          seen.push([
            request.method,
            request.path,
            request.query,
            request.headers.get("x-test"),
            request.remoteAddress,
          ]);
          if (request.query === "no") {
            return {
              accept: false,
              response: { status: 403, headers: { "x-why": "because" }, body: "no\n" },
            };
          }
          return { accept: true, data: request.query, protocol: "two" };
        },
      });
      const client = await RawClient.open(`${fixture.url}/a%20b?yes`, {
        "X-Test": "1",
        "Sec-WebSocket-Protocol": "one, two",
      });
      assert(/\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=\r\n/i.test(client.head), client.head);
      assert(/\r\nsec-websocket-protocol: two\r\n/i.test(client.head), client.head);
      const refused = await RawClient.request(fixture.url, handshake(`${fixture.url}/?no`));
      assert(refused.head.startsWith("HTTP/1.1 403 "), refused.head);
      assert(/\r\nx-why: because\r\n/i.test(refused.head), refused.head);
      assertEquals(seen, [["GET", "/a%20b", "yes", "1", "127.0.0.1"], [
        "GET",
        "/",
        "no",
        undefined,
        "127.0.0.1",
      ]]);
    });

    it("9. a client that vanished while upgrade waited is abandoned and not opened", async () => {
      let release = () => {};
      const waiting = new Promise<void>((resolve) => release = resolve);
      let asked = () => {};
      const arrived = new Promise<void>((resolve) => asked = resolve);
      const fixture = await start({}, {
        async upgrade(request) {
          if (request.query === "gone") {
            asked();
            await waiting;
          }
          return { accept: true, data: request.query };
        },
      });
      const pending = RawClient.request(fixture.url, handshake(`${fixture.url}/?gone`));
      const leaver = await Promise.race([pending, arrived.then(() => undefined)]);
      assertEquals(leaver, undefined);
      RawClient.last?.destroy();
      // A later connection that has been served shows that the engine has had time to see the first one go.
      const { client } = await join(fixture, "later");
      await client.close();
      release();
      await (await join(fixture, "last")).client.close();
      assertFalse(fixture.events.all.some((event) => event.kind === "open" && event.socket.data === "gone"));
      const abandoned = fixture.events.all.filter((event) => event.kind === "abandoned");
      assertEquals(abandoned, [{ kind: "abandoned", data: "gone" }]);
    });

    it("9. a handshake that RFC 6455 does not allow reaches no handler and is told what is wrong", async () => {
      const fixture = await start();
      const good = handshake(`${fixture.url}/`);
      const cases: [string, string, RegExp][] = [
        [
          "version",
          good.replace("Version: 13", "Version: 8"),
          /^HTTP\/1\.1 400 [^]*sec-websocket-version: 13\r\n/i,
        ],
        ["key", good.replace(/Key: .*\r\n/, "Key: c2hvcnQ=\r\n"), /^HTTP\/1\.1 400 /],
        ["no key", good.replace(/Sec-WebSocket-Key: .*\r\n/, ""), /^HTTP\/1\.1 400 /],
        ["connection", good.replace("Connection: Upgrade\r\n", ""), /^HTTP\/1\.1 4(00|26) /],
        ["method", good.replace("GET", "POST"), /^HTTP\/1\.1 4(00|05) /],
      ];
      for (const [what, request, answer] of cases) {
        const client = await RawClient.request(fixture.url, request);
        assert(answer.test(client.head), `${what}: ${client.head}`);
        client.destroy();
      }
      assertEquals(fixture.events.all, []);
      await (await join(fixture, "control")).client.close();
    });

    it("10. an invalid frame, bad text or an oversize message ends the connection and reaches no handler", async () => {
      const fixture = await start();
      const cases: [string, (client: RawClient) => void, number][] = [
        ["reserved-bit", (client) => client.send(Opcode.Text, "x", { rsv: 2 }), 1002],
        ["reserved-opcode", (client) => client.send(3, "x"), 1002],
        ["long-ping", (client) => client.send(Opcode.Ping, "p".repeat(126)), 1002],
        ["bad-utf8", (client) => client.send(Opcode.Text, new Uint8Array([0x6f, 0xc3, 0x28])), 1007],
        [
          "oversize",
          (client) => client.send(Opcode.Binary, new Uint8Array(limits.maxPayloadBytes + 1)),
          1009,
        ],
      ];
      for (const [name, misbehave, code] of cases) {
        const { client } = await join(fixture, name);
        misbehave(client);
        const told = await client.closed();
        if (options.tellsCloseCodes || told !== undefined) assertEquals(told?.code, code, name);
        await fixture.events.until(() => fixture.closes(name).length > 0, `close of ${name}`);
        client.destroy();
      }
      assertFalse(fixture.events.all.some((event) => event.kind === "message"));
      const { client } = await join(fixture, "control");
      client.send(Opcode.Binary, new Uint8Array(limits.maxPayloadBytes));
      await fixture.events.find((event) => event.kind === "message");
    });

    it("10. an unmasked frame ends the connection (RFC 6455 section 5.1)", {
      skip: options.unmasked ?? false,
    }, async () => {
      const fixture = await start();
      const { client } = await join(fixture, "a");
      client.send(Opcode.Text, "x", { masked: false });
      assertEquals((await client.closed())?.code, 1002);
      assertFalse(fixture.events.all.some((event) => event.kind === "message"));
    });

    it("10. a message one byte above the limit is told 1009", async () => {
      const fixture = await start();
      const { client } = await join(fixture, "a");
      client.send(Opcode.Text, "x".repeat(limits.maxPayloadBytes + 1));
      assertEquals((await client.closed())?.code, 1009);
      assertFalse(fixture.events.all.some((event) => event.kind === "message"));
    });

    it("11. listener.close stops accepting at once and resolves when the last socket is gone", async () => {
      const fixture = await start();
      const { client, socket } = await join(fixture, "a");
      let resolved = false;
      const closing = fixture.listener.close().then(() => resolved = true);
      const refused = await RawClient.request(fixture.url, handshake(fixture.url));
      assertFalse(refused.head.startsWith("HTTP/1.1 101"), refused.head);
      socket.send("still here");
      assertEquals(await client.receiveTexts(1), ["still here"]);
      client.send(Opcode.Text, "me too");
      await fixture.events.find((event) => event.kind === "message");
      assertFalse(resolved);
      await client.close();
      await closing;
      assertEquals(fixture.closes("a").length, 1);
    });

    it("12. a handler that throws costs that connection a 1011, nothing more", async () => {
      const fixture = await start({}, {
        message() {
          throw new Error("a fault of ours");
        },
      });
      const a = await join(fixture, "a");
      const b = await join(fixture, "b");
      a.client.send(Opcode.Text, "x");
      assertEquals((await a.client.closed())?.code, 1011);
      const failures = fixture.events.all.filter((event: Event) => event.kind === "failed");
      assertEquals(failures.length, 1);
      b.socket.send("fine");
      assertEquals(await b.client.receiveTexts(1), ["fine"]);
    });

    it("12. a handshake or a request whose handler throws or rejects is answered with 500", async () => {
      const fault = () => {
        throw new Error("a fault of ours");
      };
      const fixture = await start({}, {
        upgrade: (request) => request.query === "throws" ? fault() : Promise.reject(new Error("later")),
        http: fault,
      });
      for (
        const request of [
          handshake(`${fixture.url}/?throws`),
          handshake(fixture.url),
          "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        ]
      ) {
        const client = await RawClient.request(fixture.url, request);
        assert(client.head.startsWith("HTTP/1.1 500 "), client.head);
        client.destroy();
      }
    });

    it("a closing socket whose peer does not read is terminated at the deadline", async () => {
      const clock = new ManualClock();
      const fixture = await start({ clock, slowPolicy: SlowPolicy.Skip });
      const { client, socket } = await join(fixture, "a");
      client.pause();
      fill(socket);
      socket.close(1001, "bye");
      assertEquals(fixture.closes("a").length, 0);
      clock.advance(9_999);
      assertEquals(fixture.closes("a").length, 0);
      clock.advance(1);
      await fixture.events.until(() => fixture.closes("a").length > 0);
      assertEquals(fixture.closes("a").map((event) => event.code), [1006]);
    });

    it("HTTP requests reach the http handler with their body, within its limit", async () => {
      const fixture = await start({}, {
        http: (request) => ({
          status: 201,
          headers: { "x-length": String(request.body.length) },
          body: request.path,
        }),
      });
      const answer = await fetch(`${fixture.url.replace("ws", "http")}/path?q=1`, {
        method: "POST",
        body: "12345",
      });
      assertEquals([answer.status, answer.headers.get("x-length"), await answer.text()], [201, "5", "/path"]);
      const tooLarge = await fetch(fixture.url.replace("ws", "http"), {
        method: "POST",
        body: "x".repeat(1025),
      });
      assertEquals(tooLarge.status, 413);
      await tooLarge.text();
    });

    it("TLS carries the same, large messages too, and files that cannot be read are one clear error", async () => {
      const file = (name: string) => fileURLToPath(new URL(`../fixtures/${name}`, import.meta.url));
      const tls = { certFile: file("localhost.cert.pem"), keyFile: file("localhost.key.pem") };
      const fixture = await start({ tls }, { message: (socket, message) => void socket.send(message) });
      assert(fixture.url.startsWith("wss://"), fixture.url);
      const { client, socket } = await join(fixture, "a");
      const large = "l".repeat(60_000);
      client.send(Opcode.Text, large);
      client.send(Opcode.Text, "small");
      assertEquals(await client.receiveTexts(2), [large, "small"]);
      socket.close(1001, "bye");
      assertEquals(await client.closed(), { code: 1001, reason: "bye" });
      const missing = { ...tls, keyFile: file("missing.pem") };
      const error = await listen(engine, { tls: missing }).then(() => undefined, (error: Error) => error);
      assertEquals(error?.name, "ListenError");
      assert(error?.message.includes("missing.pem"), error?.message);
      const strangers = { ...tls, keyFile: file("renewed.key.pem") };
      const mismatch = await listen(engine, { tls: strangers }).then(
        () => undefined,
        (error: Error) => error,
      );
      assertEquals(mismatch?.name, "ListenError");
      assert(mismatch?.message.includes("does not belong to the certificate"), mismatch?.message);
    });

    tlsCases({ start, join });
    budgetCases({ start, join });

    it("a port in use is one clear error", async () => {
      const fixture = await start();
      const port = Number(new URL(fixture.url).port);
      const error = await listen(engine, { port }).then(() => undefined, (error: Error) => error);
      assertEquals(error?.name, "ListenError");
      assert(error?.message.startsWith(`cannot listen on 127.0.0.1:${port}: `), error?.message);
    });
  });
}

/** The next turn of the event loop, after its input and output have been looked at. */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/**
 * Publishes numbered messages to `t` until `name` has been found to be slow, at the pace of `reader`, who gets all.
 * @returns how many were published
 */
async function publishUntilDropped(fixture: Fixture, reader: RawClient, name: Name): Promise<number> {
  let count = 0;
  while (fixture.dropped(name).length === 0 && fixture.listener.subscriberCount("t") === 2) {
    assert(count < 20_000, "nothing was ever dropped");
    for (let i = 0; i < 5; i++) fixture.listener.publish("t", `${count++} ${FILLER.slice(0, 8192)}`);
    await reader.receiveTexts(count);
  }
  return count;
}
