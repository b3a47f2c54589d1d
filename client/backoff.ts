/** How long to wait before the next attempt: exponential, with full jitter, so that clients do not come back together. */

export interface BackoffOptions {
  readonly minMs: number;
  readonly maxMs: number;
  /** From 0 up to 1. */
  readonly random: () => number;
}

export interface Backoff {
  /** A random wait below a bound that doubles with each call, to a limit. Milliseconds. */
  next(): number;
  /** It worked: the next wait is short again. */
  reset(): void;
}

export function createBackoff({ minMs, maxMs, random }: BackoffOptions): Backoff {
  let failures = 0;
  return {
    next: () => random() * Math.min(maxMs, minMs * 2 ** failures++),
    reset() {
      failures = 0;
    },
  };
}
