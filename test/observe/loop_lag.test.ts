import { describe, it } from "node:test";
import { assertEquals } from "@std/assert";
import type { Clock } from "../../server/clock.ts";
import { LAG_INTERVAL_MS, watchLoopLag } from "../../server/observe/loop_lag.ts";
import { ManualClock } from "../helpers/manual_clock.ts";

/** Watches a loop whose timer is called at the given moments. */
function lagsAt(moments: readonly number[]): number[] {
  let now = 0;
  let tick = () => {};
  const clock: Clock = Object.assign(new ManualClock(), {
    now: () => now,
    every(ms: number, run: () => void) {
      assertEquals(ms, LAG_INTERVAL_MS);
      tick = run;
      return () => {};
    },
  });
  const lags: number[] = [];
  watchLoopLag(clock, (seconds) => lags.push(seconds));
  for (const moment of moments) {
    now = moment;
    tick();
  }
  return lags;
}

describe("the event loop's lag", () => {
  it("is zero for a timer that fires when it is due, or a little early", () => {
    assertEquals(lagsAt([100, 200, 299.5]), [0, 0, 0]);
  });

  it("is what the timer is late, in seconds, and is not carried on", () => {
    assertEquals(lagsAt([150, 250, 375]), [0.05, 0, 0.025]);
  });

  it("counts every moment that a long stall covers", () => {
    assertEquals(lagsAt([350, 450]), [0.25, 0.15, 0.05, 0]);
  });

  it("is not watched any more once that is stopped", () => {
    const clock = new ManualClock();
    let looks = 0;
    const stop = watchLoopLag(clock, () => looks++);
    clock.advance(3 * LAG_INTERVAL_MS);
    assertEquals(looks, 3);
    stop();
    clock.advance(3 * LAG_INTERVAL_MS);
    assertEquals(looks, 3);
  });
});
