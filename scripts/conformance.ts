#!/usr/bin/env -S npx tsx
/**
 * `conformance URL`: runs protocol cases against a WebSocket echo server and reports what is against RFC 6455 or
 * RFC 7692. It judges any server by what is on the wire and must never import one of ours, nor our codec.
 */
import { writeFile } from "node:fs/promises";
import { performance } from "node:perf_hooks";
import process from "node:process";
import { parseArgs } from "node:util";
import type { Case } from "./conformance/case.ts";
import { selectCases } from "./conformance/cases/mod.ts";
import { makeReport, reportText } from "./conformance/report.ts";
import { runCases } from "./conformance/run.ts";
import { parseTarget, type Target } from "./conformance/target.ts";

const DEFAULT_TIMEOUT_MS = 2_000;
const DEFAULT_PARALLEL = 4;
const EXIT_OK = 0;
const EXIT_FAILED_CASE = 1;
const EXIT_WRONG_USE = 2;

const HELP = `conformance URL [options]

Runs protocol cases against the echo server at URL (ws: or wss:) and reports, for each, what was expected, what
happened, how the connection ended, and a verdict. The server must echo every message with its type, without
a greeting, and accept messages of 16 MiB (a refusal with 1009 or 1008 is informational).

  --only LIST      cases by number, e.g. 1,5.2,12.1; with a minus to leave out, e.g. --only=-9,-13
  --json FILE      also write the report as JSON; - means standard output, in place of the text
  --timeout MS     how long to wait for a reply (${DEFAULT_TIMEOUT_MS}); bulk cases wait 10 to 15 times as long
  --parallel N     cases under way at once (${DEFAULT_PARALLEL}); section 9 always runs one by one
  --list           print the chosen cases and stop
  --help           this text

Verdicts, best first; a case gets the worse one of its behaviour and its close:
  ok             what the RFC asks for
  informational  left open by the RFC, or something optional that the server lacks. So is a connection that was
                 rightly failed, but by dropping TCP without a close frame, or with an empty one: saying why is
                 a SHOULD (RFC 6455, 7.1.7). Autobahn calls that OK and does not show it
  non-strict     tolerable, but not what the RFC asks for: bad text found only at the message's end, an echo lost when
                 the next frame was wrong, a wrong close code (Autobahn: WRONG CODE), TCP left open (FAILED BY CLIENT)
  failed         against the RFC; also a close frame that is not answered (Autobahn: UNCLEAN)

Numbers 1 to 13 are those of the Autobahn testsuite; 14 goes beyond it.
Exit code: 0 without a failed case, 1 with one, 2 for wrong use or a server that cannot be reached.`;

interface Command {
  readonly target: Target;
  readonly url: string;
  readonly cases: readonly Case[];
  readonly json: string | undefined;
  readonly timeoutMs: number;
  readonly parallel: number;
  readonly list: boolean;
}

function positive(text: string | undefined, fallback: number, name: string): number {
  if (text === undefined) return fallback;
  if (!/^[1-9]\d{0,6}$/.test(text)) throw new RangeError(`${name} must be a positive whole number`);
  return Number(text);
}

/** @throws TypeError or RangeError for wrong use. */
function readCommand(args: readonly string[]): Command | "help" {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      only: { type: "string" },
      json: { type: "string" },
      timeout: { type: "string" },
      parallel: { type: "string" },
      list: { type: "boolean" },
      help: { type: "boolean" },
    },
  });
  if (values.help === true) return "help";
  const [url, ...rest] = positionals;
  if (url === undefined || rest.length > 0) throw new TypeError("exactly one URL is needed; see --help");
  return {
    url,
    target: parseTarget(url),
    cases: selectCases((values.only ?? "").split(",").map((one) => one.trim()).filter((one) => one !== "")),
    json: values.json,
    timeoutMs: positive(values.timeout, DEFAULT_TIMEOUT_MS, "--timeout"),
    parallel: positive(values.parallel, DEFAULT_PARALLEL, "--parallel"),
    list: values.list === true,
  };
}

function showProgress(done: number, total: number, id: string): void {
  if (process.stderr.isTTY) {
    process.stderr.write(`\r${done}/${total} ${id}\x1b[K${done === total ? "\r\x1b[K" : ""}`);
  }
}

async function run(command: Command): Promise<number> {
  const { cases, target, timeoutMs, parallel, url } = command;
  const started = performance.now();
  const results = await runCases(cases, {
    target,
    timeoutMs,
    parallel,
    onResult: (result, done, total) => showProgress(done, total, result.id),
  });
  const report = makeReport(url, results, performance.now() - started, new Date().toISOString());
  const json = `${JSON.stringify(report, undefined, 2)}\n`;
  if (command.json === "-") process.stdout.write(json);
  else {
    if (command.json !== undefined) await writeFile(command.json, json);
    process.stdout.write(`${reportText(report)}\n`);
  }
  return report.summary.failed > 0 ? EXIT_FAILED_CASE : EXIT_OK;
}

async function main(args: readonly string[]): Promise<number> {
  try {
    const command = readCommand(args);
    if (command === "help") process.stdout.write(`${HELP}\n`);
    else if (command.list) {
      for (const each of command.cases) process.stdout.write(`${each.id}  ${each.description}\n`);
    } else return await run(command);
    return EXIT_OK;
  } catch (error) {
    process.stderr.write(`conformance: ${error instanceof Error ? error.message : String(error)}\n`);
    return EXIT_WRONG_USE;
  }
}

process.exitCode = await main(process.argv.slice(2));
