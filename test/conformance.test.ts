/**
 * Every engine on every runtime that has it, judged on the wire by scripts/conformance: `ts` breaks no rule, and the
 * native engines break exactly those that docs/engines.md's engine table admits. Servers are processes of their own.
 */
import { readFileSync } from "node:fs";
import process from "node:process";
import { after, describe, it } from "node:test";
import { assert, assertEquals } from "@std/assert";
import type { Result, Verdict } from "../scripts/conformance/case.ts";
import { ALL_CASES, selectCases } from "../scripts/conformance/cases/mod.ts";
import { runCases } from "../scripts/conformance/run.ts";
import { parseTarget } from "../scripts/conformance/target.ts";
import { DeflateMode } from "../server/engine.ts";
import type { EngineName } from "../server/engines/pick.ts";
import { type Runtime, runtime, whyNot } from "./helpers/runtime.ts";
import { type ServerProcess, spawnEcho } from "./helpers/server.ts";

const LONG = process.env.MILLRACE_LONG !== undefined;
const QUICK = [
  ...["1", "2", "3", "4", "5", "6", "7", "10", "14", "9.1.1", "9.3.5", "9.7.2"],
  ...["12.1.3", "12.2.5", "12.3.7", "12.4.11", "12.5.13"],
  ...["13.1.1", "13.2.2", "13.3.3", "13.4.4", "13.5.5", "13.6.6", "13.7.7"],
];
/** uWebSockets.js answers a request that comes byte by byte, or does not: it depends on how the bytes arrive. */
const LEFT_OUT = "-14.5.20";
const CASES = selectCases(LONG ? [LEFT_OUT] : [...QUICK, LEFT_OUT]);
const TIMEOUT_MS = 2_000;
/** Bun ends a test after five seconds if it is not told otherwise. */
const WHOLE_RUN = { timeout: LONG ? 600_000 : 60_000 };

const servers: ServerProcess[] = [];

/** The results of one engine, by verdict. */
async function judge(
  on: Runtime,
  engine: EngineName,
  deflate: DeflateMode,
): Promise<(verdict: Verdict) => string[]> {
  const server = await spawnEcho(on, engine, deflate);
  servers.push(server);
  assert(server.output.all.join("").includes(`engine=${engine}`), "another engine answers");
  const target = parseTarget(server.url);
  const results: Result[] = await runCases(CASES, { target, timeoutMs: TIMEOUT_MS, parallel: 8 });
  await server.stop();
  assertEquals(results.length, CASES.length);
  return (verdict) => results.filter((result) => result.verdict === verdict).map(({ id }) => id);
}

/** Why a server on this runtime is not judged in this run; false when it is. */
async function whyNotOn(on: Runtime, engine: EngineName): Promise<string | false> {
  if (on === runtime) return await whyNot(engine);
  return runtime !== "node" && !LONG && "the tests on Node judge it, and those of its own runtime";
}

/** What the engine table says: the row that begins with `label`, by engine. */
function tableRow(label: string): Map<string, string> {
  const lines = readFileSync(new URL("../docs/engines.md", import.meta.url), "utf8").split("\n");
  const cells = (line = "") => line.split("|").slice(1, -1).map((cell) => cell.trim());
  const start = lines.findIndex((line) => cells(line).includes("`uws`") && cells(line)[0] === "");
  const row = lines.slice(start).find((line) => cells(line)[0] === label);
  assert(start >= 0 && row !== undefined, `docs/engines.md has no row "${label}"`);
  return new Map(
    cells(lines[start]).map((engine, index) => [engine.replaceAll("`", ""), cells(row)[index] ?? ""]),
  );
}

/** The case numbers in a text: `3.2`, `6.4.1–4` for four of them, `13.3.x` for all that begin so. */
function casesIn(text: string): Set<string> {
  const found = new Set<string>();
  for (const [, prefix, last, to] of text.matchAll(/\b(\d{1,2}(?:\.\d+)??)\.(\d+|x)\b(?:–(\d+))?(?!\.)/g)) {
    if (last === "x") { for (const { id } of selectCases([prefix as string])) found.add(id); }
    else for (let at = Number(last); at <= Number(to ?? last); at++) found.add(`${prefix}.${at}`);
  }
  return found;
}

/** Cases about the extension: without it there is nothing to be wrong. */
const NEEDS_DEFLATE = /^(12|13|14\.6|14\.7)\./;

/** What an engine is admitted to get wrong, of the cases that are run. */
function admitted(engine: EngineName, deflate: DeflateMode): Record<"failed" | "non-strict", string[]> {
  const cell = (label: string) => casesIn(tableRow(label).get(engine) ?? "");
  const besides = deflate === DeflateMode.Off ? [] : cell("conformance, `--deflate shared`");
  const failed = new Set([...cell("conformance, no compression"), ...besides]);
  const nonStrict = cell("non-strict cases");
  const run = CASES.map(({ id }) => id);
  return {
    failed: run.filter((id) => failed.has(id)),
    "non-strict": run.filter((id) =>
      nonStrict.has(id) && (deflate !== DeflateMode.Off || !NEEDS_DEFLATE.test(id))
    ),
  };
}

const NATIVE = [["bun", "bun"], ["uws", "node"]] as const;
/** Why an engine is not judged in this run: by runtime for `ts`, by name for the others. */
const skips = new Map(
  await Promise.all([
    ...(["node", "bun", "deno"] as const).map(async (on) => [on, await whyNotOn(on, "ts")] as const),
    ...NATIVE.map(async ([engine, on]) => [`native ${engine}`, await whyNotOn(on, engine)] as const),
  ]),
);

describe("conformance to RFC 6455 and RFC 7692", () => {
  after(async () => {
    for (const server of servers) await server.stop();
  });

  for (const on of ["node", "bun", "deno"] as const) {
    describe(`of the engine ts on ${on}`, { skip: skips.get(on) ?? false }, () => {
      for (const deflate of Object.values(DeflateMode)) {
        it(`is without a failed or non-strict case, deflate ${deflate}`, WHOLE_RUN, async () => {
          const found = await judge(on, "ts", deflate);
          assertEquals([...found("failed"), ...found("non-strict")], []);
          assertEquals(found("ok").includes("13.1.1"), deflate !== DeflateMode.Off, "whether it compresses");
        });
      }
    });
  }

  for (const [engine, on] of NATIVE) {
    describe(`of the engine ${engine}`, { skip: skips.get(`native ${engine}`) ?? false }, () => {
      for (const deflate of [DeflateMode.Off, DeflateMode.Shared]) {
        it(`lacks what docs/engines.md admits and nothing else, deflate ${deflate}`, WHOLE_RUN, async () => {
          const found = await judge(on, engine, deflate);
          const actual = { failed: found("failed"), "non-strict": found("non-strict") };
          assertEquals(actual, admitted(engine, deflate));
        });
      }
    });
  }

  it("docs/engines.md's engine table names cases that exist", () => {
    const known = new Set(ALL_CASES.map(({ id }) => id));
    for (
      const label of ["conformance, no compression", "conformance, `--deflate shared`", "non-strict cases"]
    ) {
      for (const [engine, cell] of tableRow(label)) {
        if (engine === "") continue;
        assertEquals([...casesIn(cell)].filter((id) => !known.has(id)), [], `${label}, ${engine}`);
      }
    }
    assertEquals([...casesIn("3.2, 6.4.1–3, 5.1")], ["3.2", "6.4.1", "6.4.2", "6.4.3", "5.1"]);
    assertEquals(casesIn("13.3.x").size, 18);
  });
});
