/**
 * Time as the server sees it: monotonic, and injected, so that a test can decide when thirty seconds have passed.
 * Nothing below main.ts asks the runtime for the time or for a timer by itself.
 */

/** A monotonic clock with timers, and the time of day for what others have dated. */
export interface Clock {
  /** Milliseconds since an arbitrary moment; never goes back. */
  now(): number;
  /** Milliseconds since 1970, as the machine believes; it may jump. Only for dates that come from elsewhere. */
  wallMs(): number;
  /** Calls `run` once after `ms` milliseconds. Returns what cancels it. A pending call keeps the process alive. */
  after(ms: number, run: () => void): () => void;
  /** Calls `run` every `ms` milliseconds. Returns what stops it. It does not keep the process alive. */
  every(ms: number, run: () => void): () => void;
}

/** The runtime's own clock and timers. */
export const systemClock: Clock = {
  now: () => performance.now(),
  wallMs: () => Date.now(),
  after(ms, run) {
    const timer = setTimeout(run, ms);
    return () => clearTimeout(timer);
  },
  every(ms, run) {
    const timer = setInterval(run, ms);
    timer.unref();
    return () => clearInterval(timer);
  },
};
