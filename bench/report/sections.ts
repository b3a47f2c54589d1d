/**
 * The report from a results file, section by section, in the order in which somebody with little time should read it.
 * It must never compute a figure itself, nor write HTML or Markdown.
 */
import type { Evidence } from "../profile/evidence.ts";
import { fiveSentences } from "./answer.ts";
import { choiceSection } from "./choice.ts";
import { codecSection } from "./codec.ts";
import { heading, paragraph, type Report, tableBlock } from "./document.ts";
import type { Block } from "./document.ts";
import { headlineSection, latencySection, memorySection, serverSection, stormSection } from "./exhibits.ts";
import { formatWhole } from "./figures.ts";
import { goals } from "./goals.ts";
import { leftOut, methodSection } from "./method.ts";
import { Summary } from "./results.ts";
import type { Results } from "./results.ts";
import { throughputSection } from "./throughput.ts";
import { whySection } from "./why.ts";
import { winsSection } from "./wins.ts";

const COMMIT_LENGTH = 12;

/**
 * The whole report. Without evidence for why one engine wins it says so. Remarks are paragraphs on how the runs were
 * taken; they stand right behind the answer.
 */
export function makeReport(
  results: Results,
  evidence: Evidence | undefined,
  remarks: readonly string[] = [],
): Report {
  const summary = new Summary(results);
  const { startedAt, cpu, cores, commit, dirty } = results.environment;
  const state = dirty ? ", with changes that were not committed" : "";
  return {
    title: "A native WebSocket engine, or one in TypeScript?",
    subtitle: `${startedAt.slice(0, 10)}, ${cpu}, ${cores} cores, commit \`${
      commit.slice(0, COMMIT_LENGTH)
    }\`${state}`,
    blocks: [
      heading("The answer in five sentences"),
      { type: "list", isNumbered: true, items: fiveSentences(summary) },
      ...failureNote(summary),
      ...remarks.map(paragraph),
      ...headlineSection(summary),
      ...winsSection(summary),
      ...whySection(evidence),
      ...memorySection(summary),
      ...latencySection(summary),
      ...stormSection(summary),
      ...serverSection(summary),
      ...codecSection(summary),
      ...choiceSection(summary),
      ...goalSection(summary),
      ...throughputSection(summary),
      ...methodSection(summary),
    ],
  };
}

function failureNote(summary: Summary): Block[] {
  const { samples } = summary.results;
  const failed = samples.filter(({ failures }) => failures.length > 0).length;
  const count = leftOut(summary).length;
  const entries = count === 1 ? "one entry names" : `${count} entries name`;
  return [paragraph(
    `Every figure is a median with its least and greatest value; ${failed} of ${
      formatWhole(samples.length)
    } samples ` +
      `failed their checks, and ${entries} what was not run: all are listed at the end.`,
  )];
}

function goalSection(summary: Summary): Block[] {
  const rows = goals.map(({ about, goal, measure }) => {
    const measured = measure(summary);
    if (measured === undefined) return [`${about}: ${goal}`, "", "not measured"];
    return [`${about}: ${goal}`, measured.text, measured.isMet ? "met" : "not met"];
  });
  const count = (word: string) => rows.filter((row) => row[2] === word).length;
  return [
    heading("What we reached for"),
    paragraph(
      `${count("met")} goals are met, ${count("not met")} are not, ${
        count("not measured")
      } were not measured.`,
    ),
    tableBlock("Goals, as they were set before measuring", ["goal", "measured", "standing"], rows),
    paragraph("A goal is met by its median; the least and the greatest value stand beside it."),
  ];
}
