/** How long to wait before the next attempt: exponential, with full jitter, so that clients do not come back together. */

export interface BackoffOptions {
  readonly minMs: number;
  readonly maxMs: number;
  /** From 0 up to 1. */
  readonly random: () => number;
}

export class Backoff {
  private readonly options: BackoffOptions;
  private failures = 0;

  constructor(options: BackoffOptions) {
    this.options = options;
  }

  /** A random wait below a bound that doubles with each call, to a limit. */
  next(): number {
    const { minMs, maxMs, random } = this.options;
    return random() * Math.min(maxMs, minMs * 2 ** this.failures++);
  }

  /** It worked: the next wait is short again. */
  reset(): void {
    this.failures = 0;
  }
}
