#!/usr/bin/env -S npx tsx
/**
 * `test-server URL`: tests any WebSocket server from outside and says what to do about what it finds. This file only
 * turns a command line into output and an exit code.
 */
import { writeFile } from "node:fs/promises";
import { performance } from "node:perf_hooks";
import process from "node:process";
import { type Command, HELP, readCommand } from "./test_server/command.ts";
import { junitXml } from "./test_server/junit.ts";
import { makeReport, reportText } from "./test_server/report.ts";
import { runTests } from "./test_server/run.ts";
import type { Test } from "./test_server/test.ts";

const EXIT_OK = 0;
const EXIT_FINDINGS = 1;
const EXIT_WRONG_USE = 2;

function showProgress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r${text}\x1b[K`);
}

function listText(tests: readonly Test[]): string {
  return tests.map(({ name, checks, section }) => `${name}\n    ${checks} (${section})`).join("\n");
}

async function run({ settings, tests, json, junit }: Command): Promise<number> {
  const started = performance.now();
  const date = new Date().toISOString();
  const found = await runTests(
    tests,
    settings,
    ({ name }, index) => showProgress(`${index + 1}/${tests.length} ${name}`),
  );
  showProgress("");
  const report = makeReport(settings.url, found, performance.now() - started, date);
  if (junit !== undefined) await writeFile(junit, junitXml(report));
  process.stdout.write(`${json ? JSON.stringify(report, undefined, 2) : reportText(report)}\n`);
  return report.summary.failed > 0 ? EXIT_FINDINGS : EXIT_OK;
}

async function main(args: readonly string[]): Promise<number> {
  try {
    const command = readCommand(args);
    if (command !== "help" && "settings" in command) return await run(command);
    process.stdout.write(`${command === "help" ? HELP : listText(command.list)}\n`);
    return EXIT_OK;
  } catch (error) {
    process.stderr.write(`test-server: ${error instanceof Error ? error.message : String(error)}\n`);
    return EXIT_WRONG_USE;
  }
}

process.exitCode = await main(process.argv.slice(2));
