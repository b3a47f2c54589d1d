import { systemClock } from "../../server/clock.ts";
import { RedisBroker } from "../../server/broker/redis.ts";
import { RedisServer, whyNoRedis } from "../helpers/redis.ts";
import { silentLog } from "../helpers/log.ts";
import { describeBroker } from "./broker_suite.ts";

const skip = whyNoRedis();

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
    create: ({ retentionOf }, receiver) =>
      new RedisBroker({
        urls: servers.map(({ url }) => url),
        prefix: "test*[1]:",
        timeoutSeconds: 2,
        idleTopicSeconds: 86_400,
        maxIdleTopics: 1_000,
        checkSeconds: 5,
        presenceSeconds: 60,
        retentionOf,
        clock: systemClock,
        log: silentLog,
      }, receiver),
    // Redis has its own clock.
    passSecond: () => new Promise((resolve) => void setTimeout(resolve, 1_050)),
  });
}
