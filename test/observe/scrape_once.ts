/** A program that makes metrics on the real clock, scrapes them once and leaves them open: it must end all the same. */
import { systemClock } from "../../server/clock.ts";
import { Counters } from "../../server/observe/counters.ts";
import { createMetrics } from "../../server/observe/metrics.ts";

const metrics = createMetrics({
  counters: new Counters(),
  gauges: {
    connections: () => [],
    topics: () => 0,
    subscriptions: () => 0,
    queuedBytes: () => 0,
    slowConsumers: () => 0,
    ready: () => true,
    brokerAvailable: () => true,
    certificateExpirySeconds: () => undefined,
  },
  limits: { connections: undefined, queuedBytes: 1 },
  engine: "ts",
  runtime: "any",
  version: "0.0.0",
  clock: systemClock,
});
const text = await metrics.text();
console.log(text.includes("millrace_build_info") ? "scraped" : text);
