/**
 * One run becomes a sample, the samples of a contender become a summary, summaries become a table.
 * Pure functions on plain records; it must never start anything.
 */
import type { Idle, Outcome, Throughput, Workload } from "./load/job.ts";

/** From this share of a core on, a process counts as busy all the time. */
const BUSY_SHARE = 0.95;
const THOUSAND = 1e3;

/** One run of one contender. `value` is absent when the run failed. */
export interface Sample {
  kind: "sample";
  workload: Workload;
  contender: string;
  /** From 1; runs with the same number are neighbours in time, and compared with each other. */
  run: number;
  failures: string[];
  /** Messages per server-CPU-second; idle: bytes per connection. */
  value?: number;
  /** Messages per second of wall-clock time. */
  perSecond?: number;
  /** Share of one core that the server and the load generator used. */
  serverShare?: number;
  loadShare?: number;
  /** The load generator had no time left and the server had: the wall-clock rate is the load generator's. */
  loadIsLimit?: boolean;
  throughput?: Throughput;
  idle?: Idle;
}

/** A distribution, reduced. */
export interface Spread {
  median: number;
  min: number;
  max: number;
}

/** All runs of one contender. */
export interface Summary {
  kind: "summary";
  workload: Workload;
  contender: string;
  runs: number;
  failed: number;
  /** Absent when every run failed, as is all that follows. */
  value?: Spread;
  /** This contender's value over the first contender's, run by run. */
  ratio?: Spread;
  perSecond?: Spread;
  serverShare?: Spread;
  loadShare?: Spread;
  /** Runs in which the load generator was the limit. */
  loadWasLimit: number;
  /** The worst of all runs, failed ones included. */
  deliveryRatio?: number;
}

/** Derives the figures of a run from what the load generator counted. */
export function toSample(workload: Workload, contender: string, run: number, outcome: Outcome): Sample {
  const { failures, throughput, idle } = outcome;
  const sample: Sample = { kind: "sample", workload, contender, run, failures: [...failures] };
  if (throughput !== undefined) {
    sample.throughput = throughput;
    sample.perSecond = throughput.messages / throughput.seconds;
    sample.serverShare = throughput.serverCpuSeconds / throughput.seconds;
    sample.loadShare = throughput.loadCpuSeconds / throughput.seconds;
    sample.loadIsLimit = sample.loadShare >= BUSY_SHARE && sample.serverShare < BUSY_SHARE;
    if (throughput.serverCpuSeconds === 0 || throughput.messages === 0) {
      sample.failures.push("nothing to divide: no message, or no CPU time in the window");
    }
    if (sample.failures.length === 0) sample.value = throughput.messages / throughput.serverCpuSeconds;
  }
  if (idle !== undefined) {
    sample.idle = idle;
    const connections = idle.manyConnections - idle.fewConnections;
    if (sample.failures.length === 0) sample.value = (idle.manyBytes - idle.fewBytes) / connections;
  }
  return sample;
}

/** Reduces all samples, contender by contender in the order of first appearance; the first is the reference. */
export function summarize(samples: readonly Sample[]): Summary[] {
  const names = [...new Set(samples.map((sample) => sample.contender))];
  const reference = new Map(
    samples.filter((sample) => sample.contender === names[0]).map((sample) => [sample.run, sample.value]),
  );
  return names.map((name) => summaryOf(samples.filter((sample) => sample.contender === name), reference));
}

function summaryOf(own: readonly Sample[], reference: ReadonlyMap<number, number | undefined>): Summary {
  const good = own.filter((sample) => sample.value !== undefined);
  const [{ workload, contender }] = own as [Sample];
  return {
    kind: "summary",
    workload,
    contender,
    runs: own.length,
    failed: own.length - good.length,
    ...spread("value", good.map((sample) => sample.value)),
    ...spread("ratio", good.map((sample) => quotient(sample.value, reference.get(sample.run)))),
    ...spread("perSecond", good.map((sample) => sample.perSecond)),
    ...spread("serverShare", good.map((sample) => sample.serverShare)),
    ...spread("loadShare", good.map((sample) => sample.loadShare)),
    loadWasLimit: good.filter((sample) => sample.loadIsLimit).length,
    ...worstDelivery(own),
  };
}

function quotient(value: number | undefined, reference: number | undefined): number | undefined {
  return value === undefined || reference === undefined ? undefined : value / reference;
}

function worstDelivery(own: readonly Sample[]): { deliveryRatio?: number } {
  const ratios = own.flatMap((sample) =>
    sample.throughput === undefined ? [] : sample.throughput.deliveryRatio
  );
  return ratios.length === 0 ? {} : { deliveryRatio: Math.min(...ratios) };
}

/** `{ [name]: { median, min, max } }`, or nothing when there are no values. */
function spread<Name extends string>(name: Name, values: (number | undefined)[]): { [N in Name]?: Spread } {
  const sorted = values.filter((value) => value !== undefined).sort((a, b) => a - b);
  if (sorted.length === 0) return {};
  const low = sorted[(sorted.length - 1) >> 1] as number;
  const high = sorted[sorted.length >> 1] as number;
  const reduced: Spread = {
    median: (low + high) / 2,
    min: sorted[0] as number,
    max: sorted.at(-1) as number,
  };
  return { [name]: reduced } as { [N in Name]?: Spread };
}

/** The summaries as text: one line for each contender under a line of headings. */
export function formatTable(summaries: readonly Summary[]): string {
  const isIdle = summaries[0]?.workload === "idle";
  const headings = isIdle
    ? ["contender", "bytes/connection", "min", "max", "ratio", "min", "max", "failed"]
    : [
      ...["contender", "k msg/cpu-s", "min", "max", "ratio", "min", "max"],
      ...["k msg/s", "server cpu", "load cpu", "load-bound", "delivered", "failed"],
    ];
  const rows = summaries.map((summary) => [
    summary.contender,
    ...spreadCells(summary.value, isIdle ? 1 : THOUSAND, isIdle ? 0 : 1),
    ...spreadCells(summary.ratio, 1, 2),
    ...(isIdle ? [] : [
      cell(summary.perSecond && summary.perSecond.median / THOUSAND, 1),
      cell(summary.serverShare?.median, 2),
      cell(summary.loadShare?.median, 2),
      `${summary.loadWasLimit}/${summary.runs}`,
      cell(summary.deliveryRatio, 6),
    ]),
    summary.failed === 0 ? "0" : `${summary.failed} FAILED`,
  ]);
  const widths = headings.map((heading, i) =>
    Math.max(heading.length, ...rows.map((row) => row[i]?.length ?? 0))
  );
  return [headings, ...rows].map((row) =>
    row.map((text, i) => i === 0 ? text.padEnd(widths[i] ?? 0) : text.padStart(widths[i] ?? 0)).join("  ")
      .trimEnd()
  ).join("\n");
}

function spreadCells(values: Spread | undefined, divisor: number, digits: number): string[] {
  return [values?.median, values?.min, values?.max].map((value) => cell(value && value / divisor, digits));
}

function cell(value: number | undefined, digits: number): string {
  return value === undefined ? "-" : value.toFixed(digits);
}
