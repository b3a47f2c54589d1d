/**
 * Medians, spreads and seeded bootstrap errors of a handful of samples, for the report and the comparison.
 * Pure arithmetic: it must never know what was measured.
 */

/** Several values of one figure, reduced. All in the figure's own unit. */
export interface Spread {
  readonly median: number;
  readonly low: number;
  readonly high: number;
  readonly samples: number;
}

/** Middle value; mean of the two middle ones when their number is even. Throws a RangeError when there are none. */
export function median(values: readonly number[]): number {
  if (values.length === 0) throw new RangeError("the median of nothing");
  const sorted = [...values].sort((a, b) => a - b);
  const low = sorted[(sorted.length - 1) >> 1] as number;
  const high = sorted[sorted.length >> 1] as number;
  return (low + high) / 2;
}

/** Median with least and greatest value; undefined when there are no values. */
export function spreadOf(values: readonly number[]): Spread | undefined {
  if (values.length === 0) return undefined;
  return {
    median: median(values),
    low: Math.min(...values),
    high: Math.max(...values),
    samples: values.length,
  };
}

/** Numbers from 0 up to 1, the same ones for the same seed (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Standard error of the median: the standard deviation of the medians of resampled values. */
export function bootstrapError(values: readonly number[], resamples: number, random: () => number): number {
  const drawn = new Array<number>(values.length);
  let sum = 0;
  let squares = 0;
  for (let round = 0; round < resamples; round++) {
    for (let at = 0; at < drawn.length; at++) {
      drawn[at] = values[Math.floor(random() * values.length)] as number;
    }
    const middle = median(drawn);
    sum += middle;
    squares += middle * middle;
  }
  return Math.sqrt(Math.max(0, squares / resamples - (sum / resamples) ** 2));
}

const BISECTIONS = 60;
const FARTHEST_QUANTILE = 9;

/** The value that a standard normal variable stays below with probability `share`. */
export function normalQuantile(share: number): number {
  let low = -FARTHEST_QUANTILE;
  let high = FARTHEST_QUANTILE;
  for (let step = 0; step < BISECTIONS; step++) {
    const middle = (low + high) / 2;
    if (normalShare(middle) < share) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

/** Abramowitz and Stegun, Handbook of Mathematical Functions, 26.2.17: wrong by less than 1e-7. */
function normalShare(value: number): number {
  const t = 1 / (1 + 0.2316419 * Math.abs(value));
  const series = t *
    (0.319381530 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))));
  const above = Math.exp(-value * value / 2) / Math.sqrt(2 * Math.PI) * series;
  return value > 0 ? 1 - above : above;
}
