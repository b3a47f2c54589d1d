/** The end of a server process: what a signal does while clients publish, and what happens to those who hold it up. */
import { Buffer } from "node:buffer";
import { connect, type Socket } from "node:net";
import { after, describe, it } from "node:test";
import { assert, assertEquals, assertGreaterOrEqual, assertLess, assertMatch } from "@std/assert";
import { Events } from "./helpers/events.ts";
import { Peer } from "./helpers/peer.ts";
import { Opcode, RawClient } from "./helpers/raw_client.ts";
import {
  joinRaw,
  processEngines,
  type ServerProcess,
  spawnServer,
  stopProcesses,
  unlimitedFlags,
  whyNotAsProcess,
} from "./helpers/server.ts";

const TOPICS = ["load.0", "load.1", "load.2"];
const IN_FLIGHT = 32;
/** So many acknowledgements each publisher has seen before the signal comes. */
const ACKS_BEFORE_SIGNAL = 200;

/** Publishes, always with some in flight, until the connection is gone. */
async function publishUntilClosed(peer: Peer, topic: string): Promise<void> {
  for (let sent = 0; peer.closed === undefined;) {
    const welcomeAndAcks = sent + 1;
    for (let i = 0; i < IN_FLIGHT; i++) peer.send({ type: "publish", id: ++sent, topic, data: `#${sent}` });
    await peer.received.until(
      (all) => peer.closed !== undefined || all.length >= welcomeAndAcks + IN_FLIGHT / 2,
      "acknowledgements",
    );
  }
}

async function waitForLog(server: ServerProcess, text: string): Promise<void> {
  await server.output.until((all) => all.join("").includes(text), `the log to say ${text}`);
}

/** A client that has stopped reading, with a backlog in the server that cannot leave. */
async function joinStuck(server: ServerProcess): Promise<RawClient> {
  const stuck = await joinRaw(server.url);
  stuck.send(Opcode.Text, JSON.stringify({ type: "subscribe", id: 1, topic: "flood" }));
  await stuck.receiveTexts(2);
  stuck.pause();
  const publisher = await joinRaw(server.url);
  const data = "f".repeat(60_000);
  const count = 400;
  for (let id = 1; id <= count; id++) {
    publisher.send(Opcode.Text, JSON.stringify({ type: "publish", id, topic: "flood", data }));
  }
  await publisher.receiveTexts(count + 1);
  await publisher.close();
  return stuck;
}

const atOnce = ["--reconnect-window-seconds", "0"];
const patient = [...unlimitedFlags, ...atOnce, "--max-backpressure-bytes", String(256 * 1024 * 1024)];

/** An HTTP connection that is kept. */
class KeptHttp {
  private readonly socket: Socket;
  private readonly chunks = new Events<string>();
  ended = false;

  constructor(url: string) {
    const { hostname, port } = new URL(url);
    this.socket = connect(Number(port), hostname);
    this.socket.setEncoding("latin1");
    this.socket.on("data", (text) => this.chunks.push(String(text)));
    for (const event of ["error", "end", "close"]) {
      this.socket.on(event, () => {
        this.ended = true;
        this.chunks.wake();
      });
    }
  }

  /** The status of the answer; undefined when the server has ended the connection. */
  async get(path: string): Promise<number | undefined> {
    const before = this.chunks.all.length;
    this.socket.write(Buffer.from(`GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`));
    await this.chunks.until((all) => all.length > before || this.ended, `an answer to ${path}`);
    const status = /^HTTP\/1\.1 (\d{3})/.exec(this.chunks.all.slice(before).join(""))?.[1];
    return status === undefined ? undefined : Number(status);
  }

  destroy(): void {
    this.socket.destroy();
  }
}

for (const engine of processEngines) {
  describe(`the end of a server process on ${engine}`, { skip: whyNotAsProcess(engine) }, () => {
    after(async () => {
      RawClient.destroyAll();
      await stopProcesses();
    });

    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      it(`brings every acknowledged publication to every open subscriber before ${signal} ends it, then 1001 to all`, async () => {
        const server = await spawnServer(engine, [...unlimitedFlags, ...atOnce]);
        const subscribers = await Promise.all(
          Array.from({ length: 8 }, (_, i) => Peer.open(server.url, i % 2 === 0 ? "json" : "msgpack")),
        );
        for (const peer of subscribers) {
          for (const topic of TOPICS) await peer.ask({ type: "subscribe", topic });
        }
        const publishers = await Promise.all(
          TOPICS.map((_, i) => Peer.open(server.url, i % 2 === 0 ? "json" : "msgpack")),
        );
        const load = publishers.map((peer, i) => publishUntilClosed(peer, TOPICS[i] ?? ""));
        for (const peer of publishers) {
          await peer.received.until((all) => all.length > ACKS_BEFORE_SIGNAL, "publications");
        }
        server.signal(signal);
        await Promise.all(load);
        const everyone = [...subscribers, ...publishers];
        for (const peer of everyone) {
          assertEquals(await peer.end(), { code: 1001, reason: "server is shutting down" });
        }
        assertEquals(await server.exitCode(), 0);
        for (const peer of everyone) {
          const [drain, ...more] = peer.of("drain");
          assertEquals(more, []);
          assertEquals([drain?.["deadlineMs"], drain?.["reconnectAfterMs"]], [10_000, 0]);
          assert(peer.received.all.at(-1) === drain, "nothing comes after the drain event");
        }
        for (const [i, publisher] of publishers.entries()) {
          const acknowledged = publisher.of("ack").map((ack) => ack["offset"] as number);
          assertGreaterOrEqual(acknowledged.length, ACKS_BEFORE_SIGNAL);
          const last = Math.max(...acknowledged);
          for (const subscriber of subscribers) {
            const offsets = subscriber.of("message")
              .filter((message) => message["topic"] === TOPICS[i])
              .map((message) => message["offset"] as number);
            assertGreaterOrEqual(offsets.length, last);
            assertEquals(offsets, Array.from(offsets, (_, index) => index + 1));
          }
        }
      });
    }

    it("is at once, with 128 + the signal, when a second signal comes while a client holds it up", async () => {
      for (const [signal, code] of [["SIGTERM", 143], ["SIGINT", 130]] as const) {
        const server = await spawnServer(engine, patient);
        await joinStuck(server);
        server.signal("SIGTERM");
        await waitForLog(server, "shutting down");
        assertEquals(server.child.exitCode, null);
        server.signal(signal);
        assertEquals(await server.exitCode(), code);
      }
    });

    it("waits for the deadline, no longer, for a client that does not read, and is still a success", async () => {
      const server = await spawnServer(engine, [...patient, "--shutdown-timeout-seconds", "1"]);
      const stuck = await joinStuck(server);
      const reading = await joinRaw(server.url);
      const start = performance.now();
      server.signal("SIGTERM");
      assertEquals((await reading.closed())?.code, 1001);
      await reading.close();
      assertEquals(await server.exitCode(), 0);
      const tookMs = performance.now() - start;
      assertGreaterOrEqual(tookMs, 990);
      assertLess(tookMs, 8_000);
      assertMatch(server.output.all.join(""), /"msg":"stopped"/);
      stuck.resume();
      await stuck.gone();
      assertEquals(stuck.frames.all.some((frame) => frame.opcode === Opcode.Close), false);
    });

    it("waits for a client that starts to read again, who then gets everything, the drain and 1001", async () => {
      const server = await spawnServer(engine, patient);
      const slow = await joinStuck(server);
      server.signal("SIGTERM");
      await waitForLog(server, "shutting down");
      slow.resume();
      assertEquals(await slow.closed(), { code: 1001, reason: "server is shutting down" });
      const events = slow.texts().slice(2).map((text) => JSON.parse(text));
      assertEquals(events.at(-1).type, "drain");
      assertEquals(
        events.slice(0, -1).map((event) => event.offset),
        Array.from({ length: 400 }, (_, index) => index + 1),
      );
      await slow.close();
      assertEquals(await server.exitCode(), 0);
    });

    it("lets nobody new in while it waits", async () => {
      const server = await spawnServer(engine, patient);
      await (await Peer.open(server.url)).close();
      await joinStuck(server);
      server.signal("SIGTERM");
      await waitForLog(server, "shutting down");
      assert(await Peer.open(server.url).then(() => false, () => true), "a new connection was let in");
    });

    it("is told by /ready to balancers, before any client notices", async () => {
      const server = await spawnServer(engine, ["--drain-delay-seconds", "600"]);
      const kept = new KeptHttp(server.url);
      assertEquals([await kept.get("/ready"), await kept.get("/health")], [200, 200]);
      const client = await Peer.open(server.url);
      server.signal("SIGTERM");
      await waitForLog(server, "shutting down");
      const fresh = new KeptHttp(server.url);
      for (const balancer of [kept, fresh]) {
        assertEquals([await balancer.get("/ready"), await balancer.get("/health")], [503, 200]);
        balancer.destroy();
      }
      assert(await Peer.open(server.url).then(() => false, () => true), "a new connection was let in");
      await client.ask({ type: "publish", topic: "t", data: 1 });
      assertEquals([client.of("drain"), client.closed], [[], undefined]);
      await server.stop();
    });

    it("needs no client at all: without connections a signal ends it at once with 0", async () => {
      const server = await spawnServer(engine);
      server.signal("SIGINT");
      assertEquals(await server.exitCode(), 0);
      assertMatch(server.output.all.join(""), /"msg":"stopped"/);
    });
  });
}
