/**
 * The sections that show figures of one workload: bars or marks, and the same as a table.
 * They must never judge; what a figure means for a choice stands elsewhere.
 */
import type { Cell } from "../result.ts";
import { describeCell } from "./cells.ts";
import { barChart, markChart } from "./chart.ts";
import { type Block, type Chart, chartsOr, heading, paragraph, table, tableBlock } from "./document.ts";
import {
  formatNumber,
  formatRatioSpread,
  formatSpread,
  formatWhole,
  judgingFigure,
  kindOf,
} from "./figures.ts";
import { headline } from "./headline.ts";
import type { Summary } from "./results.ts";
import { kindNames, noteOf, pairs } from "./roster.ts";
import type { Spread } from "./statistics.ts";

interface Entry {
  readonly contender: string;
  readonly spread: Spread;
}

/** Who has the figure in a cell, best first. */
function ranking(summary: Summary, cell: Cell, figure: string): Entry[] {
  const entries = summary.contenders(cell).flatMap((contender) => {
    const spread = summary.spread(cell, contender, figure);
    return spread === undefined ? [] : [{ contender, spread }];
  });
  const sign = kindOf(figure).better === "more" ? -1 : 1;
  return entries.sort((a, b) => sign * (a.spread.median - b.spread.median));
}

/** Bars of one figure in one cell. Undefined when nobody has it. */
function bars(
  summary: Summary,
  cell: Cell | undefined,
  figure: string,
  id: string,
  title: string,
): Chart | undefined {
  if (cell === undefined) return undefined;
  const entries = ranking(summary, cell, figure);
  if (entries.length === 0) return undefined;
  const { unit, scale, better } = kindOf(figure);
  const scaled = entries.map(({ contender, spread }) => ({
    note: noteOf(contender),
    spread: {
      median: spread.median / scale,
      low: spread.low / scale,
      high: spread.high / scale,
      samples: spread.samples,
    },
  }));
  const rows = scaled.map(({ note, spread }) => ({ label: note.label, spread, colour: note.kind }));
  return {
    id,
    title,
    description: `${describeCell(cell)}: ${unit}; ${better === "more" ? "longer" : "shorter"} is better. ` +
      "Bars are medians, whiskers go from the least to the greatest sample. " +
      `Best is ${rows[0]?.label}, last ${rows.at(-1)?.label}.`,
    svg: barChart(rows, unit),
    table: table(
      `${title}, ${unit}`,
      ["contender", "what it is", "#median", "#least", "#greatest", "#samples"],
      scaled.map(({ note, spread }) => [
        note.label,
        kindNames[note.kind],
        ...[spread.median, spread.low, spread.high].map(formatNumber),
        String(spread.samples),
      ]),
    ),
  };
}

const RATE = "messagesPerCpuSecond";
const BYTES = "bytesPerConnection";

/** The three charts that most people come for. */
export function headlineSection(summary: Summary): Block[] {
  const charts = [
    bars(summary, headline.echoPipelined(summary), RATE, "echo", "Echo, 8 messages in flight"),
    bars(summary, headline.fanOut(summary), RATE, "fan-out", "Fan-out to 1,000 subscribers"),
    bars(summary, headline.idle(summary), BYTES, "idle", "Memory of an idle connection"),
  ];
  return [heading("At a glance"), chartsOr(charts, "None of the headline cells was measured.")];
}

/** Memory in all its forms, cell by cell. */
export function memorySection(summary: Summary): Block[] {
  const cells = [...summary.cellsWhere("idle"), ...summary.cellsWhere("churn")];
  const figures = [
    "bytesPerConnection",
    "rssBytes",
    "heapBytes",
    "externalBytes",
    "afterBytes",
    "growthBytes",
  ];
  const rows = cells.flatMap((cell) =>
    summary.contenders(cell).map((contender) => [
      noteOf(contender).label,
      describeCell(cell),
      ...figures.map((figure) => {
        const spread = summary.spread(cell, contender, figure);
        return spread === undefined ? "" : formatSpread(spread, kindOf(figure).scale);
      }),
      String(Math.max(0, ...figures.map((figure) => summary.spread(cell, contender, figure)?.samples ?? 0))),
    ])
  );
  return [
    heading("Memory per connection"),
    rows.length === 0 ? paragraph("No memory was measured.") : tableBlock(
      "Memory: bytes per connection are marginal, between few and many connections, after a garbage collection; " +
        "the others are MiB of the whole process; median (least to greatest)",
      [
        "contender",
        "cell",
        "#bytes per connection",
        "#RSS",
        "#heap",
        "#external",
        "#after all have left",
        "#growth by churn",
        "#samples",
      ],
      rows,
    ),
    ...uncollected(summary),
  ];
}

/** Marginal memory with garbage in it is more than a connection costs. */
function uncollected(summary: Summary): Block[] {
  const names = summary.cellsWhere("idle").flatMap((cell) =>
    summary.contenders(cell).filter((contender) => summary.spread(cell, contender, "collected")?.low === 0)
  );
  if (names.length === 0) return [];
  const labels = [...new Set(names)].map((name) => noteOf(name).label);
  return [paragraph(`Without a garbage collection, as there is none to ask for: ${labels.join(", ")}.`)];
}

const PERCENTILES = [
  { figure: "p50Ms", name: "p50", symbol: "circle" },
  { figure: "p99Ms", name: "p99", symbol: "triangle" },
  { figure: "p999Ms", name: "p99.9", symbol: "diamond" },
] as const;

function percentiles(summary: Summary, cell: Cell, id: string): Chart | undefined {
  const entries = ranking(summary, cell, "p99Ms");
  if (entries.length === 0) return undefined;
  const spreads = entries.map(({ contender }) =>
    PERCENTILES.map(({ figure }) => summary.spread(cell, contender, figure))
  );
  const labels = entries.map(({ contender }) => noteOf(contender).label);
  const title = describeCell(cell).replace(/^latency/, "Latency");
  return {
    id,
    title,
    description:
      "Milliseconds from the intended send time to the answer, on a logarithmic scale; medians over the " +
      "samples; further left is better. Each contender is offered a share of its own capacity.",
    svg: markChart(
      labels,
      PERCENTILES.map(({ name, symbol }, nth) => ({
        name,
        symbol,
        values: spreads.map((own) => positive(own[nth]?.median)),
      })),
      "ms",
    ),
    table: table(
      `${title}: ms, median (least to greatest)`,
      ["contender", "#p50", "#p99", "#p99.9", "#greatest", "#offered per second", "#samples"],
      entries.map(({ contender, spread }, at) => {
        const most = summary.spread(cell, contender, "maxMs");
        const offered = summary.spread(cell, contender, "offeredPerSecond");
        return [
          labels[at] ?? contender,
          ...[...(spreads[at] ?? []), most].map((own) => own === undefined ? "" : formatSpread(own, 1)),
          offered === undefined ? "" : formatWhole(offered.median),
          String(spread.samples),
        ];
      }),
    ),
  };
}

/** A logarithmic scale has no place for zero. */
function positive(value: number | undefined): number | undefined {
  return value !== undefined && value > 0 ? value : undefined;
}

/** One chart for each load. */
export function latencySection(summary: Summary): Block[] {
  const charts = summary.cellsWhere("latency").map((cell, nth) =>
    percentiles(summary, cell, `latency-${nth + 1}`)
  );
  return [heading("Latency"), chartsOr(charts, "Latency was not measured.")];
}

/** Handshakes, plain and with TLS. */
export function stormSection(summary: Summary): Block[] {
  const charts = summary.cellsWhere("storm").map((cell, nth) => {
    const title = describeCell(cell).replace(/^connection/, "Connection");
    return bars(summary, cell, "handshakesPerCpuSecond", `storm-${nth + 1}`, title);
  });
  return [heading("Connection storms"), chartsOr(charts, "Connection storms were not measured.")];
}

/** What the hub, the protocol and the sessions cost on top of an engine, and the cells of the whole server alone. */
export function serverSection(summary: Summary): Block[] {
  const rows = summary.cells.flatMap((cell) =>
    pairs.flatMap(({ runtime, typescript, typescriptServer, nativeEngine, nativeServer }) =>
      [[`ts on ${runtime}`, typescriptServer, typescript], [
        `native on ${runtime}`,
        nativeServer,
        nativeEngine,
      ]]
        .flatMap(
          ([name = "", server = "", engine = ""]) => {
            const figure = judgingFigure(
              cell.workload,
              (one) => summary.spread(cell, server, one) !== undefined,
            );
            const ratio = figure && summary.ratio(cell, server, engine, figure);
            return !figure || !ratio ? [] : [[
              describeCell(cell),
              name,
              kindOf(figure).unit,
              formatRatioSpread(ratio),
              String(ratio.samples),
            ]];
          },
        )
    )
  );
  const overhead = rows.length === 0
    ? paragraph("No cell was measured both on the whole server and on its bare engine.")
    : tableBlock(
      "The whole server ÷ its bare engine",
      ["cell", "engine", "figure", "#ratio", "#pairs"],
      rows,
    );
  return [heading("What the whole server costs"), overhead, ...serverCells(summary)];
}

function serverCells(summary: Summary): Block[] {
  const rows = summary.cellsWhere("server").flatMap((cell) =>
    summary.contenders(cell).flatMap((contender) => {
      const has = (figure: string) => summary.spread(cell, contender, figure) !== undefined;
      const figure = judgingFigure("server", has);
      const spread = figure && summary.spread(cell, contender, figure);
      if (!figure || !spread) return [];
      const { unit, scale } = kindOf(figure);
      const label = noteOf(contender).label;
      return [[describeCell(cell), label, unit, formatSpread(spread, scale), String(spread.samples)]];
    })
  );
  if (rows.length === 0) return [paragraph("Formats, rate limits, history and brokers were not measured.")];
  const titles = ["cell", "contender", "unit", "#median (least to greatest)", "#samples"];
  return [tableBlock("Formats, rate limits, history and brokers", titles, rows)];
}
