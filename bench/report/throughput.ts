/**
 * Throughput beyond the headlines: echoes over the grid of payload, connections and messages in flight, and every cell with
 * its rates by the clock. It must never judge.
 */
import type { Cell, WorkloadName } from "../result.ts";
import { describeCell } from "./cells.ts";
import { type Block, foldedTable, heading, paragraph, tableBlock } from "./document.ts";
import { formatBytes, formatNumber, formatRatio, formatSpread, formatWhole, kindOf } from "./figures.ts";
import { standingOf, type Summary } from "./results.ts";
import { noteOf, pairs } from "./roster.ts";

const RATE = "messagesPerCpuSecond";
const BY_CLOCK = "messagesPerSecond";
const PLAIN = { binary: false, deflate: ["off", false], tls: false } as const;

const TITLES: readonly (readonly [WorkloadName, string])[] = [
  ["echo", "Echo: every cell and contender"],
  ["fanout", "Fan-out: every cell and contender"],
  ["rooms", "Rooms: every cell and contender"],
];

/** The grid, and what everything above is a part of. */
export function throughputSection(summary: Summary): Block[] {
  const tables = TITLES.flatMap(([workload, title]) => everyCell(summary, workload, title));
  return [
    heading("Throughput in every cell"),
    ...tables.length === 0 ? [paragraph("No throughput was measured.")] : [],
    ...grid(summary),
    ...tables,
  ];
}

const numeric = (cell: Cell, name: string): number => Number(cell.parameters[name]);

function sorted(values: readonly number[]): number[] {
  return [...new Set(values)].sort((a, b) => a - b);
}

/** TypeScript ÷ native where both were measured: payload and connections down, messages in flight across. */
function grid(summary: Summary): Block[] {
  const cells = summary.cellsWhere("echo", PLAIN);
  if (cells.length === 0) return [];
  const counts = sorted(cells.map((cell) => numeric(cell, "inFlight")));
  const rows = sorted(cells.map((cell) => numeric(cell, "payloadBytes"))).flatMap((payloadBytes) =>
    sorted(cells.map((cell) => numeric(cell, "connections"))).flatMap((connections) => {
      const texts = pairs.flatMap(({ typescript, native }) =>
        counts.map((inFlight) => {
          const cell = summary.find("echo", { ...PLAIN, payloadBytes, connections, inFlight });
          const ratio = summary.ratio(cell, typescript, native, RATE);
          if (ratio === undefined) return "";
          const standing = standingOf(ratio, "more");
          return `${formatRatio(ratio.median)}${standing === "level" ? "" : ` ${standing}`}`;
        })
      );
      const label = `${formatBytes(payloadBytes)}, ${formatWhole(connections)} connection${
        connections === 1 ? "" : "s"
      }`;
      return texts.every((text) => text === "") ? [] : [[label, ...texts]];
    })
  );
  const titles = pairs.flatMap(({ runtime }) => counts.map((count) => `#${runtime}, ${count} in flight`));
  return [
    tableBlock("Echo, TypeScript ÷ native by messages per server-CPU-second", ["echo", ...titles], rows),
  ];
}

function everyCell(summary: Summary, workload: WorkloadName, title: string): Block[] {
  const rows = summary.cellsWhere(workload).flatMap((cell) =>
    summary.contenders(cell).flatMap((contender) => {
      const spread = summary.spread(cell, contender, RATE);
      if (spread === undefined) return [];
      const { scale } = kindOf(RATE);
      const share = (figure: string): string => {
        const own = summary.spread(cell, contender, figure);
        return own === undefined ? "" : own.median.toFixed(2);
      };
      const byClock = summary.spread(cell, contender, BY_CLOCK);
      return [[
        describeCell(cell),
        noteOf(contender).label,
        formatSpread(spread, scale),
        byClock === undefined ? "" : formatNumber(byClock.median / scale),
        share("serverShare"),
        share("loadShare"),
        String(spread.samples),
      ]];
    })
  );
  if (rows.length === 0) return [];
  return [foldedTable(title, [
    "cell",
    "contender",
    "#thousand messages per server-CPU-second (least to greatest)",
    "#thousand per second",
    "#cores used by the server",
    "#cores used by the load",
    "#samples",
  ], rows)];
}
