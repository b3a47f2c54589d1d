/**
 * The answer in five sentences. Each is a template whose numbers and words of direction come from the data; where the
 * data is missing, the sentence says so.
 */
import type { Cell, WorkloadName } from "../result.ts";
import { describeCell } from "./cells.ts";
import {
  formatNumber,
  formatRatio,
  formatRatioSpread,
  formatWhole,
  judgingFigure,
  kindOf,
} from "./figures.ts";
import { noteOf, type Pair, pairs } from "./roster.ts";
import { headline } from "./headline.ts";
import { type Standing, standingOf, type Summary } from "./results.ts";
import type { Spread } from "./statistics.ts";

/** Exactly five sentences. */
export function fiveSentences(summary: Summary): string[] {
  return [
    throughput(
      summary,
      headline.echoPipelined(summary),
      "An echo with eight messages in flight",
      "With eight messages in flight, the TypeScript engine echoes in a second of server CPU time",
    ),
    oneInFlight(summary),
    throughput(
      summary,
      headline.fanOut(summary),
      "A fan-out to 1,000 subscribers",
      "Publishing to 1,000 subscribers, the TypeScript engine delivers in a second of server CPU time",
    ),
    idle(summary),
    balance(summary),
  ];
}

const RATE = "messagesPerCpuSecond";
const BYTES = "bytesPerConnection";

/** Joins what was found for each runtime, and says for which nothing was. */
function perRuntime(opening: string, about: string, phrase: (pair: Pair) => string | undefined): string {
  const found = pairs.map((pair) => ({ runtime: pair.runtime, text: phrase(pair) }));
  const missing = found.filter(({ text }) => text === undefined).map(({ runtime }) => runtime);
  const told = found.flatMap(({ text }) => text ?? []);
  if (told.length === 0) return `${about} was not measured on both kinds of engine of any runtime.`;
  const gap = missing.length === 0
    ? ""
    : `; on ${missing.join(" and ")} the two were not measured side by side`;
  return `${opening} ${told.join(", and ")}${gap}.`;
}

function throughput(summary: Summary, cell: Cell | undefined, about: string, opening: string): string {
  return perRuntime(opening, about, (pair) => {
    const ratio = summary.ratio(cell, pair.typescript, pair.native, RATE);
    const own = summary.spread(cell, pair.typescript, RATE);
    if (ratio === undefined || own === undefined) return undefined;
    const rate = formatNumber(own.median / kindOf(RATE).scale);
    return `${rate} thousand messages on ${pair.runtime}, ${formatRatioSpread(ratio)} what ${
      noteOf(pair.native).label
    } ` +
      `does (${standingOf(ratio, "more")})`;
  });
}

function oneInFlight(summary: Summary): string {
  const cell = headline.echoOneByOne(summary);
  const opening = "With one message in flight, the TypeScript engine does";
  return perRuntime(opening, "An echo with one message in flight", (pair) => {
    const ratio = summary.ratio(cell, pair.typescript, pair.native, RATE);
    if (ratio === undefined) return undefined;
    const ceiling = summary.ratio(cell, pair.typescript, pair.tcp, RATE);
    const bound = ceiling === undefined
      ? ""
      : `; ${formatRatioSpread(ceiling)} a raw TCP echo without framing`;
    return `${formatRatioSpread(ratio)} what ${noteOf(pair.native).label} does on ${pair.runtime} ` +
      `(${standingOf(ratio, "more")}${bound})`;
  });
}

const IN_BYTES: Readonly<Record<Standing, string>> = { ahead: "less", level: "level", behind: "more" };

function idle(summary: Summary): string {
  const cell = headline.idle(summary);
  const count = formatWhole(Number(cell?.parameters["connections"] ?? 0));
  const opening = `With ${count} connections idle, each one costs the TypeScript engine`;
  return perRuntime(opening, "The memory of an idle connection", (pair) => {
    const own = summary.spread(cell, pair.typescript, BYTES);
    const other = summary.spread(cell, pair.native, BYTES);
    const ratio = summary.ratio(cell, pair.typescript, pair.native, BYTES);
    if (own === undefined || other === undefined || ratio === undefined) return undefined;
    return `${formatWhole(own.median)} bytes on ${pair.runtime} against ${formatWhole(other.median)} in ` +
      `${noteOf(pair.native).label} (${IN_BYTES[standingOf(ratio, "less")]}: ${formatRatioSpread(ratio)})`;
  });
}

const COMPARED: readonly WorkloadName[] = ["echo", "fanout", "rooms", "latency", "idle", "storm"];

/** A cell in which both engines of a runtime were measured. */
export interface Duel {
  readonly cell: Cell;
  readonly pair: Pair;
  readonly figure: string;
  /** The TypeScript engine ÷ the native one. */
  readonly ratio: Spread;
  readonly standing: Standing;
}

/** Every cell in which a TypeScript engine and its native counterpart both have valid samples. */
export function duels(summary: Summary): Duel[] {
  return COMPARED.flatMap((workload) => summary.cellsWhere(workload)).flatMap((cell) =>
    pairs.flatMap((pair) => {
      const has = (figure: string) => summary.spread(cell, pair.typescript, figure) !== undefined;
      const figure = judgingFigure(cell.workload, has);
      const ratio = figure && summary.ratio(cell, pair.typescript, pair.native, figure);
      if (!figure || !ratio) return [];
      return [{ cell, pair, figure, ratio, standing: standingOf(ratio, kindOf(figure).better) }];
    })
  );
}

/** How much better TypeScript did, above 1, also where less is better. */
export function advantage({ figure, ratio }: Duel): number {
  return kindOf(figure).better === "more" ? ratio.median : 1 / ratio.median;
}

function balance(summary: Summary): string {
  const all = duels(summary);
  if (all.length === 0) return "No cell was measured on both kinds of engine of any runtime.";
  const count = (standing: Standing) => all.filter((duel) => duel.standing === standing).length;
  const sorted = [...all].sort((a, b) => advantage(a) - advantage(b));
  const [worst, best] = [sorted[0] as Duel, sorted.at(-1) as Duel];
  const extremes = [
    worst.standing === "behind"
      ? `; the native engine's greatest lead is ${lead(worst, 1 / advantage(worst))}`
      : "",
    best.standing === "ahead" ? `; TypeScript's greatest lead is ${lead(best, advantage(best))}` : "",
  ].join("");
  return `Over all ${all.length} comparisons with the native engine of the same runtime, TypeScript is ahead in ` +
    `${count("ahead")}, level in ${count("level")} and behind in ${count("behind")}${extremes}.`;
}

function lead({ cell, pair }: Duel, times: number): string {
  return `${formatRatio(times)} on ${pair.runtime} (${describeCell(cell)})`;
}
