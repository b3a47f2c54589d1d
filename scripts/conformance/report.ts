/** A run as text for people and as JSON for programs. Computes nothing about the cases themselves. */
import { type Result, type Verdict, VERDICTS } from "./case.ts";
import { SECTIONS } from "./cases/mod.ts";

/** The JSON report's form; raised when a field changes its meaning. */
export const REPORT_VERSION = 1;

/** What `--json` writes. */
export interface Report {
  readonly version: number;
  readonly url: string;
  /** ISO 8601. */
  readonly date: string;
  readonly durationMs: number;
  /** Cases by verdict. */
  readonly summary: Readonly<Record<Verdict, number>>;
  /** How many connections ended by a drop without a close frame. */
  readonly droppedWithoutClose: number;
  readonly cases: readonly Result[];
}

/** Puts the results of a run together. */
export function makeReport(
  url: string,
  results: readonly Result[],
  durationMs: number,
  date: string,
): Report {
  const summary: Record<Verdict, number> = { ok: 0, informational: 0, "non-strict": 0, failed: 0 };
  for (const { verdict } of results) summary[verdict]++;
  const dropped = results.filter(({ close }) => close.what.startsWith("dropped"));
  return {
    version: REPORT_VERSION,
    url,
    date,
    durationMs: Math.round(durationMs),
    summary,
    droppedWithoutClose: dropped.length,
    cases: results,
  };
}

function counts(results: readonly Result[]): string {
  return VERDICTS
    .map((verdict) => ({ verdict, count: results.filter((result) => result.verdict === verdict).length }))
    .filter(({ count }) => count > 0)
    .map(({ verdict, count }) => `${count} ${verdict}`)
    .join(", ");
}

/** One case in two to four lines. */
function caseText(result: Result): string {
  return [
    `${result.id}  ${result.verdict}  ${result.description}`,
    `    expected: ${result.expectation}`,
    `    happened: ${result.what} (behaviour ${result.behavior})`,
    `    close:    ${result.close.what}; started by ${result.close.by} (${result.close.verdict})`,
  ].join("\n");
}

/** The whole report: every case that is not ok, a line for each section, and the sum. */
export function reportText(report: Report): string {
  const { cases } = report;
  const remarkable = cases.filter(({ verdict }) => verdict !== "ok");
  const lines = remarkable.map(caseText);
  if (lines.length > 0) lines.push("");
  for (const [section, name] of Object.entries(SECTIONS)) {
    const own = cases.filter(({ id }) => id.startsWith(`${section}.`));
    if (own.length > 0) lines.push(`${section.padStart(2)}  ${name.padEnd(30)}  ${counts(own)}`);
  }
  lines.push(
    "",
    `${report.url}: ${cases.length} cases in ${(report.durationMs / 1000).toFixed(1)} s: ${counts(cases)}; ` +
      `${report.droppedWithoutClose} connections dropped without a close frame`,
  );
  return lines.join("\n");
}
