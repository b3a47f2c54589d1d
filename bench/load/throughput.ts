/**
 * The course of an echo, fan-out or rooms run: connect, warm up, measure a window, let the last messages arrive, check
 * that nothing is missing. It must never know which messages are sent, nor when: that is the traffic's business.
 */
import type { Buffer } from "node:buffer";
import process from "node:process";
import { cpuSeconds, residentBytes } from "../proc.ts";
import { opcodeOf, openConnections } from "./connection.ts";
import type { Connection, Owner } from "./connection.ts";
import { dialects } from "./dialects/pick.ts";
import type { Failures } from "./failures.ts";
import type { Job, Throughput, Window } from "./job.ts";
import { MessageRing, MOST_MESSAGES } from "./ring.ts";
import { alone, type Together } from "./together.ts";

/** What is under way after the last message was sent is lost when nothing arrives for this long. */
const LOST_AFTER_SECONDS = 1.5;
/** A window in which nothing arrives is prolonged by another, up to that many. */
const MOST_WINDOWS = 5;
const DRAIN_STEP_SECONDS = 0.02;
const MICROSECONDS = 1e6;
const MILLISECONDS = 1e3;

/**
 * Of each connection every 61st message is compared as a whole, its first one always. A prime, so that each message
 * of the ring has its turn.
 */
export const INSPECT_EVERY = 61;

/** Messages over connections. */
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

/** The ring of messages for `job`, published to `topic` or, without one, asking for their echo. */
export function ringFor(job: Job, topic: string | undefined, mostMessages = MOST_MESSAGES): MessageRing {
  const { arriving, sent } = dialects[job.protocol];
  return new MessageRing({
    payloadBytes: job.payloadBytes,
    binary: job.binary,
    content: job.content,
    opcode: job.protocol === "tcp" ? undefined : opcodeOf(job),
    deflate: job.deflate,
    longestBatch: job.inFlight,
    mostMessages,
    wrap: (data) => sent(data, topic),
    arriving: arriving && ((data) => arriving(data, topic)),
  });
}

/** The size that arriving messages have on the wire; -1 for any. */
export function arrivingBytes(job: Job, ring: MessageRing): number {
  return job.deflate ? -1 : ring.arrivingBytes;
}

/** Throws an Error when `payload` is not what has to arrive as message `sequence`. */
export function checkArrival(
  job: Job,
  ring: MessageRing,
  connection: Connection,
  sequence: number,
  payload: Buffer,
): void {
  const expected = ring.arrivingOf(sequence);
  if (expected === undefined) {
    dialects[job.protocol].check(payload, ring.dataOf(sequence), sequence, connection);
  } else if (!expected.equals(payload)) {
    throw new Error(`message ${sequence} arrived with other content`);
  }
}

/** Runs `traffic`; failures go where the traffic sends its own. */
export async function runThroughput(
  job: Job,
  traffic: Traffic,
  topicOf: ((index: number) => string) | undefined,
  failures: Failures,
  together: Together = alone,
): Promise<Throughput> {
  const opening = { count: job.connections, from: job.firstIndex, ...(topicOf && { topicOf }) };
  const connections = await failures.unless(openConnections(job, traffic, opening));
  const slow = await failures.unless(openSlowConsumers(job, topicOf));
  await failures.unless(together());
  traffic.start(connections);
  await failures.sleep(job.warmupSeconds);
  const start = snapshot(job, traffic);
  // Who sends a publication to thousands at once may need longer than a window for what is under way.
  for (let window = 0; window < MOST_WINDOWS && traffic.delivered === start.messages; window++) {
    await failures.sleep(job.seconds);
  }
  const end = snapshot(job, traffic);
  const rssBytes = residentBytes(job.serverPid);
  traffic.stop();
  await drain(traffic, failures);
  const complaint = traffic.complaint();
  if (complaint !== undefined) failures.add(complaint);
  if (traffic.inspected === 0) failures.add("no message was compared as a whole");
  failures.end();
  for (const connection of [...connections, ...slow]) connection.end();
  return {
    messages: end.messages - start.messages,
    ...windowOf(start, end),
    deliveryRatio: traffic.delivered / traffic.due,
    inspected: traffic.inspected,
    rssBytes,
  };
}

/** Subscribers that never read; a server may skip them or close them. */
async function openSlowConsumers(
  job: Job,
  topicOf: ((index: number) => string) | undefined,
): Promise<Connection[]> {
  const owner: Owner = { progressed() {}, inspect() {}, failed() {} };
  const opening = { count: job.slowConsumers, from: job.connections, ...(topicOf && { topicOf }) };
  const connections = await openConnections(job, owner, opening);
  for (const connection of connections) connection.pause();
  return connections;
}

/** Waits for what is under way; ends, as what is under way is bounded. */
export async function drain(traffic: Pick<Traffic, "delivered" | "due">, failures: Failures): Promise<void> {
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

/** The clocks at one moment. */
export interface Clocks {
  seconds: number;
  serverCpuSeconds: number;
  loadCpuSeconds: number;
}

/** Reads the clocks. */
export function readClocks(serverPid: number): Clocks {
  const load = process.cpuUsage();
  return {
    seconds: performance.now() / MILLISECONDS,
    serverCpuSeconds: cpuSeconds(serverPid),
    loadCpuSeconds: (load.user + load.system) / MICROSECONDS,
  };
}

/** What passed between two moments. */
export function windowOf(start: Clocks, end: Clocks): Window {
  return {
    seconds: end.seconds - start.seconds,
    serverCpuSeconds: end.serverCpuSeconds - start.serverCpuSeconds,
    loadCpuSeconds: end.loadCpuSeconds - start.loadCpuSeconds,
  };
}

function snapshot(job: Job, traffic: Traffic): Clocks & { messages: number } {
  return { messages: traffic.delivered, ...readClocks(job.serverPid) };
}
