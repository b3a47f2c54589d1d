/** Times of many messages reduced to the figures of a distribution. It must never know what took the time. */
import type { RecordableHistogram } from "node:perf_hooks";
import { NANOSECONDS_PER_MS } from "../../bench/load/timetable.ts";

/** In milliseconds; three significant digits. */
export interface Distribution {
  readonly count: number;
  readonly meanMs: number;
  readonly medianMs: number;
  readonly p90Ms: number;
  readonly p95Ms: number;
  readonly p99Ms: number;
  readonly p999Ms: number;
  readonly maxMs: number;
}

/** The figures of what `histogram` has recorded, in nanoseconds; undefined when that is nothing. */
export function distributionOf(histogram: RecordableHistogram): Distribution | undefined {
  if (histogram.count === 0) return undefined;
  const at = (percentile: number): number => histogram.percentile(percentile) / NANOSECONDS_PER_MS;
  return {
    count: histogram.count,
    meanMs: histogram.mean / NANOSECONDS_PER_MS,
    medianMs: at(50),
    p90Ms: at(90),
    p95Ms: at(95),
    p99Ms: at(99),
    p999Ms: at(99.9),
    maxMs: histogram.max / NANOSECONDS_PER_MS,
  };
}
