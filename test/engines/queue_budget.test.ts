/** The budget for queued bytes alone: when it looks, whom it cuts and when it stops, on queues that are only numbers. */
import { describe, it } from "node:test";
import { assertEquals, assertLessOrEqual } from "@std/assert";
import { type Queue, QueueBudget } from "../../server/engines/queue_budget.ts";
import { seededRandom } from "../helpers/random.ts";

const MAX_BYTES = 8000;

class PaperQueue implements Queue {
  countedBytes = 0;
  /** What really waits. */
  bytes = 0;
  looks = 0;
  evictions = 0;
  onEvict = () => {};
  private readonly house: House;

  constructor(house: House) {
    this.house = house;
  }

  /** Queues without a word, as a native engine's fan-out does. */
  fill(bytes: number): this {
    this.bytes = bytes;
    return this;
  }

  tell(bytes: number): this {
    this.bytes = bytes;
    this.house.budget.count(this, bytes);
    return this;
  }

  recount(): void {
    this.looks++;
    this.house.budget.count(this, this.bytes);
  }

  evict(): void {
    this.evictions++;
    this.bytes = 0;
    this.house.cut.push(this);
    this.onEvict();
  }
}

class House {
  readonly queues: PaperQueue[] = [];
  readonly cut: PaperQueue[] = [];
  readonly budget: QueueBudget;

  constructor(maxBytes = MAX_BYTES) {
    this.budget = new QueueBudget(maxBytes, () => {
      for (const queue of this.queues) queue.recount();
    });
  }

  queue(): PaperQueue {
    const queue = new PaperQueue(this);
    this.queues.push(queue);
    return queue;
  }
}

/** Whatever the budget has put off has happened. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 4; turn++) await new Promise((resolve) => setImmediate(resolve));
}

describe("the budget for queued bytes", () => {
  for (const [bytes, cut] of [[MAX_BYTES - 1, 0], [MAX_BYTES, 0], [MAX_BYTES + 1, 1]] as const) {
    it(`cuts ${cut === 0 ? "nobody" : "somebody"} at ${bytes} bytes of ${MAX_BYTES}`, async () => {
      const house = new House();
      house.queue().tell(1000);
      house.queue().tell(bytes - 1000);
      await settled();
      assertEquals(house.cut.length, cut);
    });
  }

  it("cuts the largest first, and stops at seven eighths of itself", async () => {
    const house = new House();
    const sizes = [1000, 3000, 500, 2000, 1600];
    const queues = sizes.map((size) => house.queue().tell(size));
    assertEquals(house.cut, [], "not in the middle of a send");
    await settled();
    assertEquals(house.cut, [queues[1]]);
    queues[1]?.tell(2600);
    await settled();
    assertEquals(house.budget.measure(), 7700, "7,700 fit");
    queues[2]?.tell(2000);
    queues[1]?.tell(3000);
    await settled();
    assertEquals(house.cut.slice(1), [queues[1]]);
    assertEquals(house.budget.measure(), 6600);
  });

  it("cuts as many as it takes", async () => {
    const house = new House();
    for (let index = 0; index < 10; index++) house.queue().tell(1500);
    await settled();
    assertEquals([house.cut.length, house.budget.measure()], [6, 6000]);
  });

  it("looks again before it cuts: what has left meanwhile costs nobody the connection", async () => {
    const house = new House();
    house.queue().tell(MAX_BYTES);
    house.queue().tell(MAX_BYTES).fill(0);
    await settled();
    assertEquals(house.cut, []);
    assertEquals(house.budget.measure(), MAX_BYTES);
  });

  it("finds what was queued without a word once so much can have been", async () => {
    const house = new House();
    const silent = house.queue().fill(MAX_BYTES + 1);
    house.budget.expect(MAX_BYTES);
    await settled();
    assertEquals([silent.looks, house.cut.length], [0, 0]);
    house.budget.expect(1);
    await settled();
    assertEquals(house.cut, [silent]);
  });

  it("does not look at everybody for every message while it is nearly spent", async () => {
    const house = new House();
    const full = house.queue().tell(MAX_BYTES);
    for (let round = 0; round < 100; round++) {
      house.budget.expect(MAX_BYTES / 100);
      await settled();
    }
    assertEquals(house.cut, []);
    // One look at the edge, then one per eighth, begun or whole. Each asks it twice: as one that waits, and as one that
    // may have grown in silence.
    assertEquals(full.looks, 2 * (1 + 7));
  });

  it("leaves alone who has closed while another one was cut", async () => {
    const house = new House();
    const [largest, other, last] = [9000, 8500, 8200].map((size) => house.queue().tell(size));
    if (largest !== undefined) largest.onEvict = () => void other?.tell(0);
    await settled();
    assertEquals([largest?.evictions, other?.evictions, last?.evictions], [1, 0, 1]);
    assertEquals(house.budget.measure(), 0);
  });

  it("without a limit only counts", async () => {
    const house = new House(Infinity);
    const queue = house.queue().tell(1e12);
    house.budget.expect(1e15);
    await settled();
    assertEquals([house.cut.length, house.budget.measure()], [0, 1e12]);
    queue.tell(0);
    assertEquals(house.budget.measure(), 0);
  });

  it("holds its bound and its books, whatever is queued and leaves in any order", async () => {
    const random = seededRandom(14);
    const house = new House();
    const queues = Array.from({ length: 20 }, () => house.queue());
    let inTwoTurns = 0;
    for (let round = 0; round < 500; round++) {
      const queue = queues[random.below(20)];
      if (queue === undefined) continue;
      const bytes = random.below(600);
      inTwoTurns += bytes;
      if (random.chance(1 / 3)) queue.tell(Math.max(0, queue.bytes - bytes * 2));
      else if (random.chance(1 / 2)) queue.tell(queue.bytes + bytes);
      else {
        queue.fill(queue.bytes + bytes);
        house.budget.expect(bytes);
      }
      const real = queues.reduce((sum, { bytes }) => sum + bytes, 0);
      assertLessOrEqual(real, MAX_BYTES * 1.125 + inTwoTurns);
      if (random.chance(3 / 4)) continue;
      await settled();
      inTwoTurns = 0;
    }
    assertEquals(house.budget.measure(), queues.reduce((sum, { bytes }) => sum + bytes, 0));
  });
});
