/**
 * How it was measured, on what, what went wrong, and how to do it again: everything that lets a reader doubt or repeat.
 * It must never leave a failed sample out.
 */
import { describeCell } from "./cells.ts";
import { type Block, code, heading, list, paragraph, subheading, tableBlock } from "./document.ts";
import { formatWhole } from "./figures.ts";
import { LEVEL_WITHIN, type Summary } from "./results.ts";
import { kindNames, noteOf } from "./roster.ts";

const LEVEL_PERCENT = LEVEL_WITHIN * 100;

const METHOD = [
  "The unit is messages per server-CPU-second: messages that were delivered, divided by the user and system time of " +
  "the server process. A client that saturates first cannot lower it, and a noisy machine moves it little.",
  "Server and load are separate processes on separate cores; each run has a fresh server, a warm-up and a window.",
  "Contenders take turns. Runs of one number are neighbours in time, and every ratio is taken between neighbours; " +
  "its median is not the quotient of two medians.",
  "Shown are the median, the least and the greatest value. Least to greatest of five samples cover the true median " +
  "with a probability of 94 %, of seven with 98 %.",
  `Ahead or behind means: off by more than ${LEVEL_PERCENT} % in the median and on the same side in every paired run. ` +
  "Where the two are in truth level, chance puts up to one cell in four on one side with three runs, one in sixteen " +
  "with five and one in sixty-four with seven: one small lead among many cells means little.",
  "A sample that failed its checks (deliveries, offsets, order) has no figures, and is listed below.",
];

const MEBIBYTE = 1024 * 1024;

/** Method, settings, machine, failures, what was not run, and the command. */
export function methodSection(summary: Summary): Block[] {
  const { added = [], environment } = summary.results;
  const { cpu, cores, memoryBytes, kernel, commit, dirty, startedAt, settings, versions } = environment;
  const names = [...new Set(summary.results.samples.map(({ contender }) => contender))];
  return [
    heading("Method"),
    list(METHOD),
    subheading("Settings that are the same for all"),
    pairsTable("Settings", settings),
    subheading("Contenders"),
    tableBlock(
      "Names in the raw data",
      ["name", "contender", "what it is"],
      names.map((name) => [`\`${name}\``, noteOf(name).label, kindNames[noteOf(name).kind]]),
    ),
    subheading("Machine and versions"),
    pairsTable("Machine", {
      "processor": cpu,
      "cores": String(cores),
      "memory": `${formatWhole(memoryBytes / MEBIBYTE)} MiB`,
      "kernel": kernel,
      "commit": dirty ? `${commit}, with changes that were not committed` : commit,
      "started": startedAt,
    }),
    pairsTable("Versions", versions),
    ...loadLimited(summary),
    ...failed(summary),
    ...notRun(summary),
    heading("Do it again"),
    paragraph("On a machine with two cores or more, in a checkout of the commit above, after `npm install`:"),
    code([environment.command, ...added.map(({ command }) => command)].join("\n")),
    ...added.map((other) =>
      paragraph(`The cells of \`${other.command}\` were added, measured at commit \`${other.commit}\`.`)
    ),
    paragraph("`npm run bench:report` makes this page of the raw data beside it, `results.jsonl`."),
  ];
}

function pairsTable(caption: string, values: Readonly<Record<string, string>>): Block {
  return tableBlock(caption, ["what", "value"], Object.entries(values));
}

/** Cells in which wall-clock rates are the load generator's; CPU time is still the server's. */
function loadLimited(summary: Summary): Block[] {
  const limited = summary.results.samples.filter(({ loadIsLimit }) => loadIsLimit);
  const text = limited.length === 0
    ? "In no sample was the load generator the limit."
    : `In ${limited.length} of ${summary.results.samples.length} samples the load generator was the limit: ` +
      "their messages per server-CPU-second hold, their rates by the clock and their latencies are the load generator's.";
  return [paragraph(text)];
}

function failed(summary: Summary): Block[] {
  const { samples } = summary.results;
  const rows = samples.filter(({ failures }) => failures.length > 0).map((sample) => [
    noteOf(sample.contender).label,
    describeCell(sample.cell),
    String(sample.run),
    sample.failures.join("; "),
  ]);
  return [
    heading("Samples that failed"),
    rows.length === 0
      ? paragraph("None.")
      : tableBlock("Every failed sample", ["contender", "cell", "#run", "why"], rows),
  ];
}

/** What was not measured, by whom and why: a row each. */
export function leftOut(summary: Summary): string[][] {
  const { notRun: cells = [], unavailable = {} } = summary.results.environment;
  // What a later run of the same file has measured is not left out.
  const missing = cells.map((entry) => ({
    ...entry,
    contenders: entry.contenders.filter((name) => summary.samples(entry.cell, name).length === 0),
  })).filter(({ contenders }) => contenders.length > 0);
  return [
    ...Object.entries(unavailable).map(([name, reason]) => ["everything", noteOf(name).label, reason]),
    ...missing.map(({ cell, contenders, reason }) => [
      describeCell(cell),
      contenders.map((name) => noteOf(name).label).join(", "),
      reason,
    ]),
  ];
}

function notRun(summary: Summary): Block[] {
  const rows = leftOut(summary);
  return [
    heading("What was not run"),
    rows.length === 0
      ? paragraph("The run names nothing that it left out.")
      : tableBlock("Everything that was left out", ["cell", "contenders", "why"], rows),
  ];
}
