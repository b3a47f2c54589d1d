/**
 * Why one kind of engine wins: the explanation, and beside it the evidence, system calls and CPU time of the echo as
 * `npm run bench:profile` saw them. The text keeps the two apart.
 */
import type { Evidence, FunctionTimes, Observation } from "../profile/evidence.ts";
import { type Block, heading, list, paragraph, tableBlock } from "./document.ts";
import { formatBytes } from "./figures.ts";
import { noteOf } from "./roster.ts";

const REASONS = [
  "System calls: with one message in flight, each message costs a read and a write of the kernel, whoever parses it. " +
  "With several in flight, an engine that answers all frames of one read with one write pays once for many.",
  "Boundary crossings: a native engine calls into JavaScript for each message and is called back for each answer. " +
  "An engine in TypeScript crosses once for each read and each write, whatever they hold.",
  "Copies: a native engine can unmask large payloads with vector instructions and needs no second copy to hand them " +
  "to its own buffers. JavaScript unmasks a few bytes at a time, which shows as payloads grow.",
  "Fan-out: a frame that was prepared once is the same bytes for every subscriber. What remains is a write for each " +
  "socket, and a native engine walks its sockets without JavaScript.",
];

/** The reasons, and the evidence where there is any. */
export function whySection(evidence: Evidence | undefined): Block[] {
  return [
    heading("Why"),
    paragraph("The first list explains; the tables after it are what was seen."),
    list(REASONS),
    ...evidence === undefined
      ? [paragraph("Contenders were not observed under a profiler in this run.")]
      : observed(evidence),
  ];
}

function observed(
  { command, commit, connections, functions, observations, payloadBytes }: Evidence,
): Block[] {
  const cell = `echo, ${formatBytes(payloadBytes)}, ${connections} connections`;
  return [
    paragraph(
      `Seen by \`${command}\` at commit \`${commit.slice(0, 12)}\` (${cell}), in runs of their own: ` +
        "to be looked at costs a little, so no rate below is comparable with those above.",
    ),
    ...observations.length === 0 ? [] : [
      tableBlock(
        `System calls for each message (${cell})`,
        ["contender", "#in flight", "#read", "#write", "#wait", "#other", "#together"],
        observations.map(systemCallRow),
      ),
      tableBlock(
        `Whose code the server's CPU time was spent in (${cell}); compiled is JavaScript and TypeScript that the ` +
          "runtime has compiled, native the runtime itself, modules and libraries",
        ["contender", "#in flight", "#kernel", "#compiled", "#native"],
        observations.map(({ contender, inFlight, timeShares: { compiled, kernel, native } }) => [
          ...[noteOf(contender).label, String(inFlight)],
          ...[kernel, compiled, native].map(percent),
        ]),
      ),
    ],
    ...functions.map(functionTable),
  ];
}

function systemCallRow({ contender, inFlight, systemCallsPerMessage }: Observation): string[] {
  const { other, read, wait, write } = systemCallsPerMessage;
  const counts = [read, write, wait, other, read + write + wait + other];
  return [noteOf(contender).label, String(inFlight), ...counts.map((count) => count.toFixed(2))];
}

function functionTable({ contender, inFlight, top }: FunctionTimes): Block {
  return tableBlock(
    `CPU profile of ${noteOf(contender).label}, ${inFlight} in flight: own time, idle time left out`,
    ["function", "where", "#own time"],
    top.map(({ functionName, place, share }) => [`\`${functionName}\``, `\`${place}\``, percent(share)]),
  );
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}
