/** Time and timers as the client sees them, so that a test can move them. */
export interface Clock {
  /** Milliseconds since an arbitrary moment; never goes back. */
  now(): number;
  /** Milliseconds since 1970. It may jump; only for the expiry of tokens. */
  wallMs(): number;
  /** Calls `run` once after `ms` milliseconds. Returns what cancels it. */
  after(ms: number, run: () => void): () => void;
}

/** What timers of all runtimes can hold; a longer wait comes back early, which is harmless here. */
const MAX_TIMER_MS = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => performance.now(),
  wallMs: () => Date.now(),
  after(ms, run) {
    const timer = setTimeout(run, Math.min(ms, MAX_TIMER_MS));
    return () => clearTimeout(timer);
  },
};
