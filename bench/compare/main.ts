/**
 * `npm run bench:compare -- A.jsonl B.jsonl`: prints how the second run compares with the first, and says with its
 * exit code whether something became worse. It must never decide that itself.
 */
import { readFileSync } from "node:fs";
import process from "node:process";
import { parseArgs } from "node:util";
import { describeCell } from "../report/cells.ts";
import { parseResults, Summary } from "../report/results.ts";
import { noteOf } from "../report/roster.ts";
import { compare, type Comparison, defaultSettings, isRegression, type Settings } from "./compare.ts";

const HELP = `Compares two runs of the benchmark, contender by contender and cell by cell.

npm run bench:compare -- A.jsonl B.jsonl [options]

  --threshold 2%       smaller differences are no finding
  --paired             the runs of one number were taken next to each other: their quotients are compared. For two
                       contenders of one file, and for files that were measured in turns
  --reference NAME     every value is taken relative to this contender's in the same cell and run. For files that
                       were measured at different times: NAME must be the same build in both
  --rename OLD=NEW     compare contender OLD of A with NEW of B, and only these; may be repeated
  --seed 1             of the bootstrap
  --json               the comparisons as one JSON array

To see that it finds 5 %, and nothing where there is nothing (three servers in turns, the third slowed on purpose):
  npm run measure -- --workload echo --runs 7 --json busy.jsonl \\
    --contender "old=node --import tsx bench/echo.ts --engine ts --port {port}" \\
    --contender "new=node --import tsx bench/echo.ts --engine ts --port {port}" \\
    --contender "slow=node --import tsx bench/echo.ts --engine ts --port {port} --busy 0.05"
  npm run bench:compare -- busy.jsonl busy.jsonl --paired --rename old=new
  npm run bench:compare -- busy.jsonl busy.jsonl --paired --rename old=slow

Exit code: 0 nothing became worse, 1 something did (or fails now), 2 wrong use.

Ratios are B ÷ A, turned so that above 1 is better. The ratio is that of the medians; its interval is the bootstrap's
standard error (or the mean one of all cells with that figure, whichever is greater) times a normal quantile that is
strict enough for all rows of a kind to hold at once (Bonferroni): half of the permitted 5 % is for the geometric
means, half for the cells. A finding has an interval without 1 and a median beyond the threshold.

What it finds of a contender that is 5 % slower in every cell, by simulation with normal noise of 1, 2 and 3 %:

  samples  cells   in one of its cells   in their mean
        5      1   99, 67, 33 %
        5      8   99, 39, 9 %           100 %
        5     40   97, 21, 3 %           100 %
        7      1   100, 83, 49 %
        7      8   100, 62, 19 %         100 %
        7     40   99, 41, 7 %           100 %

So with five samples, 5 % in a single cell is found for sure only where the noise is 1 %; a contender that is slower
everywhere is found in the mean of eight cells at any of these. Two runs of one build were called different in at most
2 % of trials. Five pairs see a little less than five samples on either side, if the pairs share no noise.
With --paired, what both runs of a pair share (a slow minute of the machine) leaves the noise; the rest stays.
Between files from different times it does not go by itself: use --reference, or measure both builds in turns. Three
valid samples are the least that is compared.
`;

const WRONG_USE = 2;
const REGRESSION = 1;

interface Options {
  readonly files: readonly [string, string];
  readonly settings: Settings;
  readonly isJson: boolean;
}

/** Throws a RangeError or TypeError that says what is wrong with the command line. */
function readOptions(args: readonly string[]): Options | "help" {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      threshold: { type: "string", default: "2%" },
      paired: { type: "boolean", default: false },
      reference: { type: "string" },
      rename: { type: "string", multiple: true, default: [] },
      seed: { type: "string", default: "1" },
      json: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return "help";
  const [first, second, ...more] = positionals;
  if (first === undefined || second === undefined || more.length > 0) {
    throw new RangeError("expected two results files");
  }
  if (!/^\d{1,9}$/.test(values.seed)) throw new RangeError(`--seed ${values.seed}: expected a whole number`);
  const settings: Settings = {
    ...defaultSettings,
    threshold: readShare(values.threshold),
    isPaired: values.paired,
    seed: Number(values.seed),
    renamed: new Map(values.rename.map(readRename)),
    ...(values.reference !== undefined && { reference: values.reference }),
  };
  return { files: [first, second], settings, isJson: values.json };
}

function readShare(text: string): number {
  const [, number, percent] = /^(\d+(?:\.\d+)?)(%?)$/.exec(text) ?? [];
  const share = Number(number) / (percent === "%" ? 100 : 1);
  if (!(share >= 0 && share < 1)) throw new RangeError(`--threshold ${text}: expected a share such as 2%`);
  return share;
}

function readRename(text: string): [string, string] {
  const [, before, after] = /^([^=]+)=([^=]+)$/.exec(text) ?? [];
  if (before === undefined || after === undefined) throw new RangeError(`--rename ${text}: expected OLD=NEW`);
  return [before, after];
}

function readSummary(file: string): Summary {
  return new Summary(parseResults(readFileSync(file, "utf8"), file));
}

function checkNames(summaries: readonly [Summary, Summary], { reference, renamed }: Settings): void {
  const [first, second] = summaries.map(({ results }) =>
    new Set(results.samples.map(({ contender }) => contender))
  ) as [Set<string>, Set<string>];
  for (const name of reference === undefined ? [...renamed.keys()] : [reference, ...renamed.keys()]) {
    if (!first.has(name)) throw new RangeError(`the first file has no contender ${name}`);
  }
  for (const name of reference === undefined ? [...renamed.values()] : [reference, ...renamed.values()]) {
    if (!second.has(name)) throw new RangeError(`the second file has no contender ${name}`);
  }
}

const COLUMNS = ["", "contender", "cell", "ratio", "interval", "samples"] as const;

/** One line a comparison, findings first. */
export function formatTable(comparisons: readonly Comparison[]): string {
  const rank = (one: Comparison) => isRegression(one) ? 0 : one.verdict === "better" ? 1 : 2;
  const rows = [...comparisons].sort((a, b) => rank(a) - rank(b)).map((one) => [
    one.verdict === "same" ? "" : one.verdict.toUpperCase(),
    noteOf(one.contender).label,
    one.cell === undefined ? "all cells (geometric mean)" : describeCell(one.cell),
    one.ratio === undefined ? "" : one.ratio.toFixed(3),
    one.low === undefined || one.high === undefined ? "" : `${one.low.toFixed(3)} to ${one.high.toFixed(3)}`,
    one.samples.join(" and "),
  ]);
  const widths = COLUMNS.map((title, at) =>
    Math.max(title.length, ...rows.map((row) => (row[at] ?? "").length))
  );
  return [[...COLUMNS], ...rows]
    .map((row) => row.map((text, at) => text.padEnd(widths[at] ?? 0)).join("  ").trimEnd())
    .join("\n");
}

function conclusion(comparisons: readonly Comparison[]): string {
  const count = (verdict: Comparison["verdict"]) =>
    comparisons.filter((one) => one.verdict === verdict).length;
  const counts = (["worse", "failed", "better", "same", "few", "gone", "new"] as const)
    .map((verdict) => `${count(verdict)} ${verdict}`);
  return `${comparisons.length} comparisons: ${counts.join(", ")}`;
}

/** Returns the exit code. */
function main(args: readonly string[]): number {
  try {
    const options = readOptions(args);
    if (options === "help") {
      console.log(HELP);
      return 0;
    }
    const [first, second] = [readSummary(options.files[0]), readSummary(options.files[1])];
    checkNames([first, second], options.settings);
    const comparisons = compare(first, second, options.settings);
    if (comparisons.length === 0) throw new RangeError("the files have no cell in common, nor apart");
    console.log(
      options.isJson
        ? JSON.stringify(comparisons, undefined, 2)
        : `${formatTable(comparisons)}\n\n${conclusion(comparisons)}`,
    );
    return comparisons.some(isRegression) ? REGRESSION : 0;
  } catch (error) {
    console.error(`bench:compare: ${(error as Error).message}\n--help says how to use it`);
    return WRONG_USE;
  }
}

process.exitCode = main(process.argv.slice(2));
