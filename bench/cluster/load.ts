/**
 * The cluster's load generator: publishes to the first node at a fixed rate, whatever comes back (an open loop), and times
 * deliveries on either node from the moment at which each publication was due. One job as its only argument, one line of
 * output. Run by Bun, for its timers and its WebSocket.
 */
import { writeSync } from "node:fs";
import process from "node:process";
import { cpuSeconds } from "../proc.ts";
import { type Client, openClient } from "./client.ts";
import type { ClusterJob, Phase, PhaseOutcome } from "./job.ts";

const STDOUT = 1;
const MS_PER_SECOND = 1_000;
/** How long the last deliveries may take. */
const DRAIN_MS = 2_000;
const POLL_MS = 5;

const job = JSON.parse(process.argv[2] ?? "{}") as ClusterJob;
const filler = "x".repeat(job.payloadBytes);

/** Publication `n` of a phase is due `n / rate` seconds after its beginning, and counts from `first` to `end`. */
class Course {
  readonly latencies: number[] = [];
  readonly lateness: number[] = [];
  readonly first: number;
  readonly end: number;
  private readonly began = performance.now();
  private readonly msEach: number;

  constructor(rate: number) {
    this.msEach = MS_PER_SECOND / rate;
    this.first = Math.round(rate * job.warmupSeconds);
    this.end = this.first + Math.round(rate * job.seconds);
  }

  /** How many publications should have been sent by now. */
  get due(): number {
    return Math.min(this.end, Math.floor((performance.now() - this.began) / this.msEach) + 1);
  }

  sent(sequence: number): void {
    if (sequence >= this.first) this.lateness.push(this.since(sequence));
  }

  delivered(sequence: number): void {
    if (sequence >= this.first) this.latencies.push(this.since(sequence));
  }

  get isComplete(): boolean {
    return this.latencies.length >= this.end - this.first;
  }

  private since(sequence: number): number {
    return performance.now() - this.began - sequence * this.msEach;
  }
}

async function runPhase(phase: Phase, publishers: readonly Client[]): Promise<PhaseOutcome> {
  // Of its own: nobody has just left them.
  const topics = Array.from(
    { length: job.topics },
    (_, index) => `topic.${job.phases.indexOf(phase)}.${index}`,
  );
  let course: Course | undefined = undefined;
  const url = job.urls[phase.subscribersAt];
  const subscribers = await Promise.all(topics.map(async (topic) => {
    const client = await openClient(job.dialect, url, (sequence) => course?.delivered(sequence));
    await client.subscribe(topic);
    return client;
  }));
  const running = course = new Course(phase.rate);
  const cpu = await publish(running, topics, publishers);
  const deadline = performance.now() + DRAIN_MS;
  while (!running.isComplete && performance.now() < deadline) await pause(POLL_MS);
  for (const client of subscribers) client.close();
  const [latencies, lateness] = [running.latencies, running.lateness].map((all) => all.sort((a, b) => a - b));
  return {
    ...phase,
    p50: at(latencies, 0.5),
    p99: at(latencies, 0.99),
    max: at(latencies, 1),
    lateP99: at(lateness, 0.99),
    published: running.end - running.first,
    delivered: running.latencies.length,
    cpu,
  };
}

/** Answers with each process's share of a core, from the first publication that counts to the last. */
function publish(
  course: Course,
  topics: readonly string[],
  publishers: readonly Client[],
): Promise<number[]> {
  let next = 0;
  let before: { readonly cpu: readonly number[]; readonly at: number } | undefined = undefined;
  return new Promise((resolve) => {
    const timer = setInterval(() => {
      for (const { due } = course; next < due; next++) {
        if (next === course.first) before = { cpu: job.pids.map(cpuSeconds), at: performance.now() };
        course.sent(next);
        const publisher = publishers[next % publishers.length] as Client;
        publisher.publish(topics[next % topics.length] as string, `#${next}#${filler}`);
      }
      if (next < course.end || before === undefined) return;
      clearInterval(timer);
      const { cpu, at } = before;
      const seconds = (performance.now() - at) / MS_PER_SECOND;
      resolve(job.pids.map((pid, index) => (cpuSeconds(pid) - (cpu[index] ?? 0)) / seconds));
    }, 1);
  });
}

function at(sorted: readonly number[] | undefined, share: number): number {
  return sorted?.[Math.floor((sorted.length - 1) * share)] ?? NaN;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => void setTimeout(resolve, ms));
}

const publishers = await Promise.all(
  Array.from({ length: job.publishers }, () => openClient(job.dialect, job.urls[0], () => {})),
);
const outcomes: PhaseOutcome[] = [];
for (const phase of job.phases) outcomes.push(await runPhase(phase, publishers));
writeSync(STDOUT, `${JSON.stringify(outcomes)}\n`);
process.exit(0);
