/** The figures of a distribution against data whose figures are known, and the timetable that times are counted from. */
import { describe, it } from "node:test";
import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { recordMs, timesHistogram, Timetable } from "../../bench/load/timetable.ts";
import { distributionOf } from "../../scripts/benchmark/distribution.ts";
import { readMeter, usageBetween } from "../../scripts/benchmark/meter.ts";

describe("a distribution", () => {
  it("of 1 to 10,000 ms in any order has the percentiles of that, to three digits", () => {
    const histogram = timesHistogram();
    // 7919 is prime to 10,000: each value once.
    for (let i = 0; i < 10_000; i++) recordMs(histogram, (i * 7919) % 10_000 + 1);
    const found = distributionOf(histogram);
    assertEquals(found?.count, 10_000);
    const known = { meanMs: 5000.5, medianMs: 5000, p90Ms: 9000, p95Ms: 9500, p99Ms: 9900, p999Ms: 9990 };
    for (const [name, value] of Object.entries(known)) {
      assertAlmostEquals(found?.[name as keyof typeof known] ?? 0, value, value / 1000, name);
    }
    assertAlmostEquals(found?.maxMs ?? 0, 10_000, 10);
  });

  it("of one slow message among a thousand shows it at the maximum, not in the median", () => {
    const histogram = timesHistogram();
    for (let i = 0; i < 999; i++) recordMs(histogram, 2);
    recordMs(histogram, 800);
    const found = distributionOf(histogram);
    assertAlmostEquals(found?.medianMs ?? 0, 2, 0.01);
    assertAlmostEquals(found?.p99Ms ?? 0, 2, 0.01);
    assertAlmostEquals(found?.maxMs ?? 0, 800, 1);
    assertAlmostEquals(found?.meanMs ?? 0, 2.798, 0.01);
  });

  it("of nothing is none, and a time beyond the histogram counts as its greatest", () => {
    const histogram = timesHistogram();
    assertEquals(distributionOf(histogram), undefined);
    recordMs(histogram, 1e9);
    recordMs(histogram, -1);
    assertAlmostEquals(distributionOf(histogram)?.maxMs ?? 0, 60_000, 100);
  });
});

describe("a timetable", () => {
  it("sends each message once, in order, none before it is due, and counts idle time", async () => {
    const wrong: string[] = [];
    const sent: number[] = [];
    await new Promise<void>((resolve) => {
      const timetable: Timetable = new Timetable(1000, (index) => {
        sent.push(index);
        if (performance.now() < timetable.dueMs(index)) wrong.push(`${index} was early`);
        if (index < 50) return;
        timetable.stop();
        resolve();
      });
      timetable.start(0.02);
      assert(!timetable.isRecorded(timetable.dueMs(19)) && timetable.isRecorded(timetable.dueMs(21)));
    });
    // A late look sends all that is due at once, and the last of them stops it.
    assertEquals(sent.slice(0, 51), Array.from({ length: 51 }, (_, i) => i));
    assertEquals(wrong, []);
  });
});

describe("the meter", () => {
  it("says how busy this process was", () => {
    const start = readMeter([]);
    const end = performance.now() + 100;
    while (performance.now() < end);
    const { loadShare, seconds, server } = usageBetween(start, readMeter([]));
    // Other work on the machine may leave little to this process.
    assert(loadShare > 0.1 && loadShare < 4, `${loadShare}`);
    assert(seconds >= 0.1);
    assertEquals(server, undefined);
  });
});
