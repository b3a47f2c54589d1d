/** The table of buckets that are not full: what it keeps, for how long, and how much of it. */
import { describe, it } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { Cooling } from "../../server/limits/cooling.ts";
import { ManualClock } from "../helpers/manual_clock.ts";

/** A clock that says how many timers are running on it. */
class CountingClock extends ManualClock {
  running = 0;

  override every(ms: number, run: () => void): () => void {
    this.running++;
    const stop = super.every(ms, run);
    return () => {
      this.running--;
      stop();
    };
  }
}

function create(maxSize = 100_000) {
  const clock = new CountingClock();
  return { clock, cooling: new Cooling<{ isFull(nowMs: number): boolean }>(clock, maxSize) };
}

function fullAt(ms: number) {
  return { isFull: (nowMs: number) => nowMs >= ms };
}

describe("the table of cooling buckets", () => {
  it("gives back what was put there, once", () => {
    const { cooling } = create();
    const [a, b] = [fullAt(10), fullAt(10)];
    cooling.put("a", a);
    cooling.put("b", b);
    assert(cooling.take("a") === a);
    assertEquals(cooling.take("a"), undefined);
    assertEquals(cooling.size, 1);
    assert(cooling.take("b") === b);
  });

  it("drops what is full within a second, and keeps what is not", () => {
    const { clock, cooling } = create();
    cooling.put("soon", fullAt(1_000));
    cooling.put("later", fullAt(1_001));
    clock.advance(999);
    assertEquals(cooling.size, 2);
    clock.advance(1);
    assertEquals(cooling.size, 1);
    assert(cooling.take("later") !== undefined);
  });

  it("has a timer only while there is something in it", () => {
    const { clock, cooling } = create();
    assertEquals(clock.running, 0);
    for (let round = 1; round <= 2; round++) {
      cooling.put("a", fullAt(round * 2_500));
      cooling.put("b", fullAt(0));
      assertEquals(clock.running, 1);
      clock.advance(1_000);
      assertEquals([clock.running, cooling.size], [1, 1]);
      clock.advance(2_000);
      assertEquals([clock.running, cooling.size], [0, 0]);
    }
    cooling.put("a", fullAt(Infinity));
    cooling.clear();
    assertEquals([clock.running, cooling.size], [0, 0]);
  });

  it("is swept in parts, all of it within twenty seconds", () => {
    const { clock, cooling } = create();
    for (let key = 0; key < 100_000; key++) cooling.put(`${key}`, fullAt(key % 2 === 0 ? 0 : Infinity));
    clock.advance(1_000);
    assertEquals(cooling.size, 97_500);
    clock.advance(19_000);
    assertEquals(cooling.size, 50_000);
    for (let key = 1; key < 100_000; key += 2) cooling.put(`${key}`, fullAt(0));
    clock.advance(11_000);
    assertEquals(cooling.size, 0);
  });

  it("holds as many as its bound; one more drops what was unused for longest", () => {
    const { cooling } = create(3);
    for (const key of ["a", "b", "c"]) cooling.put(key, fullAt(1));
    assertEquals(cooling.size, 3);
    const a = cooling.take("a") ?? fullAt(0);
    cooling.put("a", a);
    cooling.put("b", fullAt(1));
    assertEquals(cooling.size, 3, "one that is there already takes no place");
    cooling.put("d", fullAt(1));
    assertEquals(cooling.size, 3);
    assertEquals(cooling.take("c"), undefined);
    assert(cooling.take("a") === a);
  });
});
