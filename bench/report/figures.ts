/**
 * What the figures of a sample mean to a reader: unit, scale, and whether more is better; and how numbers are written.
 * It must never know a contender.
 */
import type { WorkloadName } from "../result.ts";
import type { Spread } from "./statistics.ts";

/** How a figure is shown. */
export interface FigureKind {
  readonly unit: string;
  /** Values are divided by this before they are shown in `unit`. */
  readonly scale: number;
  readonly better: "more" | "less";
}

const THOUSAND = 1e3;
const MIB = 1024 * 1024;

const kinds: Readonly<Record<string, FigureKind>> = {
  messagesPerCpuSecond: { unit: "thousand messages per server-CPU-second", scale: THOUSAND, better: "more" },
  messagesPerSecond: { unit: "thousand messages per second", scale: THOUSAND, better: "more" },
  publicationsPerCpuSecond: {
    unit: "thousand publications per server-CPU-second",
    scale: THOUSAND,
    better: "more",
  },
  handshakesPerCpuSecond: {
    unit: "thousand handshakes per server-CPU-second",
    scale: THOUSAND,
    better: "more",
  },
  handshakesPerSecond: { unit: "thousand handshakes per second", scale: THOUSAND, better: "more" },
  bytesPerConnection: { unit: "bytes per connection", scale: 1, better: "less" },
  afterBytes: { unit: "MiB left after everyone has gone", scale: MIB, better: "less" },
  growthBytes: { unit: "MiB grown", scale: MIB, better: "less" },
  rssBytes: { unit: "MiB", scale: MIB, better: "less" },
  heapBytes: { unit: "MiB", scale: MIB, better: "less" },
  externalBytes: { unit: "MiB", scale: MIB, better: "less" },
  nsPerMessage: { unit: "ns per message", scale: 1, better: "less" },
  deliveryRatio: { unit: "delivered of what was due", scale: 1, better: "more" },
};

const MILLISECONDS: FigureKind = { unit: "ms", scale: 1, better: "less" };
const UNKNOWN: FigureKind = { unit: "", scale: 1, better: "more" };

/** How to show a figure, also one that this file has never heard of. */
export function kindOf(figure: string): FigureKind {
  return kinds[figure] ?? (figure.endsWith("Ms") ? MILLISECONDS : { ...UNKNOWN, unit: figure });
}

/** What a workload is judged by, the first one that its samples have. */
const judgedBy: Readonly<Record<WorkloadName, readonly string[]>> = {
  codec: ["nsPerMessage"],
  echo: ["messagesPerCpuSecond"],
  fanout: ["messagesPerCpuSecond"],
  rooms: ["messagesPerCpuSecond"],
  latency: ["p99Ms"],
  idle: ["bytesPerConnection"],
  churn: ["growthBytes"],
  storm: ["handshakesPerCpuSecond"],
  server: ["messagesPerCpuSecond", "publicationsPerCpuSecond", "p99Ms", "bytesPerConnection"],
};

/** The figure that a workload is judged by, given the names that a sample has. */
export function judgingFigure(workload: WorkloadName, has: (figure: string) => boolean): string | undefined {
  return judgedBy[workload].find(has);
}

/** Three significant digits or the whole part, with commas: 1,010 or 84.2 or 0.95. */
export function formatNumber(value: number): string {
  const size = Math.abs(value);
  const digits = size >= 100 || value === 0 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3;
  return value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/** A median with least and greatest value, all divided by `scale`. */
export function formatSpread({ median, low, high }: Spread, scale = 1): string {
  const [middle, least, most] = [median, low, high].map((value) => formatNumber(value / scale));
  return `${middle} (${least} to ${most})`;
}

/** A ratio with two decimals and its sign, which stay on one line: 1.25 ×. */
export function formatRatio(value: number): string {
  return `${value.toFixed(2)}\u00a0×`;
}

/** A ratio with its least and greatest value over the paired runs. */
export function formatRatioSpread({ median, low, high }: Spread): string {
  return `${formatRatio(median)} (${low.toFixed(2)} to ${high.toFixed(2)})`;
}

/** Bytes as people say them: 16 B, 1 KiB, 64 KiB. */
export function formatBytes(bytes: number): string {
  return bytes >= 1024 && bytes % 1024 === 0 ? `${formatWhole(bytes / 1024)} KiB` : `${formatWhole(bytes)} B`;
}

/** A whole number with commas. */
export function formatWhole(value: number): string {
  return Math.round(value).toLocaleString("en-US");
}
