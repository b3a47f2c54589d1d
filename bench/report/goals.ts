/**
 * What we reach for, as data: each goal with the question that it asks of a results file. The page of measures says
 * the same in words; change both together.
 */
import type { Cell } from "../result.ts";
import { formatNumber, formatRatio, formatRatioSpread, formatWhole } from "./figures.ts";
import { headline } from "./headline.ts";
import type { Summary } from "./results.ts";
import type { Spread } from "./statistics.ts";

/** What was measured, and whether that reaches the goal. */
export interface Measured {
  readonly text: string;
  readonly isMet: boolean;
}

export interface Goal {
  readonly about: string;
  readonly goal: string;
  /** Undefined when the file has no valid samples for it. */
  measure(summary: Summary): Measured | undefined;
}

const RATE = "messagesPerCpuSecond";
const BYTES = "bytesPerConnection";

function ratioOfAtLeast(ratio: Spread | undefined, least: number): Measured | undefined {
  return ratio && { text: formatRatioSpread(ratio), isMet: ratio.median >= least };
}

function bytesAtMost(spread: Spread | undefined, most: number): Measured | undefined {
  if (spread === undefined) return undefined;
  const { median, low, high } = spread;
  const text = `${formatWhole(median)} (${formatWhole(low)} to ${formatWhole(high)}) bytes`;
  return { text, isMet: median <= most };
}

/** `over` reaches `least` times `under` in a cell that stands for a workload. */
function rateGoal(
  about: string,
  find: (summary: Summary) => Cell | undefined,
  over: string,
  under: string,
  least: number,
  name: string,
): Goal {
  return {
    about,
    goal: `at least ${least} × ${name}`,
    measure: (summary) => ratioOfAtLeast(summary.ratio(find(summary), over, under, RATE), least),
  };
}

/** Judged with payloads of one size, where the server's messages are larger; messages of one size are told beside it. */
function nativeFanOutGoal(engine: string, server: string, bare: string): Goal {
  const least = 0.95;
  return {
    about: `the whole server's fan-out, ${engine}`,
    goal: `at least ${least} × the bare engine`,
    measure(summary) {
      const answer = ratioOfAtLeast(summary.ratio(headline.fanOut(summary), server, bare, RATE), least);
      const sameSize = summary.ratio(headline.fanOutSameSize(summary), server, bare, RATE);
      if (answer === undefined || sameSize === undefined) return answer;
      return { ...answer, text: `${answer.text}; ${formatRatioSpread(sameSize)} with messages of one size` };
    },
  };
}

/** The bytes of the whole server above those of its bare engine. */
function overheadGoal(server: string, engine: string, name: string): Goal {
  return {
    about: `idle bytes per connection, whole server on ${name}`,
    goal: "at most 1,000 above the bare engine",
    measure(summary) {
      const cell = headline.idle(summary);
      if (cell === undefined) return undefined;
      const above = summary.paired(
        { cell, contender: server },
        { cell, contender: engine },
        BYTES,
        (a, b) => a - b,
      );
      return bytesAtMost(above, 1000);
    },
  };
}

const SMALL_FRAME_BYTES = 125;

/** Every decode and encode cell of the codec that both we and ws were measured in, by how much we are ahead. */
function codecGoal(goal: string, least: number, mostBytes: number): Goal {
  return {
    about: mostBytes === Infinity ? "the codec alone" : "the codec alone, up to 125 bytes",
    goal,
    measure(summary) {
      const ratios = summary.cellsWhere("codec").filter((cell) => isCoding(cell) && sizeOf(cell) <= mostBytes)
        .flatMap((cell) => summary.ratio(cell, "ws", "codec", "nsPerMessage") ?? []);
      if (ratios.length === 0) return undefined;
      const reached = ratios.filter(({ median }) => median >= least).length;
      const worst = Math.min(...ratios.map(({ median }) => median));
      const text = `${reached} of ${ratios.length} cells; the least ${formatRatio(worst)}`;
      return { text, isMet: reached === ratios.length };
    },
  };
}

const CODING = /^(decode|encode)\b/;

function isCoding({ parameters }: Cell): boolean {
  return Object.values(parameters).some((value) => typeof value === "string" && CODING.test(value));
}

/** From the parameter, or from a name as in "decode 125 text masked whole many". */
function sizeOf({ parameters }: Cell): number {
  const size = parameters["payloadBytes"] ?? /\b\d+\b/.exec(Object.values(parameters).join(" "))?.[0];
  return Number(size ?? Infinity);
}

const DEFLATE_GROWTH_BYTES = 1000;
const MOST_NODE_BYTES = 6500;
const CHECK_NS = 50;
const BROKER_P99_MS = 5;
const BROKER_RATE = 5000;

/** In the order of the page of measures. */
export const goals: readonly Goal[] = [
  rateGoal("`ts` echo, 8 in flight, Node", headline.echoPipelined, "engine-ts-node", "ws", 8, "ws"),
  rateGoal(
    "`ts` echo, 8 in flight, Node",
    headline.echoPipelined,
    "engine-ts-node",
    "uws-bare",
    1.2,
    "uWebSockets.js",
  ),
  rateGoal(
    "`ts` echo, 8 in flight, Bun",
    headline.echoPipelined,
    "engine-ts-bun",
    "bun-bare",
    1,
    "Bun.serve",
  ),
  rateGoal(
    "`ts` echo, 1 in flight, Node",
    headline.echoOneByOne,
    "engine-ts-node",
    "tcp-node",
    0.95,
    "raw TCP",
  ),
  rateGoal("`ts` echo, 1 in flight, Bun", headline.echoOneByOne, "engine-ts-bun", "tcp-bun", 0.95, "raw TCP"),
  rateGoal("`ts` echo, 1 in flight, Node", headline.echoOneByOne, "engine-ts-node", "ws", 1, "ws"),
  rateGoal("`ts` echo, 16 KiB, Node", headline.echoLarge, "engine-ts-node", "ws", 1, "ws"),
  rateGoal("`ts` echo, 16 KiB, Bun", headline.echoLarge, "engine-ts-bun", "bun-bare", 1, "Bun.serve"),
  codecGoal("ahead of ws in every cell of decode and encode", 1, Infinity),
  codecGoal("at least 5 × ws", 5, SMALL_FRAME_BYTES),
  nativeFanOutGoal("uws", "server-uws", "uws-bare"),
  nativeFanOutGoal("bun", "server-bun", "bun-bare"),
  rateGoal(
    "the whole server's fan-out, ts",
    headline.fanOut,
    "server-ts-node",
    "uws-bare",
    0.8,
    "uWebSockets.js",
  ),
  {
    about: "idle bytes per connection, `ts` on Bun",
    goal: "below bare Bun.serve",
    measure(summary) {
      const judged = headline.idle(summary);
      const ratio = summary.ratio(judged, "engine-ts-bun", "bun-bare", BYTES);
      if (judged === undefined || ratio === undefined) return undefined;
      // A runtime's memory grows in steps: one number of connections does not tell the others.
      const others = summary.cellsWhere("idle", { deflate: "off", activeMessages: 0 }).flatMap((cell) => {
        const other = cell === judged ? undefined : summary.ratio(cell, "engine-ts-bun", "bun-bare", BYTES);
        const connections = formatWhole(Number(cell.parameters["connections"]));
        return other === undefined ? [] : [`${formatRatio(other.median)} at ${connections} connections`];
      });
      return { text: [formatRatioSpread(ratio), ...others].join("; "), isMet: ratio.median < 1 };
    },
  },
  {
    about: "idle bytes per connection, `ts` on Node",
    goal: "at most 6,500",
    measure: (summary) =>
      bytesAtMost(summary.spread(headline.idle(summary), "engine-ts-node", BYTES), MOST_NODE_BYTES),
  },
  overheadGoal("server-ts-node", "engine-ts-node", "ts, Node"),
  overheadGoal("server-ts-bun", "engine-ts-bun", "ts, Bun"),
  overheadGoal("server-uws", "engine-uws", "uws"),
  overheadGoal("server-bun", "engine-bun", "bun"),
  {
    about: "permessage-deflate, idle bytes per connection, `ts` on Node",
    goal: "shared compression adds less than 1,000",
    measure(summary) {
      const plain = headline.idle(summary);
      const shared = plain && summary.find("idle", { ...plain.parameters, deflate: ["shared", "on", true] });
      if (plain === undefined || shared === undefined) return undefined;
      const growth = summary.paired(
        { cell: shared, contender: "engine-ts-node" },
        { cell: plain, contender: "engine-ts-node" },
        BYTES,
        (a, b) => a - b,
      );
      return bytesAtMost(growth, DEFLATE_GROWTH_BYTES - 1);
    },
  },
  {
    about: "token bucket",
    goal: "at most 50 ns a check",
    measure(summary) {
      const checks = summary.cellsWhere("codec", { table: "bucket" }).flatMap((cell) => {
        const spread = summary.spread(cell, "codec", "nsPerMessage");
        const withClock = summary.spread(cell, "with the clock", "nsPerMessage");
        if (spread === undefined) return [];
        return [{
          runtime: cell.parameters["runtime"],
          ns: spread.median,
          withClock: withClock?.median ?? NaN,
        }];
      });
      if (checks.length === 0) return undefined;
      return {
        text: checks.map(({ runtime, ns, withClock }) =>
          `${formatNumber(ns)} ns on ${runtime} (${formatNumber(withClock)} with the reading of the clock)`
        ).join(", "),
        isMet: checks.every(({ ns }) => ns <= CHECK_NS),
      };
    },
  },
  {
    about: "a node behind Redis, p99 from publish to delivery on another node",
    goal: "at most 5 ms at 5,000 publications a second",
    measure(summary) {
      for (const cell of summary.cellsWhere("server", { broker: "redis" })) {
        for (const contender of summary.contenders(cell)) {
          const p99 = summary.spread(cell, contender, "p99Ms");
          const offered = summary.spread(cell, contender, "offeredPerSecond");
          if (p99 === undefined || offered === undefined || offered.median < BROKER_RATE) continue;
          return { text: `${formatNumber(p99.median)} ms`, isMet: p99.median <= BROKER_P99_MS };
        }
      }
      return undefined;
    },
  },
  {
    about: "backpressure: one subscriber never reads, whole server, `ts` on Node",
    goal: "the others keep at least 0.95 of their rate",
    measure(summary) {
      const [slow] = summary.cellsWhere("fanout", { slowConsumers: 1 });
      const plain = slow && summary.find("fanout", { ...slow.parameters, slowConsumers: 0 });
      if (slow === undefined || plain === undefined) return undefined;
      const contender = "server-ts-node";
      const ratio = summary.paired(
        { cell: slow, contender },
        { cell: plain, contender },
        RATE,
        (a, b) => a / b,
      );
      return ratioOfAtLeast(ratio, 0.95);
    },
  },
];
