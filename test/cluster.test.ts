/**
 * Nodes behind one broker, as clients meet them while everything fails: whatever was acknowledged arrives in order, once,
 * or the server says what is missing.
 */
import process from "node:process";
import { after, describe, it } from "node:test";
import { assert, assertEquals, assertGreater } from "@std/assert";
import { Cluster } from "./helpers/cluster.ts";
import { Events } from "./helpers/events.ts";
import { Follower } from "./helpers/follower.ts";
import { NatsServer, whyNoNats } from "./helpers/nats.ts";
import { Publisher } from "./helpers/publisher.ts";
import { type Random, seededRandom } from "./helpers/random.ts";
import { RedisServer, whyNoRedis } from "./helpers/redis.ts";
import { stopProcesses, unlimitedFlags } from "./helpers/server.ts";
import type { ServerProcess } from "./helpers/server_process.ts";
import type { Published, Story } from "./helpers/story.ts";

const LONG = process.env["MILLRACE_LONG"] !== undefined;
/** Another seed is another course of events: MILLRACE_SEED=7 npm run test:long -- cluster */
const SEED = Number(process.env["MILLRACE_SEED"] ?? 1);
const ACTIVITY_MS = LONG ? 60_000 : 5_000;
const WHOLE_RUN = { timeout: 300_000 };

const FOLLOWERS = 50;
const PUBLISHERS = 5;
const KEPT = ["kept.a", "kept.b", "kept.c"];
/** So little is kept of it that some come back too late. */
const SHORT = "short.a";
const TOPICS = [...KEPT, SHORT];
const TOPICS_EACH = 3;

const FLAGS = [
  ...unlimitedFlags,
  ...[
    "--handshake-rate",
    "0",
    "--history",
    "kept.>:20000:600 short.>:8:600",
    "--broker-timeout-seconds",
    "2",
  ],
];

const brokers = [
  { name: "redis", skip: whyNoRedis(), start: () => RedisServer.start() },
  { name: "nats", skip: whyNoNats(), start: () => NatsServer.start() },
] as const;

function brokerFlags(name: string, url: string): string[] {
  return ["--broker", name, "--broker-urls", url];
}

/** Everybody who takes part, and what they have been told. */
class Crowd {
  readonly acknowledged = new Events<Published>();
  readonly arrived = new Events<never>();
  readonly followers: Follower[];
  readonly publishers: Publisher[];

  constructor(cluster: Cluster, random: Random) {
    const urlOf = () => cluster.someUrl(random);
    this.followers = Array.from({ length: FOLLOWERS }, (_, index) =>
      new Follower({
        topics: TOPICS.filter((_, number) => number !== index % (TOPICS.length + 1)).slice(0, TOPICS_EACH),
        urlOf,
        wake: () => this.arrived.wake(),
      }));
    this.publishers = Array.from({ length: PUBLISHERS }, (_, index) =>
      new Publisher({
        ...{ name: `p${index}`, topics: TOPICS, urlOf, restMs: 30, burst: 4 },
        random: seededRandom(random.below(2 ** 31) + 1),
        acknowledged: this.acknowledged,
      }));
  }

  get stories(): Story[] {
    return this.followers.flatMap(({ stories }) => [...stories.values()]);
  }

  /** Some go, in good order or not, and some come back. */
  comeAndGo(random: Random): void {
    const follower = random.pick(this.followers);
    if (!follower.isFollowing) follower.follow();
    else if (random.chance(0.5)) follower.leave(random.chance(0.5) ? "close" : "destroy");
  }

  /** Everybody is back, and has come as far as the last publication of every topic. */
  async settle(): Promise<void> {
    for (const publisher of this.publishers) await publisher.stop();
    for (const follower of this.followers) if (!follower.isFollowing) follower.follow();
    const ends = new Map<string, Published>();
    for (const publisher of this.publishers) {
      for (const published of await publisher.finish()) ends.set(published.topic, published);
    }
    const isAtEnd = ({ topic, place }: Story) =>
      place?.epoch === ends.get(topic)?.epoch && place?.offset === ends.get(topic)?.offset;
    const isThere = (follower: Follower) => follower.isLive && [...follower.stories.values()].every(isAtEnd);
    try {
      await this.arrived.until(() => this.followers.every(isThere), "everybody at the end of every topic");
    } catch {
      const late = this.followers.filter((follower) => !isThere(follower));
      const places = late.flatMap(({ stories, isLive, node }) =>
        [...stories.values()].filter((story) => !isAtEnd(story)).map(({ topic, place }) =>
          `${topic} ${JSON.stringify(place)} live ${isLive} on ${node}`
        )
      );
      throw new Error(`not at ${JSON.stringify([...ends.values()])}: ${places.slice(0, 10).join("; ")}`);
    }
  }

  async end(): Promise<void> {
    for (const follower of this.followers) follower.leave("destroy");
    await Promise.all(this.publishers.map((publisher) => publisher.end()));
  }

  /** Whatever nobody has announced. */
  faults(): string[] {
    const byTopic = new Map(TOPICS.map((topic) => [topic, [] as Published[]]));
    for (const published of this.acknowledged.all) byTopic.get(published.topic)?.push(published);
    const places = this.acknowledged.all.map(({ topic, epoch, offset }) => `${topic} ${epoch} ${offset}`);
    return [
      ...this.publishers.flatMap(({ faults }) => faults),
      ...this.followers.flatMap(({ faults }) => faults),
      ...this.stories.flatMap(({ faults }) => faults),
      ...this.stories.flatMap((story) => story.faultsOf(byTopic.get(story.topic) ?? [])),
      ...(new Set(places).size < places.length ? ["two publications have the same place"] : []),
    ];
  }
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
        const crowd = new Crowd(cluster, random);
        try {
          for (const follower of crowd.followers) follower.follow();
          await crowd.arrived.until(() => crowd.followers.every(({ isLive }) => isLive), "all subscriptions");
          for (const publisher of crowd.publishers) publisher.start();
          await crowd.acknowledged.until((all) => all.length > 100, "publications");
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
  });
}

function judge(crowd: Crowd, cluster: Cluster): void {
  const sum = (values: number[]) => values.reduce((total, value) => total + value, 0);
  const figures = {
    seed: SEED,
    acknowledged: crowd.acknowledged.all.length,
    refused: sum(crowd.publishers.map(({ refused }) => refused)),
    recovered: sum(crowd.stories.map(({ recovered }) => recovered)),
    unrecovered: sum(crowd.stories.map(({ unrecovered }) => unrecovered)),
    holes: sum(crowd.stories.flatMap(({ chapters }) => chapters.map(({ holes }) => holes.length))),
    epochs: KEPT.map((topic) =>
      new Set(crowd.acknowledged.all.filter((one) => one.topic === topic).map(({ epoch }) => epoch)).size
    ),
  };
  if (LONG) console.log(JSON.stringify(figures));
  const context = JSON.stringify(figures);
  assertEquals(crowd.faults().slice(0, 20), [], context);
  assertEquals(cluster.errors(), [], context);
  // The data was lost once; otherwise the history reaches back as far as anybody asks.
  assertEquals(figures.epochs, KEPT.map(() => 2), context);
  const holes = crowd.stories.filter(({ topic }) => topic !== SHORT).flatMap(({ chapters }) =>
    chapters.flatMap(({ holes }) => holes)
  );
  assertEquals(holes, [], context);
  assert(figures.refused > 0 && figures.unrecovered > 0, context);
  assertGreater(figures.recovered, FOLLOWERS, context);
}
