/** The sequencer: a story without holes out of a way that loses, repeats and delays. */
import { describe, it } from "node:test";
import { assert, assertEquals } from "@std/assert";
import {
  BrokerUnavailable,
  type HistoryPage,
  type Position,
  type Publication,
} from "../../server/broker/broker.ts";
import { pageOf } from "../../server/broker/history.ts";
import { Sequencer } from "../../server/broker/sequencer.ts";
import { type Random, seededRandom } from "../helpers/random.ts";

type Step = number | { lost: [epoch: string, from: number, to: number] };

/** A topic's truth, its sequencer, and what that has told. */
class World {
  readonly told: Step[] = [];
  readonly sequencer: Sequencer;
  epoch = "a";
  offset = 0;
  isAway = false;
  fetches = 0;
  private kept: Publication[] = [];
  private readonly limit: number;
  private pending: (() => void)[] = [];
  /** As the story says. */
  private here: Position = { epoch: "a", offset: 0 };

  constructor(limit: number) {
    this.limit = limit;
    this.sequencer = new Sequencer({
      deliver: ({ epoch, offset, data }) => {
        assertEquals({ epoch, offset: offset - 1 }, this.here, "a delivery goes on where the last one ended");
        assertEquals(data, `${epoch}${offset}`);
        this.here = { epoch, offset };
        this.told.push(offset);
      },
      lost: (_, epoch, from, to) => {
        assertEquals(from, epoch === this.here.epoch ? this.here.offset + 1 : 1);
        assert(to >= from || epoch !== this.here.epoch);
        this.here = { epoch, offset: to };
        this.told.push({ lost: [epoch, from, to] });
      },
      joined() {},
      left() {},
      availability() {},
    }, (_, since, limit) => this.fetch(since, limit));
  }

  /** The story begins here. */
  begin(): void {
    this.sequencer.expect("t");
    this.sequencer.begin("t", { epoch: this.epoch, offset: this.offset });
    this.here = { epoch: this.epoch, offset: this.offset };
    this.sequencer.release("t");
  }

  publish(): Publication {
    const offset = ++this.offset;
    const publication = { topic: "t", epoch: this.epoch, offset, data: `${this.epoch}${offset}` };
    this.kept = [...this.kept, publication].slice(this.kept.length < this.limit ? 0 : 1);
    if (this.limit === 0) this.kept = [];
    return publication;
  }

  restart(epoch: string): void {
    Object.assign(this, { epoch, offset: 0, kept: [] });
  }

  compare(): void {
    this.sequencer.compare("t", { epoch: this.epoch, offset: this.offset });
  }

  /** Lets every question that was asked be answered, and what is asked then too. */
  async settle(): Promise<void> {
    for (;;) {
      await new Promise((resolve) => void setImmediate(resolve));
      if (this.pending.length === 0) return;
      for (const answer of this.pending.splice(0)) answer();
    }
  }

  answerOne(): void {
    this.pending.shift()?.();
  }

  assertThere(): void {
    assertEquals(this.here, { epoch: this.epoch, offset: this.offset });
    assertEquals(this.sequencer.position("t"), this.here);
  }

  /** Answered as things are when it is asked, however late the answer comes. */
  private fetch(since: Position, limit: number): Promise<HistoryPage> {
    this.fetches++;
    const { epoch, offset, kept } = this;
    const first = kept[0]?.offset ?? offset + 1;
    const page = pageOf(
      { epoch, offset },
      since,
      limit,
      first,
      (from, to) => kept.slice(from - first, to - first + 1),
    );
    return new Promise((resolve, reject) => {
      this.pending.push(() => this.isAway ? reject(new BrokerUnavailable("away")) : resolve(page));
    });
  }
}

function started(limit = 100): World {
  const world = new World(limit);
  world.begin();
  return world;
}

describe("the sequencer", () => {
  it("delivers what comes next at once, drops what was delivered, and asks nobody", () => {
    const world = started();
    const [one, two] = [world.publish(), world.publish()];
    for (const publication of [one, two, one, two]) world.sequencer.receive(publication);
    assertEquals(world.told, [1, 2]);
    assertEquals(world.fetches, 0);
  });

  it("fetches what is missing at a jump and delivers it before what came", async () => {
    const world = started();
    const all = Array.from({ length: 6 }, () => world.publish());
    for (const index of [0, 3, 5]) world.sequencer.receive(all[index] as Publication);
    assertEquals(world.told, [1]);
    await world.settle();
    assertEquals(world.told, [1, 2, 3, 4, 5, 6]);
    assertEquals(world.fetches, 1);
  });

  it("tells as lost exactly what is neither in the history nor came by itself", async () => {
    const world = started(0);
    const all = Array.from({ length: 9 }, () => world.publish());
    for (const index of [0, 3, 4, 7]) world.sequencer.receive(all[index] as Publication);
    await world.settle();
    assertEquals(world.told, [1, { lost: ["a", 2, 3] }, 4, 5, { lost: ["a", 6, 7] }, 8, {
      lost: ["a", 9, 9],
    }]);
    world.assertThere();
  });

  it("tells what the history does not reach back to, then delivers the rest", async () => {
    const world = started(3);
    for (let index = 0; index < 10; index++) world.publish();
    world.compare();
    await world.settle();
    assertEquals(world.told, [{ lost: ["a", 1, 7] }, 8, 9, 10]);
  });

  it("tells of a new epoch before its first publication, and what of it is gone", async () => {
    const world = started(2);
    world.sequencer.receive(world.publish());
    world.restart("b");
    world.sequencer.receive(world.publish());
    await world.settle();
    assertEquals(world.told, [1, { lost: ["b", 1, 0] }, 1]);
    world.restart("c");
    for (let index = 0; index < 5; index++) world.publish();
    world.compare();
    await world.settle();
    assertEquals(world.told.slice(3), [{ lost: ["c", 1, 3] }, 4, 5]);
  });

  it("drops what comes late of an epoch that is over", async () => {
    const world = started();
    const late = [world.publish(), world.publish()];
    world.restart("b");
    world.sequencer.receive(world.publish());
    await world.settle();
    for (const publication of late) world.sequencer.receive(publication);
    await world.settle();
    world.sequencer.receive(world.publish());
    await world.settle();
    assertEquals(world.told, [{ lost: ["b", 1, 0] }, 1, 2]);
  });

  it("holds everything from hold to compare, also what comes next", async () => {
    const world = started();
    world.sequencer.hold("t");
    world.sequencer.receive(world.publish());
    assertEquals(world.told, []);
    world.compare();
    await world.settle();
    assertEquals(world.told, [1]);
  });

  it("goes on waiting when the history cannot be asked, until it is compared again", async () => {
    const world = started();
    world.publish();
    world.isAway = true;
    world.sequencer.receive(world.publish());
    await world.settle();
    world.sequencer.receive(world.publish());
    await world.settle();
    assertEquals(world.told, []);
    world.isAway = false;
    world.compare();
    await world.settle();
    assertEquals(world.told, [1, 2, 3]);
  });

  it("holds a bounded number of publications, and fetches the others again", async () => {
    const COUNT = 5_000;
    const world = started(COUNT);
    world.publish();
    for (let index = 1; index < COUNT; index++) world.sequencer.receive(world.publish());
    await world.settle();
    assertEquals(world.told, Array.from({ length: COUNT }, (_, index) => index + 1));
    const lossy = started(0);
    lossy.publish();
    for (let index = 1; index < COUNT; index++) lossy.sequencer.receive(lossy.publish());
    await lossy.settle();
    lossy.assertThere();
  });

  it("tells nothing more of a topic that has ended, also in the middle of a repair", async () => {
    const world = started();
    world.publish();
    world.sequencer.receive(world.publish());
    world.sequencer.end("t");
    await world.settle();
    world.sequencer.receive(world.publish());
    assertEquals(world.told, []);
  });

  for (let seed = 1; seed <= 40; seed++) {
    it(`tells a story without holes, whatever the way does (seed ${seed})`, () =>
      runRandom(seededRandom(seed)));
  }
});

const STEPS = 400;

async function runRandom(random: Random): Promise<void> {
  const world = started(random.pick([0, 1, 3, 20, 1_000]));
  let epochs = 0;
  let underWay: Publication[] = [];
  for (let step = 0; step < STEPS; step++) {
    const dice = random.below(100);
    if (dice < 45) {
      const publication = world.publish();
      if (random.chance(0.85)) underWay.push(publication);
      if (random.chance(0.1)) underWay.push(publication);
    } else if (dice < 75) {
      // The way delays, but keeps the order; two ways (a topic's and a pattern's) repeat.
      for (const publication of underWay.splice(0, 1 + random.below(4))) world.sequencer.receive(publication);
    } else if (dice < 90) {
      world.answerOne();
      await new Promise((resolve) => void setImmediate(resolve));
    } else if (dice < 93) {
      world.sequencer.hold("t");
      underWay = [];
    } else if (dice < 96) {
      world.compare();
    } else if (dice < 98) {
      world.isAway = !world.isAway;
    } else {
      world.restart(String.fromCharCode(98 + epochs++));
    }
  }
  world.isAway = false;
  await world.settle();
  for (const publication of underWay) world.sequencer.receive(publication);
  await world.settle();
  world.compare();
  await world.settle();
  world.assertThere();
}
