import type { Receiver } from "../../server/broker/broker.ts";
import { RedisBroker } from "../../server/broker/redis.ts";
import { systemClock } from "../../server/clock.ts";
import { silentLog } from "../helpers/log.ts";
import { RedisCluster, RedisServer, whyNoRedis } from "../helpers/redis.ts";
import { describeBroker, type SuiteSettings } from "./broker_suite.ts";

const skip = whyNoRedis();

function create(
  urls: readonly string[],
  isCluster: boolean,
  { retentionOf }: SuiteSettings,
  receiver: Receiver,
) {
  return new RedisBroker({
    urls,
    isCluster,
    hasClusterPatterns: isCluster,
    prefix: "test*[1]:",
    timeoutSeconds: 2,
    idleTopicSeconds: 86_400,
    maxIdleTopics: 1_000,
    checkSeconds: 5,
    presenceSeconds: 60,
    retentionOf,
    clock: systemClock,
    log: silentLog,
  }, receiver);
}

/** Redis has a clock of its own. */
function passSecond(): Promise<void> {
  return new Promise((resolve) => void setTimeout(resolve, 1_050));
}

for (const count of [1, 2]) {
  const servers: RedisServer[] = [];
  describeBroker(count === 1 ? "redis" : "redis with two servers", {
    skip,
    joinsNodes: true,
    async start() {
      for (let index = 0; index < count; index++) servers.push(await RedisServer.start());
    },
    async stop() {
      await Promise.all(servers.map((server) => server.process.remove()));
    },
    create: (settings, receiver) => create(servers.map(({ url }) => url), false, settings, receiver),
    passSecond,
  });
}

let cluster: RedisCluster;

describeBroker("redis on a cluster", {
  skip,
  joinsNodes: true,
  async start() {
    cluster = await RedisCluster.start();
  },
  stop: () => cluster.remove(),
  create: (settings, receiver) => create(cluster.urls.slice(0, 2), true, settings, receiver),
  passSecond,
});
