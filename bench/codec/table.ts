// Runs cells and prints their table: each contender's output is checked, then all are timed in turns, several rounds,
// so that a machine that slows down slows all of them. Knows nothing of what is measured.

import { measure } from "mitata";
import process from "node:process";

/** One way to do a cell's work. */
export interface Contender {
  readonly name: string;
  /** Does the work once, with inputs of its own, and throws unless the result is right. */
  readonly check: () => void | Promise<void>;
  /** What is timed. */
  readonly run: () => void | Promise<void>;
}

/** The same work done by several contenders; the first is ours, or the one the others are compared with. */
export interface Cell {
  readonly name: string;
  /** How many messages one run handles: figures are per message. */
  readonly messages: number;
  readonly contenders: readonly Contender[];
}

export interface TableOptions {
  readonly rounds: number;
  /** Processor time per contender and round, in milliseconds. */
  readonly sampleMs: number;
  /** Only cells whose name contains this. */
  readonly filter: string;
  readonly quick: boolean;
  /** Prints each cell as a line of JSON and nothing else. */
  readonly json: boolean;
}

interface Row {
  readonly cell: string;
  readonly figures: readonly { name: string; nanoseconds: number }[];
}

/** Measures cells in their order, printing a line for each, and then those in which the first is not the fastest. */
export async function runTable(cells: Iterable<Cell>, options: TableOptions): Promise<void> {
  const rows: Row[] = [];
  for (const cell of cells) {
    if (!cell.name.includes(options.filter)) continue;
    const row = await runCell(cell, options);
    rows.push(row);
    console.log(options.json ? JSON.stringify(row) : line(row));
  }
  if (options.json) return;
  const behind = rows.filter(({ figures }) => figures.some(({ nanoseconds }) => nanoseconds < best(figures)));
  console.log(
    `\n${rows.length} cells, ${rows.length - behind.length} in which the first contender is ahead of all.`,
  );
  for (const row of behind) console.log(`behind: ${line(row)}`);
}

function best(figures: Row["figures"]): number {
  return figures[0]?.nanoseconds ?? 0;
}

/** Small batches: a run may handle a whole chunk of messages already. */
const SAMPLING = { gc: false, batch_samples: 128 };

async function runCell(cell: Cell, { rounds, sampleMs }: TableOptions): Promise<Row> {
  for (const contender of cell.contenders) await contender.check();
  for (const contender of cell.contenders) await warmUp(contender);
  const samples = cell.contenders.map((): number[] => []);
  for (let round = 0; round < rounds; round++) {
    for (let index = 0; index < cell.contenders.length; index++) {
      // A contender that goes first in one round goes last in the next.
      const at = round % 2 === 0 ? index : cell.contenders.length - 1 - index;
      const contender = cell.contenders[at] as Contender; // below the length
      const stats = await measure(contender.run, { ...SAMPLING, min_cpu_time: sampleMs * 1e6 });
      samples[at]?.push(stats.p50 / cell.messages);
    }
  }
  const figures = cell.contenders.map(({ name }, at) => ({ name, nanoseconds: median(samples[at] ?? []) }));
  return { cell: cell.name, figures };
}

/** With a twentieth of it, ws's Sender was timed before V8 had compiled it: three to seven times as slow. */
const WARM_UP_MS = 100;
/** Of messages of a MiB; with a quarter of it, our decoder was timed before JavaScriptCore had compiled it. */
const WARM_UP_RUNS = 300;

/** Runs until the compilers have had their chance. */
async function warmUp({ run }: Contender): Promise<void> {
  const end = performance.now() + WARM_UP_MS;
  for (let runs = 0; runs < WARM_UP_RUNS || performance.now() < end; runs++) await run();
}

function median(values: number[]): number {
  values.sort((a, b) => a - b);
  return values[values.length >> 1] ?? 0;
}

function line({ cell, figures }: Row): string {
  const ours = best(figures);
  const parts = figures.map(({ name, nanoseconds }, at) => {
    const figure = `${name} ${format(nanoseconds)}`;
    return at === 0 ? figure.padEnd(18) : `${figure.padEnd(22)} ${(nanoseconds / ours).toFixed(2)}x`;
  });
  return `${cell.padEnd(44)} ${parts.join("   ")}`;
}

function format(nanoseconds: number): string {
  if (nanoseconds < 10_000) return `${nanoseconds.toFixed(nanoseconds < 100 ? 1 : 0)} ns`;
  return `${(nanoseconds / 1_000).toFixed(1)} us`;
}

/** The command's options: `--quick`, `--cell=TEXT`, `--json`. */
export function readOptions(): TableOptions {
  const quick = process.argv.includes("--quick");
  const filter = process.argv.find((argument) => argument.startsWith("--cell="))?.slice("--cell=".length) ??
    "";
  const json = process.argv.includes("--json");
  return { rounds: quick ? 3 : 5, sampleMs: quick ? 5 : 100, filter, quick, json };
}

/** Throws unless two arrays of bytes are the same. */
export function assertBytes(actual: Uint8Array, expected: Uint8Array, what: string): void {
  if (actual.length !== expected.length || actual.some((byte, at) => byte !== expected[at])) {
    throw new Error(`${what}: wrong output`);
  }
}
