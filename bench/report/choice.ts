/**
 * What to choose for which use: a rule for each use, decided by its cell. It must never recommend what was not measured.
 */
import type { Cell } from "../result.ts";
import { describeCell } from "./cells.ts";
import { type Block, heading, paragraph, tableBlock } from "./document.ts";
import { formatRatioSpread, judgingFigure, kindOf } from "./figures.ts";
import { headline } from "./headline.ts";
import { standingOf, type Summary } from "./results.ts";
import { type Pair, pairs } from "./roster.ts";

interface Use {
  readonly use: string;
  find(summary: Summary): Cell | undefined;
}

const uses: readonly Use[] = [
  { use: "requests and answers, one at a time", find: headline.echoOneByOne },
  { use: "streams of small messages from each client", find: headline.echoPipelined },
  { use: "large messages", find: headline.echoLarge },
  { use: "one publication for many subscribers", find: headline.fanOut },
  { use: "many idle connections", find: headline.idle },
  { use: "an answer in time, at half the capacity", find: headline.latency },
  { use: "many connections at once", find: headline.storm },
  { use: "many connections at once, with TLS", find: headline.stormTls },
];

const NOT_MEASURED = "not measured";

/** The rule, as it is printed above the table. */
const RULE =
  "For each use, the engine that is ahead in its cell; where the two are level, the TypeScript one, as it " +
  "needs no binary for each platform and is the same code on every runtime. On Deno there is only the TypeScript engine.";

export function choiceSection(summary: Summary): Block[] {
  const rows = uses.map(({ use, find }) => {
    const cell = find(summary);
    const advice = pairs.map((pair) => cell === undefined ? NOT_MEASURED : choose(summary, cell, pair));
    return [use, ...advice, cell === undefined ? "" : `${describeCell(cell)}: ${judgedBy(summary, cell)}`];
  });
  return [
    heading("What to choose"),
    paragraph(RULE),
    tableBlock(
      "Engine by use, with TypeScript ÷ native",
      ["use", ...pairs.map(({ runtime }) => `on ${runtime}`), "decided by"],
      rows,
    ),
  ];
}

function judgedBy(summary: Summary, cell: Cell): string {
  const names = summary.contenders(cell);
  const has = (figure: string) => names.some((name) => summary.spread(cell, name, figure) !== undefined);
  const figure = judgingFigure(cell.workload, has);
  return figure === undefined ? "no valid sample" : `${kindOf(figure).better} ${kindOf(figure).unit}`;
}

function choose(summary: Summary, cell: Cell, { typescript, native, engine }: Pair): string {
  const figure = judgingFigure(cell.workload, (one) => summary.spread(cell, typescript, one) !== undefined);
  const ratio = figure && summary.ratio(cell, typescript, native, figure);
  if (!figure || !ratio) return NOT_MEASURED;
  const standing = standingOf(ratio, kindOf(figure).better);
  const choice = standing === "behind" ? `\`${engine}\`` : standing === "ahead" ? "`ts`" : "`ts` (level)";
  return `${choice}: ${formatRatioSpread(ratio)}`;
}
