/** Findings as text for people and as JSON for programs. Judges nothing. */
import { relative } from "node:path";
import process from "node:process";
import { type Finding, severities, type Severity } from "./finding.ts";
import type { Validation } from "./validate.ts";

export type Counts = Readonly<Record<Severity, number>>;

export function countBySeverity(findings: readonly Finding[]): Counts {
  const count = (severity: Severity) => findings.filter((finding) => finding.severity === severity).length;
  return { error: count("error"), warning: count("warning"), note: count("note") };
}

/** A path as somebody here would write it. */
function shown(path: string): string {
  const near = relative(process.cwd(), path);
  return near === "" || near.startsWith("..") || !path.startsWith("/") ? path : near;
}

function findingText({ severity, rule, place, what, why, fix }: Finding): string {
  return [
    `${shown(place.file)}:${place.line}: ${severity}: ${what} [${rule}]`,
    `    ${why}`,
    ...fix.map((line) => `    + ${line}`),
  ].join("\n");
}

function plural(count: number, word: string): string {
  return `${count} ${word}${count === 1 ? "" : "s"}`;
}

/** For people: a paragraph for each finding and a line of counts. */
export function reportText({ program, files, findings }: Validation): string {
  const counts = countBySeverity(findings);
  const summary = severities.map((severity) => plural(counts[severity], severity)).join(", ");
  const read = `${program}, ${plural(files.length, "file")}`;
  return [...findings.map(findingText), `${read}: ${summary}`].join("\n\n");
}

/** For programs. */
export function reportJson({ program, files, findings }: Validation): string {
  const rows = findings.map(({ rule, severity, place, what, why, fix }) => ({
    ...{ rule, severity, file: place.file, line: place.line, what, why, fix },
  }));
  return JSON.stringify({ program, files, summary: countBySeverity(findings), findings: rows }, undefined, 2);
}
