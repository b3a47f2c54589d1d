/**
 * Latency: first a closed loop finds out what the server can do, then messages leave at a share of that rate whatever
 * comes back, and the time from when a message should have left to its arrival is recorded: a server that stalls is
 * charged for all it kept waiting. It must never know the traffic's messages.
 */
import type { Buffer } from "node:buffer";
import { openConnections } from "./connection.ts";
import type { Connection } from "./connection.ts";
import { EchoTraffic } from "./echo.ts";
import type { Failures } from "./failures.ts";
import { FanoutTraffic, TOPIC } from "./fanout.ts";
import type { Job, Latency } from "./job.ts";
import type { MessageRing } from "./ring.ts";
import {
  arrivingBytes,
  checkArrival,
  drain,
  INSPECT_EVERY,
  readClocks,
  ringFor,
  type Traffic,
  windowOf,
} from "./throughput.ts";
import { NANOSECONDS_PER_MS, recordMs, timesHistogram, Timetable } from "./timetable.ts";

const MILLISECONDS = 1e3;
/** The window in which the capacity is measured, unless the run's own is shorter. */
const CAPACITY_SECONDS = 0.5;

/** Messages at fixed times, on every connection in turn. */
class SteadyTraffic implements Traffic {
  delivered = 0;
  due = 0;
  inspected = 0;
  readonly latencies = timesHistogram();
  readonly timetable: Timetable;
  readonly #job: Job;
  readonly #failures: Failures;
  readonly #ring: MessageRing;
  /** Connections that send in turn; with a fan-out, the first alone. */
  #senders: readonly Connection[] = [];
  #receiversPerMessage = 1;

  constructor(job: Job, perSecond: number, failures: Failures) {
    this.#job = job;
    this.#failures = failures;
    this.#ring = ringFor({ ...job, inFlight: 1 }, job.traffic === "fanout" ? TOPIC : undefined);
    this.timetable = new Timetable(perSecond, (index) => this.#send(index));
  }

  start(connections: readonly Connection[]): void {
    const isFanout = this.#job.traffic === "fanout";
    this.#senders = isFanout ? connections.slice(0, 1) : connections;
    this.#receiversPerMessage = isFanout ? connections.length : 1;
    for (const connection of connections) {
      connection.owner = this;
      connection.expect(arrivingBytes(this.#job, this.#ring), INSPECT_EVERY);
    }
    this.timetable.start(this.#job.warmupSeconds);
  }

  stop(): void {
    this.timetable.stop();
  }

  progressed(connection: Connection, count: number): void {
    const now = performance.now();
    this.delivered += count;
    const senders = this.#senders.length;
    const offset = senders > 1 ? connection.index : 0;
    for (let i = connection.received - count; i < connection.received; i++) {
      const dueMs = this.timetable.dueMs(i * senders + offset);
      if (this.timetable.isRecorded(dueMs)) recordMs(this.latencies, now - dueMs);
    }
  }

  inspect(connection: Connection, sequence: number, payload: Buffer): void {
    this.inspected++;
    checkArrival(this.#job, this.#ring, connection, sequence, payload);
  }

  failed(reason: string): void {
    this.#failures.add(reason);
  }

  complaint(): string | undefined {
    return this.delivered === this.due ? undefined : `${this.delivered} of ${this.due} messages arrived`;
  }

  #send(index: number): void {
    const connection = this.#senders[index % this.#senders.length] as Connection; // below the length
    connection.write(this.#ring.batch(connection.sent++, 1));
    this.due += this.#receiversPerMessage;
  }
}

export async function runLatency(job: Job, failures: Failures): Promise<Latency> {
  const isFanout = job.traffic === "fanout";
  const closedJob = { ...job, workload: job.traffic };
  const closed = isFanout ? new FanoutTraffic(closedJob, failures) : new EchoTraffic(closedJob, failures);
  const opening = { count: job.connections, ...(isFanout && { topicOf: () => TOPIC }) };
  const connections = await failures.unless(openConnections(job, closed, opening));
  closed.start(connections);
  await failures.sleep(job.warmupSeconds);
  const capacity = await rateOf(closed, Math.min(CAPACITY_SECONDS, job.seconds), failures) /
    (isFanout ? job.connections : 1);
  closed.stop();
  await drain(closed, failures);
  const early = closed.complaint();
  const offered = capacity * job.share;
  const steady = new SteadyTraffic(job, offered, failures);
  steady.start(connections);
  await failures.sleep(job.warmupSeconds);
  const start = readClocks(job.serverPid);
  await failures.sleep(job.seconds);
  const end = readClocks(job.serverPid);
  steady.stop();
  await drain(steady, failures);
  const complaint = early ?? steady.complaint();
  if (complaint !== undefined) failures.add(complaint);
  failures.end();
  for (const connection of connections) connection.end();
  return {
    ...windowOf(start, end),
    capacityPerSecond: capacity,
    offeredPerSecond: offered,
    p50Ms: steady.latencies.percentile(50) / NANOSECONDS_PER_MS,
    p90Ms: steady.latencies.percentile(90) / NANOSECONDS_PER_MS,
    p99Ms: steady.latencies.percentile(99) / NANOSECONDS_PER_MS,
    p999Ms: steady.latencies.percentile(99.9) / NANOSECONDS_PER_MS,
    maxMs: steady.latencies.max / NANOSECONDS_PER_MS,
    lateP99Ms: steady.timetable.lateness.percentile(99) / NANOSECONDS_PER_MS,
    deliveryRatio: steady.delivered / steady.due,
  };
}

async function rateOf(traffic: Traffic, seconds: number, failures: Failures): Promise<number> {
  const before = traffic.delivered;
  const start = performance.now();
  await failures.sleep(seconds);
  return (traffic.delivered - before) / (performance.now() - start) * MILLISECONDS;
}
