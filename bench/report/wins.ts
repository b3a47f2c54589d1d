/**
 * Where the native engine wins and where TypeScript does: every cell that both were measured in. It must never say why.
 */
import { advantage, type Duel, duels } from "./answer.ts";
import { describeCell } from "./cells.ts";
import { ratioChart } from "./chart.ts";
import { type Block, type Chart, heading, paragraph, subheading, table, tableBlock } from "./document.ts";
import { formatRatioSpread, kindOf } from "./figures.ts";
import { LEVEL_WITHIN, type Standing, type Summary } from "./results.ts";
import { noteOf } from "./roster.ts";

/** More rows than this make a drawing that nobody reads; the table has them all. */
const MOST_ROWS = 24;
const FIRST_ROWS = 12;

/** Both directions. */
export function winsSection(summary: Summary): Block[] {
  const all = [...duels(summary)].sort((a, b) => advantage(b) - advantage(a));
  return [
    heading("Who wins where"),
    ...all.length === 0
      ? [paragraph("No cell was measured on both kinds of engine of one runtime.")]
      : [comparison(all)],
    ...part("Where the native engine wins", all, "behind"),
    ...part("Where TypeScript wins", all, "ahead"),
    ...level(all),
  ];
}

/** One chart for each runtime. Rows are the advantages of TypeScript, so right is better whatever the figure. */
function comparison(all: readonly Duel[]): Block {
  const charts = [...new Set(all.map(({ pair }) => pair))].flatMap((pair): Chart[] => {
    const own = all.filter((duel) => duel.pair === pair);
    const shown = mostTelling(own);
    const native = noteOf(pair.native).label;
    const title = `TypeScript against ${native}`;
    const cut = shown.length < own.length
      ? ` Drawn are TypeScript's ${MOST_ROWS / 2} best and ${
        MOST_ROWS / 2
      } worst of ${own.length} cells; the table has all.`
      : "";
    return [{
      id: `ratio-${pair.runtime.toLowerCase()}`,
      title,
      description:
        "How many times better the TypeScript engine does, run by run: right of the dashed line it is ahead, " +
        `left of it behind. Diamonds are medians, whiskers least and greatest.${cut}`,
      svg: ratioChart(
        shown.map((duel) => ({
          label: inBrief(describeCell(duel.cell)),
          spread: betterness(duel),
          colour: duel.standing === "behind" ? "native" : duel.standing === "ahead" ? "ours" : "other",
        })),
        "times better (logarithmic)",
      ),
      table: table(
        `${title}: times better`,
        ["cell", "#median (least to greatest)", "#pairs", "standing"],
        own.map((duel) => [
          describeCell(duel.cell),
          formatRatioSpread(betterness(duel)),
          String(duel.ratio.samples),
          duel.standing,
        ]),
      ),
    }];
  });
  return { type: "charts", charts };
}

/** Best and worst alike, so that the choice does not speak for either. */
function mostTelling(own: readonly Duel[]): readonly Duel[] {
  return own.length <= MOST_ROWS ? own : [...own.slice(0, MOST_ROWS / 2), ...own.slice(-MOST_ROWS / 2)];
}

function betterness({ figure, ratio }: Duel): Duel["ratio"] {
  if (kindOf(figure).better === "more") return ratio;
  return { ...ratio, median: 1 / ratio.median, low: 1 / ratio.high, high: 1 / ratio.low };
}

function part(title: string, all: readonly Duel[], standing: Standing): Block[] {
  const own = all.filter((duel) => duel.standing === standing);
  if (standing === "behind") own.reverse();
  if (own.length === 0) return [subheading(title), paragraph("In no cell that was measured.")];
  const shown = own.slice(0, FIRST_ROWS);
  const rest = shown.length < own.length ? `, the first ${FIRST_ROWS} of ${own.length}; above are all` : "";
  const rows = shown.map((duel) => [
    describeCell(duel.cell),
    formatRatioSpread(duel.ratio),
    duel.pair.runtime,
    noteOf(duel.pair.native).label,
    kindOf(duel.figure).unit,
    kindOf(duel.figure).better,
  ]);
  const caption = `TypeScript engine ÷ native engine on the same runtime${rest}`;
  const titles = ["cell", "#ratio", "runtime", "against", "of", "better is"];
  return [subheading(title), tableBlock(caption, titles, rows)];
}

function level(all: readonly Duel[]): Block[] {
  const own = all.filter(({ standing }) => standing === "level");
  const text =
    `In ${own.length} of ${all.length} cells: the median is within ${
      LEVEL_WITHIN * 100
    } %, or the runs are ` +
    "not all on the same side.";
  return [subheading("Where it makes no difference"), paragraph(text)];
}

/** As much as fits above a bar on a phone; the table below has the rest. */
const MOST_CHARACTERS = 50;

function inBrief(text: string): string {
  const brief = text.replace(" connections", " conn.").replace("deflate on, ", "deflate, ");
  return brief.length <= MOST_CHARACTERS ? brief : `${brief.slice(0, MOST_CHARACTERS - 1).trimEnd()}…`;
}
