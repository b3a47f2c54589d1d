/**
 * When the line should be looked at ahead of time: the machine is online again, the page is visible again or back from
 * the cache. Timers sleep with laptops and are held back in hidden tabs, so silence means nothing until it is asked.
 */

/** Calls `wake` at each such moment, until what it returns is called. */
export type WakeSource = (wake: () => void) => () => void;

/** The page's own events; nothing where there is no page. */
export const pageWake: WakeSource = (wake) => {
  const stop = new AbortController();
  const look = (): void => {
    if (globalThis.document?.visibilityState !== "hidden") wake();
  };
  for (const type of ["online", "pageshow", "visibilitychange"]) {
    globalThis.addEventListener?.(type, look, { signal: stop.signal });
  }
  return () => stop.abort();
};
