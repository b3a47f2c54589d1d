/** The broker `nats` when NATS is away, slow, started again or empty, or loses what it was to bring. */
import { NatsBroker } from "../../server/broker/nats.ts";
import { describeFailures } from "../contract/broker_failures.ts";
import { silentLog } from "../helpers/log.ts";
import { NatsServer, whyNoNats } from "../helpers/nats.ts";

describeFailures("nats", {
  skip: whyNoNats(),
  prepare: () => NatsServer.prepare(),
  create: ({ url, ...settings }, receiver) =>
    new NatsBroker({
      ...settings,
      urls: [url],
      prefix: "test",
      idleTopicSeconds: 86_400,
      maxIdleTopics: 1_000,
      replicas: 1,
      log: silentLog,
    }, receiver),
  troubles: [],
});
