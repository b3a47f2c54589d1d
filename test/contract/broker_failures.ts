/**
 * What a broker that joins nodes promises when what is behind it is away, slow, started again, or has lost its data:
 * one suite for all of them. Each test has a server of its own.
 */
import process from "node:process";
import { afterEach, describe, it } from "node:test";
import { assert, assertEquals, assertLess, assertRejects, fail } from "@std/assert";
import {
  type Broker,
  BrokerUnavailable,
  type Position,
  type Receiver,
  type RetentionOf,
} from "../../server/broker/broker.ts";
import { type Clock, systemClock } from "../../server/clock.ts";
import { ManualClock } from "../helpers/manual_clock.ts";
import { seededRandom } from "../helpers/random.ts";
import type { ServerProcess } from "../helpers/server_process.ts";
import { Node } from "./broker_suite.ts";

export interface FailureSettings {
  readonly url: string;
  readonly timeoutSeconds: number;
  readonly checkSeconds: number;
  readonly presenceSeconds: number;
  readonly retentionOf: RetentionOf;
  readonly clock: Clock;
}

export interface Server {
  readonly url: string;
  readonly process: ServerProcess;
}

export interface FailureSuite<S extends Server> {
  /** Why it cannot run here; then the suite is skipped. */
  readonly skip: string | false;
  /** Takes a port for a server that has not been started. */
  prepare(): Promise<S>;
  create(settings: FailureSettings, receiver: Receiver): Broker;
  /** What else may happen to the server, beside the end of its process. */
  readonly troubles: readonly ((server: S, topic: string) => Promise<unknown>)[];
}

const TIMEOUT_SECONDS = 0.5;
/** Beyond the timeout, for a busy machine. */
const PATIENCE_MS = 5_000;

/** A shorter story tells nothing, however busy the machine. */
const LEAST_STORY = 100;
const ROUNDS = process.env["MILLRACE_LONG"] === undefined ? 2 : 40;

export function describeFailures<S extends Server>(name: string, suite: FailureSuite<S>): void {
  describe(`the broker ${name} in trouble`, { skip: suite.skip }, () => {
    const nodes: Node[] = [];
    const servers: S[] = [];
    let topicCount = 0;

    afterEach(async () => {
      for (const { broker } of nodes.splice(0)) await broker.close();
      for (const server of servers.splice(0)) await server.process.remove();
    });

    function create(url: string, settings: Partial<FailureSettings> = {}): Node {
      const node = new Node((receiver) =>
        suite.create({
          url,
          timeoutSeconds: TIMEOUT_SECONDS,
          checkSeconds: 3_600,
          presenceSeconds: 60,
          retentionOf: (topic) => ({ messages: topic.startsWith("kept.") ? 1_000 : 0, seconds: 600 }),
          clock: systemClock,
          ...settings,
        }, receiver)
      );
      nodes.push(node);
      return node;
    }

    async function prepare(): Promise<S> {
      const server = await suite.prepare();
      servers.push(server);
      return server;
    }

    async function ownServer(): Promise<S> {
      const server = await prepare();
      await server.process.start();
      return server;
    }

    function fresh(start: string): string {
      return `${start}.${++topicCount}`;
    }

    async function told(node: Node, isAvailable: boolean): Promise<void> {
      await node.events.until(() => node.broker.isAvailable === isAvailable, `availability ${isAvailable}`);
    }

    it("fails at once while the server has never been there, and works once it is", async () => {
      const late = await prepare();
      const node = create(late.url);
      const topic = fresh("kept");
      const began = performance.now();
      assert(!node.broker.isAvailable);
      await assertRejects(async () => await node.broker.publish(topic, 1), BrokerUnavailable);
      await assertRejects(async () => await node.broker.subscribe(topic), BrokerUnavailable);
      await assertRejects(async () => await node.broker.subscribePattern("a.*"), BrokerUnavailable);
      await assertRejects(async () => await node.broker.history(topic, undefined, 1), BrokerUnavailable);
      await assertRejects(async () => await node.broker.position(topic), BrokerUnavailable);
      await assertRejects(async () => await node.broker.members(topic), BrokerUnavailable);
      await assertRejects(async () => await node.broker.watch(topic), BrokerUnavailable);
      assertLess(performance.now() - began, 400);
      await late.process.start();
      await told(node, true);
      await node.broker.subscribe(topic);
      await node.broker.publish(topic, 1);
      await node.receives(topic, 1);
    });

    it("tells when the server goes and comes; subscriptions, offsets and history survive a start with the data", async () => {
      const own = await ownServer();
      const node = await create(own.url).ready();
      const topic = fresh("kept");
      const place = await node.broker.subscribe(topic);
      for (let index = 1; index <= 3; index++) await node.broker.publish(topic, index);
      await node.receives(topic, 3);
      await own.process.stop();
      await told(node, false);
      const began = performance.now();
      await assertRejects(async () => await node.broker.publish(topic, 4), BrokerUnavailable);
      assertLess(performance.now() - began, 100);
      await own.process.start();
      await told(node, true);
      assertEquals(await node.broker.publish(topic, 5), { epoch: place.epoch, offset: 4 });
      await node.receives(topic, 4);
      assertEquals(node.assertNoHole(topic, place), { epoch: place.epoch, offset: 4 });
      const { messages } = await node.broker.history(topic, { epoch: place.epoch, offset: 0 }, 10);
      assertEquals(messages.map(({ data }) => data), [1, 2, 3, 5]);
      const availability = node.events.all.flatMap((event) =>
        event.kind === "availability" ? [event.isAvailable] : []
      );
      assertEquals(availability, [true, false, true]);
    });

    it("says that a topic has started afresh when the server comes back without its data", async () => {
      const own = await ownServer();
      const node = await create(own.url).ready();
      const topic = fresh("kept");
      const place = await node.broker.subscribe(topic);
      await node.broker.publish(topic, 1);
      await node.receives(topic, 1);
      await own.process.restartWithoutData();
      const lost = await node.events.find((event) => event.kind === "lost");
      assert(lost.kind === "lost" && lost.topic === topic && lost.epoch !== place.epoch);
      assertEquals([lost.from, lost.to], [1, 0]);
      await told(node, true);
      assertEquals(await node.broker.publish(topic, 2), { epoch: lost.epoch, offset: 1 });
      await node.receives(topic, 2);
      assertEquals(node.assertNoHole(topic, place), { epoch: lost.epoch, offset: 1 });
    });

    it("answers within a bounded time when the server stops answering, and repairs when it goes on", async () => {
      const own = await ownServer();
      const node = await create(own.url).ready();
      const topic = fresh("kept");
      const place = await node.broker.subscribe(topic);
      own.process.pause();
      const began = performance.now();
      await assertRejects(async () => await node.broker.publish(topic, "unknown"), BrokerUnavailable);
      assertLess(performance.now() - began, PATIENCE_MS);
      await told(node, false);
      await assertRejects(async () => await node.broker.publish(topic, "refused"), BrokerUnavailable);
      own.process.resume();
      await told(node, true);
      const { offset } = await node.broker.publish(topic, "last");
      await node.receives(topic, offset);
      assertEquals(node.assertNoHole(topic, place).offset, offset);
      assertEquals(node.delivered(topic).some(({ data }) => data === "refused"), false);
    });

    it("notices a stop also when nobody asks anything", async () => {
      const own = await ownServer();
      const node = await create(own.url).ready();
      own.process.pause();
      await told(node, false);
      own.process.resume();
      await told(node, true);
    });

    it("lets a dead node's members go once their time is over, and takes them back when it was only slow", async () => {
      const clock = new ManualClock();
      const own = await ownServer();
      const silent = await create(own.url, { presenceSeconds: 1, clock }).ready();
      const node = await create(own.url, { presenceSeconds: 1 }).ready();
      const topic = fresh("presence");
      silent.broker.join(topic, { user: "ann", session: "s1" });
      await silent.broker.members(topic);
      assertEquals((await node.broker.watch(topic)).length, 1);
      node.broker.join(topic, { user: "bob", session: "s2" });
      await node.events.until(() => node.presence(topic).length >= 2);
      assertEquals(node.presence(topic), [["joined", "bob"], ["left", "ann"]]);
      assertEquals((await node.broker.members(topic)).map(({ user }) => user), ["bob"]);
      // It moves its deadlines: it was there all the time.
      clock.advance(400);
      await node.events.until(() => node.presence(topic).length >= 3);
      assertEquals(node.presence(topic)[2], ["joined", "ann"]);
    });

    it("tells every subscriber a story without holes, whatever happens to the server meanwhile", async () => {
      const own = await ownServer();
      const start = () => create(own.url, { checkSeconds: 0.3 }).ready();
      const publishing = [await start(), await start()];
      const listening = [...publishing, await start()];
      const random = seededRandom(11);
      const topics = ["kept.a", "kept.b", "plain.a"].map(fresh);
      const places = new Map<Node, Position[]>();
      for (const node of listening) {
        places.set(node, await Promise.all(topics.map(async (topic) => await node.broker.subscribe(topic))));
      }
      const acknowledged: { topic: string; place: Position; data: string }[] = [];
      let isOver = false;
      const publishers = publishing.map(async ({ broker }, who) => {
        for (let count = 0; !isOver || acknowledged.length <= LEAST_STORY; count++) {
          const [topic, data] = [random.pick(topics), `${who} ${count}`];
          try {
            acknowledged.push({ topic, data, place: await broker.publish(topic, data) });
          } catch (error) {
            assert(error instanceof BrokerUnavailable);
          }
          await new Promise((resolve) => void setTimeout(resolve, 1));
        }
      });
      const troubles = [
        ...suite.troubles.map((trouble) => () => trouble(own, random.pick(topics))),
        () => own.process.restartWithData(),
        () => own.process.kill().then(() => own.process.start()),
        () => own.process.restartWithoutData(),
      ];
      for (let index = 0; index < ROUNDS * troubles.length; index++) {
        await (troubles[index % troubles.length] ?? fail)();
        await told(random.pick(publishing), true);
        await new Promise((resolve) => void setTimeout(resolve, random.below(150)));
      }
      isOver = true;
      await Promise.all(publishers);
      for (const node of listening) await told(node, true);
      const ends = await Promise.all(
        topics.map(async (topic) => await publishing[0]?.broker.publish(topic, "end")),
      );
      for (const node of listening) {
        for (const [index, topic] of topics.entries()) {
          await node.events.until(() => node.delivered(topic).at(-1)?.data === "end", `the end of ${topic}`);
          assertEquals(node.assertNoHole(topic, places.get(node)?.[index] as Position), ends[index]);
          // What was acknowledged in the epoch that lasted was delivered, or told as lost.
          const delivered = new Map(
            node.delivered(topic).map(({ epoch, offset, data }) => [`${epoch} ${offset}`, data]),
          );
          const last = acknowledged.filter((one) =>
            one.topic === topic && one.place.epoch === ends[index]?.epoch
          );
          for (const { place, data } of last) {
            const key = `${place.epoch} ${place.offset}`;
            if (delivered.has(key)) assertEquals(delivered.get(key), data);
            else assert(node.wasLost(topic, place), `${topic} ${key}`);
          }
        }
      }
    });
  });
}
