#!/usr/bin/env -S npx tsx
/**
 * `benchmark URL`: what a WebSocket deployment carries. It reads the command line, shows progress and prints the
 * report; it must never measure anything itself.
 */
import { writeFileSync } from "node:fs";
import process from "node:process";
import { HELP, readOptions } from "./benchmark/options.ts";
import { runBenchmark } from "./benchmark/run.ts";
import { Unreachable } from "./benchmark/target.ts";
import { reportText } from "./benchmark/text.ts";

const EXIT_OK = 0;
const EXIT_FINDING = 1;
const EXIT_WRONG_USE = 2;
const CLEAR_LINE = "\r\x1b[K";

function showProgress(text: string): void {
  if (!process.stderr.isTTY) return;
  process.stderr.write(CLEAR_LINE + text.slice(0, (process.stderr.columns || 80) - 1));
}

async function main(args: readonly string[]): Promise<number> {
  try {
    const options = readOptions(args);
    if (options === "help") {
      process.stdout.write(`${HELP}\n`);
      return EXIT_OK;
    }
    const report = await runBenchmark(options, showProgress);
    showProgress("");
    const json = `${JSON.stringify(report, undefined, 2)}\n`;
    if (options.out !== undefined) writeFileSync(options.out, json);
    process.stdout.write(options.json ? json : `${reportText(report)}\n`);
    return report.findings.length > 0 ? EXIT_FINDING : EXIT_OK;
  } catch (error) {
    showProgress("");
    const isExpected = error instanceof RangeError || error instanceof TypeError ||
      error instanceof Unreachable;
    const text = error instanceof Error ? (isExpected ? error.message : error.stack) : String(error);
    process.stderr.write(`benchmark: ${text}\n${error instanceof Unreachable ? "" : "Try --help.\n"}`);
    return EXIT_WRONG_USE;
  }
}

// A connection attempt that nobody waits for any more must not keep the process.
const code = await main(process.argv.slice(2));
process.stdout.write("", () => process.exit(code));
