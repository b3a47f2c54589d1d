/**
 * Nodes behind one broker, as clients meet them while everything fails: whatever was acknowledged arrives in order, once,
 * or the server says what is missing.
 */
import process from "node:process";
import { after, describe, it } from "node:test";
import { assert, assertEquals, assertGreater, assertLess } from "@std/assert";
import { Cluster } from "./helpers/cluster.ts";
import { Crowd } from "./helpers/crowd.ts";
import { NatsServer, whyNoNats } from "./helpers/nats.ts";
import { Peer } from "./helpers/peer.ts";
import { type Random, seededRandom } from "./helpers/random.ts";
import { RedisServer, whyNoRedis } from "./helpers/redis.ts";
import { stopProcesses, unlimitedFlags } from "./helpers/server.ts";
import type { ServerProcess } from "./helpers/server_process.ts";
import { Tap } from "./helpers/tap.ts";

const LONG = process.env["MILLRACE_LONG"] !== undefined;
/** Another seed is another course of events: `MILLRACE_SEED=7 npm run test:long -- cluster`. */
const SEED = Number(process.env["MILLRACE_SEED"] ?? 1);
const ACTIVITY_MS = LONG ? 60_000 : 3_000;
const WHOLE_RUN = { timeout: 300_000 };

const FOLLOWERS = 50;
const PUBLISHERS = 5;
const KEPT = ["kept.a", "kept.b", "kept.c"];
/** So little is kept of it that some come back too late. */
const SHORT = "short.a";
const TOPICS = [...KEPT, SHORT];
const TOPICS_EACH = 3;

/** Connections of a node that is restarted. */
const MANY = LONG ? 10_000 : 2_000;
const PER_ROOM = 100;
/** The default of the option. */
const SHUTDOWN_TIMEOUT_MS = 10_000;
const WINDOW_SECONDS = LONG ? 10 : 1;
const WINDOW_PARTS = 10;

/** Publications of which a node that has no use for them must hear nothing. */
const UNHEARD = 200;

const FLAGS = [
  ...unlimitedFlags,
  ...["--handshake-rate", "0", "--max-connections-per-address", "0"],
  ...["--history", "kept.>:20000:600 short.>:8:600", "--reconnect-window-seconds", String(WINDOW_SECONDS)],
];

const brokers = [
  { name: "redis", skip: whyNoRedis(), start: () => RedisServer.start() },
  { name: "nats", skip: whyNoNats(), start: () => NatsServer.start() },
] as const;

function brokerFlags(name: string, url: string): string[] {
  return ["--broker", name, "--broker-urls", url];
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

/** The broker's server ends twice, with its data and without, and a node dies; meanwhile clients come and go. */
async function upheaval(
  crowd: Crowd,
  cluster: Cluster,
  server: ServerProcess,
  random: Random,
): Promise<void> {
  const troubles = [
    () => server.restartWithData(),
    () => server.restartWithoutData(),
    () => cluster.replace(random.below(2)),
  ];
  const began = performance.now();
  const each = ACTIVITY_MS / (troubles.length + 1);
  let trouble: Promise<void> | undefined = undefined;
  let failure: unknown = undefined;
  for (let count = troubles.length; count > 0 || trouble !== undefined || !isOver();) {
    if (
      trouble === undefined && count > 0 && performance.now() - began > each * (troubles.length + 1 - count)
    ) {
      const [next] = troubles.splice(random.below(troubles.length), 1);
      count--;
      trouble = next?.().catch((error: unknown) => failure = error).then(() => void (trouble = undefined));
    }
    crowd.comeAndGo(random);
    await new Promise((resolve) => void setTimeout(resolve, random.below(20)));
  }
  if (failure !== undefined) throw failure;

  function isOver(): boolean {
    return performance.now() - began >= ACTIVITY_MS;
  }
}

function judge(crowd: Crowd, cluster: Cluster): void {
  const { stories, acknowledged, publishers } = crowd;
  const epochs = KEPT.map((topic) =>
    new Set(acknowledged.all.filter((one) => one.topic === topic).map(({ epoch }) => epoch))
  );
  const figures = {
    seed: SEED,
    acknowledged: acknowledged.all.length,
    refused: sum(publishers.map(({ refused }) => refused)),
    recovered: sum(stories.map(({ recovered }) => recovered)),
    unrecovered: sum(stories.map(({ unrecovered }) => unrecovered)),
    holes: sum(stories.flatMap(({ chapters }) => chapters.map(({ holes }) => holes.length))),
    epochs: epochs.map(({ size }) => size),
  };
  const context = JSON.stringify(figures);
  if (LONG) console.log(context);
  assertEquals(crowd.faults().slice(0, 20), [], context);
  assertEquals(cluster.errors(), [], context);
  // The data was lost once; otherwise the history reaches back as far as anybody asks.
  assertEquals(figures.epochs, KEPT.map(() => 2), context);
  const holes = stories.filter(({ topic }) => topic !== SHORT).flatMap(({ chapters }) =>
    chapters.flatMap(({ holes }) => holes)
  );
  assertEquals(holes, [], context);
  assert(figures.refused > 0 && figures.unrecovered > 0, context);
  assertGreater(figures.recovered, FOLLOWERS, context);
}

for (const broker of brokers) {
  describe(`two nodes behind ${broker.name}`, { skip: broker.skip }, () => {
    after(stopProcesses);

    it(
      `bring each subscriber every publication in order, once, or say what is missing, whatever fails (seed ${SEED})`,
      WHOLE_RUN,
      async () => {
        const server = await broker.start();
        const random = seededRandom(SEED);
        const cluster = await Cluster.start(2, [...FLAGS, ...brokerFlags(broker.name, server.url)]);
        const urlOf = () => cluster.someUrl(random);
        const crowd = new Crowd({
          random,
          followers: FOLLOWERS,
          topicsOf: (index) =>
            TOPICS.filter((_, at) => at !== index % (TOPICS.length + 1)).slice(0, TOPICS_EACH),
          followerUrl: urlOf,
          publishers: PUBLISHERS,
          publishing: { topics: TOPICS, urlOf, restMs: 30, burst: 4 },
        });
        try {
          await crowd.start();
          await upheaval(crowd, cluster, server.process, random);
          await crowd.settle();
          judge(crowd, cluster);
        } finally {
          await crowd.end();
          await cluster.stop();
          await server.process.remove();
        }
      },
    );

    it("do not tell a node what only others have subscribers for", async () => {
      const server = await broker.start();
      const tap = await Tap.open(server.process.port);
      const tapped = server.url.replace(/\d+$/, String(tap.port));
      const cluster = await Cluster.start(
        2,
        FLAGS,
        (number) => brokerFlags(broker.name, number === 0 ? server.url : tapped),
      );
      const [here, there] = [await Peer.open(cluster.node(0).url), await Peer.open(cluster.node(1).url)];
      try {
        await here.ask({ type: "subscribe", topic: "busy" });
        await there.ask({ type: "subscribe", topic: "quiet" });
        for (let count = 0; count < UNHEARD; count++) {
          await here.ask({ type: "publish", topic: "busy", data: 1 });
        }
        await here.messages(UNHEARD);
        // What the broker had to say of them would have come before this.
        await here.ask({ type: "publish", topic: "quiet", data: 1 });
        await there.messages(1);
        assert(tap.hasHeard("quiet") && !tap.hasHeard("busy"));
        await there.ask({ type: "subscribe", topic: "busy" });
        await here.ask({ type: "publish", topic: "busy", data: 1 });
        await there.messages(2);
        assert(tap.hasHeard("busy"));
      } finally {
        await Promise.all([here.close(), there.close()]);
        await cluster.stop();
        tap.close();
        await server.process.remove();
      }
    });
  });
}

describe("a rolling restart", { skip: whyNoRedis() }, () => {
  after(stopProcesses);

  it(`loses nothing for ${MANY} connections, which return spread over the window`, WHOLE_RUN, async () => {
    const server = await RedisServer.start();
    const cluster = await Cluster.start(2, [...FLAGS, ...brokerFlags("redis", server.url)]);
    const rooms = Array.from({ length: MANY / PER_ROOM }, (_, index) => `kept.room.${index}`);
    let nodeForFollowers = 0;
    const crowd = new Crowd({
      random: seededRandom(SEED),
      followers: MANY,
      topicsOf: (index) => [rooms[index % rooms.length] as string],
      followerUrl: () => cluster.node(nodeForFollowers).url,
      publishers: 2,
      publishing: { topics: rooms, urlOf: () => cluster.node(1).url, restMs: 80, burst: 4 },
    });
    try {
      await crowd.start();
      const leaving = cluster.retire(0);
      nodeForFollowers = 1;
      leaving.signal("SIGTERM");
      await crowd.arrived.until(
        () => crowd.followers.every(({ isLive, node }) => isLive && node === "1"),
        "everybody at the other node",
      );
      assertEquals(await leaving.exitCode(), 0);
      await crowd.settle();
      assertEquals(crowd.faults().slice(0, 20), []);
      assertEquals(cluster.errors(), []);
      for (const { recovered, unrecovered, chapters } of crowd.stories) {
        assertEquals([recovered, unrecovered, chapters.length, chapters[0]?.holes], [1, 0, 1, []]);
      }
      // A client is sent away some time after the first: that long has its connection lived on.
      const backMs = ({ reconnectAfterMs, deadlineMs }: { reconnectAfterMs: number; deadlineMs: number }) =>
        SHUTDOWN_TIMEOUT_MS - deadlineMs + reconnectAfterMs;
      assertSpread(crowd.followers.flatMap(({ drains }) => drains.map(backMs)));
    } finally {
      await crowd.end();
      await cluster.stop();
      await server.process.remove();
    }
  });
});

/** The returns are spread over the window. */
function assertSpread(backMs: readonly number[]): void {
  assertEquals(backMs.length, MANY);
  const windowMs = WINDOW_SECONDS * 1_000;
  assert(backMs.every((ms) => ms >= 0));
  const parts = new Array<number>(WINDOW_PARTS).fill(0);
  for (const ms of backMs) {
    const part = Math.min(WINDOW_PARTS - 1, Math.floor(ms * WINDOW_PARTS / windowMs));
    parts[part] = (parts[part] ?? 0) + 1;
  }
  // A busy machine sends some away later than they were to be; the rule itself is tested with a clock that keeps time.
  for (const count of parts) assertLess(count, MANY / 2, String(parts));
}
