/** A report as JUnit XML, as pipelines read it. Knows nothing but the report. */
import type { Report } from "./report.ts";
import { groupOf, type Result } from "./test.ts";

/** What XML 1.0 (section 2.2) has no way to write, escaped or not. */
const NOT_XML = /[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu;
const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "\t": "&#9;",
  "\n": "&#10;",
  "\r": "&#13;",
};

/** Text for an attribute or between tags. What a server sent may be anything. */
export function escapeXml(text: string): string {
  return text.replaceAll(NOT_XML, "\ufffd").replaceAll(/[&<>"\t\n\r]/g, (one) => ENTITIES[one] ?? one);
}

function attributes(values: Readonly<Record<string, string | number>>): string {
  return Object.entries(values).map(([name, value]) => ` ${name}="${escapeXml(String(value))}"`).join("");
}

function seconds(milliseconds: number): string {
  return (milliseconds / 1_000).toFixed(3);
}

function caseXml(result: Result): string {
  const { name, status, what, notes, durationMs } = result;
  const own = attributes({ name, classname: `test-server.${groupOf(name)}`, time: seconds(durationMs) });
  const body: string[] = [];
  if (status === "skipped") body.push(`<skipped${attributes({ message: what })}/>`);
  if (status === "failed") {
    const more = [`${result.checks} (${result.section})`, result.onFailure ?? "", ...result.log ?? []].join(
      "\n",
    );
    body.push(`<failure${attributes({ type: "finding", message: what })}>${escapeXml(more)}</failure>`);
  }
  if (status === "passed") {
    body.push(`<system-out>${escapeXml([what, ...notes].join("\n"))}</system-out>`);
  }
  return `    <testcase${own}>${body.join("")}</testcase>`;
}

/** The whole document: one suite, a case for each test. */
export function junitXml(report: Report): string {
  const { summary, tests, url, date, durationMs } = report;
  const counts = { tests: tests.length, failures: summary.failed, errors: 0, skipped: summary.skipped };
  const suite = attributes({
    name: `test-server ${url}`,
    ...counts,
    time: seconds(durationMs),
    timestamp: date.replace(/\.\d+Z$/, ""),
  });
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuites${attributes(counts)}>`,
    `  <testsuite${suite}>`,
    ...tests.map(caseXml),
    "  </testsuite>",
    "</testsuites>",
    "",
  ].join("\n");
}
