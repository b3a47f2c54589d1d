/**
 * How late the event loop is: a timer that should fire every 100 ms tells by how much it did not. Measured here because
 * perf_hooks' monitorEventLoopDelay means something else on each runtime (Node's includes the interval itself, Deno's
 * does not see a loop that is blocked).
 */
import type { Clock } from "../clock.ts";

/** Between two looks: often enough for a histogram, and nothing that an idle process would notice. */
export const LAG_INTERVAL_MS = 100;

/**
 * Watches the event loop; the timer does not keep the process alive.
 * @param observe is told in seconds how late each moment was. One stall that covers several moments counts for each
 * of them, or a long one would look as rare as a short one.
 * @returns what stops it
 */
export function watchLoopLag(clock: Clock, observe: (seconds: number) => void): () => void {
  let last = clock.now();
  return clock.every(LAG_INTERVAL_MS, () => {
    const now = clock.now();
    // The runtimes count an interval from when the one before was run, so the lateness of that one is in `last`.
    let lagMs = Math.max(0, now - last - LAG_INTERVAL_MS);
    last = now;
    do {
      observe(lagMs / 1000);
      lagMs -= LAG_INTERVAL_MS;
    } while (lagMs > 0);
  });
}
