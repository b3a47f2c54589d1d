/**
 * One run becomes a sample, the samples of a contender become a summary, summaries become a table.
 * Pure functions on plain records; it must never start anything.
 */
import type { MemoryAccount } from "./child.ts";
import type { Idle, Latency, Outcome, Window } from "./load/job.ts";
import type { Cell, Figures, Sample, WorkloadName } from "./result.ts";

/** From this share of a core on, a process counts as busy all the time. */
const BUSY_SHARE = 0.95;
/** A load generator that sends later than this does not keep its own timetable. */
const MOST_LATE_MS = 1;
const THOUSAND = 1e3;

/** A distribution, reduced. */
export interface Spread {
  median: number;
  min: number;
  max: number;
}

/** All runs of one contender. */
export interface Summary {
  kind: "summary";
  contender: string;
  runs: number;
  failed: number;
  /** The workload's main figure; absent when every run failed, as is all that follows. */
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

/** The figure that a workload is about, and how many of its units a table shows as one. */
const mainFigures: Readonly<Record<WorkloadName, { name: string; heading: string; unit: number }>> = {
  codec: { name: "nsPerMessage", heading: "ns/msg", unit: 1 },
  echo: { name: "messagesPerCpuSecond", heading: "k msg/cpu-s", unit: THOUSAND },
  fanout: { name: "messagesPerCpuSecond", heading: "k msg/cpu-s", unit: THOUSAND },
  rooms: { name: "messagesPerCpuSecond", heading: "k msg/cpu-s", unit: THOUSAND },
  server: { name: "messagesPerCpuSecond", heading: "k msg/cpu-s", unit: THOUSAND },
  latency: { name: "p99Ms", heading: "p99 ms", unit: 1 },
  idle: { name: "bytesPerConnection", heading: "bytes/connection", unit: 1 },
  churn: { name: "growthBytes", heading: "growth bytes", unit: 1 },
  storm: { name: "handshakesPerCpuSecond", heading: "handshakes/cpu-s", unit: 1 },
};

/** Derives the figures of a run from what the load generator counted. Without valid figures there are failures. */
export function toSample(
  cell: Cell,
  contender: string,
  run: number,
  outcome: Outcome,
  memory: readonly MemoryAccount[] = [],
): Sample {
  const failures = [...outcome.failures];
  const { throughput, latency, idle, churn, storm } = outcome;
  const figures: Record<string, number> = {};
  let loadIsLimit = false;
  const window = throughput ?? latency ?? storm;
  if (window !== undefined) {
    Object.assign(figures, windowFigures(window));
    const { serverShare = 0, loadShare = 0 } = figures;
    const { loadProcesses = 1 } = window;
    loadIsLimit = loadShare >= BUSY_SHARE * loadProcesses && serverShare < BUSY_SHARE;
    if (window.serverCpuSeconds === 0) failures.push("the server used no CPU time in the window");
  }
  if (throughput !== undefined) {
    const { deliveryRatio, messages, rssBytes, seconds, serverCpuSeconds } = throughput;
    if (messages === 0) failures.push("no message arrived in the window");
    const messagesPerCpuSecond = messages / serverCpuSeconds;
    Object.assign(figures, {
      messagesPerCpuSecond,
      messagesPerSecond: messages / seconds,
      deliveryRatio,
      rssBytes,
    });
    const { roomSize } = cell.parameters;
    if (typeof roomSize === "number") figures["publicationsPerCpuSecond"] = messagesPerCpuSecond / roomSize;
  }
  if (latency !== undefined) {
    Object.assign(figures, latencyFigures(latency));
    loadIsLimit = latency.lateP99Ms > MOST_LATE_MS;
  }
  if (idle !== undefined) Object.assign(figures, idleFigures(idle, memory));
  if (churn !== undefined) {
    const growthBytes = churn.endBytes - churn.startBytes;
    Object.assign(figures, {
      growthBytes,
      rssBytes: churn.startBytes,
      afterBytes: churn.endBytes,
      growthBytesPerConnection: growthBytes / churn.connections,
      connectionsPerSecond: churn.connections / churn.seconds,
    });
  }
  if (storm !== undefined) {
    figures["handshakesPerCpuSecond"] = storm.handshakes / storm.serverCpuSeconds;
    figures["handshakesPerSecond"] = storm.handshakes / storm.seconds;
  }
  const base = { kind: "sample", cell, contender, run, failures } as const;
  return { ...base, figures: failures.length === 0 ? figures : failedFigures(figures), loadIsLimit };
}

/** Of a failed run only what says how badly it failed. */
function failedFigures({ deliveryRatio }: Record<string, number>): Figures {
  return deliveryRatio === undefined ? {} : { deliveryRatio };
}

function windowFigures({ seconds, serverCpuSeconds, loadCpuSeconds }: Window): Figures {
  return { serverShare: serverCpuSeconds / seconds, loadShare: loadCpuSeconds / seconds };
}

function latencyFigures(latency: Latency): Figures {
  const { seconds: _, serverCpuSeconds: _server, loadCpuSeconds: _load, ...figures } = latency;
  return { ...figures, share: latency.offeredPerSecond / latency.capacityPerSecond };
}

function idleFigures(idle: Idle, memory: readonly MemoryAccount[]): Figures {
  const connections = idle.manyConnections - idle.fewConnections;
  const [few, many] = idle.collections.map((count) => memory[count - 1]);
  const { afterBytes, fewBytes, manyBytes } = idle;
  return {
    bytesPerConnection: (manyBytes - fewBytes) / connections,
    rssBytes: manyBytes,
    afterBytes,
    collected: idle.collected ? 1 : 0,
    ...(few !== undefined && many !== undefined && {
      heapBytes: many.heapUsed,
      externalBytes: many.external,
      heapBytesPerConnection: (many.heapUsed - few.heapUsed) / connections,
      externalBytesPerConnection: (many.external - few.external) / connections,
    }),
  };
}

/** The figure that a sample is about; undefined when it failed. */
export function mainFigure({ cell, figures, failures }: Sample): number | undefined {
  return failures.length > 0 ? undefined : figures[mainFigures[cell.workload].name];
}

/** The main figure as text with its unit, for a line of progress. */
export function mainFigureText(sample: Sample): string {
  const { heading, unit } = mainFigures[sample.cell.workload];
  const value = mainFigure(sample);
  return value === undefined ? `FAILED: ${sample.failures.join("; ")}` : `${inUnit(value, unit)} ${heading}`;
}

/** Reduces all samples of a cell, contender by contender in the order of first appearance; the first is the reference. */
export function summarize(samples: readonly Sample[]): Summary[] {
  const names = [...new Set(samples.map((sample) => sample.contender))];
  const reference = new Map(
    samples.filter((sample) => sample.contender === names[0]).map((
      sample,
    ) => [sample.run, mainFigure(sample)]),
  );
  return names.map((name) => summaryOf(samples.filter((sample) => sample.contender === name), reference));
}

function summaryOf(own: readonly Sample[], reference: ReadonlyMap<number, number | undefined>): Summary {
  const figure = (name: string) =>
    own.map(({ failures, figures }) => failures.length > 0 ? undefined : figures[name]);
  const ratios = own.map(({ figures }) => figures["deliveryRatio"]).filter((ratio) => ratio !== undefined);
  return {
    kind: "summary",
    contender: own[0]?.contender ?? "",
    runs: own.length,
    failed: own.filter((sample) => sample.failures.length > 0).length,
    ...spread("value", own.map(mainFigure)),
    ...spread("ratio", own.map((sample) => quotient(mainFigure(sample), reference.get(sample.run)))),
    ...spread("perSecond", figure("messagesPerSecond")),
    ...spread("serverShare", figure("serverShare")),
    ...spread("loadShare", figure("loadShare")),
    loadWasLimit: own.filter((sample) => sample.loadIsLimit).length,
    ...(ratios.length > 0 && { deliveryRatio: Math.min(...ratios) }),
  };
}

function quotient(value: number | undefined, reference: number | undefined): number | undefined {
  return value === undefined || reference === undefined ? undefined : value / reference;
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

/** The summaries of one workload as text: one line for each contender under a line of headings. */
export function formatTable(workload: WorkloadName, summaries: readonly Summary[]): string {
  const { heading, unit } = mainFigures[workload];
  const hasRate = summaries.some((summary) => summary.perSecond !== undefined);
  const headings = [
    ...["contender", heading, "min", "max", "ratio", "min", "max"],
    ...(hasRate ? ["k msg/s", "server cpu", "load cpu", "load-bound", "delivered"] : []),
    "failed",
  ];
  const rows = summaries.map((summary) => [
    summary.contender,
    ...spreadCells(summary.value, (value) => inUnit(value, unit)),
    ...spreadCells(summary.ratio, (value) => value.toFixed(2)),
    ...(hasRate
      ? [
        cell(summary.perSecond && summary.perSecond.median / THOUSAND, 1),
        cell(summary.serverShare?.median, 2),
        cell(summary.loadShare?.median, 2),
        `${summary.loadWasLimit}/${summary.runs}`,
        cell(summary.deliveryRatio, 6),
      ]
      : []),
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

function inUnit(value: number, unit: number): string {
  const shown = value / unit;
  const digits = Math.abs(shown) >= THOUSAND ? 0 : Math.abs(shown) >= 10 ? 1 : 3;
  return shown.toFixed(digits);
}

function spreadCells(values: Spread | undefined, show: (value: number) => string): string[] {
  return [values?.median, values?.min, values?.max].map((value) => value === undefined ? "-" : show(value));
}

function cell(value: number | undefined, digits: number): string {
  return value === undefined ? "-" : value.toFixed(digits);
}
