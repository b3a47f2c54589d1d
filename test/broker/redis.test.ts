/** The broker `redis` in trouble, and what only Redis has: scripts, runs, channels, keys, several servers. */
import { after, afterEach, before, describe, it } from "node:test";
import { assert, assertEquals, assertGreater, assertLess, assertNotEquals, assertRejects } from "@std/assert";
import { BrokerUnavailable, PatternsOff, type Position } from "../../server/broker/broker.ts";
import { RedisBroker, type RedisBrokerSettings } from "../../server/broker/redis.ts";
import { placesScript, publishScript } from "../../server/broker/redis_scripts.ts";
import { pack, RedisNames } from "../../server/broker/redis_wire.ts";
import { systemClock } from "../../server/clock.ts";
import { describeFailures } from "../contract/broker_failures.ts";
import { Node } from "../contract/broker_suite.ts";
import { silentLog } from "../helpers/log.ts";
import { RedisCluster, RedisServer, whyNoRedis } from "../helpers/redis.ts";

const skip = whyNoRedis();
const PREFIX = "millrace:";
const names = new RedisNames(PREFIX);

const TIMEOUT_SECONDS = 0.5;

/** Stores a publication as the broker does, and brings it to nobody. */
async function publishUnheard(server: RedisServer, topic: string, data: unknown): Promise<void> {
  await server.ask(
    ...["EVAL", publishScript.source, "2", names.place(topic), names.history(topic), "PUBLISH", "nowhere"],
    pack(data),
    ...["candidate", "-", "86400", topic.startsWith("kept.") ? "1000" : "0", "600", ""],
  );
}

describeFailures("redis", {
  skip,
  prepare: () => RedisServer.prepare(),
  create: ({ url, ...settings }, receiver) =>
    new RedisBroker({
      ...settings,
      urls: [url],
      isCluster: false,
      hasClusterPatterns: false,
      prefix: PREFIX,
      idleTopicSeconds: 86_400,
      maxIdleTopics: 1_000,
      log: silentLog,
    }, receiver),
  troubles: [
    (server) => server.ask("CLIENT", "KILL", "TYPE", "pubsub"),
    (server) => server.ask("CLIENT", "KILL", "TYPE", "normal"),
    (server, topic) => publishUnheard(server, topic, "unheard"),
    (server) => server.ask("FLUSHALL"),
  ],
});

describe("the broker redis", { skip }, () => {
  let server: RedisServer;
  const nodes: Node[] = [];
  const servers: RedisServer[] = [];
  let topicCount = 0;

  before(async () => {
    server = await RedisServer.start();
  });
  afterEach(async () => {
    for (const { broker } of nodes.splice(0)) await broker.close();
    for (const one of servers.splice(0)) await one.process.remove();
  });
  after(async () => {
    await server.process.remove();
  });

  function start(settings: Partial<RedisBrokerSettings> = {}): Promise<Node> {
    const node = new Node((receiver) =>
      new RedisBroker({
        urls: [server.url],
        isCluster: false,
        hasClusterPatterns: false,
        prefix: PREFIX,
        timeoutSeconds: TIMEOUT_SECONDS,
        idleTopicSeconds: 86_400,
        maxIdleTopics: 1_000,
        checkSeconds: 3_600,
        presenceSeconds: 60,
        retentionOf: (topic) => ({ messages: topic.startsWith("kept.") ? 1_000 : 0, seconds: 600 }),
        clock: systemClock,
        log: silentLog,
        ...settings,
      }, receiver)
    );
    nodes.push(node);
    return node.ready();
  }

  async function ownServer(): Promise<RedisServer> {
    const own = await RedisServer.start();
    servers.push(own);
    return own;
  }

  function fresh(start: string): string {
    return `${start}.${++topicCount}`;
  }

  async function told(node: Node, isAvailable: boolean): Promise<void> {
    await node.events.until(() => node.broker.isAvailable === isAvailable, `availability ${isAvailable}`);
  }

  it("delivers from its history what a new epoch had before this node was back", async () => {
    const own = await ownServer();
    const node = await start({ urls: [own.url] });
    const [kept, plain] = [fresh("kept"), fresh("plain")];
    const places = [await node.broker.subscribe(kept), await node.broker.subscribe(plain)];
    for (const topic of [kept, plain]) await node.broker.publish(topic, 0);
    await node.receives(plain, 1);
    await own.ask("FLUSHALL");
    for (const topic of [kept, plain]) {
      for (let index = 1; index <= 3; index++) await publishUnheard(own, topic, index);
    }
    await own.ask("CLIENT", "KILL", "TYPE", "normal");
    await node.receives(kept, 4);
    await node.events.until((all) => all.some((event) => event.kind === "lost" && event.topic === plain));
    assertEquals(node.delivered(kept).map(({ data }) => data), [0, 1, 2, 3]);
    assertEquals(node.assertNoHole(kept, places[0] as Position).offset, 3);
    assertEquals(node.assertNoHole(plain, places[1] as Position).offset, 3);
  });

  for (const [what, type] of [["asks", "normal"], ["listens", "pubsub"]] as const) {
    it(`misses nothing that another node publishes while the connection that ${what} is cut`, async () => {
      const [node, other] = [await start(), await start()];
      const topics = [fresh("kept"), fresh("kept")];
      const places = await Promise.all(topics.map((topic) => node.broker.subscribe(topic)));
      const publish = async (index: number) => {
        for (const topic of topics) await other.broker.publish(topic, index);
      };
      for (let index = 1; index <= 60; index++) {
        if (index % 20 === 0) await server.ask("CLIENT", "KILL", "TYPE", type);
        await publish(index).catch(() => told(other, true));
      }
      await told(other, true);
      for (const [index, topic] of topics.entries()) {
        const { offset } = await other.broker.publish(topic, "last");
        await node.events.until(() => node.offsets(topic).at(-1) === offset);
        assertEquals(node.assertNoHole(topic, places[index] as Position).offset, offset);
        assertEquals(node.events.all.filter((event) => event.kind === "lost"), []);
      }
    });
  }

  it("fetches what pub/sub has lost as soon as the next publication shows it", async () => {
    const node = await start();
    const topic = fresh("kept");
    const place = await node.broker.subscribe(topic);
    await node.broker.publish(topic, 1);
    for (const index of [2, 3]) await publishUnheard(server, topic, index);
    await node.broker.publish(topic, 4);
    await node.receives(topic, 4);
    assertEquals(node.delivered(topic).map(({ data }) => data), [1, 2, 3, 4]);
    assertEquals(node.assertNoHole(topic, place).offset, 4);
  });

  it("tells as lost what is in no history, and delivers what came after it", async () => {
    const node = await start();
    const topic = fresh("plain");
    const place = await node.broker.subscribe(topic);
    await node.broker.publish(topic, 1);
    for (const index of [2, 3]) await publishUnheard(server, topic, index);
    await Promise.all([node.broker.publish(topic, 4), node.broker.publish(topic, 5)]);
    await node.receives(topic, 3);
    const lost = node.events.all.filter((event) => event.kind === "lost");
    assertEquals(lost, [{ kind: "lost", topic, epoch: place.epoch, from: 2, to: 3 }]);
    assertEquals(node.delivered(topic).map(({ data }) => data), [1, 4, 5]);
    node.assertNoHole(topic, place);
  });

  it("finds with the next check what was lost at a topic's end", async () => {
    const node = await start({ checkSeconds: 0.2 });
    const [kept, plain] = [fresh("kept"), fresh("plain")];
    const places = [await node.broker.subscribe(kept), await node.broker.subscribe(plain)];
    await publishUnheard(server, kept, "found");
    await publishUnheard(server, plain, "gone");
    await node.receives(kept, 1);
    await node.events.find((event) => event.kind === "lost");
    assertEquals(node.assertNoHole(kept, places[0] as Position).offset, 1);
    assertEquals(node.assertNoHole(plain, places[1] as Position).offset, 1);
  });

  it("repairs after an absence what was published meanwhile, also for a topic seen through a pattern", async () => {
    const node = await start();
    const [topic, seen] = [fresh("kept"), fresh("kept.pattern")];
    await node.broker.subscribePattern("kept.pattern.*");
    const place = await node.broker.subscribe(topic);
    const first = await node.broker.publish(seen, 1);
    await node.receives(seen, 1);
    for (let index = 1; index <= 30; index++) await publishUnheard(server, topic, index);
    await publishUnheard(server, seen, 2);
    await server.ask("CLIENT", "KILL", "TYPE", "pubsub");
    await node.receives(topic, 30);
    await node.receives(seen, 2);
    assertEquals(node.assertNoHole(topic, place).offset, 30);
    assertEquals(node.assertNoHole(seen, { epoch: first.epoch, offset: 0 }).offset, 2);
  });

  it("subscribes to thousands of topics again after a cut, each without a hole", async () => {
    const [node, other] = [await start(), await start()];
    const topics = Array.from({ length: 2_000 }, () => fresh("kept"));
    const places = await Promise.all(topics.map((topic) => node.broker.subscribe(topic)));
    await Promise.all(topics.map((topic) => other.broker.publish(topic, 1)));
    await server.ask("CLIENT", "KILL", "TYPE", "pubsub");
    await told(node, false);
    await told(node, true);
    await told(other, true);
    await Promise.all(topics.map((topic) => other.broker.publish(topic, 2)));
    await node.events.until((all) =>
      all.filter((event) => event.kind === "deliver").length === 2 * topics.length
    );
    for (const [index, topic] of topics.entries()) node.assertNoHole(topic, places[index] as Position);
  });

  it("begins a new epoch when Redis has older data than what was delivered", async () => {
    const node = await start();
    const topic = fresh("kept");
    const place = await node.broker.subscribe(topic);
    for (let index = 1; index <= 5; index++) await node.broker.publish(topic, index);
    await node.receives(topic, 5);
    const [epoch, , run, base] = (await server.ask("GET", names.place(topic))).split(" ");
    await server.ask("SET", names.place(topic), `${epoch} 3 ${run} ${base}`);
    await server.ask("CLIENT", "KILL", "TYPE", "pubsub");
    const lost = await node.events.find((event) => event.kind === "lost");
    assert(lost.kind === "lost");
    assertNotEquals(lost.epoch, place.epoch);
    await told(node, true);
    assertEquals(await node.broker.publish(topic, "new"), { epoch: lost.epoch, offset: 1 });
    await node.receives(topic, 6);
    node.assertNoHole(topic, place);
  });

  it("begins a new epoch also when others have published past it meanwhile", async () => {
    const topic = fresh("kept");
    const ask = async (run: string, delivered: number, knownRun: string) =>
      (await server.ask(
        ...["EVAL", placesScript.source, "2", names.place(topic), names.history(topic), "fresh", "100", run],
        ...["old", String(delivered), knownRun],
      )).split("\n");
    // Run two found offset 3, and has counted on to 8.
    const set = () => server.ask("SET", names.place(topic), "old 8 two 3");
    await set();
    assertEquals(await ask("two", 3, "one"), ["old", "8"], "all that was delivered in run one is there");
    assertEquals(await ask("two", 8, "two"), ["old", "8"], "the same run needs no proof");
    assertEquals(await ask("three", 8, "two"), ["old", "8"], "nothing was published in run three");
    assertEquals(await ask("two", 5, "one"), ["fresh", "0"], "offsets 4 and 5 were used twice");
    await set();
    assertEquals(await ask("three", 9, "two"), ["fresh", "0"], "offset 9 is gone");
  });

  it("takes no history over from an epoch whose place is gone", async () => {
    const node = await start();
    const topic = fresh("kept");
    const { epoch } = await node.broker.publish(topic, "old");
    await server.ask("DEL", names.place(topic));
    const place = await node.broker.publish(topic, "new");
    assertNotEquals(place.epoch, epoch);
    const { messages } = await node.broker.history(topic, undefined, 10);
    assertEquals(messages, [{ topic, data: "new", ...place }]);
  });

  it("goes on when somebody flushes the scripts", async () => {
    const node = await start();
    const topic = fresh("kept");
    const place = await node.broker.subscribe(topic);
    await node.broker.publish(topic, 1);
    await server.ask("SCRIPT", "FLUSH");
    await node.broker.publish(topic, 2);
    await node.broker.publish(topic, 3);
    await node.receives(topic, 3);
    assertEquals(node.assertNoHole(topic, place).offset, 3);
  });

  it("rejects a publication that Redis refuses to store", async () => {
    const own = await ownServer();
    const node = await start({ urls: [own.url] });
    const topic = fresh("kept");
    const { epoch } = await node.broker.publish(topic, 1);
    await own.ask("CONFIG", "SET", "maxmemory", "1");
    for (const refused of [topic, fresh("kept")]) {
      await assertRejects(async () => await node.broker.publish(refused, 2), BrokerUnavailable);
    }
    await own.ask("CONFIG", "SET", "maxmemory", "0");
    assertEquals(await node.broker.publish(topic, 3), { epoch, offset: 2 });
    assertEquals((await node.broker.history(topic, undefined, 9)).messages.map(({ data }) => data), [1, 3]);
  });

  it("listens only to what somebody here has subscribed to", async () => {
    const own = await ownServer();
    const [node, idle] = [await start({ urls: [own.url] }), await start({ urls: [own.url] })];
    const topic = fresh("plain");
    await node.broker.subscribe(topic);
    await idle.broker.publish(topic, 1);
    await node.receives(topic, 1);
    assertEquals(await own.ask("PUBSUB", "CHANNELS"), names.channel(topic));
    assertEquals((await own.ask("PUBSUB", "NUMSUB", names.channel(topic))).split("\n")[1], "1");
    assertEquals(await own.ask("PUBSUB", "NUMPAT"), "0");
    node.broker.unsubscribe(topic);
    await node.broker.publish(topic, 2);
    assertEquals(await own.ask("PUBSUB", "CHANNELS"), "");
  });

  it("lets every key expire, those of a topic without history too", async () => {
    const own = await ownServer();
    const node = await start({ urls: [own.url], idleTopicSeconds: 1_000 });
    await node.broker.publish(fresh("plain"), 1);
    await node.broker.publish(fresh("kept"), 1);
    await node.broker.subscribe(fresh("plain"));
    node.broker.join(fresh("plain"), { user: "ann", session: "s1" });
    await node.broker.history(fresh("plain"), undefined, 1);
    await node.broker.members(fresh("plain"));
    const keys = (await own.ask("KEYS", "*")).split("\n");
    assertEquals(keys.length, 8);
    for (const key of keys) {
      const seconds = Number(await own.ask("TTL", key));
      assertGreater(seconds, 0, key);
      assertLess(seconds, 1_201, key);
    }
  });

  it("finds a change of presence that was lost on the way", async () => {
    const node = await start({ presenceSeconds: 1 });
    const topic = fresh("presence");
    const other = await start({ presenceSeconds: 60 });
    await node.broker.watch(topic);
    await server.ask("CLIENT", "KILL", "TYPE", "pubsub");
    await told(other, true);
    other.broker.join(topic, { user: "ann", session: "s1" });
    await node.events.until(() => node.presence(topic).length === 1);
    assertEquals(node.presence(topic), [["joined", "ann"]]);
  });

  describe("on a cluster", () => {
    let cluster: RedisCluster;

    before(async () => {
      cluster = await RedisCluster.start();
    });
    after(() => cluster.remove());

    function join(hasClusterPatterns = false): Promise<Node> {
      return start({ urls: cluster.urls, isCluster: true, hasClusterPatterns });
    }

    it("misses nothing while one server is started again, and refuses patterns unless they are on", async () => {
      const [node, other] = [await join(), await join()];
      const topics = Array.from({ length: 30 }, () => fresh("kept"));
      const places = await Promise.all(topics.map((topic) => node.broker.subscribe(topic)));
      await Promise.all(topics.map((topic) => other.broker.publish(topic, 1)));
      for (const topic of topics) await node.receives(topic, 1);
      await assertRejects(async () => await node.broker.subscribePattern("kept.*"), PatternsOff);
      await cluster.servers[0]?.process.stop();
      await told(node, false);
      await assertRejects(async () => await node.broker.publish("kept.x", 1), BrokerUnavailable);
      await cluster.servers[0]?.process.start();
      await told(node, true);
      await told(other, true);
      for (const [index, topic] of topics.entries()) {
        const { offset } = await other.broker.publish(topic, 2);
        await node.events.until(() => node.offsets(topic).at(-1) === offset, `${topic} to reach ${offset}`);
        assertEquals(node.assertNoHole(topic, places[index] as Position).offset, 2);
      }
    });

    it("sends a publication only to the server that has its topic", async () => {
      const node = await join();
      const topic = fresh("plain");
      await node.broker.subscribe(topic);
      const counts = await Promise.all(
        cluster.servers.map((server) => server.ask("PUBSUB", "SHARDCHANNELS", names.channel(topic))),
      );
      assertEquals(counts.filter((channels) => channels !== "").length, 1);
    });
  });

  describe("with two servers", () => {
    it("keeps the topics of one when the other is away", async () => {
      const [here, there] = [await ownServer(), await ownServer()];
      const urls = [here.url, there.url];
      const [node, reversed] = [await start({ urls }), await start({ urls: urls.toReversed() })];
      const topics = Array.from({ length: 40 }, () => fresh("kept"));
      const places = await Promise.all(topics.map((topic) => node.broker.subscribe(topic)));
      await Promise.all(topics.map((topic) => reversed.broker.publish(topic, 1)));
      for (const topic of topics) await node.receives(topic, 1);
      const owned = await Promise.all(topics.map((topic) => here.ask("EXISTS", names.place(topic))));
      const kept = topics.filter((_, index) => owned[index] === "1");
      assertGreater(kept.length, 5);
      assertLess(kept.length, 35);
      await there.process.stop();
      await told(node, false);
      const answers = await Promise.allSettled(topics.map((topic) => node.broker.publish(topic, 2)));
      const taken = topics.filter((_, index) => answers[index]?.status === "fulfilled");
      assertEquals(taken, kept);
      await there.process.start();
      await told(node, true);
      for (const [index, topic] of topics.entries()) {
        const { offset } = await node.broker.publish(topic, 3);
        await node.receives(topic, offset);
        node.assertNoHole(topic, places[index] as Position);
      }
    });
  });
});
