/**
 * A token bucket that is exact: all of its sums are whole numbers below 2^53, so nothing drifts in years of uptime.
 * It is refilled from the time that it is given; it has no timer, reads no clock and does not know what a token stands for.
 *
 * Time counts in whole microseconds and tokens in millionths. A rate of N tokens a second is then N millionths a
 * microsecond, and no division is needed before a wait is computed.
 */

/** How fast something may go on: `perSecond` tokens on average, `burst` at once. Both whole, from 1 to their maximum. */
export interface Rate {
  readonly perSecond: number;
  readonly burst: number;
}

/** A burst of this many tokens, in millionths, is still far below 2^53. */
export const MAX_BURST = 1_000_000_000;
export const MAX_PER_SECOND = 1_000_000_000;

/** A bucket counts in these: millionths of a token. */
export const UNITS_PER_TOKEN = 1_000_000;
const US_PER_MS = 1_000;

/**
 * Reads a rate from `N` (the burst is N too) or `N:burst`; `0` stands for no limit.
 * @returns the rate, with undefined for no limit, or what is wrong, to follow the name of the option
 */
export function parseRate(text: string): { value: Rate | undefined } | { problem: string } {
  if (text === "0") return { value: undefined };
  const [, first, second = first] = /^(\d+)(?::(\d+))?$/.exec(text) ?? [];
  const rate = { perSecond: Number(first), burst: Number(second) };
  if (!isRate(rate)) {
    return {
      problem: `must be 0 (no limit), N or N:burst, with N from 1 to ${MAX_PER_SECOND} per second and ` +
        `a burst from 1 to ${MAX_BURST}, not ${JSON.stringify(text)}`,
    };
  }
  return { value: rate };
}

/** A rate as {@link parseRate} reads it. */
export function rateText(rate: Rate | undefined): string {
  if (rate === undefined) return "0";
  const { perSecond, burst } = rate;
  return perSecond === burst ? `${perSecond}` : `${perSecond}:${burst}`;
}

function isRate({ perSecond, burst }: Rate): boolean {
  return Number.isInteger(perSecond) && perSecond >= 1 && perSecond <= MAX_PER_SECOND &&
    Number.isInteger(burst) && burst >= 1 && burst <= MAX_BURST;
}

/** @throws {RangeError} when a rate is not within its bounds: sums would no longer be exact */
export function assertRate(rate: Rate | undefined): void {
  if (rate !== undefined && !isRate(rate)) throw new RangeError(`not a rate: ${JSON.stringify(rate)}`);
}

/** Whole microseconds of a time in milliseconds. */
export function microseconds(nowMs: number): number {
  return Math.floor(nowMs * US_PER_MS);
}

/** What a bucket that held `units` holds `elapsedUs` microseconds later. */
export function refilled(rate: Rate, units: number, elapsedUs: number): number {
  // A product that is too large to be exact is far above any burst.
  return Math.min(units + elapsedUs * rate.perSecond, rate.burst * UNITS_PER_TOKEN);
}

/** Whole milliseconds, rounded up, until a bucket that holds `units` holds `cost` tokens; Infinity for more than its burst. */
export function waitForMs(rate: Rate, units: number, cost: number): number {
  if (cost > rate.burst) return Infinity;
  const missing = cost * UNITS_PER_TOKEN - units;
  return missing <= 0 ? 0 : Math.ceil(Math.ceil(missing / rate.perSecond) / US_PER_MS);
}

/**
 * One bucket, full at first. Times are monotonic milliseconds, the fraction included; a time before the last one adds
 * nothing. What is granted in any window is at most the burst and what flows in during the window; a refused cost would
 * have passed that in some window. Both hold to 1.01 µs of a window's length: its ends are cut to whole microseconds,
 * and before that to what a double can hold.
 */
export class TokenBucket {
  private readonly rate: Rate;
  // V8 lays out a field by its first value: NaN makes a double of it, which is changed in place, where a small whole
  // number would have to be moved to the heap later.
  private units = NaN;
  private filledUs = NaN;

  /** @throws {RangeError} when the rate is not within its bounds */
  constructor(rate: Rate, nowMs: number) {
    assertRate(rate);
    this.rate = rate;
    this.units = rate.burst * UNITS_PER_TOKEN;
    this.filledUs = microseconds(nowMs);
  }

  /**
   * Takes `cost` tokens if they are there; if not, it takes none and answers false.
   * @param cost whole and not negative; above the burst it is never granted
   * @throws {RangeError} when the cost is negative or NaN
   */
  take(cost: number, nowMs: number): boolean {
    if (!(cost >= 0)) throw new RangeError(`not a cost: ${cost}`);
    this.refill(nowMs);
    const units = cost * UNITS_PER_TOKEN;
    if (units > this.units) return false;
    this.units -= units;
    return true;
  }

  /** Whole milliseconds until `cost` tokens are there: 0 when they are, at least 1 after a refusal, Infinity above the burst. */
  waitMs(cost: number, nowMs: number): number {
    this.refill(nowMs);
    return waitForMs(this.rate, this.units, cost);
  }

  /** A full bucket is as good as a new one, and need not be kept. */
  isFull(nowMs: number): boolean {
    return this.waitMs(this.rate.burst, nowMs) === 0;
  }

  private refill(nowMs: number): void {
    const nowUs = microseconds(nowMs);
    const elapsedUs = nowUs - this.filledUs;
    if (!(elapsedUs > 0)) return;
    this.units = refilled(this.rate, this.units, elapsedUs);
    this.filledUs = nowUs;
  }
}
