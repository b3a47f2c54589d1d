/**
 * `npm run bench`: contenders head to head in the headline cells, or with --full in all; every run is a line of JSON.
 * It wires plan, runs, file and progress; it must never count a message itself.
 */
import { appendFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { questions } from "./cells.ts";
import { CODEC, takeCodecSamples } from "./codec_run.ts";
import { builtIn, contenderNamed, unavailable } from "./contenders.ts";
import { environmentOf } from "./environment.ts";
import { loadSeconds, NO_TIME, planRuns, stepsOf } from "./plan.ts";
import type { Knowledge, Plan, Step, Wishes } from "./plan.ts";
import { Progress } from "./progress.ts";
import { cellKey, workloads } from "./result.ts";
import type { Cell, Environment, ResultLine, Sample } from "./result.ts";
import { setupOf, takeSample, warnIfNotPinned } from "./run.ts";
import type { RunOptions } from "./run.ts";

const USAGE_EXIT_CODE = 2;
const QUICK_RUNS = 3;
const FULL_RUNS = 5;
/** What a median needs, when not even the headlines have time for more. */
const LEAST_RUNS = 3;
const SECONDS_PER_MINUTE = 60;

const HELP = `Measures Millrace and others head to head; every run is written as a line of JSON.

npm run bench                 the headline cells, in about three minutes
npm run bench -- --full       everything; takes hours, and can be resumed

  --budget-minutes N    as much of it as there is time for, the most important cells first; the rest is listed as not run
  --out FILE            where to write; default bench/results/<time>.jsonl
  --resume FILE         goes on with a file that was begun: samples that are there are not taken again
  --only ts,ws          contenders whose names hold one of these words: ${
  builtIn.map(({ name }) => name).join(", ")
}
  --workload echo,idle  some workloads: ${workloads.join(", ")}
  --cell TEXT           some cells: those whose line in --plan has the text
  --runs N              samples per cell and contender; default ${FULL_RUNS}, without --full ${QUICK_RUNS}
  --seconds S           the measured window; --warmup-seconds S goes before it
  --load bun|node       what runs the load generator; bun is cheaper
  --load-processes N    that share the connections of echo, rooms, storms and the whole server, each on a core of its own; default 1.
                        For machines of three cores and more, where samples say that the load was the limit
  --plan                prints what would be run, and stops
`;

interface Options {
  readonly wishes: Wishes;
  readonly run: RunOptions;
  readonly file: string;
  readonly resume: boolean;
  readonly planOnly: boolean;
}

/** Reads the command line. Throws a RangeError or TypeError that says what is wrong with it. */
function parseOptions(args: string[]): Options | "help" {
  const { values } = parseArgs({
    args,
    options: {
      full: { type: "boolean", default: false },
      "budget-minutes": { type: "string" },
      out: { type: "string" },
      resume: { type: "string" },
      only: { type: "string", default: "" },
      workload: { type: "string", default: "" },
      cell: { type: "string", default: "" },
      runs: { type: "string" },
      seconds: { type: "string" },
      "warmup-seconds": { type: "string" },
      load: { type: "string", default: "bun" },
      "load-processes": { type: "string", default: "1" },
      plan: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return "help";
  if (values.load !== "bun" && values.load !== "node") throw new RangeError("--load: expected bun or node");
  if (values.out !== undefined && values.resume !== undefined) {
    throw new RangeError("--out and --resume name the same file; give one of them");
  }
  const { full } = values;
  const workload = list(values.workload);
  const unknown = workload.find((name) => !workloads.some((known) => known === name));
  if (unknown !== undefined) throw new RangeError(`--workload ${unknown}: expected ${workloads.join(", ")}`);
  const budget = values["budget-minutes"];
  const runs = values.runs === undefined ? (full ? FULL_RUNS : QUICK_RUNS) : positive("runs", values.runs);
  return {
    wishes: {
      full,
      only: list(values.only),
      workloads: workload,
      cell: values.cell,
      runs: Math.ceil(runs),
      leastRuns: Math.min(LEAST_RUNS, Math.ceil(runs)),
      budgetSeconds: budget === undefined
        ? Infinity
        : positive("budget-minutes", budget) * SECONDS_PER_MINUTE,
    },
    run: {
      warmupSeconds: positive("warmup-seconds", values["warmup-seconds"] ?? (full ? "0.5" : "0.4")),
      seconds: positive("seconds", values.seconds ?? (full ? "1" : "0.8")),
      load: values.load,
      loadProcesses: Math.ceil(positive("load-processes", values["load-processes"])),
    },
    file: values.resume ?? values.out ?? defaultFile(),
    resume: values.resume !== undefined,
    planOnly: values.plan,
  };
}

function list(text: string): string[] {
  return text.split(",").filter((part) => part !== "");
}

function positive(name: string, text: string): number {
  const value = Number(text);
  if (!(value > 0 && Number.isFinite(value))) {
    throw new RangeError(`--${name} ${text}: expected a positive number`);
  }
  return value;
}

function defaultFile(): string {
  const time = new Date().toISOString().slice(0, "2026-01-01T00:00:00".length).replaceAll(":", "");
  return join(fileURLToPath(new URL("./results", import.meta.url)), `${time}.jsonl`);
}

function knowledgeOf({ seconds, warmupSeconds }: RunOptions): Knowledge {
  return {
    whyNot(cell, name) {
      if (name === CODEC) return undefined;
      const launch = contenderNamed(name).launch(setupOf(cell));
      return typeof launch === "string" ? launch : undefined;
    },
    runSeconds: (cell, name) =>
      loadSeconds(cell, warmupSeconds, seconds) + (name === CODEC ? 0 : contenderNamed(name).startSeconds),
  };
}

/** Contenders that cannot be measured on this machine, with the reason. */
function notHere(): Record<string, string> {
  const cell: Cell = { workload: "fanout", parameters: {} };
  const missing = builtIn.flatMap((contender): [string, string][] => {
    const launch = contender.launch(setupOf(cell));
    return typeof launch === "string" && launch.startsWith("missing") ? [[contender.name, launch]] : [];
  });
  return { ...unavailable, ...Object.fromEntries(missing) };
}

/** The samples of a file that was begun on this machine with this commit. Throws a RangeError for another's. */
function samplesOf(file: string, environment: Environment): Sample[] {
  const text = readFileSync(file, "utf8");
  // Whoever was interrupted while writing a line left the beginning of it.
  const whole = text.slice(0, text.lastIndexOf("\n") + 1);
  if (whole.length < text.length) writeFileSync(file, whole);
  const lines = whole.split("\n").filter((line) => line !== "");
  const records = lines.map((line) => JSON.parse(line) as ResultLine);
  const [first] = records;
  if (first?.kind !== "environment") throw new RangeError(`${file}: does not begin with an environment`);
  for (const name of ["commit", "cpu", "kernel"] as const) {
    if (first[name] !== environment[name]) {
      throw new RangeError(`${file}: was measured with ${name} ${first[name]}, this is ${environment[name]}`);
    }
  }
  return records.filter((record) => record.kind === "sample");
}

async function takeStep(step: Step, run: RunOptions): Promise<Sample[]> {
  if (step.contender === CODEC) return await takeCodecSamples(step.cell, step.run);
  return [await takeSample(step.cell, contenderNamed(step.contender), step.run, run)];
}

async function bench(options: Options): Promise<void> {
  const plan = planRuns(questions, options.wishes, knowledgeOf(options.run));
  const environment: Environment = {
    ...environmentOf(builtIn, options.run),
    unavailable: notHere(),
    notRun: plan.notRun,
  };
  const done = options.resume ? samplesOf(options.file, environment) : [];
  const steps = stepsOf(plan, done);
  const knowledge = knowledgeOf(options.run);
  const secondsOf = ({ cell, contender }: Step): number => knowledge.runSeconds(cell, contender);
  announcePlan(plan, steps, steps.reduce((sum, step) => sum + secondsOf(step), 0));
  if (options.planOnly) {
    for (const { cell, contenders } of plan.cells) console.log(`${cellKey(cell)}: ${contenders.join(", ")}`);
    return;
  }
  console.log(`samples go to ${options.file}; Ctrl-C interrupts, --resume ${options.file} goes on`);
  warnIfNotPinned();
  mkdirSync(dirname(options.file), { recursive: true });
  if (!options.resume) writeFileSync(options.file, `${JSON.stringify(environment)}\n`);
  const progress = new Progress(steps, secondsOf);
  let failed = 0;
  for (const step of steps) {
    progress.begins(step);
    const samples = await takeStep(step, options.run);
    for (const sample of samples) {
      appendFileSync(options.file, `${JSON.stringify(sample)}\n`);
      if (sample.failures.length > 0) failed++;
    }
    progress.ended(step, samples);
  }
  console.log(`${options.file}: ${steps.length} runs, ${failed} failed`);
  process.exitCode = failed > 0 ? 1 : 0;
}

/** Says what is left out, and how long the rest will take. The file lists it cell by cell. */
function announcePlan(plan: Plan, steps: readonly Step[], seconds: number): void {
  for (const [name, reason] of Object.entries(notHere())) console.log(`NOT MEASURED: ${name}: ${reason}`);
  const dropped = new Map<string, number>();
  for (const { cell: { workload }, contenders, reason } of plan.notRun) {
    if (!reason.startsWith(NO_TIME)) continue;
    dropped.set(workload, (dropped.get(workload) ?? 0) + contenders.length);
  }
  if (dropped.size > 0) {
    const counts = [...dropped].map(([workload, count]) => `${workload} ${count}`).join(", ");
    console.log(`not run, no time (contenders in cells; the file lists them): ${counts}`);
  }
  const minutes = (seconds / SECONDS_PER_MINUTE).toFixed(1);
  const { length } = plan.cells;
  console.log(`${length} cells, ${plan.runs} runs each; ${steps.length} to do, in about ${minutes} minutes`);
}

try {
  const options = parseOptions(process.argv.slice(2));
  if (options === "help") console.log(HELP);
  else await bench(options);
} catch (error) {
  if (!(error instanceof RangeError || error instanceof TypeError)) throw error;
  console.error(`${error.message}\nTry --help.`);
  process.exitCode = USAGE_EXIT_CODE;
}
