/**
 * From questions to an order of runs: who can be asked, how often, what there is time for, what has been answered
 * already. Pure functions; it must never start anything.
 */
import type { Question } from "./cells.ts";
import { isPicked } from "./contenders.ts";
import { cellKey } from "./result.ts";
import type { Cell, NotRun, Sample } from "./result.ts";

/** What is asked for on the command line. */
export interface Wishes {
  /** Everything, or the headlines. */
  readonly full: boolean;
  /** Parts of contenders' names; empty for all. */
  readonly only: readonly string[];
  /** Workloads; empty for all. */
  readonly workloads: readonly string[];
  /** Part of a cell's key; empty for all. */
  readonly cell: string;
  readonly runs: number;
  /** Runs a cell may be reduced to before a headline is dropped. */
  readonly leastRuns: number;
  readonly budgetSeconds: number;
}

/** A cell with those who will be asked. */
export interface PlannedCell {
  readonly cell: Cell;
  readonly contenders: readonly string[];
  readonly runs: number;
}

export interface Plan {
  readonly cells: readonly PlannedCell[];
  /** Of a cell that does not ask for fewer. */
  readonly runs: number;
  readonly estimateSeconds: number;
  readonly notRun: readonly NotRun[];
}

/** One run of one contender in one cell. */
export interface Step {
  readonly cell: Cell;
  readonly contender: string;
  /** From 1. */
  readonly run: number;
}

/** What is known of contenders: whether they can do a cell, and how long one run takes. */
export interface Knowledge {
  /** In words, why not; undefined when they can. */
  whyNot(cell: Cell, contender: string): string | undefined;
  runSeconds(cell: Cell, contender: string): number;
}

/** How the reason begins of what was dropped for the budget. */
export const NO_TIME = "no time left";

/** Chooses cells and runs: as many as there is time for, the most important first. */
export function planRuns(questions: readonly Question[], wishes: Wishes, knowledge: Knowledge): Plan {
  const { asked, impossible } = pick(questions, wishes, knowledge);
  const secondsOf = (question: Question): number =>
    question.contenders.reduce((sum, name) => sum + knowledge.runSeconds(question.cell, name), 0);
  const total = (of: readonly Question[]): number =>
    of.reduce((sum, question) => sum + secondsOf(question), 0);
  const leastRank = asked[0]?.rank ?? 0;
  const headlines = total(asked.filter(({ rank }) => rank === leastRank));
  const runs = headlines * wishes.runs <= wishes.budgetSeconds ? wishes.runs : wishes.leastRuns;
  let seconds = 0;
  let kept = 0;
  for (const question of asked) {
    const needed = secondsOf(question) * runsOf(question, runs);
    if (seconds + needed > wishes.budgetSeconds) break;
    seconds += needed;
    kept++;
  }
  const dropped = asked.slice(kept).map(({ cell, contenders }): NotRun => ({
    ...{ cell, contenders },
    reason: `${NO_TIME} within ${Math.round(wishes.budgetSeconds / 60)} minutes`,
  }));
  return {
    cells: merge(asked.slice(0, kept), runs),
    runs,
    estimateSeconds: seconds,
    notRun: [...impossible, ...dropped],
  };
}

/**
 * The questions that were wished for, by importance, each contender once in each cell; and what contenders cannot do.
 */
function pick(questions: readonly Question[], wishes: Wishes, knowledge: Knowledge) {
  const asked: Question[] = [];
  const impossible: NotRun[] = [];
  const seen = new Set<string>();
  const isWished = (name: string): boolean =>
    wishes.only.length === 0 || wishes.only.some((filter) => isPicked(name, filter));
  for (const question of [...questions].sort((a, b) => a.rank - b.rank)) {
    const { cell } = question;
    if (wishes.workloads.length > 0 && !wishes.workloads.includes(cell.workload)) continue;
    if (!cellKey(cell).includes(wishes.cell)) continue;
    const names = (wishes.full ? question.contenders : question.quick ?? []).filter((name) => {
      const key = `${cellKey(cell)} ${name}`;
      if (seen.has(key) || !isWished(name)) return false;
      seen.add(key);
      return true;
    });
    const reasons = new Map(names.map((name) => [name, knowledge.whyNot(cell, name)]));
    const contenders = names.filter((name) => reasons.get(name) === undefined);
    if (contenders.length > 0) asked.push({ ...question, contenders });
    for (const [name, reason] of reasons) {
      if (reason !== undefined) impossible.push({ cell, contenders: [name], reason });
    }
  }
  return { asked, impossible };
}

/** Questions about the same cell become one, where the first of them was. */
function merge(questions: readonly Question[], runs: number): PlannedCell[] {
  const cells = new Map<string, PlannedCell>();
  for (const question of questions) {
    const { cell } = question;
    const key = cellKey(cell);
    const contenders = [...cells.get(key)?.contenders ?? [], ...question.contenders];
    cells.set(key, { cell, contenders, runs: runsOf(question, runs) });
  }
  return [...cells.values()];
}

function runsOf({ mostRuns = Infinity }: Question, runs: number): number {
  return Math.min(mostRuns, runs);
}

/**
 * All runs in their order: cell by cell, run by run, contenders in balanced order, so that nobody always comes after
 * the same neighbour. What `done` has is left out.
 */
export function stepsOf(plan: Plan, done: readonly Sample[]): Step[] {
  const key = (cell: Cell, contender: string, run: number): string => `${cellKey(cell)} ${contender} ${run}`;
  const answered = new Set(done.map(({ cell, contender, run }) => key(cell, contender, run)));
  return plan.cells.flatMap(({ cell, contenders, runs }) =>
    Array.from({ length: runs }, (_, i) => i + 1).flatMap((run) =>
      balancedOrder(contenders.length, run - 1).map((at): Step => ({
        ...{ cell, run },
        contender: contenders[at] as string, // an order holds indexes
      }))
    )
  ).filter(({ cell, contender, run }) => !answered.has(key(cell, contender, run)));
}

/**
 * Row `row` of Williams' square of `count` contenders: 0, 1, count - 1, 2, count - 2, … shifted by the row. Over `count`
 * rows everybody has every place once, and comes after everybody else once (twice when `count` is odd).
 */
export function balancedOrder(count: number, row: number): number[] {
  return Array.from({ length: count }, (_, i) => {
    const zigzag = i % 2 === 1 ? (i + 1) / 2 : count - i / 2;
    return (zigzag + row) % count;
  });
}

/** Roughly how long a run takes besides starting its server. */
export function loadSeconds(cell: Cell, warmupSeconds: number, seconds: number): number {
  const { parameters, workload } = cell;
  const connections = Number(parameters["subscribers"] ?? parameters["connections"] ?? 0);
  const connecting = connections / CONNECTIONS_PER_SECOND;
  const window = typeof parameters["seconds"] === "number" ? parameters["seconds"] : seconds;
  const redis = parameters["broker"] === "redis" ? REDIS_SECONDS : 0;
  const base = LOAD_START_SECONDS + connecting + redis;
  switch (workload) {
    case "codec":
      return CODEC_SECONDS;
    case "idle":
      return base + 3 * SETTLE_SECONDS;
    case "churn":
      return base + warmupSeconds + window + 2 * SETTLE_SECONDS;
    case "latency":
      return base + 2 * warmupSeconds + window + CAPACITY_SECONDS;
    default:
      return base + warmupSeconds + window;
  }
}

/** Measured here; what a machine really takes shows in the progress. */
const CONNECTIONS_PER_SECOND = 3000;
const LOAD_START_SECONDS = 0.4;
const REDIS_SECONDS = 0.2;
const SETTLE_SECONDS = 1.2;
const CAPACITY_SECONDS = 0.5;
const CODEC_SECONDS = 1.5;
