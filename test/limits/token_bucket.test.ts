/** The token bucket against an exact model, at its limits, and as text. */
import { describe, it } from "node:test";
import { assert, assertEquals, assertGreater, assertMatch, assertThrows } from "@std/assert";
import fc from "fast-check";
import process from "node:process";
import {
  MAX_BURST,
  MAX_PER_SECOND,
  parseRate,
  type Rate,
  rateText,
  TokenBucket,
} from "../../server/limits/token_bucket.ts";

const RUNS = process.env["MILLRACE_LONG"] === undefined ? 2_000 : 200_000;
const SEED = 4_009;
const YEAR_MS = 365 * 86_400_000;

/**
 * Times are whole numbers of 1/1024 ms, which is 125/128 of a microsecond: as milliseconds they are exact doubles for
 * centuries, and so is their product with 1000.
 */
const TICKS_PER_MS = 1_024;
const US_PER_TICK = [125n, 128n] as const;
const MILLIONTHS = 1_000_000n;

/** The textbook's bucket in whole numbers without a bound; time counts in whole microseconds. */
class ExactBucket {
  private readonly perSecond: bigint;
  private readonly burst: bigint;
  private level: bigint;
  private us: bigint;

  constructor({ perSecond, burst }: Rate, tick: number) {
    this.perSecond = BigInt(perSecond);
    this.burst = BigInt(burst) * MILLIONTHS;
    this.level = this.burst;
    this.us = wholeUs(tick);
  }

  take(cost: number, tick: number): boolean {
    this.advance(tick);
    const needed = BigInt(cost) * MILLIONTHS;
    if (needed > this.level) return false;
    this.level -= needed;
    return true;
  }

  /** How many ticks after `tick` the cost is there for the first time; undefined for never. */
  waitTicks(cost: number, tick: number): number | undefined {
    this.advance(tick);
    const missing = BigInt(cost) * MILLIONTHS - this.level;
    if (BigInt(cost) * MILLIONTHS > this.burst) return undefined;
    if (missing <= 0n) return 0;
    const us = this.us + ceilDiv(missing, this.perSecond);
    return Number(ceilDiv(us * US_PER_TICK[1], US_PER_TICK[0])) - tick;
  }

  private advance(tick: number): void {
    const us = wholeUs(tick);
    if (us <= this.us) return;
    const level = this.level + (us - this.us) * this.perSecond;
    this.level = level < this.burst ? level : this.burst;
    this.us = us;
  }
}

function wholeUs(tick: number): bigint {
  return BigInt(tick) * US_PER_TICK[0] / US_PER_TICK[1];
}

function ceilDiv(a: bigint, b: bigint): bigint {
  return (a + b - 1n) / b;
}

/** Whole numbers of any magnitude up to `max`: as many small ones as large ones. */
function magnitude(max: number): fc.Arbitrary<number> {
  return fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.integer({ min: -1, max: 1 }))
    .map(([power, nudge]) => Math.min(max, Math.max(1, Math.round(max ** power) + nudge)));
}

const rates: fc.Arbitrary<Rate> = fc.record({
  perSecond: magnitude(MAX_PER_SECOND),
  burst: magnitude(MAX_BURST),
});

interface Step {
  /** Ticks to go, also back; or to the moment when the cost is due, give or take. */
  readonly move: { readonly ticks: number } | { readonly fromDue: number };
  /** A share of the burst, and what to add to it. */
  readonly share: number;
  readonly extra: number;
}

const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.record({
    move: fc.oneof(
      fc.constant({ ticks: 0 }),
      magnitude(1e9).map((ticks) => ({ ticks })),
      magnitude(1e6).map((ticks) => ({ ticks: -ticks })),
      fc.integer({ min: -1, max: 1 }).map((fromDue) => ({ fromDue })),
    ),
    share: fc.oneof(fc.constantFrom(0, 1), fc.double({ min: 0, max: 1, noNaN: true })),
    extra: fc.integer({ min: -1, max: 2 }),
  }),
  { minLength: 1, maxLength: 60 },
);

function costOf({ share, extra }: Step, { burst }: Rate): number {
  return Math.max(0, Math.floor(share * burst) + extra);
}

const starts = fc.integer({ min: 0, max: YEAR_MS * TICKS_PER_MS });

describe("a token bucket", () => {
  it("decides as exact arithmetic does, to the microsecond, for any rate, costs and times, also after a year", () => {
    fc.assert(
      fc.property(rates, starts, steps, (rate, start, sequence) => {
        let tick = start;
        const bucket = new TokenBucket(rate, tick / TICKS_PER_MS);
        const model = new ExactBucket(rate, tick);
        for (const step of sequence) {
          const cost = costOf(step, rate);
          const due = model.waitTicks(cost, tick);
          if ("ticks" in step.move) tick = Math.max(0, tick + step.move.ticks);
          // Waiting for centuries would leave the range of exact times.
          else if (due !== undefined && due < YEAR_MS * TICKS_PER_MS) tick += due + step.move.fromDue;
          tick = Math.max(0, Math.min(tick, 4 * YEAR_MS * TICKS_PER_MS));
          assertEquals(bucket.take(cost, tick / TICKS_PER_MS), model.take(cost, tick));
        }
      }),
      { numRuns: RUNS, seed: SEED },
    );
  });

  it("grants no more than burst + rate x time in any window, and no less than is due, for any times", () => {
    // Units of 2^-52 ms hold any double from 1 on exactly; tokens are scaled alike.
    const SCALE = 2 ** 52;
    const exactMs = (ms: number) => BigInt(ms * SCALE);
    const SLACK = exactMs(1) * 101n / 100_000n;
    const share = fc.double({ min: 0, max: 1, noNaN: true });
    const ms = fc.oneof(fc.constant(0), ...[5, 1e5].map((max) => fc.double({ min: 0, max, noNaN: true })));
    const gaps = fc.array(fc.record({ ms, share, small: fc.boolean() }), { minLength: 1, maxLength: 40 });
    fc.assert(
      fc.property(
        rates,
        fc.double({ min: 1, max: YEAR_MS, noNaN: true }),
        gaps,
        (rate, start, sequence) => {
          const { perSecond, burst } = rate;
          const bucket = new TokenBucket(rate, start);
          const inflow = (ms: bigint) => BigInt(perSecond) * ms;
          const tokens = (count: number) => BigInt(count) * 1_000n * exactMs(1);
          const granted: { at: bigint; cost: bigint }[] = [{ at: exactMs(start), cost: 0n }];
          let now = start;
          for (const { ms, share, small } of sequence) {
            now += ms;
            const cost = small ? Math.ceil(share * 3) : Math.ceil(share * burst);
            const at = exactMs(now);
            const taken = bucket.take(cost, now);
            let passed = taken ? tokens(cost) : 0n;
            // What the tightest window leaves, when each has lost the slack.
            let left = tokens(burst);
            for (const earlier of granted.toReversed()) {
              passed += earlier.cost;
              const elapsed = at - earlier.at;
              assert(passed <= tokens(burst) + inflow(elapsed + SLACK), "more than the rate");
              const here = tokens(burst) + inflow(elapsed - SLACK) - passed;
              if (here < left) left = here;
            }
            if (!taken) assert(left < tokens(cost), "less than is due");
            if (taken) granted.push({ at, cost: tokens(cost) });
          }
        },
      ),
      { numRuns: RUNS / 4, seed: SEED },
    );
  });

  it("grants its burst at once, and no token more", () => {
    for (const burst of [1, 2, 20, MAX_BURST]) {
      assert(new TokenBucket({ perSecond: 1, burst }, 0).take(burst - 1, 0));
      assert(new TokenBucket({ perSecond: 1, burst }, 0).take(burst, 0));
      const bucket = new TokenBucket({ perSecond: 1, burst }, 0);
      assert(!bucket.take(burst + 1, 0));
      assert(bucket.take(burst, 0), "a refusal takes nothing");
      assert(!bucket.take(1, 0));
    }
  });

  it("grants a token when its time has come, and not a microsecond before", () => {
    const bucket = new TokenBucket({ perSecond: 8, burst: 1 }, 1_000);
    assert(bucket.take(1, 1_000));
    assert(!bucket.take(1, 1_124.999));
    assert(bucket.take(1, 1_125));
    assert(!bucket.take(1, 1_125));
  });

  it("holds no more than its burst, however long nothing was taken", () => {
    const bucket = new TokenBucket({ perSecond: MAX_PER_SECOND, burst: 3 }, 0);
    assert(!bucket.take(4, 10 * YEAR_MS));
    assert(bucket.take(3, 10 * YEAR_MS));
  });

  it("gives nothing for a clock that goes back, nor twice for the time that follows", () => {
    const bucket = new TokenBucket({ perSecond: 1_000, burst: 10 }, 5_000);
    assert(bucket.take(10, 5_000));
    assert(!bucket.take(1, 4_000));
    assert(!bucket.take(1, 5_000));
    assert(bucket.take(1, 5_001));
    assert(!bucket.take(1, 5_001));
  });

  it("has granted exactly burst + rate x time after a year's uptime and a million takes that asked for more", () => {
    const rate = { perSecond: 999_983, burst: 1_000 };
    const bucket = new TokenBucket(rate, YEAR_MS);
    const seconds = 125;
    let granted = 0;
    for (let take = 0; take <= seconds * 8_000; take++) {
      if (bucket.take(128, YEAR_MS + take / 8)) granted += 128;
    }
    while (bucket.take(1, YEAR_MS + seconds * 1_000)) granted++;
    assertEquals(granted, rate.burst + seconds * rate.perSecond);
  });

  it("says how long to wait, in whole milliseconds: then the cost is there, and a millisecond earlier it is not", () => {
    fc.assert(
      fc.property(
        fc.record({ perSecond: magnitude(100_000), burst: magnitude(MAX_BURST) }),
        starts,
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (rate, start, first, second) => {
          const nowMs = start / TICKS_PER_MS;
          const bucket = new TokenBucket(rate, nowMs);
          assertEquals(bucket.waitMs(rate.burst, nowMs), 0);
          assert(bucket.take(Math.ceil(first * rate.burst), nowMs));
          const cost = Math.ceil(second * rate.burst);
          const waitMs = bucket.waitMs(cost, nowMs);
          assert(Number.isInteger(waitMs));
          if (bucket.take(cost, nowMs)) return assertEquals(waitMs, 0);
          assertGreater(waitMs, 0);
          assert(!bucket.take(cost, nowMs + waitMs - 1));
          if (waitMs < YEAR_MS) assert(bucket.take(cost, nowMs + waitMs));
        },
      ),
      { numRuns: RUNS, seed: SEED },
    );
  });

  it("rounds a wait up that is a fraction of a microsecond more than a millisecond", () => {
    for (const [perSecond, waitMs] of [[999_999, 2], [1_000_000, 1], [1_000_001, 1]] as const) {
      const bucket = new TokenBucket({ perSecond, burst: 1_000 }, 0);
      assert(bucket.take(1_000, 0));
      assertEquals(bucket.waitMs(1_000, 0), waitMs);
    }
  });

  it("lets nobody wait for a cost above its burst", () => {
    const bucket = new TokenBucket({ perSecond: 10, burst: 5 }, 0);
    assertEquals(bucket.waitMs(6, 0), Infinity);
    assertEquals(bucket.waitMs(5, 0), 0);
    assert(!bucket.take(6, 1e9));
    assert(!bucket.take(Infinity, 1e9));
  });

  it("is full at first, and again when all that was taken has flowed in", () => {
    const bucket = new TokenBucket({ perSecond: 1_000, burst: 10 }, 0);
    assert(bucket.isFull(0));
    assert(bucket.take(2, 0));
    assert(!bucket.isFull(1.999));
    assert(bucket.isFull(2));
  });

  it("refuses what is no rate and what is no cost as the caller's bug", () => {
    const bad = [[0, 1], [1, 0], [1.5, 1], [1, 1.5], [-1, 1], [NaN, 1], [1, Infinity]] as const;
    for (
      const [perSecond, burst] of [...bad, [MAX_PER_SECOND + 1, 1] as const, [1, MAX_BURST + 1] as const]
    ) {
      assertThrows(() => new TokenBucket({ perSecond, burst }, 0), RangeError, "not a rate");
    }
    const bucket = new TokenBucket({ perSecond: MAX_PER_SECOND, burst: MAX_BURST }, 0);
    for (const cost of [-1, NaN]) assertThrows(() => bucket.take(cost, 0), RangeError, "not a cost");
    assert(bucket.take(0, 0));
    assert(bucket.isFull(0));
  });
});

describe("a rate as text", () => {
  const good: [string, Rate | undefined, string?][] = [
    ["0", undefined],
    ["1", { perSecond: 1, burst: 1 }],
    ["100", { perSecond: 100, burst: 100 }],
    ["100:200", { perSecond: 100, burst: 200 }],
    ["100:1", { perSecond: 100, burst: 1 }],
    ["5:5", { perSecond: 5, burst: 5 }, "5"],
    ["1000000000:1000000000", { perSecond: 1e9, burst: 1e9 }, "1000000000"],
  ];
  for (const [text, value, back = text] of good) {
    it(`is read from ${text} and written back`, () => {
      assertEquals(parseRate(text), { value });
      assertEquals(rateText(value), back);
    });
  }

  const bad = [
    "",
    ":",
    "1:",
    ":1",
    "1:0",
    "0:5",
    "00",
    "-1",
    "+1",
    "1.5",
    "1e3",
    " 1",
    "1 ",
    "1:2:3",
    "x",
    "0x1",
  ];
  for (const text of [...bad, "1000000001", "1:1000000001", "9".repeat(400)]) {
    it(`is not read from ${JSON.stringify(text.slice(0, 20))}`, () => {
      const parsed = parseRate(text);
      assertMatch(
        "problem" in parsed ? parsed.problem : "",
        /^must be 0 \(no limit\), N or N:burst, .*, not "/,
      );
    });
  }
});
