/** What may pass a connection's and a user's buckets, and when patience ends. */
import { describe, it } from "node:test";
import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import {
  MessageBuckets,
  MessageGuard,
  type MessageRates,
  Verdict,
} from "../../server/limits/message_guard.ts";
import { type Rate, TokenBucket } from "../../server/limits/token_bucket.ts";
import { ManualClock } from "../helpers/manual_clock.ts";

const { Admitted, Refused, Exhausted } = Verdict;
const OFF: MessageRates = { messages: undefined, bytes: undefined };

function perSecond(perSecond: number, burst = perSecond): Rate {
  return { perSecond, burst };
}

function guardOf(rates: Partial<MessageRates>, user?: Partial<MessageRates>) {
  const clock = new ManualClock();
  const shared = user && new MessageBuckets({ ...OFF, ...user }, clock.now());
  const guard = new MessageGuard({ ...OFF, ...rates }, shared, clock.now());
  return {
    clock,
    guard,
    shared,
    admit: (bytes: number) => guard.admit(bytes, clock.now()),
    retryAfterMs: (bytes: number) => guard.retryAfterMs(bytes, clock.now()),
  };
}

function times<T>(count: number, run: () => T): T[] {
  return Array.from({ length: count }, run);
}

/** What a guard is to be equivalent to: a bucket for each rate, and all or nothing. */
class Separate {
  private readonly rates: MessageRates;
  private readonly messages: TokenBucket | undefined;
  private readonly bytes: TokenBucket | undefined;

  constructor(rates: MessageRates) {
    this.rates = rates;
    this.messages = rates.messages && new TokenBucket(rates.messages, 0);
    this.bytes = rates.bytes && new TokenBucket(rates.bytes, 0);
  }

  waitMs(bytes: number, nowMs: number): number {
    return Math.max(this.messages?.waitMs(1, nowMs) ?? 0, this.bytes?.waitMs(bytes, nowMs) ?? 0);
  }

  take(bytes: number, nowMs: number): void {
    assert(this.messages?.take(1, nowMs) ?? true);
    assert(this.bytes?.take(bytes, nowMs) ?? true);
  }

  charge(bytes: number): number {
    return Math.min(bytes, this.rates.bytes?.burst ?? bytes);
  }
}

describe("a message guard", () => {
  it("admits a burst of messages at once, refuses the next, and admits again at the rate", () => {
    const { admit, clock, retryAfterMs } = guardOf({ messages: perSecond(10, 3) });
    assertEquals(times(3, () => admit(1_000_000)), [Admitted, Admitted, Admitted]);
    assertEquals(admit(0), Refused);
    assertEquals(retryAfterMs(0), 100);
    clock.advance(99);
    assertEquals(retryAfterMs(0), 1);
    clock.advance(1);
    assertEquals(retryAfterMs(0), 0);
    assertEquals(admit(0), Admitted);
  });

  it("admits messages up to a burst of bytes, refuses one byte more, and admits it when it is due", () => {
    for (
      const [first, second, verdict] of [[60, 39, Admitted], [60, 40, Admitted], [60, 41, Refused]] as const
    ) {
      const { admit } = guardOf({ bytes: perSecond(1_000, 100) });
      assertEquals([admit(first), admit(second)], [Admitted, verdict]);
    }
    const { admit, clock, retryAfterMs } = guardOf({ bytes: perSecond(1_000, 100) });
    assertEquals([admit(100), admit(50), admit(0)], [Admitted, Refused, Admitted]);
    assertEquals(retryAfterMs(50), 50);
    clock.advance(50);
    assertEquals(admit(50), Admitted);
  });

  it("takes nothing from one bucket when the other refuses", () => {
    const bytes = guardOf({ messages: perSecond(1, 2), bytes: perSecond(1, 100) });
    assertEquals(bytes.admit(101), Refused, "above the burst of bytes");
    assertEquals([bytes.admit(50), bytes.admit(50)], [Admitted, Admitted], "no message was taken");
    const messages = guardOf({ messages: perSecond(1_000, 1), bytes: perSecond(1, 100) });
    assertEquals([messages.admit(0), messages.admit(100)], [Admitted, Refused]);
    messages.clock.advance(1);
    assertEquals(messages.admit(100), Admitted, "no byte was taken");
  });

  it("takes nothing from the connection when the user's buckets refuse, and the reverse", () => {
    const rates = { messages: perSecond(1, 2) };
    const user = guardOf(rates, { messages: perSecond(1_000, 1) });
    assertEquals([user.admit(1), user.admit(1)], [Admitted, Refused]);
    user.clock.advance(1);
    assertEquals(user.admit(1), Admitted, "the connection still had its second message");
    const { clock, shared, admit } = guardOf({ messages: perSecond(1, 1) }, { messages: perSecond(1, 2) });
    assertEquals([admit(1), admit(1)], [Admitted, Refused]);
    const other = new MessageGuard({ ...OFF, ...rates }, shared, clock.now());
    assertEquals(
      [other.admit(1, 0), other.admit(1, 0)],
      [Admitted, Refused],
      "the user still had one message",
    );
  });

  it("shares the user's buckets among connections, from the moment that the user is known", () => {
    const shared = new MessageBuckets({ ...OFF, bytes: perSecond(10, 100) }, 0);
    const [a, b] = times(2, () => new MessageGuard(OFF, undefined, 0)) as [MessageGuard, MessageGuard];
    assertEquals([a.admit(1_000, 0), b.admit(1_000, 0)], [Admitted, Admitted]);
    a.user = b.user = shared;
    assertEquals([a.admit(60, 0), b.admit(60, 0), b.admit(40, 0), a.admit(1, 0)], [
      Admitted,
      Refused,
      Admitted,
      Refused,
    ]);
    assertEquals(a.retryAfterMs(1, 0), 100);
    assertEquals(b.admit(1, 100), Admitted);
  });

  it("says the longest of all waits", () => {
    const { admit, retryAfterMs } = guardOf(
      { messages: perSecond(10, 1), bytes: perSecond(1_000, 100) },
      { messages: perSecond(2, 1), bytes: perSecond(100, 100) },
    );
    assertEquals(admit(100), Admitted);
    assertEquals(retryAfterMs(0), 500);
    assertEquals(retryAfterMs(50), 500);
    assertEquals(retryAfterMs(51), 510);
    assertEquals(retryAfterMs(101), Infinity);
  });

  it("refuses as many messages as it admits at once, and is exhausted by one more", () => {
    for (const burst of [1, 2, 20]) {
      const { admit, clock } = guardOf({ messages: perSecond(10, burst) });
      assertEquals(times(burst, () => admit(1)), times(burst, () => Admitted));
      assertEquals(times(burst, () => admit(1)), times(burst, () => Refused));
      assertEquals(times(2, () => admit(1)), [Exhausted, Exhausted]);
      clock.advance(100);
      assertEquals(
        times(3, () => admit(1)),
        [Admitted, Refused, Exhausted],
        "patience comes back at the rate",
      );
    }
  });

  it("loses its patience by bytes too", () => {
    const { admit } = guardOf({ bytes: perSecond(1, 100) });
    assertEquals([admit(100), admit(60), admit(40), admit(1)], [Admitted, Refused, Refused, Exhausted]);
  });

  it("refuses a message above the burst of bytes at first, and then is exhausted by it", () => {
    const { admit, clock, retryAfterMs } = guardOf({ bytes: perSecond(100, 100) });
    assertEquals([admit(101), admit(101)], [Refused, Exhausted]);
    assertEquals(retryAfterMs(101), Infinity);
    assertEquals(admit(100), Admitted, "nothing was taken");
    clock.advance(1_000);
    assertEquals(admit(101), Refused);
  });

  it("is never exhausted by who keeps its rate, however much the user's other connections send", () => {
    const { admit, clock, shared } = guardOf({ messages: perSecond(10, 1) }, { messages: perSecond(10, 1) });
    const flood = new MessageGuard({ ...OFF, messages: perSecond(1_000) }, shared, 0);
    for (let second = 0; second < 60; second++) {
      clock.advance(100);
      flood.admit(1, clock.now());
      assertEquals(admit(1), Refused);
    }
    clock.advance(100);
    assertEquals(admit(1), Admitted);
  });

  it("has no more patience than the user's rates when the connection has none", () => {
    const { admit } = guardOf({}, { messages: perSecond(1, 2) });
    assertEquals(times(5, () => admit(1)), [Admitted, Admitted, Refused, Refused, Exhausted]);
  });

  it("admits everything when nothing is limited", () => {
    for (const { admit, retryAfterMs } of [guardOf({}), guardOf({}, {})]) {
      assertEquals(times(1_000, () => admit(2 ** 40)), times(1_000, () => Admitted));
      assertEquals(retryAfterMs(2 ** 40), 0);
    }
  });

  it("decides as separate buckets would, for any rates, sizes and times", () => {
    const rate = fc.option(
      fc.record({ perSecond: fc.integer({ min: 1, max: 5_000 }), burst: fc.integer({ min: 1, max: 2_000 }) }),
      { nil: undefined },
    );
    const rates = fc.record({ messages: rate, bytes: rate });
    const sequence = fc.array(
      fc.record({ us: fc.integer({ min: -100, max: 5_000 }), bytes: fc.integer({ min: 0, max: 3_000 }) }),
      { minLength: 1, maxLength: 80 },
    );
    fc.assert(
      fc.property(rates, fc.option(rates, { nil: undefined }), sequence, (own, user, messages) => {
        const guard = new MessageGuard(own, user && new MessageBuckets(user, 0), 0);
        const buckets = [new Separate(own), ...(user ? [new Separate(user)] : [])];
        const patience = new Separate({
          messages: own.messages ?? user?.messages,
          bytes: own.bytes ?? user?.bytes,
        });
        let nowMs = 0;
        for (const { us, bytes } of messages) {
          nowMs = Math.max(0, nowMs + us / 1_000);
          const waitMs = Math.max(...buckets.map((bucket) => bucket.waitMs(bytes, nowMs)));
          assertEquals(guard.retryAfterMs(bytes, nowMs), waitMs);
          const charge = patience.charge(bytes);
          const expected = waitMs === 0
            ? Admitted
            : patience.waitMs(charge, nowMs) === 0
            ? Refused
            : Exhausted;
          assertEquals(guard.admit(bytes, nowMs), expected);
          if (expected === Admitted) { for (const bucket of buckets) bucket.take(bytes, nowMs); }
          if (expected === Refused) patience.take(charge, nowMs);
        }
      }),
      { numRuns: 1_000, seed: 4_008 },
    );
  });

  it("is made of rates only", () => {
    const bad = { perSecond: 0, burst: 1 };
    assertThrows(() => new MessageGuard({ messages: bad, bytes: undefined }, undefined, 0), RangeError);
    assertThrows(() => new MessageGuard({ messages: undefined, bytes: bad }, undefined, 0), RangeError);
  });
});

describe("a pair of buckets", () => {
  it("is full when both of its buckets are, and one without limits always is", () => {
    const pair = new MessageBuckets({ messages: perSecond(1_000, 10), bytes: perSecond(1_000, 100) }, 0);
    assert(pair.isFull(0));
    for (const [start, bytes, fullAfterMs] of [[1_000, 0, 1], [2_000, 1, 1], [3_000, 50, 50]] as const) {
      assert(pair.fits(bytes, start));
      pair.spend(bytes);
      assert(!pair.isFull(start + fullAfterMs - 0.001));
      assert(pair.isFull(start + fullAfterMs));
    }
    const unlimited = new MessageBuckets(OFF, 0);
    unlimited.spend(1_000);
    assert(unlimited.isFull(0));
  });
});
