/**
 * One cell of a table of functions, bench/codec.bench.ts or another, in a process of its own: a sample for every contender
 * in it.
 */
import { fileURLToPath } from "node:url";
import { runHelper } from "./child.ts";
import { runtimeCommand, runtimes } from "./contender.ts";
import type { Runtime } from "./contender.ts";
import type { Cell, Sample } from "./result.ts";

const CORE = 1;
const MOST_SECONDS = 30;

/** The contender that stands for the process, and is in every cell. */
export const CODEC = "codec";

interface Row {
  readonly figures: readonly { readonly name: string; readonly nanoseconds: number }[];
}

/** Takes the samples of one run. Never rejects. */
export async function takeCodecSamples(cell: Cell, run: number): Promise<Sample[]> {
  const base = { kind: "sample", cell, run } as const;
  try {
    const runtime = Object.keys(runtimes).find((name) => name === cell.parameters["runtime"]) as Runtime;
    const { name: cellName, table = "codec" } = cell.parameters;
    const file = fileURLToPath(new URL(`./${table}.bench.ts`, import.meta.url));
    const flags = ["--json", "--quick", `--cell=${cellName}`];
    const answer = await runHelper([...runtimeCommand(runtime), file, ...flags], CORE, MOST_SECONDS);
    const { figures } = JSON.parse(answer) as Row;
    return figures.map(({ name, nanoseconds }, at) => ({
      ...base,
      // The first is ours, whatever it is called there.
      contender: at === 0 ? CODEC : name.replace("+", "-"),
      failures: [],
      figures: { nsPerMessage: nanoseconds },
    }));
  } catch (error) {
    return [{ ...base, contender: CODEC, failures: [(error as Error).message], figures: {} }];
  }
}
