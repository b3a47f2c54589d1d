/** The heartbeat's wheel, on a clock that the tests move. */
import { describe, it } from "node:test";
import { assertEquals } from "@std/assert";
import { Heartbeat, type HeartbeatPeer, Pulse } from "../server/heartbeat.ts";
import { ManualClock } from "./helpers/manual_clock.ts";
import { type Random, seededRandom } from "./helpers/random.ts";

const SECOND_MS = 1000;

/** A peer that writes down when it was pinged and given up. */
class TestPeer implements HeartbeatPeer {
  pulse: Pulse = Pulse.Resting;
  heartbeatSlot = -1;
  readonly pings: number[] = [];
  readonly expiries: number[] = [];
  private readonly clock: ManualClock;
  private readonly onPing: () => void;

  constructor(clock: ManualClock, onPing: () => void = () => {}) {
    this.clock = clock;
    this.onPing = onPing;
  }

  ping(): void {
    this.pings.push(this.clock.now());
    this.onPing();
  }

  unanswered(): void {
    this.expiries.push(this.clock.now());
  }
}

function create(intervalSeconds = 30, timeoutSeconds = 10) {
  const clock = new ManualClock();
  return { clock, heartbeat: new Heartbeat({ intervalSeconds, timeoutSeconds, clock }) };
}

describe("the heartbeat", () => {
  it("pings once per interval for as long as each ping is answered", () => {
    const { clock, heartbeat } = create();
    const peer: TestPeer = new TestPeer(clock, () => heartbeat.answered(peer));
    heartbeat.add(peer);
    clock.advance(121 * SECOND_MS);
    assertEquals(peer.pings, [30_000, 60_000, 90_000, 120_000]);
    assertEquals(peer.expiries, []);
  });

  it("gives a peer up once, the timeout after the ping that was not answered", () => {
    const { clock, heartbeat } = create();
    const peer = new TestPeer(clock);
    heartbeat.add(peer);
    clock.advance(300 * SECOND_MS);
    assertEquals([peer.pings, peer.expiries], [[30_000], [40_000]]);
  });

  it("takes an answer up to the very end of the timeout", () => {
    const { clock, heartbeat } = create();
    const inTime = new TestPeer(clock);
    heartbeat.add(inTime);
    clock.advance(39_999);
    heartbeat.answered(inTime);
    clock.advance(20_001);
    assertEquals([inTime.pings, inTime.expiries], [[30_000, 60_000], []]);
  });

  it("does not take a pong that nobody asked for as the answer to a later ping (RFC 6455 section 5.5.3)", () => {
    const { clock, heartbeat } = create();
    const peer = new TestPeer(clock);
    heartbeat.add(peer);
    clock.advance(29_000);
    heartbeat.answered(peer);
    clock.advance(20_000);
    assertEquals([peer.pings, peer.expiries], [[30_000], [40_000]]);
  });

  it("leaves a peer alone that has been removed, also while it waits for the answer", () => {
    const { clock, heartbeat } = create();
    const [early, waiting] = [new TestPeer(clock), new TestPeer(clock)];
    heartbeat.add(early);
    heartbeat.add(waiting);
    heartbeat.remove(early);
    clock.advance(35_000);
    heartbeat.remove(waiting);
    heartbeat.remove(waiting);
    clock.advance(100_000);
    assertEquals([early.pings, early.expiries], [[], []]);
    assertEquals([waiting.pings, waiting.expiries], [[30_000], []]);
  });

  it("survives peers that leave inside their own ping", () => {
    const { clock, heartbeat } = create();
    const leaving: TestPeer = new TestPeer(clock, () => heartbeat.remove(leaving));
    const staying = new TestPeer(clock);
    heartbeat.add(leaving);
    heartbeat.add(staying);
    clock.advance(100_000);
    assertEquals([leaving.pings, leaving.expiries], [[30_000], []]);
    assertEquals([staying.pings, staying.expiries], [[30_000], [40_000]]);
  });

  it("does nothing with an interval of 0, and nothing after stop", () => {
    const off = create(0);
    const peer = new TestPeer(off.clock);
    off.heartbeat.add(peer);
    off.heartbeat.answered(peer);
    off.clock.advance(1_000_000);
    off.heartbeat.remove(peer);
    const on = create();
    const other = new TestPeer(on.clock);
    on.heartbeat.add(other);
    on.heartbeat.stop();
    on.clock.advance(1_000_000);
    assertEquals([peer.pings, other.pings], [[], []]);
  });

  for (const [seed, intervalSeconds, timeoutSeconds] of [[1, 30, 10], [2, 2, 1], [3, 7, 6], [4, 60, 5]]) {
    it(`pings on time and gives up on time, with 300 peers that come, answer and go at random (seed ${seed}, every ${intervalSeconds} s, timeout ${timeoutSeconds} s)`, () => {
      runModel(seededRandom(seed as number), intervalSeconds as number, timeoutSeconds as number);
    });
  }
});

const PEERS = 300;
const STEP_MS = 250;

interface Modelled {
  readonly peer: TestPeer;
  /** When it answers each ping, in milliseconds after it; undefined for never. */
  readonly answers: (number | undefined)[];
  readonly joinsMs: number;
  readonly leavesMs: number;
}

/** What a peer must see, worked out without a wheel: pings at the ticks, one interval apart, until one is not answered. */
function expected(
  { answers, joinsMs, leavesMs }: Modelled,
  intervalMs: number,
  timeoutMs: number,
  endMs: number,
) {
  const pings: number[] = [];
  const expiries: number[] = [];
  const end = Math.min(leavesMs, endMs + 1);
  // The wheel turns by whole seconds: who joins between two ticks counts from the earlier one.
  for (let at = Math.floor(joinsMs / SECOND_MS) * SECOND_MS + intervalMs; at < end; at += intervalMs) {
    const answer = answers[pings.length];
    pings.push(at);
    if (answer !== undefined && answer < timeoutMs) continue;
    if (at + timeoutMs < end) expiries.push(at + timeoutMs);
    break;
  }
  return { pings, expiries };
}

function runModel(random: Random, intervalSeconds: number, timeoutSeconds: number): void {
  const [intervalMs, timeoutMs] = [intervalSeconds * SECOND_MS, timeoutSeconds * SECOND_MS];
  const { clock, heartbeat } = create(intervalSeconds, timeoutSeconds);
  const endMs = 12 * intervalMs;
  const steps = endMs / STEP_MS;
  const peers = Array.from({ length: PEERS }, (): Modelled => ({
    peer: new TestPeer(clock),
    answers: Array.from({ length: 12 }, () => {
      if (random.chance(0.08)) return undefined;
      // Off the grid of ticks; a few come too late.
      return random.below((timeoutMs / STEP_MS) * 1.1) * STEP_MS + STEP_MS / 2;
    }),
    joinsMs: random.below(steps) * STEP_MS,
    leavesMs: random.chance(0.5) ? Infinity : random.below(steps) * STEP_MS + STEP_MS / 2,
  })).filter(({ joinsMs, leavesMs }) => joinsMs < leavesMs);
  for (const { peer, joinsMs, leavesMs } of peers) {
    clock.after(joinsMs, () => heartbeat.add(peer));
    if (leavesMs < Infinity) clock.after(leavesMs, () => heartbeat.remove(peer));
  }
  for (let now = 0; now < endMs; now += STEP_MS / 2) {
    clock.advance(STEP_MS / 2);
    for (const { peer, answers } of peers) {
      const last = peer.pings.length - 1;
      const answer = answers[last];
      const pingedAt = peer.pings[last];
      if (pingedAt === undefined || answer === undefined) continue;
      if (pingedAt + answer === clock.now()) heartbeat.answered(peer);
    }
  }
  for (const modelled of peers) {
    const { pings, expiries } = modelled.peer;
    assertEquals({ pings, expiries }, expected(modelled, intervalMs, timeoutMs, endMs));
  }
  assertEquals(peers.some(({ peer }) => peer.expiries.length > 0), true);
  assertEquals(peers.some(({ peer }) => peer.pings.length > 5), true);
}
