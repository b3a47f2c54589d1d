/**
 * The file of a benchmark run: JSON lines, the environment first, then one sample a line in the order in which they
 * were taken. Whoever measures writes it; the report and the comparison read it. Plain records only.
 */

/** What a benchmark does to a server, or to the codec. */
export const workloads = [
  "codec",
  "echo",
  "fanout",
  "rooms",
  "latency",
  "idle",
  "churn",
  "storm",
  "server",
] as const;
export type WorkloadName = typeof workloads[number];

/** The first line of a file. */
export interface Environment {
  readonly kind: "environment";
  /** ISO 8601. */
  readonly startedAt: string;
  readonly cpu: string;
  readonly cores: number;
  readonly memoryBytes: number;
  readonly kernel: string;
  /** Of the commit that was measured; `dirty` when files differed from it. */
  readonly commit: string;
  readonly dirty: boolean;
  /** Versions by name: runtimes, contenders, programs. */
  readonly versions: Readonly<Record<string, string>>;
  /** The command line. */
  readonly command: string;
  /** What was settled for all contenders alike, in words by name: limits, compression, pinning. */
  readonly settings: Readonly<Record<string, string>>;
  /** What the contenders are, by the names that samples use, where the report cannot know it. */
  readonly contenders?: Readonly<Record<string, ContenderNote>>;
}

/** A contender as a reader knows it. */
export interface ContenderNote {
  /** At most some 24 characters: it stands beside a bar on a phone. */
  readonly label: string;
  /** Our engine in TypeScript, a native engine, the whole server, somebody else's server, or no WebSocket at all. */
  readonly kind: "ours" | "native" | "server" | "other" | "ceiling";
  /** What differs from the settings of all, in words. */
  readonly remark?: string;
}

/** One question: a workload with its parameters. */
export interface Cell {
  readonly workload: WorkloadName;
  /** As `payloadBytes: 128, connections: 64, inFlight: 8, binary: false, deflate: "off"`. */
  readonly parameters: Readonly<Record<string, number | string | boolean>>;
}

/**
 * The figures of a sample by name; each workload has its own.
 * Throughput: messagesPerCpuSecond, messagesPerSecond, serverShare, loadShare (of a core), deliveryRatio.
 * Latency: p50Ms, p90Ms, p99Ms, p999Ms, maxMs, offeredPerSecond, share (of the contender's own capacity).
 * Memory: bytesPerConnection, rssBytes, heapBytes, externalBytes, afterBytes.
 * Storm: handshakesPerCpuSecond, handshakesPerSecond. Codec: nsPerMessage.
 */
export type Figures = Readonly<Record<string, number>>;

/** One run of one contender in one cell. */
export interface Sample {
  readonly kind: "sample";
  readonly cell: Cell;
  readonly contender: string;
  /** From 1; runs of a cell with the same number are neighbours in time. */
  readonly run: number;
  /** What was wrong; a sample with failures has no valid figures, and is shown as failed. */
  readonly failures: readonly string[];
  readonly figures: Figures;
  /** The load generator had no time left and the server had: wall-clock rates are the load generator's. */
  readonly loadIsLimit?: boolean;
}

/** What was asked for and cannot be had here; shown in the report. */
export interface NotRun {
  readonly kind: "notRun";
  readonly contender: string;
  /** Absent when no cell was run. */
  readonly cell?: Cell;
  readonly why: string;
}

export type ResultLine = Environment | Sample | NotRun;

/** One text for one cell, the same for equal parameters in whatever order: what samples are grouped by. */
export function cellKey({ workload, parameters }: Cell): string {
  const parts = Object.entries(parameters).sort(([a], [b]) => a < b ? -1 : 1);
  return [workload, ...parts.map(([name, value]) => `${name}=${value}`)].join(" ");
}
