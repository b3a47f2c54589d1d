/**
 * The report as a record, and what in it is a finding. It must never know how it is shown.
 */
import type { Distribution } from "./distribution.ts";
import type { Knee } from "./knee.ts";
import type { Measurement } from "./measurement.ts";
import type { Usage } from "./meter.ts";
import type { Options } from "./options.ts";
import type { Saturation } from "./saturation.ts";
import type { ServerProcesses } from "./target.ts";
import { closeText, total, type TroubleCounts } from "./troubles.ts";

/** A measurement, and what gave out in it, if something did. */
export interface Judged extends Measurement {
  readonly saturation?: Saturation;
}

/** How connections came about, in steps. */
export interface ConnectionsResult {
  readonly wanted: number;
  readonly open: number;
  readonly perSecond: number;
  readonly latency?: Distribution;
  readonly steps: readonly {
    readonly open: number;
    readonly perSecond: number;
    readonly latency?: Distribution;
    readonly usage: Usage;
  }[];
  readonly troubles: TroubleCounts;
  readonly saturation?: Saturation;
}

/** Resident memory of the server, in bytes, when it had settled. */
export interface MemoryResult {
  readonly fewConnections: number;
  readonly fewBytes: number;
  readonly manyConnections: number;
  readonly manyBytes: number;
  /** When all had gone. */
  readonly afterBytes: number;
  readonly bytesPerConnection: number;
}

export interface KneeResult {
  readonly boundMs: number;
  /** The highest rate that held, in messages sent per second, for the whole duration; null when none did. */
  readonly perSecond: number | null;
  readonly search: Knee;
  /** At the knee, for the whole duration. */
  readonly at?: Measurement;
  /** Every rate that was probed, in the order of probing. */
  readonly probes: readonly Judged[];
  readonly saturation: Saturation;
}

export interface Report {
  readonly tool: "millrace benchmark";
  readonly version: string;
  readonly startedAt: string;
  readonly url: string;
  readonly protocol: "millrace" | "echo";
  readonly format?: "json" | "msgpack";
  readonly payloadBytes: number;
  readonly connections: number;
  /** Receivers of each message. */
  readonly receivers: number;
  readonly generator: { readonly runtime: string; readonly cpus: number };
  readonly server: ServerProcesses;
  readonly results: Results;
  readonly summary: string;
  /** Losses, refusals and missed expectations: the reason for exit code 1. */
  readonly findings: readonly string[];
  /** What makes the figures less than they seem. */
  readonly warnings: readonly string[];
}

/** What was measured. */
export interface Results {
  connections?: ConnectionsResult;
  memory?: MemoryResult | { readonly omitted: string };
  throughput?: Judged;
  latency?: Judged[];
  burst?: Judged[];
  knee?: KneeResult;
}

/** What is wrong in the results, as sentences. */
export function findingsOf(results: Results, options: Options): string[] {
  const { connections, throughput, latency = [], burst = [], knee } = results;
  const findings: string[] = [];
  if (connections !== undefined && connections.open < connections.wanted) {
    const { open, wanted, troubles } = connections;
    findings.push(`connections: ${open} of ${wanted} were accepted: ${troublesText(troubles)}`);
  }
  if (throughput !== undefined) findings.push(...faultsOf("throughput", throughput, false));
  for (const each of latency) {
    findings.push(...faultsOf(`latency at ${Math.round(each.offeredPerSecond ?? 0)}/s`, each, true));
  }
  burst.forEach((round, i) => findings.push(...faultsOf(`burst ${i + 1}`, round, true)));
  if (knee?.perSecond === null) {
    findings.push(`knee: no rate was found at which 99 % stay within ${knee.boundMs} ms`);
  }
  return [...findings, ...missedExpectations(results, options)];
}

/** What went wrong in a measurement at a rate that the server was to carry. */
function faultsOf(name: string, measurement: Measurement, areRefusalsFaults: boolean): string[] {
  const { lost, refused, sent, unsent, endedEarly, troubles } = measurement;
  const faults = [
    ...(lost > 0 ? [`${lost} messages did not arrive`] : []),
    ...(areRefusalsFaults && refused > 0 ? [`${refused} of ${sent} messages were refused`] : []),
    ...(unsent > 0 ? [`${unsent} messages had no connection left to be sent on`] : []),
    ...(endedEarly ? ["it was ended early, as the server could not keep up"] : []),
  ];
  if (faults.length === 0 && total(troubles.closes) + troubles.wrong.length === 0) return [];
  return [`${name}: ${[...faults, troublesText(troubles)].filter((text) => text !== "").join("; ")}`];
}

function missedExpectations({ latency = [], knee, throughput }: Results, options: Options): string[] {
  const { expectP99Ms, expectRate } = options;
  const missed: string[] = [];
  if (expectP99Ms !== undefined) {
    for (const { offeredPerSecond = 0, latency: times } of latency) {
      if (times !== undefined && times.p99Ms <= expectP99Ms) continue;
      const p99 = times === undefined ? "unknown" : `${times.p99Ms.toFixed(2)} ms`;
      missed.push(`--expect-p99-ms ${expectP99Ms}: at ${offeredPerSecond}/s the 99th percentile is ${p99}`);
    }
  }
  if (expectRate !== undefined) {
    const rate = knee === undefined ? throughput?.sentPerSecond ?? 0 : knee.perSecond ?? 0;
    if (rate < expectRate) missed.push(`--expect-rate ${expectRate}: it carries ${Math.floor(rate)}/s`);
  }
  return missed;
}

/** Everything the server refused or ended, as text; empty when that is nothing. */
export function troublesText({ closes, gaps, handshakes, refusals, wrong }: TroubleCounts): string {
  const list = (
    counts: Readonly<Record<string, number>>,
    say: (what: string, count: number) => string,
  ): string[] => Object.entries(counts).map(([what, count]) => say(what, count));
  return [
    ...list(handshakes, (what, count) => `${count} handshakes: ${what}`),
    ...list(refusals, (what, count) => `${count} messages refused: ${what}`),
    ...list(closes, (what, count) => `${count} connections closed: ${closeText(what)}`),
    ...list(gaps, (what, count) => `${count} messages left out: ${what}`),
    ...wrong,
  ].join("; ");
}
