/** A node's way out, with clients that only take notes. */
import { describe, it } from "node:test";
import { assert, assertEquals, assertGreater, assertGreaterOrEqual, assertLessOrEqual } from "@std/assert";
import { Drain, type DrainSettings, type Leaver } from "../server/drain.ts";
import { ManualClock } from "./helpers/manual_clock.ts";
import { recordingLog } from "./helpers/server.ts";

const STEP_MS = 10;

class Client implements Leaver {
  leftMs = -1;
  reconnectAfterMs = -1;
  deadlineMs = -1;
  cutMs = -1;
  private readonly clock: ManualClock;
  private readonly stays: boolean;
  private readonly all: Set<Leaver>;

  constructor(clock: ManualClock, all: Set<Leaver>, stays = false) {
    this.clock = clock;
    this.all = all;
    this.stays = stays;
    all.add(this);
  }

  leave(reconnectAfterMs: number, deadlineMs: number): void {
    assertEquals(this.leftMs, -1, "told once");
    this.leftMs = this.clock.now();
    this.reconnectAfterMs = reconnectAfterMs;
    this.deadlineMs = deadlineMs;
    if (!this.stays) this.all.delete(this);
  }

  terminate(): void {
    this.cutMs = this.clock.now();
    this.all.delete(this);
  }
}

interface Scene {
  readonly clock: ManualClock;
  readonly clients: Set<Leaver>;
  readonly drain: Drain;
}

function scene(settings: Partial<DrainSettings> = {}): Scene {
  const clock = new ManualClock();
  const clients = new Set<Leaver>();
  const drain = new Drain({
    ...{ clients, clock, log: recordingLog().log, delaySeconds: 0, windowSeconds: 10, timeoutSeconds: 20 },
    ...settings,
  });
  return { clock, clients, drain };
}

function join({ clock, clients }: Scene, count: number, stays = false): Client[] {
  return Array.from({ length: count }, () => new Client(clock, clients, stays));
}

/** The most moments of `sorted` within any stretch of `lengthMs`. */
function mostWithin(sorted: readonly number[], lengthMs: number): number {
  let most = 0;
  for (let first = 0, last = 0; last < sorted.length; last++) {
    while ((sorted[last] ?? 0) - (sorted[first] ?? 0) >= lengthMs) first++;
    most = Math.max(most, last - first + 1);
  }
  return most;
}

describe("the drain", () => {
  for (const count of [1, 7, 10_000]) {
    it(`sends ${count} clients away one after the other, never faster than their number in the window`, () => {
      const on = scene();
      const clients = join(on, count);
      void on.drain.start();
      on.clock.advance(10_000 + STEP_MS);
      const left = clients.map(({ leftMs }) => leftMs).sort((a, b) => a - b);
      assertGreaterOrEqual(left[0], 0);
      for (const lengthMs of [100, 1_000, 5_000]) {
        // The parts at both ends of a stretch may each add one, and a step may hold up a few.
        const allowed = count * (lengthMs + STEP_MS) / 10_000 + 2;
        assertLessOrEqual(mostWithin(left, lengthMs), allowed, `${lengthMs} ms`);
      }
      for (const client of clients) {
        assertLessOrEqual(client.reconnectAfterMs, 1, "the wait is over when the connection is");
        assertLessOrEqual(Math.abs(client.deadlineMs - (20_000 - client.leftMs)), 1);
      }
    });
  }

  it("tells clients to wait for the part of the window in which their connections cannot stay", () => {
    const on = scene({ timeoutSeconds: 5 });
    const clients = join(on, 1_000);
    void on.drain.start();
    on.clock.advance(5_000);
    const left = clients.map(({ leftMs }) => leftMs);
    assertLessOrEqual(Math.max(...left), 4_000 + STEP_MS);
    const back = clients.map(({ leftMs, reconnectAfterMs }) => leftMs + reconnectAfterMs).sort((a, b) =>
      a - b
    );
    assertLessOrEqual(Math.max(...back), 10_001);
    for (const lengthMs of [100, 1_000]) assertLessOrEqual(mostWithin(back, lengthMs), lengthMs / 10 + 3);
  });

  it("sends clients away at different moments each time", () => {
    const moments = [scene(), scene()].map((on) => {
      const clients = join(on, 20);
      void on.drain.start();
      on.clock.advance(20_000);
      return clients.map(({ leftMs }) => leftMs).join();
    });
    assert(moments[0] !== moments[1], "no jitter");
  });

  it("sends everybody away at once, with waits over the window, when there is no time", () => {
    const on = scene({ timeoutSeconds: 0 });
    const clients = join(on, 100);
    void on.drain.start();
    assertEquals(clients.map(({ leftMs, deadlineMs }) => leftMs + deadlineMs), Array(100).fill(0));
    const waits = clients.map(({ reconnectAfterMs }) => reconnectAfterMs);
    assertGreater(Math.max(...waits), 9_000);
    assertLessOrEqual(Math.max(...waits), 10_000);
  });

  it("sends everybody away at once, to come back at once, when there is no window", () => {
    const on = scene({ windowSeconds: 0 });
    const clients = join(on, 3);
    void on.drain.start();
    assertEquals(
      clients.map(({ leftMs, reconnectAfterMs, deadlineMs }) => [leftMs, reconnectAfterMs, deadlineMs]),
      Array(3).fill([0, 0, 20_000]),
    );
  });

  it("is under way from the start, and lets the delay pass before it does anything", () => {
    const on = scene({ delaySeconds: 30, windowSeconds: 0 });
    const [stuck] = join(on, 1, true);
    assertEquals(on.drain.isUnderWay, false);
    void on.drain.start();
    assertEquals(on.drain.isUnderWay, true);
    on.clock.advance(29_999);
    assertEquals(stuck?.leftMs, -1);
    on.clock.advance(1);
    assertEquals([stuck?.leftMs, stuck?.cutMs], [30_000, -1]);
    on.clock.advance(20_000);
    assertEquals(stuck?.cutMs, 50_000);
  });

  it("sends away who comes while it goes on: a handshake that was under way", () => {
    const on = scene();
    join(on, 10);
    void on.drain.start();
    on.clock.advance(5_000);
    const late = join(on, 2);
    on.clock.advance(5_000 + STEP_MS);
    for (const client of late) assertGreaterOrEqual(client.leftMs, 5_000);
  });

  it("does not wait for clients that go by themselves", async () => {
    const on = scene({ windowSeconds: 600, timeoutSeconds: 1_200 });
    join(on, 3);
    const told = on.drain.start();
    on.clock.advance(50);
    on.clients.clear();
    on.clock.advance(100);
    await told;
  });

  it("cuts at the deadline who has not gone, unless everybody has", () => {
    for (const isFinished of [false, true]) {
      const on = scene();
      const [stuck] = join(on, 1, true);
      void on.drain.start();
      on.clock.advance(19_999);
      if (isFinished) on.drain.finished();
      on.clock.advance(1);
      assertEquals(stuck?.cutMs, isFinished ? -1 : 20_000);
    }
  });

  it("is one, however often it is started, and resolves once everybody has been sent away", async () => {
    const on = scene();
    const clients = join(on, 5, true);
    const told = on.drain.start();
    assertEquals(on.drain.start(), told);
    on.clock.advance(10_000 + STEP_MS);
    await told;
    assert(clients.every(({ leftMs }) => leftMs >= 0));
    await scene().drain.start();
  });
});
