/** A run as text for people and as an object for programs. Computes nothing about the tests themselves. */
import type { Run } from "./run.ts";
import { groupOf, type Result, type Status } from "./test.ts";

/** The JSON report's form; raised when a field changes its meaning. */
const REPORT_VERSION = 1;
const NAME_COLUMN = 28;
const INDENT = " ".repeat(10);
const LINE_CHARACTERS = 100;

/** What `--json` writes. */
export interface Report {
  readonly version: number;
  readonly url: string;
  /** `echo`, `millrace` or `unknown`. */
  readonly server: string;
  /** ISO 8601. */
  readonly date: string;
  readonly durationMs: number;
  /** Tests by status. */
  readonly summary: Readonly<Record<Status, number>>;
  readonly tests: readonly Result[];
}

/** Puts a run together. */
export function makeReport(url: string, { kind, results }: Run, durationMs: number, date: string): Report {
  const summary = { passed: 0, failed: 0, skipped: 0 };
  for (const { status } of results) summary[status]++;
  return {
    version: REPORT_VERSION,
    url,
    server: kind.name,
    date,
    durationMs: Math.round(durationMs),
    summary,
    tests: results,
  };
}

const WORDS: Readonly<Record<Status, string>> = {
  passed: "ok      ",
  failed: "FAILED  ",
  skipped: "skipped ",
};
const SERVERS: Readonly<Record<string, string>> = {
  echo: "an echo server",
  millrace: "Millrace",
  unknown: "a server of unknown kind",
};

/** A label, and words beside it in lines of at most {@link LINE_CHARACTERS}. */
function wrap(label: string, text: string): string {
  const lines = [INDENT + label];
  for (const word of text.split(" ")) {
    const last = lines.length - 1;
    const line = `${lines[last]} ${word}`;
    if (line.length <= LINE_CHARACTERS) lines[last] = line;
    else lines.push(`${INDENT}${" ".repeat(label.length)} ${word}`);
  }
  return lines.join("\n");
}

function resultText(result: Result): string {
  const { name, status, what, notes, onFailure } = result;
  const lines = [`  ${WORDS[status]}${name.padEnd(NAME_COLUMN)}${what}`];
  for (const note of notes) lines.push(wrap("note:   ", note));
  if (status === "failed") {
    lines.push(wrap("checked:", `${result.checks} (${result.section})`));
    lines.push(wrap("to do:  ", onFailure ?? ""));
  }
  return lines.join("\n");
}

/** A group; one line when all of it was skipped for the same reason. */
function groupText(group: string, results: readonly Result[]): string {
  const [first] = results;
  const alike = results.every(({ status, what }) => status === "skipped" && what === first?.what);
  if (!alike || first === undefined || results.length === 1) return results.map(resultText).join("\n");
  return `  ${WORDS.skipped}${`${group} (${results.length} tests)`.padEnd(NAME_COLUMN)}${first.what}`;
}

/** The whole report: each test in a line, failed ones with what to do, and the sum. */
export function reportText(report: Report): string {
  const { url, server, summary, tests, durationMs } = report;
  const lines = [`${url}: ${SERVERS[server] ?? server}`, ""];
  for (const group of new Set(tests.map(({ name }) => groupOf(name)))) {
    lines.push(groupText(group, tests.filter(({ name }) => groupOf(name) === group)), "");
  }
  const { passed, failed, skipped } = summary;
  lines.push(
    `${passed} passed, ${failed} failed, ${skipped} skipped in ${(durationMs / 1_000).toFixed(1)} s`,
  );
  return lines.join("\n");
}
