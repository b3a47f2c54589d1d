// What the limits cost: nanoseconds per check, alone and with the reading of the clock before it; what a million checks
// leave on the heap; bytes of the objects of which there is one per connection, address or user.
// Usage: node --expose-gc --max-semi-space-size=256 --min-semi-space-size=256 --import tsx bench/bucket.bench.ts
//        bun bench/bucket.bench.ts
//        deno run -A --v8-flags=--expose-gc,--max-semi-space-size=256,--min-semi-space-size=256 bench/bucket.bench.ts
//
// Checks go around a ring of objects, as messages come from many connections. Without the clock, time moves on by 5 µs a
// check. The rates admit everything, except where refusals are timed: those ask for more than there is.
// What is on the heap is counted without a collection in between; V8 needs the room for that. V8 also puts the time that
// a clock returns on the heap, so the checks that are counted are given times that are there already.

import process from "node:process";
import { type Clock, systemClock } from "../server/clock.ts";
import { ConnectionLimits } from "../server/limits/connections.ts";
import { MessageBuckets, MessageGuard, type MessageRates, Verdict } from "../server/limits/message_guard.ts";
import { MAX_BURST, MAX_PER_SECOND, type Rate, TokenBucket } from "../server/limits/token_bucket.ts";
import { UserLimits } from "../server/limits/users.ts";
import { type Cell, type Contender, readOptions, runTable } from "./codec/table.ts";

const CHECKS_PER_RUN = 1_000;
const RING = 64;
const STEP_MS = 0.005;
const MESSAGE_BYTES = 64;
const HEAP_CHECKS = 1_000_000;
const INSTANCES = 100_000;

const AMPLE: Rate = { perSecond: MAX_PER_SECOND, burst: MAX_BURST };
const SCARCE: Rate = { perSecond: 1, burst: 1 };
const LIMITED: MessageRates = { messages: AMPLE, bytes: AMPLE };
const UNLIMITED: MessageRates = { messages: undefined, bytes: undefined };

/** Something that checks: so many times, and says how many passed. */
interface Subject {
  readonly name: string;
  readonly admits: boolean;
  readonly stepping: (checks: number) => number;
  readonly reading: (checks: number, clock: Clock) => number;
}

function ring<T>(make: () => T): T[] {
  return Array.from({ length: RING }, make);
}

function bucketSubject(name: string, rate: Rate, cost: number): Subject {
  const buckets = ring(() => new TokenBucket(rate, 0));
  let startMs = systemClock.now();
  return {
    name,
    admits: cost <= rate.burst,
    stepping: (checks) => {
      let nowMs = startMs;
      let passed = 0;
      for (let at = 0; at < checks; at++) {
        nowMs += STEP_MS;
        if ((buckets[at % RING] as TokenBucket).take(cost, nowMs)) passed++;
      }
      startMs = nowMs;
      return passed;
    },
    reading: (checks, clock) => {
      let passed = 0;
      for (let at = 0; at < checks; at++) {
        if ((buckets[at % RING] as TokenBucket).take(cost, clock.now())) passed++;
      }
      return passed;
    },
  };
}

function guardSubject(name: string, rates: MessageRates, user: MessageRates | undefined): Subject {
  const guards = ring(() => new MessageGuard(rates, user && new MessageBuckets(user, 0), 0));
  let startMs = systemClock.now();
  return {
    name,
    admits: true,
    stepping: (checks) => {
      let nowMs = startMs;
      let passed = 0;
      for (let at = 0; at < checks; at++) {
        nowMs += STEP_MS;
        if ((guards[at % RING] as MessageGuard).admit(MESSAGE_BYTES, nowMs) === Verdict.Admitted) passed++;
      }
      startMs = nowMs;
      return passed;
    },
    reading: (checks, clock) => {
      let passed = 0;
      for (let at = 0; at < checks; at++) {
        const guard = guards[at % RING] as MessageGuard;
        if (guard.admit(MESSAGE_BYTES, clock.now()) === Verdict.Admitted) passed++;
      }
      return passed;
    },
  };
}

function subjects(): Subject[] {
  return [
    bucketSubject("a bucket", AMPLE, 1),
    bucketSubject("a bucket that refuses", SCARCE, 2),
    guardSubject("a guard: messages and bytes", LIMITED, undefined),
    guardSubject("a guard: those, and the user's", LIMITED, LIMITED),
    guardSubject("a guard without limits", UNLIMITED, undefined),
  ];
}

function contender(name: string, expected: number, run: () => number): Contender {
  return {
    name,
    run: () => void run(),
    check: () => {
      const passed = run();
      if (passed !== expected) throw new Error(`${name}: ${passed} passed instead of ${expected}`);
    },
  };
}

function cellOf({ name, admits, stepping, reading }: Subject): Cell {
  const expected = admits ? CHECKS_PER_RUN : 0;
  return {
    name,
    messages: CHECKS_PER_RUN,
    contenders: [
      contender("check", expected, () => stepping(CHECKS_PER_RUN)),
      contender("with the clock", expected, () => reading(CHECKS_PER_RUN, systemClock)),
    ],
  };
}

/** What `run` leaves behind, in bytes. */
function heapGrowth(run: () => void): number {
  const before = process.memoryUsage().heapUsed;
  run();
  return process.memoryUsage().heapUsed - before;
}

function printHeap(): void {
  // An array of mixed values keeps each number as an object on V8's heap.
  const times: unknown[] = ["", ...Array.from({ length: HEAP_CHECKS }, (_, at) => 1e6 + at * STEP_MS)];
  let next = 0;
  const replay: Clock = { ...systemClock, now: () => times[++next] as number };
  for (const { name, admits, reading } of subjects()) {
    for (let warmUp = 0; warmUp < 100; warmUp++) {
      next = 0;
      reading(HEAP_CHECKS / 100, replay);
    }
    next = 0;
    let passed = 0;
    collect();
    const bytes = heapGrowth(() => passed = reading(HEAP_CHECKS, replay));
    if (admits !== passed > 0) throw new Error(`${name}: ${passed} passed`);
    console.log(`${name.padEnd(44)} ${(bytes / HEAP_CHECKS).toFixed(3)} bytes`);
  }
}

function collect(): void {
  if (typeof Bun !== "undefined") Bun.gc(true);
  else if (globalThis.gc === undefined) throw new Error("run it with --expose-gc");
  else for (let turn = 0; turn < 3; turn++) globalThis.gc();
}

function printObjects(): void {
  const keys = Array.from({ length: INSTANCES }, (_, index) => `key ${index}`);
  const settings = {
    maxConnections: 0,
    maxConnectionsPerAddress: 0,
    maxPendingHandshakes: 0,
    handshakeRate: undefined,
  };
  const unlimited = new ConnectionLimits(settings, systemClock);
  const perAddress = new ConnectionLimits({ ...settings, maxConnectionsPerAddress: 1 }, systemClock);
  const rated = new ConnectionLimits({ ...settings, handshakeRate: SCARCE }, systemClock);
  const users = new UserLimits({ maxConnectionsPerUser: 1, rates: LIMITED }, systemClock);
  const scarce: MessageRates = { messages: SCARCE, bytes: SCARCE };
  const impatient = (): MessageGuard => {
    const guard = new MessageGuard(scarce, undefined, 0.5);
    guard.admit(1, 0.5);
    guard.admit(1, 0.5);
    return guard;
  };
  const makers: [string, (key: string) => unknown][] = [
    ["an empty object, for comparison", () => ({})],
    ["a bucket", () => new TokenBucket(AMPLE, 0.5)],
    ["a guard", () => new MessageGuard(LIMITED, undefined, 0.5)],
    ["a guard that has refused a message", impatient],
    ["a place", (key) => unlimited.arrive(key)],
    ["a place, counted for its own address", (key) => perAddress.arrive(key)],
    ["a place, and its address' handshake bucket", (key) => rated.arrive(key)],
    ["a user", (key) => users.join(key)],
  ];
  for (const [name, make] of makers) {
    const kept: unknown[] = new Array(INSTANCES).fill(undefined);
    collect();
    const bytes = heapGrowth(() => {
      keys.forEach((key, index) => kept[index] = make(key));
      collect();
    });
    console.log(`${name.padEnd(44)} ${(bytes / kept.length).toFixed(0)} bytes`);
  }
  rated.stop();
}

const options = readOptions();
if (!options.json) console.log("Time per check:\n");
const clockAlone: Cell = {
  name: "the clock alone",
  messages: CHECKS_PER_RUN,
  contenders: [contender("read", CHECKS_PER_RUN, () => {
    let advanced = 0;
    for (let at = 0; at < CHECKS_PER_RUN; at++) if (systemClock.now() > 0) advanced++;
    return advanced;
  })],
};
await runTable([clockAlone, ...subjects().map(cellOf)], options);
if (!options.json) {
  console.log(`\nThe heap's growth per check, over ${HEAP_CHECKS} checks:\n`);
  printHeap();
  console.log(
    `\nThe heap's growth per object, over ${INSTANCES} objects, without what holds them and without keys:\n`,
  );
  printObjects();
}
