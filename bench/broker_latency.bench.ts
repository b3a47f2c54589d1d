// From publish on one node to delivery on another, through a Redis of the benchmark's own: two processes with nothing
// but a broker each. Publications leave in a burst every millisecond, over 16 topics with 100 messages kept; the first
// second is not counted. Usage: node --import tsx bench/broker_latency.bench.ts [rate ...]

import { spawn } from "node:child_process";
import { once } from "node:events";
import process from "node:process";
import { fileURLToPath } from "node:url";
import type { Receiver } from "../server/broker/broker.ts";
import { RedisBroker } from "../server/broker/redis.ts";
import { systemClock } from "../server/clock.ts";
import { silentLog } from "../test/helpers/log.ts";
import { RedisServer } from "../test/helpers/redis.ts";

const TOPICS = Array.from({ length: 16 }, (_, index) => `topic.${index}`);
const WARM_UP_MS = 1_000;
const MEASURE_MS = 4_000;
const DEFAULT_RATES = ["1000", "5000", "20000"];

/** Milliseconds of a clock that all processes of the machine share. */
function sharedNow(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

async function connect(url: string, deliver: Receiver["deliver"]): Promise<RedisBroker> {
  return await new Promise((resolve) => {
    const broker: RedisBroker = new RedisBroker({
      urls: [url],
      isCluster: false,
      hasClusterPatterns: false,
      prefix: "bench:",
      timeoutSeconds: 2,
      idleTopicSeconds: 600,
      maxIdleTopics: 100,
      checkSeconds: 5,
      presenceSeconds: 60,
      retentionOf: () => ({ messages: 100, seconds: 600 }),
      clock: systemClock,
      log: silentLog,
    }, {
      deliver,
      lost: (topic, _epoch, from, to) => console.error(`lost ${from} to ${to} of ${topic}`),
      joined() {},
      left() {},
      availability: () => resolve(broker),
    });
  });
}

async function publish(url: string, rate: number): Promise<void> {
  const broker = await connect(url, () => {});
  const began = sharedNow();
  let sent = 0;
  let failed = 0;
  await new Promise<void>((resolve) => {
    const timer = setInterval(() => {
      const elapsed = sharedNow() - began;
      for (const due = elapsed / 1_000 * rate; sent < due; sent++) {
        const data = { at: sharedNow(), filler: "x".repeat(64) };
        broker.publish(TOPICS[sent % TOPICS.length] as string, data).catch(() => failed++);
      }
      if (elapsed < WARM_UP_MS + MEASURE_MS) return;
      clearInterval(timer);
      resolve();
    }, 1);
  });
  const { user, system } = process.cpuUsage();
  console.log(
    `publisher: ${sent} sent, ${failed} failed, ${((user + system) / sent).toFixed(1)} us CPU each`,
  );
  await broker.close();
}

async function measure(rate: string): Promise<void> {
  const server = await RedisServer.start("--appendonly", "no");
  const latencies: number[] = [];
  const began = sharedNow();
  const broker = await connect(server.url, ({ data }) => {
    const { at } = data as { at: number }; // publish() sends that
    if (at - began > WARM_UP_MS) latencies.push(sharedNow() - at);
  });
  for (const topic of TOPICS) await broker.subscribe(topic);
  const before = process.cpuUsage();
  const child = spawn(process.execPath, [
    ...process.execArgv,
    fileURLToPath(import.meta.url),
    "child",
    server.url,
    rate,
  ], {
    stdio: ["ignore", "inherit", "inherit"],
  });
  await once(child, "exit");
  const { user, system } = process.cpuUsage(before);
  const redisCpu = /used_cpu_user:([\d.]+)/.exec(await server.ask("INFO", "cpu"))?.[1];
  latencies.sort((a, b) => a - b);
  const at = (share: number) => latencies[Math.floor((latencies.length - 1) * share)]?.toFixed(2);
  console.log(
    `${rate}/s: ${latencies.length} deliveries, p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, max ${at(1)} ms; ` +
      `subscriber ${
        ((user + system) / latencies.length).toFixed(1)
      } us CPU each, Redis ${redisCpu} s user CPU`,
  );
  await broker.close();
  await server.process.remove();
}

const [first = "", url = "", rate = ""] = process.argv.slice(2);
if (first === "child") await publish(url, Number(rate));
else for (const each of first === "" ? DEFAULT_RATES : process.argv.slice(2)) await measure(each);
