/**
 * The course of an echo or fan-out run: connect, warm up, measure a window, let the last messages arrive, check that
 * nothing is missing. It must never know which messages are sent, nor when: that is the traffic's business.
 */
import { Buffer } from "node:buffer";
import process from "node:process";
import { cpuSeconds } from "../proc.ts";
import { openConnections } from "./connection.ts";
import type { Connection, Owner } from "./connection.ts";
import type { Failures } from "./failures.ts";
import type { Job, Throughput } from "./job.ts";
import { MessageRing } from "./ring.ts";

/** What is under way after the last message was sent is lost when nothing arrives for this long. */
const LOST_AFTER_SECONDS = 1.5;
const DRAIN_STEP_SECONDS = 0.02;
const MICROSECONDS = 1e6;
const MILLISECONDS = 1e3;

/**
 * Of each connection every 61st message is compared as a whole, its first one always. A prime, so that each message
 * of the ring has its turn.
 */
export const INSPECT_EVERY = 61;

/** A closed loop of messages over connections. */
export interface Traffic extends Owner {
  /** Messages received and messages due on all connections, since the start. */
  readonly delivered: number;
  readonly due: number;
  readonly inspected: number;
  start(connections: readonly Connection[]): void;
  /** Sends nothing more; what is under way still arrives. */
  stop(): void;
  /** Says what is missing or too much, once everything has arrived; undefined when all is right. */
  complaint(): string | undefined;
}

/** The ring of messages for `job`, each of which carries its data as `wrap` says. */
export function ringFor(job: Job, wrap: (data: string) => object): MessageRing {
  return new MessageRing({
    payloadBytes: job.payloadBytes,
    binary: job.binary,
    framed: job.protocol !== "tcp",
    longestBatch: job.inFlight,
    wrap: job.protocol === "millrace"
      ? (data) => Buffer.from(JSON.stringify(wrap(data.toString())))
      : (data) => data,
  });
}

/** Runs `traffic`; failures go where the traffic sends its own. */
export async function runThroughput(job: Job, traffic: Traffic, failures: Failures): Promise<Throughput> {
  const connections = await failures.unless(openConnections(job, traffic, job.connections));
  traffic.start(connections);
  await failures.sleep(job.warmupSeconds);
  const start = snapshot(job, traffic);
  await failures.sleep(job.seconds);
  const end = snapshot(job, traffic);
  traffic.stop();
  await drain(traffic, failures);
  const complaint = traffic.complaint();
  if (complaint !== undefined) failures.add(complaint);
  if (traffic.inspected === 0) failures.add("no message was compared as a whole");
  failures.end();
  return {
    messages: end.messages - start.messages,
    seconds: end.seconds - start.seconds,
    serverCpuSeconds: end.serverCpuSeconds - start.serverCpuSeconds,
    loadCpuSeconds: end.loadCpuSeconds - start.loadCpuSeconds,
    deliveryRatio: traffic.delivered / traffic.due,
    inspected: traffic.inspected,
  };
}

/** Waits for what is under way; ends, as what is under way is bounded. */
async function drain(traffic: Traffic, failures: Failures): Promise<void> {
  let before = -1;
  for (
    let quiet = 0;
    traffic.delivered < traffic.due && quiet < LOST_AFTER_SECONDS;
    quiet += DRAIN_STEP_SECONDS
  ) {
    if (traffic.delivered > before) quiet = 0;
    before = traffic.delivered;
    await failures.sleep(DRAIN_STEP_SECONDS);
  }
}

function snapshot(job: Job, traffic: Traffic) {
  const load = process.cpuUsage();
  return {
    messages: traffic.delivered,
    seconds: performance.now() / MILLISECONDS,
    serverCpuSeconds: cpuSeconds(job.serverPid),
    loadCpuSeconds: (load.user + load.system) / MICROSECONDS,
  };
}
