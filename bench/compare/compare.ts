/**
 * Two results files, cell by cell: how many times better the second is, with an interval that holds for all cells at
 * once. Pure functions over samples; it must never print or read a file.
 */
import { type Cell, cellKey } from "../result.ts";
import { judgingFigure, kindOf } from "../report/figures.ts";
import type { Summary } from "../report/results.ts";
import { bootstrapError, median, normalQuantile, seededRandom } from "../report/statistics.ts";

/** How two runs are compared. */
export interface Settings {
  /** Differences in the medians up to this are no finding: 0.02 is 2 %. */
  readonly threshold: number;
  /** Share of comparisons of whole files in which chance alone may produce a finding: 0.05. */
  readonly errorShare: number;
  readonly resamples: number;
  readonly seed: number;
  /** Samples of one run number are neighbours in time across the files: their quotients are what is resampled. */
  readonly isPaired: boolean;
  /** Values are taken relative to this contender's in the same cell, run by run, against drift of the machine. */
  readonly reference?: string;
  /** Names in the second file of contenders of the first, where they differ. */
  readonly renamed: ReadonlyMap<string, string>;
}

export const defaultSettings: Settings = {
  threshold: 0.02,
  errorShare: 0.05,
  resamples: 2000,
  seed: 1,
  isPaired: false,
  renamed: new Map(),
};

/**
 * `few`: not enough valid samples to compare; `failed`: the second file has not enough of them, the first has;
 * `gone` and `new`: only one file has it at all.
 */
export type Verdict = "worse" | "better" | "same" | "few" | "failed" | "gone" | "new";

/** One contender in one cell, or in all its cells. */
export interface Comparison {
  readonly contender: string;
  /** Undefined for the geometric mean over all cells of the contender. */
  readonly cell?: Cell;
  readonly figure?: string;
  /** Second file ÷ first, turned so that above 1 is better. Absent where one of the two has no valid samples. */
  readonly ratio?: number;
  readonly low?: number;
  readonly high?: number;
  /** Valid samples in the first file and in the second. */
  readonly samples: readonly [number, number];
  readonly verdict: Verdict;
}

/** With fewer samples no interval is worth its name. */
const FEWEST_SAMPLES = 3;

interface Estimate {
  readonly contender: string;
  readonly cell: Cell;
  readonly figure: string;
  readonly samples: readonly [number, number];
  /** Of the logarithm of the ratio. */
  readonly difference: number;
  readonly error: number;
  /** Values behind the error that are free to vary. */
  readonly freedom: number;
}

/** What an interval is made of. */
type Judged = Pick<Estimate, "contender" | "samples" | "difference" | "error">;

/**
 * Compares all cells. The first rows are the geometric means of the contenders, then come their cells.
 *
 * The difference is that of the medians' logarithms. Its standard error is the bootstrap's or, when that is greater,
 * the mean one of all cells with the same judging figure: five samples that lie close by luck cannot make a finding.
 * Means and cells share the permitted error evenly, and each interval is as wide as if all its kind had to hold at
 * once (Bonferroni).
 */
export function compare(first: Summary, second: Summary, settings: Settings): Comparison[] {
  const random = seededRandom(settings.seed);
  const estimates: Estimate[] = [];
  const rest: Comparison[] = [];
  for (const { cell, contender } of places(first, second, settings)) {
    const outcome = estimate(first, second, cell, contender, settings, random);
    if ("difference" in outcome) estimates.push(outcome);
    else rest.push(outcome);
  }
  const cautious = withPooledErrors(estimates);
  const means = meansOf(cautious);
  return [
    ...judged(means, settings),
    ...judged(cautious, settings),
    ...rest,
  ];
}

interface Place {
  readonly cell: Cell;
  readonly contender: string;
}

/** All cells and contenders of both files, by the first file's names. The reference is not compared with itself. */
function places(first: Summary, second: Summary, { reference, renamed }: Settings): Place[] {
  const formerNames = new Map([...renamed].map(([old, name]) => [name, old]));
  const found = new Map<string, Place>();
  const add = (cell: Cell, contender: string) => {
    if (contender !== reference) found.set(`${cellKey(cell)}\n${contender}`, { cell, contender });
  };
  for (const cell of first.cells) {
    for (const contender of first.contenders(cell)) {
      if (renamed.size === 0 || renamed.has(contender)) add(cell, contender);
    }
  }
  for (const cell of second.cells) {
    for (const contender of second.contenders(cell)) {
      if (renamed.size === 0) add(cell, contender);
      else if (formerNames.has(contender)) add(cell, formerNames.get(contender) as string);
    }
  }
  return [...found.values()];
}

function estimate(
  first: Summary,
  second: Summary,
  cell: Cell,
  contender: string,
  settings: Settings,
  random: () => number,
): Estimate | Comparison {
  const newName = settings.renamed.get(contender) ?? contender;
  const figure = judgingFigure(
    cell.workload,
    (name) => first.values(cell, contender, name).size > 0 || second.values(cell, newName, name).size > 0,
  );
  const before = figure === undefined ? new Map() : logarithms(first, cell, contender, figure, settings);
  const after = figure === undefined ? new Map() : logarithms(second, cell, newName, figure, settings);
  const samples = [before.size, after.size] as const;
  const names = { contender, cell, ...(figure !== undefined && { figure }), samples };
  if (figure === undefined || before.size < FEWEST_SAMPLES || after.size < FEWEST_SAMPLES) {
    const wasMeasured = first.samples(cell, contender).length > 0;
    const isMeasured = second.samples(cell, newName).length > 0;
    const verdict = !isMeasured
      ? "gone"
      : !wasMeasured
      ? "new"
      : before.size >= FEWEST_SAMPLES
      ? "failed"
      : "few";
    return { ...names, verdict };
  }
  const sign = kindOf(figure).better === "more" ? 1 : -1;
  const error = (values: readonly number[]) => bootstrapError(values, settings.resamples, random);
  const pairedRuns = [...before.keys()].filter((run) => after.has(run));
  if (settings.isPaired && pairedRuns.length >= FEWEST_SAMPLES) {
    const differences = pairedRuns.map((run) => (after.get(run) ?? 0) - (before.get(run) ?? 0));
    return {
      ...names,
      figure,
      difference: sign * median(differences),
      error: error(differences),
      freedom: differences.length - 1,
    };
  }
  const [old, recent] = [[...before.values()], [...after.values()]];
  return {
    ...names,
    figure,
    difference: sign * (median(recent) - median(old)),
    error: Math.hypot(error(old), error(recent)),
    freedom: old.length + recent.length - 2,
  };
}

/** By run; without values that have no logarithm, or no reference beside them. */
function logarithms(
  summary: Summary,
  cell: Cell,
  contender: string,
  figure: string,
  { reference }: Settings,
): Map<number, number> {
  const beside = reference === undefined ? undefined : summary.values(cell, reference, figure);
  const logs = new Map<number, number>();
  for (const [run, value] of summary.values(cell, contender, figure)) {
    const log = Math.log(value / (beside === undefined ? 1 : beside.get(run) ?? NaN));
    if (Number.isFinite(log)) logs.set(run, log);
  }
  return logs;
}

/**
 * No error below the mean one of its figure, and all of them wider by what Student's distribution is wider than the
 * normal one: much with one cell and five pairs, nothing with many.
 */
function withPooledErrors(estimates: readonly Estimate[]): Estimate[] {
  return estimates.map((one) => {
    const pool = estimates.filter(({ figure }) => figure === one.figure);
    const squares = pool.reduce((sum, { error }) => sum + error * error, 0);
    const freedom = pool.reduce((sum, other) => sum + other.freedom, 0);
    const widening = Math.sqrt(freedom / Math.max(1, freedom - 2));
    return { ...one, error: widening * Math.max(one.error, Math.sqrt(squares / pool.length)) };
  });
}

/** The geometric mean of a contender's cells: what slows everything a little shows here first. */
function meansOf(estimates: readonly Estimate[]): Judged[] {
  const names = [...new Set(estimates.map(({ contender }) => contender))];
  return names.flatMap((contender) => {
    const own = estimates.filter((one) => one.contender === contender);
    if (own.length < 2) return [];
    const sum = (value: (one: Estimate) => number) => own.reduce((total, one) => total + value(one), 0);
    return [{
      contender,
      samples: [sum(({ samples }) => samples[0]), sum(({ samples }) => samples[1])] as const,
      difference: sum(({ difference }) => difference) / own.length,
      error: Math.sqrt(sum(({ error }) => error * error)) / own.length,
    }];
  });
}

/** A finding lies beyond the threshold, and its interval does not hold 1. */
function judged(
  estimates: readonly (Judged & Partial<Estimate>)[],
  settings: Settings,
): Comparison[] {
  const { errorShare, threshold } = settings;
  // Half for the means and half for the cells; each again half for either side.
  const width = normalQuantile(1 - errorShare / 4 / Math.max(1, estimates.length));
  return estimates.map(({ contender, cell, figure, samples, difference, error }) => {
    const low = Math.exp(difference - width * error);
    const high = Math.exp(difference + width * error);
    const ratio = Math.exp(difference);
    const verdict = high < 1 && ratio < 1 - threshold
      ? "worse"
      : low > 1 && ratio > 1 + threshold
      ? "better"
      : "same";
    const names = { contender, ...(cell && { cell }), ...(figure && { figure }), samples };
    return { ...names, ratio, low, high, verdict };
  });
}

/** What makes a comparison a regression: something is slower, or was measured before and fails now. */
export function isRegression({ verdict }: Comparison): boolean {
  return verdict === "worse" || verdict === "failed";
}
