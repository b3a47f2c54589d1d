/**
 * Right configurations with random damage: what the validator refuses the real program refuses, too, and little more. Long
 * runs only; the real programs are started hundreds of times.
 */
import process from "node:process";
import { after, describe, it } from "node:test";
import { assertEquals, assertLessOrEqual } from "@std/assert";
import { whyMissing } from "../../scripts/debian.ts";
import { type Random, seededRandom } from "../helpers/random.ts";
import { runtime } from "../helpers/runtime.ts";
import { RIGHT } from "./right.ts";
import { refusals, Workbench } from "./workbench.ts";

const COUNT = 400;
/** Values that only the real program reads: names of machines, expressions of HAProxy. */
const MISSED_AT_MOST = 0.15;
const WHOLE_RUN = { timeout: 300_000 };
const bench = new Workbench();
after(() => bench.remove());

/** Takes a word out, says it twice, changes a letter, or swaps it with the next. */
function damaged(text: string, random: Random): string {
  const parts = text.split(/(\s+|;)/);
  // Long words are paths, of which only the files matter.
  const words = parts.flatMap((part, index) => /\S/.test(part) && part.length < 40 ? [index] : []);
  const at = random.pick(words);
  const part = parts[at] ?? "";
  const letter = random.below(part.length);
  parts[at] = random.pick([
    "",
    `${part} ${part}`,
    part.slice(0, letter) + part.slice(letter + 1),
    `${part.slice(0, letter)}x${part.slice(letter)}`,
  ]);
  return parts.join("");
}

function whyNot(program: "nginx" | "haproxy"): string | false {
  if (process.env.MILLRACE_LONG === undefined) return "only in long runs";
  return runtime === "node" ? whyMissing(program) : "separate processes: Node's run has it";
}

describe("validate-config and the real program", () => {
  for (const program of ["nginx", "haproxy"] as const) {
    it(
      `agree on most of ${COUNT} damaged files for ${program}`,
      { skip: whyNot(program), ...WHOLE_RUN },
      async () => {
        const random = seededRandom(7);
        const paths = Array.from(
          { length: COUNT },
          () => bench.write(program, damaged(RIGHT[program], random)),
        );
        const said = await refusals(program, paths);
        const ours = paths.map((path) =>
          bench.findings(program, path, {}).find(({ rule }) =>
            rule === "syntax" || rule === "certificate-file"
          )
        );
        const falseAlarms = ours.filter((one, index) => one !== undefined && said[index] === undefined);
        assertEquals(falseAlarms.map((one) => one?.what), []);
        const missed = said.filter((one, index) => one !== undefined && ours[index] === undefined);
        assertLessOrEqual(missed.length / COUNT, MISSED_AT_MOST, missed.join("\n"));
      },
    );
  }
});
