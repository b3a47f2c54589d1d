/**
 * The codec alone against what `ws` does in its place, runtime by runtime. It must never know a server.
 */
import type { Cell } from "../result.ts";
import { ratioChart } from "./chart.ts";
import { type Block, type Chart, chartsOr, heading, paragraph, table } from "./document.ts";
import { formatRatio, formatRatioSpread, formatSpread } from "./figures.ts";
import { standingOf, type Summary } from "./results.ts";
import { noteOf } from "./roster.ts";

/** As in the samples. */
const OURS = "codec";
const RIVAL = "ws";
const NANOSECONDS = "nsPerMessage";
/** Of each kind of cell, the one whose size is nearest to this is drawn: the longest payload of a short header. */
const DRAWN_BYTES = 125;
/** In the name of a cell; the 8 of utf8 is none. */
const SIZE = /\b\d+\b/;

/** A chart and a table for each runtime. */
export function codecSection(summary: Summary): Block[] {
  const cells = summary.cellsWhere("codec").filter((cell) =>
    summary.ratio(cell, RIVAL, OURS, NANOSECONDS) !== undefined
  );
  const runtimes = [...new Set(cells.map(runtimeOf))];
  const charts = runtimes.map((runtime) =>
    comparison(summary, cells.filter((cell) => runtimeOf(cell) === runtime), runtime)
  );
  return [
    heading("The codec alone"),
    paragraph(
      "Without sockets, in a process of its own: how many times as long as ours the others take for a message. ws is " +
        "measured by its own Receiver, Sender and compressor; what it has no function for, by what its users call instead.",
    ),
    chartsOr(charts, "The codec alone was not measured."),
  ];
}

function runtimeOf({ parameters }: Cell): string {
  const name = String(parameters["runtime"]);
  return `${name[0]?.toUpperCase()}${name.slice(1)}`;
}

function nameOf({ parameters }: Cell): string {
  return String(parameters["name"]);
}

function comparison(summary: Summary, cells: readonly Cell[], runtime: string): Chart {
  const title = `Our codec against ws on ${runtime}`;
  return {
    id: `codec-${runtime.toLowerCase()}`,
    title,
    description: "How many times as long ws takes: right of the dashed line ours is faster, left of it ws. " +
      `Diamonds are medians, whiskers least and greatest. Drawn are the cells of ${DRAWN_BYTES} bytes, or the next size ` +
      "that was measured; the table has all.",
    svg: ratioChart(
      oneOfEachKind(cells).flatMap((cell) => {
        const spread = summary.ratio(cell, RIVAL, OURS, NANOSECONDS);
        if (spread === undefined) return [];
        const colour = standingOf(spread, "more") === "ahead" ? "ours" : "other";
        return [{ label: nameOf(cell), spread, colour }];
      }),
      "times as long (logarithmic)",
    ),
    table: table(
      `${title}: nanoseconds a message, and how many times as long the others take`,
      ["cell", "#ours (least to greatest)", "#ws", "others", "#samples"],
      cells.map((cell) => row(summary, cell)),
    ),
  };
}

function row(summary: Summary, cell: Cell): string[] {
  const own = summary.spread(cell, OURS, NANOSECONDS);
  const ratio = summary.ratio(cell, RIVAL, OURS, NANOSECONDS);
  const others = summary.contenders(cell).filter((name) => name !== OURS && name !== RIVAL).flatMap(
    (name) => {
      const other = summary.ratio(cell, name, OURS, NANOSECONDS);
      return other === undefined ? [] : [`${noteOf(name).label} ${formatRatio(other.median)}`];
    },
  );
  return [
    nameOf(cell),
    own === undefined ? "" : formatSpread(own),
    ratio === undefined ? "" : formatRatioSpread(ratio),
    others.join(", "),
    String(own?.samples ?? 0),
  ];
}

/** The cells whose names differ in more than a number, of each kind that of the size that is drawn. */
function oneOfEachKind(cells: readonly Cell[]): Cell[] {
  const distance = (cell: Cell): number => Math.abs(Number(SIZE.exec(nameOf(cell))?.[0]) - DRAWN_BYTES);
  const nearest = new Map<string, Cell>();
  for (const cell of cells) {
    const kind = nameOf(cell).replace(SIZE, "");
    const known = nearest.get(kind);
    if (known === undefined || distance(cell) < distance(known)) nearest.set(kind, cell);
  }
  return [...nearest.values()].sort((a, b) => nameOf(a) < nameOf(b) ? -1 : 1);
}
