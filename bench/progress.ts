/**
 * What is seen of a benchmark while it runs: on a terminal a line that changes with the time left, and everywhere a
 * table line for each cell that is complete. It must never know where samples go.
 */
import process from "node:process";
import type { Step } from "./plan.ts";
import { cellKey } from "./result.ts";
import type { Sample } from "./result.ts";
import { formatTable, mainFigureText, summarize } from "./sample.ts";

const MILLISECONDS = 1e3;
const SECONDS_PER_MINUTE = 60;
const CLEAR_LINE = "\r\x1b[K";

export class Progress {
  readonly #secondsOf: (step: Step) => number;
  readonly #isTerminal = process.stdout.isTTY === true;
  readonly #startedAt = performance.now();
  readonly #estimate: number;
  #done = 0;
  #doneEstimate = 0;
  readonly #count: number;
  /** Steps left of each cell. */
  readonly #left = new Map<string, number>();
  #samples: Sample[] = [];

  constructor(steps: readonly Step[], secondsOf: (step: Step) => number) {
    this.#secondsOf = secondsOf;
    this.#count = steps.length;
    this.#estimate = steps.reduce((sum, step) => sum + secondsOf(step), 0);
    for (const { cell } of steps) this.#left.set(cellKey(cell), (this.#left.get(cellKey(cell)) ?? 0) + 1);
  }

  begins({ cell, contender, run }: Step): void {
    if (!this.#isTerminal) return;
    const text = `${this.#done}/${this.#count}, ${this.#timeLeft()} left: ${
      cellKey(cell)
    }, ${contender}, run ${run}`;
    process.stdout.write(CLEAR_LINE + text.slice(0, (process.stdout.columns || 80) - 1));
  }

  ended(step: Step, samples: readonly Sample[]): void {
    this.#done++;
    this.#doneEstimate += this.#secondsOf(step);
    this.#samples.push(...samples);
    if (this.#isTerminal) process.stdout.write(CLEAR_LINE);
    for (const sample of samples.filter(({ failures }) => failures.length > 0)) {
      console.log(
        `${sample.contender}, run ${sample.run}, ${cellKey(sample.cell)}: ${mainFigureText(sample)}`,
      );
    }
    const key = cellKey(step.cell);
    const left = (this.#left.get(key) ?? 1) - 1;
    this.#left.set(key, left);
    if (left > 0) return;
    this.#cellEnded(step, key);
    this.#samples = [];
  }

  #cellEnded({ cell }: Step, key: string): void {
    const summaries = summarize(this.#samples);
    if (this.#isTerminal) {
      console.log(`${key}\n${formatTable(cell.workload, summaries)}\n`);
      return;
    }
    const figures = summaries.map(({ contender, failed, value }) => {
      const median = value === undefined ? "FAILED" : String(Number(value.median.toPrecision(4)));
      return `${contender} ${median}${failed > 0 && value !== undefined ? ` (${failed} FAILED)` : ""}`;
    });
    console.log(`${this.#done}/${this.#count}, ${this.#timeLeft()} left: ${key}: ${figures.join(", ")}`);
  }

  /** From how long runs really took so far. */
  #timeLeft(): string {
    const elapsed = (performance.now() - this.#startedAt) / MILLISECONDS;
    const pace = this.#doneEstimate > 0 ? elapsed / this.#doneEstimate : 1;
    const left = (this.#estimate - this.#doneEstimate) * pace;
    const minutes = Math.floor(left / SECONDS_PER_MINUTE);
    return `${minutes}:${String(Math.floor(left % SECONDS_PER_MINUTE)).padStart(2, "0")}`;
  }
}
