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
  /** Contenders that could not be had, or are not installed, with the reason. */
  readonly unavailable?: Readonly<Record<string, string>>;
  /** Cells that were left out, whole or for some contenders, with the reason: no time left, or it cannot do that. */
  readonly notRun?: readonly NotRun[];
}

/** What was not asked. */
export interface NotRun {
  readonly cell: Cell;
  readonly contenders: readonly string[];
  readonly reason: string;
}

/** One question: a workload with its parameters. */
export interface Cell {
  readonly workload: WorkloadName;
  /** As `payloadBytes: 128, connections: 64, inFlight: 8, binary: false, deflate: "off"`. */
  readonly parameters: Readonly<Record<string, number | string | boolean>>;
}

/**
 * The figures of a sample by name; each workload has its own.
 * Throughput: messagesPerCpuSecond, messagesPerSecond, serverShare, loadShare (of a core), deliveryRatio, rssBytes;
 * with rooms also publicationsPerCpuSecond.
 * Latency: p50Ms, p90Ms, p99Ms, p999Ms, maxMs, capacityPerSecond, offeredPerSecond, share (of the contender's own
 * capacity), lateP99Ms (how late the load generator sent), deliveryRatio, serverShare; loadShare is 1, as it spins.
 * Memory: bytesPerConnection, rssBytes, heapBytes, externalBytes, afterBytes (when all have left), collected (1 when
 * garbage was collected first); heapBytesPerConnection and externalBytesPerConnection.
 * Churn: growthBytes, growthBytesPerConnection, rssBytes (before), afterBytes, connectionsPerSecond.
 * Storm: handshakesPerCpuSecond, handshakesPerSecond, serverShare, loadShare. Codec: nsPerMessage.
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

export type ResultLine = Environment | Sample;

/** One text for one cell, the same for equal parameters in whatever order: what samples are grouped by. */
export function cellKey({ workload, parameters }: Cell): string {
  const parts = Object.entries(parameters).sort(([a], [b]) => a < b ? -1 : 1);
  return [workload, ...parts.map(([name, value]) => `${name}=${value}`)].join(" ");
}
