/**
 * The load generator's process for the guards: one task as its only argument, one outcome as its only line of output.
 * It must never start or stop a server.
 */
import { writeSync } from "node:fs";
import process from "node:process";
import { Failures, RunBroken } from "../load/failures.ts";
import { FanoutTraffic, TOPIC } from "../load/fanout.ts";
import { runThroughput } from "../load/throughput.ts";
import { residentBytes } from "../proc.ts";
import { PublishTraffic } from "./publish.ts";
import type { Task, TaskOutcome } from "./task.ts";
import { Flood, sleep } from "./trouble.ts";

const STDOUT = 1;
const FILL_STEP_SECONDS = 0.05;
const FILL_STEPS = 100;

async function queuedBytes(url: string): Promise<number> {
  const text = await (await fetch(new URL("/metrics", url.replace(/^ws/, "http")))).text();
  return Number(/^millrace_queued_bytes (\S+)$/m.exec(text)?.[1]);
}

/** Lets a sleeper in and waits until what waits for it does not grow any more. */
async function fill(url: string, failures: Failures): Promise<void> {
  sleep(url);
  let before = -1;
  for (let step = 0, queued = 0; step < FILL_STEPS; step++) {
    await failures.sleep(FILL_STEP_SECONDS);
    queued = await queuedBytes(url);
    if (queued > 0 && queued === before) return;
    before = queued;
  }
  failures.add("nothing ever waited for the one that does not read");
}

async function run({ job, work, perSecond, trouble, floodPerSecond }: Task): Promise<TaskOutcome> {
  const failures = new Failures();
  const outcome: TaskOutcome = { failures: failures.reasons };
  const before = residentBytes(job.serverPid);
  const traffic = work === "fanout"
    ? new FanoutTraffic(job, failures)
    : new PublishTraffic(job, work === "paced" ? perSecond : 0, failures);
  const topicOf = work === "fanout" ? () => TOPIC : undefined;
  try {
    if (trouble === "sleeper") await fill(job.url, failures);
    const flood = trouble === "flood" ? new Flood(job.url, floodPerSecond) : undefined;
    outcome.throughput = await runThroughput(job, traffic, topicOf, failures);
    flood?.stop();
    if (flood !== undefined) Object.assign(outcome, { floodCloses: flood.closes, floodSent: flood.sent });
    if (trouble === "sleeper") outcome.queuedBytes = await queuedBytes(job.url);
    outcome.grownBytes = residentBytes(job.serverPid) - before;
    if (traffic instanceof PublishTraffic && traffic.p99Ms !== undefined) outcome.p99Ms = traffic.p99Ms;
  } catch (error) {
    if (!(error instanceof RunBroken)) failures.add(`the load generator failed: ${(error as Error).message}`);
  }
  return outcome;
}

const outcome = await run(JSON.parse(process.argv[2] ?? "{}") as Task);
writeSync(STDOUT, `${JSON.stringify(outcome)}\n`);
process.exit(0);
