/**
 * The report from a results file, section by section, in the order in which somebody with little time should read it.
 * It must never compute a figure itself, nor write HTML or Markdown.
 */
import { fiveSentences } from "./answer.ts";
import { choiceSection } from "./choice.ts";
import { heading, list, paragraph, type Report, tableBlock } from "./document.ts";
import type { Block } from "./document.ts";
import { headlineSection, latencySection, memorySection, serverSection, stormSection } from "./exhibits.ts";
import { goals } from "./goals.ts";
import { methodSection } from "./method.ts";
import type { NamedProfile } from "./profile.ts";
import { Summary } from "./results.ts";
import type { Results } from "./results.ts";
import { winsSection } from "./wins.ts";

/** The whole report. Profiles are evidence for why one engine wins; without them the report says so. */
export function makeReport(results: Results, profiles: readonly NamedProfile[]): Report {
  const summary = new Summary(results);
  const { startedAt, cpu, cores, commit, dirty } = results.environment;
  const state = dirty ? ", with changes that were not committed" : "";
  return {
    title: "A native WebSocket engine, or one in TypeScript?",
    subtitle: `${startedAt.slice(0, 10)}, ${cpu}, ${cores} cores, commit \`${commit}\`${state}`,
    blocks: [
      heading("The answer in five sentences"),
      { type: "list", isNumbered: true, items: fiveSentences(summary) },
      ...failureNote(results),
      ...headlineSection(summary),
      ...winsSection(summary, profiles),
      ...memorySection(summary),
      ...latencySection(summary),
      ...stormSection(summary),
      ...serverSection(summary),
      ...choiceSection(summary),
      ...goalSection(summary),
      ...methodSection(summary),
    ],
  };
}

function failureNote({ samples, notRun }: Results): Block[] {
  const failed = samples.filter(({ failures }) => failures.length > 0).length;
  return [paragraph(
    `Every figure is a median with its least and greatest value; ${failed} of ${samples.length} samples failed ` +
      `their checks and ${notRun.length} ${
        notRun.length === 1 ? "thing was" : "things were"
      } not run: both are listed ` +
      "at the end.",
  )];
}

function goalSection(summary: Summary): Block[] {
  const rows = goals.map(({ about, goal, measure }) => {
    const measured = measure(summary);
    if (measured === undefined) return [about, goal, "", "not measured"];
    return [about, goal, measured.text, measured.isMet ? "met" : "not met"];
  });
  const count = (word: string) => rows.filter((row) => row[3] === word).length;
  return [
    heading("What we reached for"),
    paragraph(
      `${count("met")} goals are met, ${count("not met")} are not, ${
        count("not measured")
      } were not measured.`,
    ),
    tableBlock("Goals, as they were set before measuring", ["what", "goal", "measured", "standing"], rows),
    list(["A goal is met by its median; least and greatest value of the paired runs stand beside it."]),
  ];
}
