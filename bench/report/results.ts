/**
 * A results file, read and asked: which cells there are, and what the samples of a contender in a cell come to.
 * Ratios are taken run by run, as runs of one number are neighbours in time. It must never format anything.
 */
import { cellKey, workloads } from "../result.ts";
import type { Cell, Environment, ResultLine, Sample, WorkloadName } from "../result.ts";
import { type Spread, spreadOf } from "./statistics.ts";

/** All lines of a file by what they are. */
export interface Results {
  readonly environment: Environment;
  /** Of runs whose cells were added. */
  readonly added?: readonly Environment[];
  readonly samples: readonly Sample[];
}

/**
 * Reads JSON lines. Throws a RangeError that names the line when one is not what a run writes, or begins another run:
 * samples under different conditions do not belong together.
 */
export function parseResults(text: string, name = "results"): Results {
  let environment: Environment | undefined;
  const samples: Sample[] = [];
  for (const [at, line] of text.split("\n").entries()) {
    if (line.trim() === "") continue;
    const record = parseLine(line, `${name}:${at + 1}`);
    if (record === undefined) continue;
    if (record.kind === "sample") samples.push(record);
    else if (environment === undefined) environment = record;
    else throw new RangeError(`${name}:${at + 1}: a second environment`);
  }
  if (environment === undefined) throw new RangeError(`${name}: no line of kind "environment"`);
  return { environment, samples: withoutRepeats(samples) };
}

/** Of a run that was taken twice, as after an interruption, the later one. */
function withoutRepeats(samples: readonly Sample[]): Sample[] {
  const key = ({ cell, contender, run }: Sample): string => `${cellKey(cell)}\n${contender}\n${run}`;
  return [...new Map(samples.map((sample) => [key(sample), sample])).values()];
}

/**
 * Adds the cells of other runs on the same machine that those before do not have. Throws a RangeError for another
 * machine's: figures from two machines do not belong into one report.
 */
export function withAdded(first: Results, others: readonly Results[]): Results {
  const known = new Set(first.samples.map(({ cell }) => cellKey(cell)));
  for (const { environment: { cpu, kernel } } of others) {
    const { environment } = first;
    if (cpu !== environment.cpu || kernel !== environment.kernel) {
      throw new RangeError(
        `measured on ${cpu} with ${kernel}, not on ${environment.cpu} with ${environment.kernel}`,
      );
    }
  }
  const samples = others.flatMap((other) => {
    const own = other.samples.filter(({ cell }) => !known.has(cellKey(cell)));
    for (const { cell } of own) known.add(cellKey(cell));
    return own;
  });
  return {
    environment: first.environment,
    added: others.map(({ environment }) => environment),
    samples: [...first.samples, ...samples],
  };
}

/** Undefined for the summaries that `npm run measure` adds to its samples. */
function parseLine(line: string, where: string): ResultLine | undefined {
  let record: Partial<Sample> | null;
  try {
    record = JSON.parse(line) as Partial<Sample> | null;
  } catch {
    throw new RangeError(`${where}: not JSON`);
  }
  const kind: string | undefined = record?.kind;
  if (kind === "sample") {
    const { cell, contender, run, failures, figures } = record as Partial<Sample>;
    const isWhole = typeof contender === "string" && Number.isInteger(run) && Array.isArray(failures) &&
      typeof figures === "object" && typeof cell?.parameters === "object";
    if (!isWhole) throw new RangeError(`${where}: a sample lacks cell, contender, run, failures or figures`);
    if (!workloads.includes(cell.workload)) throw new RangeError(`${where}: no workload ${cell.workload}`);
  } else if (kind === "summary") {
    return undefined;
  } else if (kind !== "environment") {
    throw new RangeError(`${where}: kind ${JSON.stringify(kind)}`);
  }
  return record as ResultLine;
}

/** Parameters that a cell must have; of a list, earlier values are preferred. */
export type Where = Readonly<Record<string, Parameter | readonly Parameter[]>>;
type Parameter = number | string | boolean;

/** What a cell is when it does not say otherwise, and what else says the same. */
const PLAIN: Readonly<Record<string, readonly Parameter[]>> = {
  binary: [false],
  deflate: ["off", false],
  tls: [false],
  content: ["random"],
  traffic: ["echo", "fanout", "none"],
  activeMessages: [0],
  slowConsumers: [0],
  wholeMessage: [false],
};

/** Answers questions about results. Cells are in the order in which they were first measured. */
export class Summary {
  readonly results: Results;
  readonly cells: readonly Cell[];
  /** By cell key and contender, with valid and failed samples. */
  readonly #samples = new Map<string, Sample[]>();

  constructor(results: Results) {
    this.results = results;
    const cells = new Map<string, Cell>();
    for (const sample of results.samples) {
      const key = cellKey(sample.cell);
      if (!cells.has(key)) cells.set(key, sample.cell);
      const own = `${key}\n${sample.contender}`;
      const list = this.#samples.get(own);
      if (list === undefined) this.#samples.set(own, [sample]);
      else list.push(sample);
    }
    this.cells = [...cells.values()];
  }

  /** The cells of a workload that have the parameters. */
  cellsWhere(workload: WorkloadName, where: Where = {}): Cell[] {
    return this.cells.filter((cell) => cell.workload === workload && rank(cell, where) !== undefined);
  }

  /** The best match among the plain cells (text, uncompressed, without TLS) unless `where` says otherwise. */
  find(workload: WorkloadName, where: Where): Cell | undefined {
    const wanted = { ...PLAIN, ...where };
    const ranked = this.cells.filter((cell) => cell.workload === workload)
      .map((cell) => ({ cell, rank: rank(cell, wanted) }))
      .filter((entry) => entry.rank !== undefined);
    return ranked.sort((a, b) => (a.rank ?? 0) - (b.rank ?? 0))[0]?.cell;
  }

  /** Who was measured in a cell, failed or not, in the order of first appearance. */
  contenders(cell: Cell): string[] {
    const key = cellKey(cell);
    const names = this.results.samples.filter((sample) => cellKey(sample.cell) === key);
    return [...new Set(names.map((sample) => sample.contender))];
  }

  /** All samples of a contender in a cell. */
  samples(cell: Cell, contender: string): readonly Sample[] {
    return this.#samples.get(`${cellKey(cell)}\n${contender}`) ?? [];
  }

  /** The figure in every sample without failures, by run number. */
  values(cell: Cell, contender: string, figure: string): Map<number, number> {
    const values = new Map<number, number>();
    for (const { failures, figures, run } of this.samples(cell, contender)) {
      const value = figures[figure];
      if (failures.length === 0 && value !== undefined && Number.isFinite(value)) values.set(run, value);
    }
    return values;
  }

  /** The figure over all valid samples; undefined when there are none. */
  spread(cell: Cell | undefined, contender: string, figure: string): Spread | undefined {
    return cell && spreadOf([...this.values(cell, contender, figure).values()]);
  }

  /** `over` ÷ `under` in the runs that both have; undefined when there are none. */
  ratio(cell: Cell | undefined, over: string, under: string, figure: string): Spread | undefined {
    return cell &&
      this.paired({ cell, contender: over }, { cell, contender: under }, figure, (a, b) => a / b);
  }

  /** `combine(a, b)` run by run, also across two cells. */
  paired(
    a: { cell: Cell; contender: string },
    b: { cell: Cell; contender: string },
    figure: string,
    combine: (a: number, b: number) => number,
  ): Spread | undefined {
    const others = this.values(b.cell, b.contender, figure);
    const combined: number[] = [];
    for (const [run, value] of this.values(a.cell, a.contender, figure)) {
      const other = others.get(run);
      if (other !== undefined) combined.push(combine(value, other));
    }
    return spreadOf(combined.filter(Number.isFinite));
  }
}

/** How far down the lists of preferences a cell is; undefined when it does not match. */
function rank(cell: Cell, where: Where): number | undefined {
  let total = 0;
  for (const [name, wanted] of Object.entries(where)) {
    const value = cell.parameters[name] ?? PLAIN[name]?.[0];
    const preferred: readonly unknown[] = Array.isArray(wanted) ? wanted : [wanted];
    const at = preferred.indexOf(value);
    if (at < 0) return undefined;
    total += at;
  }
  return total;
}

/** What a ratio of a figure says of the first contender. */
export type Standing = "ahead" | "level" | "behind";

/** Ratios closer to 1 than this are called level, whatever their spread. */
export const LEVEL_WITHIN = 0.02;

/**
 * Ahead or behind only when the median is off by more than {@link LEVEL_WITHIN} and every paired run is on the same
 * side of 1; with five runs, chance alone does that once in sixteen cells that are in truth level.
 */
export function standingOf(ratio: Spread, better: "more" | "less"): Standing {
  const isMore = ratio.low > 1 && ratio.median > 1 + LEVEL_WITHIN;
  const isLess = ratio.high < 1 && ratio.median < 1 - LEVEL_WITHIN;
  if (isMore) return better === "more" ? "ahead" : "behind";
  if (isLess) return better === "less" ? "ahead" : "behind";
  return "level";
}
