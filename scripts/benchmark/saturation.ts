/**
 * Says what gave out first, from what was counted in one measurement. What the server says itself counts first, then
 * what is measured, and what is left over is named as such. It must never measure anything.
 */
import type { Measurement } from "./measurement.ts";
import { closeText, total, type TroubleCounts } from "./troubles.ts";

/** What can give out. `nothing` when nothing did. */
export const Limit = {
  RateLimit: "rate limit",
  ConnectionLimit: "connection limit",
  LoadGenerator: "load generator",
  ServerCpu: "server CPU",
  MachineCpu: "machine CPU",
  SlowConsumers: "slow consumers",
  Backpressure: "backpressure",
  Loss: "loss",
  Unknown: "unknown",
  Nothing: "nothing",
} as const;
export type Limit = typeof Limit[keyof typeof Limit];

/** What gave out, and what shows it. */
export interface Saturation {
  readonly limit: Limit;
  readonly evidence: readonly string[];
}

/** From this share on a thread or a machine counts as busy all the time. */
const BUSY_SHARE = 0.85;
/** Other processes that use more than this of a CPU are worth a word when the machine is busy. */
const OTHERS_SHARE = 0.25;
/** The load generator does not keep its own timetable when it sends later than this share of the bound. */
const LATE_SHARE_OF_BOUND = 0.2;
const LEAST_LATE_MS = 1;
/** More than this waiting in the load generator: the other side does not take it. */
const WAITING_BYTES = 64 * 1024;
const RATE_LIMITED = "4009";
const SLOW_CONSUMER = "4008";
const TOO_MANY_REQUESTS = "HTTP 429";

/** Whether the load generator could not do what it was asked, while the server could have done more. */
function isGeneratorLimit(measurement: Measurement, boundMs: number): boolean {
  const { generatorShare, lateP99Ms = 0, usage: { server } } = measurement;
  const isLate = lateP99Ms > Math.max(LEAST_LATE_MS, boundMs * LATE_SHARE_OF_BOUND);
  const isServerBusy = server !== undefined && server.busiestThreadShare >= BUSY_SHARE;
  return (generatorShare >= BUSY_SHARE && !isServerBusy) || (isLate && !isServerBusy);
}

/** What neither the load generator nor the server used of this machine's CPUs, as a share of one. */
function othersShare({ usage }: Measurement): number {
  return usage.machineShare * usage.cpus - usage.loadShare - (usage.server?.cpuShare ?? 0);
}

/** What gave out in `measurement`; to be asked when something did, or in a closed loop, where something always does. */
export function saturationOf(measurement: Measurement, boundMs: number): Saturation {
  const { troubles, generatorShare, lateP99Ms, usage, waitingBytes, lost } = measurement;
  const { server } = usage;
  const cpu = cpuEvidence(measurement);
  const said = saidByServer(troubles);
  if (said !== undefined && said.limit !== Limit.SlowConsumers) return said;
  // They would have come late if it were a matter of speed: arrivals are waited for.
  if (lost > 0 && total(troubles.closes) + total(troubles.gaps) === 0) {
    return { limit: Limit.Loss, evidence: [`${lost} messages did not arrive`, ...endings(troubles), ...cpu] };
  }
  const others = othersShare(measurement);
  if (others > OTHERS_SHARE && usage.machineShare >= BUSY_SHARE) {
    const text = `other processes used ${percent(others)} of a CPU while all of them were busy ` +
      percent(usage.machineShare);
    return { limit: Limit.MachineCpu, evidence: [text, ...cpu] };
  }
  if (isGeneratorLimit(measurement, boundMs)) {
    const late = lateP99Ms === undefined ? [] : [`it sent up to ${ms(lateP99Ms)} late (p99)`];
    const evidence = [`the load generator was busy ${percent(generatorShare)} of the time`, ...late, ...cpu];
    return { limit: Limit.LoadGenerator, evidence };
  }
  if (server !== undefined && server.busiestThreadShare >= BUSY_SHARE) {
    return { limit: Limit.ServerCpu, evidence: [...cpu, ...said?.evidence ?? []] };
  }
  if (server !== undefined && usage.machineShare >= BUSY_SHARE) {
    const text = `all CPUs of this machine were busy ${percent(usage.machineShare)} of the time`;
    return { limit: Limit.MachineCpu, evidence: [text, ...cpu] };
  }
  if (said !== undefined) return said;
  if (waitingBytes > WAITING_BYTES) {
    const text =
      `${waitingBytes} bytes waited in the load generator as the server, or the network, took no more`;
    return { limit: Limit.Backpressure, evidence: [text, ...cpu] };
  }
  return { limit: Limit.Unknown, evidence: [...cpu, ...endings(troubles)] };
}

/** What the server has said with error codes, close codes, gaps and HTTP statuses. */
function saidByServer(troubles: TroubleCounts): Saturation | undefined {
  const { refusals, closes, gaps, handshakes } = troubles;
  const limited = refusals["rate_limited"] ?? 0;
  const cut = closes[RATE_LIMITED] ?? 0;
  if (limited + cut > 0) {
    const evidence = [
      ...(limited > 0 ? [`the server refused ${limited} messages with rate_limited`] : []),
      ...(cut > 0 ? [`it closed ${cut} connections with ${closeText(RATE_LIMITED)}`] : []),
    ];
    return { limit: Limit.RateLimit, evidence };
  }
  if (handshakes[TOO_MANY_REQUESTS] !== undefined) {
    const text = `the server answered ${handshakes[TOO_MANY_REQUESTS]} handshakes with ${TOO_MANY_REQUESTS}`;
    return { limit: Limit.ConnectionLimit, evidence: [text] };
  }
  const slow = closes[SLOW_CONSUMER] ?? 0;
  const missed = total(gaps);
  if (slow + missed > 0) {
    const evidence = [
      ...(slow > 0 ? [`the server closed ${slow} connections with ${closeText(SLOW_CONSUMER)}`] : []),
      ...(missed > 0 ? [`it left out ${missed} messages for slow connections and said so (gap)`] : []),
    ];
    return { limit: Limit.SlowConsumers, evidence };
  }
  return undefined;
}

function endings({ closes, refusals, wrong }: TroubleCounts): string[] {
  return [
    ...Object.entries(closes).map(([code, count]) => `${count} connections were closed ${closeText(code)}`),
    ...Object.entries(refusals).map(([code, count]) => `${count} messages were refused with ${code}`),
    ...wrong,
  ];
}

function cpuEvidence({ usage, generatorShare }: Measurement): string[] {
  const { server, machineShare } = usage;
  const generator = `load generator ${percent(generatorShare)} busy`;
  if (server === undefined) return [generator];
  const { busiestThreadShare, cpuShare } = server;
  const threads = cpuShare - busiestThreadShare > 0.02 ? ` (all its threads: ${percent(cpuShare)})` : "";
  return [
    `the server's busiest thread used ${percent(busiestThreadShare)} of a CPU${threads}`,
    generator,
    `the machine's CPUs ${percent(machineShare)} busy`,
  ];
}

/** A share as text, e.g. `97 %`. */
export function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}

/** Milliseconds as text with three significant digits, e.g. `0.213 ms`. */
export function ms(value: number): string {
  return `${value >= 100 ? Math.round(value) : Number(value.toPrecision(3))} ms`;
}
