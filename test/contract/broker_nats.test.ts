import { NatsBroker } from "../../server/broker/nats.ts";
import { systemClock } from "../../server/clock.ts";
import { silentLog } from "../helpers/log.ts";
import { NatsServer, whyNoNats } from "../helpers/nats.ts";
import { describeBroker } from "./broker_suite.ts";

let server: NatsServer;

describeBroker("nats", {
  skip: whyNoNats(),
  joinsNodes: true,
  async start() {
    server = await NatsServer.start();
  },
  stop: () => server.process.remove(),
  create: ({ retentionOf }, receiver) =>
    new NatsBroker({
      urls: [server.url],
      prefix: "test",
      timeoutSeconds: 2,
      idleTopicSeconds: 86_400,
      maxIdleTopics: 1_000,
      checkSeconds: 5,
      presenceSeconds: 60,
      replicas: 1,
      retentionOf,
      clock: systemClock,
      log: silentLog,
    }, receiver),
  passSecond: () => new Promise((resolve) => void setTimeout(resolve, 1_050)),
});
