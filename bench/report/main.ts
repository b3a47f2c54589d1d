/**
 * `npm run bench:report -- FILE [--out FOLDER]`: a results file becomes a folder with one HTML page, the same as
 * Markdown with drawings, and a copy of the raw data. It must never measure anything.
 */
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import type { Evidence } from "../profile/evidence.ts";
import type { Environment } from "../result.ts";
import type { Report } from "./document.ts";
import { toHtml } from "./html.ts";
import { toMarkdown } from "./markdown.ts";
import { parseResults, type Results, withAdded } from "./results.ts";
import { makeReport } from "./sections.ts";
import { standaloneSvg } from "./svg.ts";

const HELP = `Turns the results of a benchmark into a report.

npm run bench:report -- FILE [MORE...] [--evidence FILE] [--remarks FILE] [--out FOLDER]

  FILE             JSON lines, as a run writes them
  MORE             runs on the same machine, of which cells that the files before do not have are added
  --evidence FILE  where contenders spend their time, as npm run bench:profile writes it
  --remarks FILE   what a reader has to know of how the runs were taken, a paragraph a line
  --out FOLDER     where index.html, README.md, its drawings and the raw data go;
                   bench/reports/<date>-<cpu>/ unless given
`;

const WRONG_USE = 2;
const RAW_DATA = "results.jsonl";
const RAW_EVIDENCE = "evidence.json";
const RAW_REMARKS = "remarks.txt";

/** As in "2026-03-01-amd-epyc-7b13". */
export function folderName({ startedAt, cpu }: Environment): string {
  const words = cpu.toLowerCase().replace(/\((r|tm)\)|\bcpu\b|@.*|\bprocessor\b|\b\d+-core\b/g, " ");
  const name = words.replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "");
  return `${startedAt.slice(0, 10)}-${name || "unknown"}`;
}

/** Writes all files of a report into a folder, which is made. */
export function writeReport(report: Report, folder: string): void {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "index.html"), toHtml(report));
  writeFileSync(join(folder, "README.md"), toMarkdown(report));
  for (const block of report.blocks) {
    if (block.type !== "charts") continue;
    for (const chart of block.charts) writeFileSync(join(folder, `${chart.id}.svg`), standaloneSvg(chart));
  }
}

function copyInto(folder: string, name: string, file: string): void {
  const copy = join(folder, name);
  if (copy !== file) copyFileSync(file, copy);
}

/** Returns the exit code. */
function main(args: readonly string[]): number {
  let files: readonly string[];
  let out: string | undefined;
  let evidenceFile: string | undefined;
  let remarksFile: string | undefined;
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        out: { type: "string" },
        evidence: { type: "string" },
        remarks: { type: "string" },
        help: { type: "boolean", default: false },
      },
    });
    if (values.help) {
      console.log(HELP);
      return 0;
    }
    if (positionals.length === 0) throw new RangeError("expected a results file");
    files = positionals.map((path) => resolve(path));
    out = values.out;
    evidenceFile = values.evidence && resolve(values.evidence);
    remarksFile = values.remarks && resolve(values.remarks);
  } catch (error) {
    console.error(`bench:report: ${(error as Error).message}\n\n${HELP}`);
    return WRONG_USE;
  }
  try {
    const [first, ...others] = files.map((file) => parseResults(readFileSync(file, "utf8"), file));
    const results = withAdded(first as Results, others); // there is at least one
    const reports = fileURLToPath(new URL("../reports/", import.meta.url));
    const folder = resolve(out ?? join(reports, folderName(results.environment)));
    const evidence = evidenceFile === undefined
      ? undefined
      : JSON.parse(readFileSync(evidenceFile, "utf8")) as Evidence;
    const remarks = remarksFile === undefined ? [] : readFileSync(remarksFile, "utf8").split("\n");
    writeReport(makeReport(results, evidence, remarks.filter((line) => line !== "")), folder);
    files.forEach((file, at) => copyInto(folder, at === 0 ? RAW_DATA : `results-${at + 1}.jsonl`, file));
    if (evidenceFile !== undefined) copyInto(folder, RAW_EVIDENCE, evidenceFile);
    if (remarksFile !== undefined) copyInto(folder, RAW_REMARKS, remarksFile);
    console.log(`${folder}: index.html, README.md, drawings and raw data`);
    return 0;
  } catch (error) {
    console.error(`bench:report: ${(error as Error).message}`);
    return 1;
  }
}

if (process.argv[1] !== undefined && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  process.exitCode = main(process.argv.slice(2));
}
