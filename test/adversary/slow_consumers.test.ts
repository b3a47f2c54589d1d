/** Subscribers that never read: what waits for them is bounded and reported, and nobody else misses anything. */
import { after, describe, it } from "node:test";
import { assert, assertEquals, assertGreater, assertLess, assertLessOrEqual } from "@std/assert";
import type { Options } from "../../server/options.ts";
import { CountingSubscriber } from "../helpers/counting_subscriber.ts";
import { Events } from "../helpers/events.ts";
import { ManualClock } from "../helpers/manual_clock.ts";
import type { RawClient } from "../helpers/raw_client.ts";
import { whyNot } from "../helpers/runtime.ts";
import { joinRaw, type TestServer, unlimited } from "../helpers/server.ts";
import { ask, get, metric, ownEngines, type Reply, stage } from "../helpers/stage.ts";
import { withFile } from "../helpers/temp_file.ts";

const READERS = 20;
const LIMIT_BYTES = 256 * 1024;
const KEY = "a-key-of-the-api-for-tests";
const authorization = `Bearer ${KEY}`;
/** A message with its fields and its frame. */
const MESSAGE_BYTES = 16 * 1024;
const data = "d".repeat(MESSAGE_BYTES - 200);
/** The kernel takes some megabytes for each socket before anything waits in the server. */
const MOST_PUBLICATIONS = 1500;

interface SlowReport {
  count: number;
  queuedBytes: number;
  connections: {
    session: string;
    user: string | null;
    queuedBytes: number;
    sinceMs: number;
    skipped: number;
  }[];
}

async function report(server: TestServer): Promise<SlowReport> {
  const { status, body } = await get(server, "/api/slow", { authorization });
  assertEquals(status, 200);
  return JSON.parse(body);
}

const types = (client: RawClient) => client.texts().map((text) => JSON.parse(text) as Reply);

for (const engine of ownEngines) {
  describe(`subscribers that never read, on ${engine}`, { skip: await whyNot(engine) }, () => {
    const subscribers: CountingSubscriber[] = [];
    after(() => subscribers.forEach((subscriber) => subscriber.destroy()));
    const start = stage(engine);

    function startWithKey(
      options: Partial<Options>,
      use: (server: TestServer, clock: ManualClock) => Promise<void>,
    ) {
      return withFile(`${KEY}\n`, async (apiKeyFile) => {
        const clock = new ManualClock();
        const limits = { maxBackpressureBytes: LIMIT_BYTES, heartbeatSeconds: 0 };
        const server = await start({ ...unlimited, ...limits, apiKeyFile, ...options }, { clock });
        await use(server, clock);
      });
    }

    /** Readers that check every offset; `ended` gives what the first of them found wrong once all have `expected`. */
    async function joinReaders(server: TestServer, topic: string, count = READERS) {
      const woken = new Events<void>();
      const readers = Array.from(
        { length: count },
        () => new CountingSubscriber(server.url, topic, MOST_PUBLICATIONS, () => woken.wake()),
      );
      subscribers.push(...readers);
      await woken.until(
        () => readers.every((reader) => reader.isSubscribed || reader.fault !== undefined),
        "readers",
      );
      return {
        /** Another publication brings whatever comes in front of it. */
        async have(offset: number, publisher: RawClient) {
          for (
            let turn = 0;
            turn < 1000 && readers.some(({ count, fault }) => count < offset && fault === undefined);
            turn++
          ) {
            await ask(publisher, { type: "ping", id: 0 });
          }
          assertEquals(readers.map(({ count, fault }) => fault ?? count), readers.map(() => offset));
          for (const reader of readers) reader.destroy();
        },
      };
    }

    async function joinSlow(server: TestServer, ...topics: string[]): Promise<RawClient> {
      const slow = await joinRaw(server.url);
      for (const topic of topics) await ask(slow, { type: "subscribe", id: 1, topic });
      slow.pause();
      return slow;
    }

    it("are named with what waits, since when and what they miss, and told exactly that when they read again (skip)", async () => {
      await startWithKey({ slowPolicy: "skip" }, async (server, clock) => {
        const slow = await joinSlow(server, "t", "u");
        const session = types(slow)[0]?.["session"];
        const publisher = await joinRaw(server.url);
        const readers = await joinReaders(server, "t");
        assertEquals(await report(server), { count: 0, queuedBytes: 0, connections: [] });
        let published = 0;
        let most = 0;
        const publish = async () => {
          published++;
          for (const topic of ["t", "u"]) {
            await ask(publisher, { type: "publish", id: published, topic, data });
          }
        };
        while (published < MOST_PUBLICATIONS && await metric(server, "millrace_drops_total") === 0) {
          await publish();
          most = Math.max(most, await metric(server, "millrace_queued_bytes"));
        }
        clock.advance(1000);
        const first = await report(server);
        clock.advance(5000);
        for (let i = 0; i < 50; i++) await publish();
        const { count, queuedBytes, connections: [worst, ...more] } = await report(server);
        assertEquals([count, more], [1, []]);
        assertEquals(
          worst,
          {
            session,
            user: null,
            queuedBytes,
            sinceMs: 5000 + (first.connections[0]?.sinceMs ?? NaN),
            skipped: await metric(server, "millrace_drops_total"),
          } as SlowReport["connections"][number],
        );
        assertGreater(worst?.skipped ?? 0, 99);
        most = Math.max(most, queuedBytes);
        assertGreater(most, LIMIT_BYTES / 2);
        assertLessOrEqual(most, LIMIT_BYTES * 1.125 + MESSAGE_BYTES);
        await readers.have(published, publisher);

        slow.resume();
        await slow.frames.until(
          () => types(slow).filter(({ type }) => type === "gap").length === 2,
          "the gaps",
        );
        await ask(publisher, { type: "publish", id: 0, topic: "t", data: "last" });
        await slow.frames.until(
          () => slow.texts().some((text) => text.includes(`"last"`)),
          "the last message",
        );
        for (const topic of ["t", "u"]) {
          const offsets = types(slow).filter((event) => event["topic"] === topic).flatMap((event) => {
            if (event["type"] === "message") return [Number(event["offset"])];
            const [from, to] = [Number(event["from"]), Number(event["to"])];
            return event["type"] === "gap" ? Array.from({ length: to - from + 1 }, (_, i) => from + i) : [];
          });
          assertEquals(offsets, Array.from({ length: published + (topic === "t" ? 1 : 0) }, (_, i) => i + 1));
        }
        clock.advance(3000);
        assertEquals((await report(server)).count, 0);
      });
    });

    it("are closed with 4008 behind what had been accepted, and gone from the report (close)", async () => {
      await startWithKey({ slowPolicy: "close" }, async (server) => {
        const slow = await joinSlow(server, "t");
        const publisher = await joinRaw(server.url);
        const readers = await joinReaders(server, "t");
        let published = 0;
        let most = 0;
        // It is being closed once nothing more is added to what waits for it.
        for (let unchanged = 0; unchanged < 20 && published < MOST_PUBLICATIONS;) {
          await ask(publisher, { type: "publish", id: ++published, topic: "t", data });
          const queued = await metric(server, "millrace_queued_bytes");
          unchanged = queued > LIMIT_BYTES / 2 && queued === most ? unchanged + 1 : 0;
          most = Math.max(most, queued);
        }
        assertLess(published, MOST_PUBLICATIONS);
        assertLessOrEqual(most, LIMIT_BYTES * 1.125 + MESSAGE_BYTES);
        await readers.have(published, publisher);
        slow.resume();
        assertEquals((await slow.closed())?.code, 4008);
        const offsets = types(slow).slice(2).map(({ offset }) => offset);
        assertEquals(offsets, offsets.map((_, i) => i + 1));
        assertLess(offsets.length, published);
        await slow.close();
        for (let turn = 0; turn < 1000 && await metric(server, "millrace_connections") > 1; turn++);
        assertEquals((await report(server)).count, 0);
      });
    });

    it("are cut, those with most first, when forty together pass the budget of the node, and are counted", async () => {
      const budget = 2 * 1024 * 1024;
      const limits = { maxBackpressureBytes: 1024 * 1024, maxQueuedBytes: budget };
      await startWithKey(limits, async (server) => {
        const slow = await Promise.all(Array.from({ length: 40 }, () => joinSlow(server, "t")));
        const publisher = await joinRaw(server.url);
        const readers = await joinReaders(server, "t", 4);
        const large = "d".repeat(60_000);
        let published = 0;
        let most = 0;
        for (let left = 10; left > 0 && published < MOST_PUBLICATIONS; published++) {
          await ask(publisher, { type: "publish", id: published, topic: "t", data: large });
          most = Math.max(most, await metric(server, "millrace_queued_bytes"));
          if (await metric(server, "millrace_evictions_total") > 0) left--;
        }
        const evicted = await metric(server, "millrace_evictions_total");
        assertGreater(evicted, 0);
        const twoTurns = 2 * (slow.length + 4) * 60_200;
        assertLessOrEqual(most, budget * 1.125 + twoTurns);
        assertEquals((await report(server)).count, slow.length - evicted);
        assertEquals(
          server.lines.filter(({ level, text }) => level === "warn" && text.includes("cut:")).length,
          evicted,
        );
        assert(
          (await get(server, "/metrics")).body.includes(`millrace_closes_total{code="1006"} ${evicted}\n`),
        );
        await readers.have(published, publisher);
        for (const client of slow) client.destroy();
      });
    });

    it("and ask for more lose replies, which is counted, until there is room again (skip)", async () => {
      await startWithKey({ slowPolicy: "skip" }, async (server) => {
        const slow = await joinSlow(server, "t");
        const asked = 1000;
        for (let id = 1; id <= asked; id++) slow.send(1, JSON.stringify({ type: "echo", id, data }));
        const other = await joinRaw(server.url);
        const received = () => metric(server, "millrace_messages_received_total");
        while (await received() < 1 + asked) await ask(other, { type: "ping", id: 0 });
        const dropped = await metric(server, "millrace_drops_total");
        assertGreater(dropped, 0);
        slow.resume();
        await slow.receiveTexts(2 + asked - dropped);
        assertEquals((await ask(slow, { type: "ping", id: 0 }))["type"], "pong");
      });
    });
  });
}
