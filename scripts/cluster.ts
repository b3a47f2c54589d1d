#!/usr/bin/env -S npx tsx
/**
 * `cluster`: starts nodes, Redis, a proxy and Prometheus on loopback, prints where they are, and stops all of it on Ctrl-C.
 * It must never start anything itself: `cluster/cluster.ts` does, for the tests too.
 */
import { existsSync } from "node:fs";
import process from "node:process";
import { Cluster } from "./cluster/cluster.ts";
import { type Command, HELP, readCommand } from "./cluster/command.ts";
import { welcome } from "./cluster/welcome.ts";
import { findProgram } from "./debian.ts";

const EXIT_OK = 0;
const EXIT_FAILED = 1;
const EXIT_WRONG_USE = 2;
const SIGNAL_EXIT_BASE = 128;
const SIGNAL_NUMBERS = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 } as const;

function complain(line: string): void {
  process.stderr.write(`cluster: ${line}\n`);
}

/** Runs until a signal comes. */
async function run({ settings, isJson, isVerbose }: Command): Promise<number> {
  let hasDied = false;
  let { hasPrometheus } = settings;
  if (hasPrometheus && findProgram("prometheus") === undefined) {
    hasPrometheus = false;
    complain("WITHOUT PROMETHEUS: it is not installed; on Debian: apt-get install prometheus");
  }
  if (settings.folder !== undefined && existsSync(settings.folder)) {
    complain(
      `--folder ${settings.folder}: it is there already, and would be removed at the end; name one that is not`,
    );
    return EXIT_WRONG_USE;
  }
  const cluster = new Cluster({
    ...settings,
    hasPrometheus,
    report: (line) => {
      hasDied = true;
      complain(line);
    },
    said: (name, text) => {
      if (isVerbose) process.stderr.write(text.replaceAll(/^(?=.)/gm, `${name}: `));
    },
  });
  // The last resort, whatever has happened.
  process.on("exit", () => cluster.destroy());
  let stopped: Promise<void> | undefined = undefined;
  const signalled = new Promise<void>((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
      process.on(signal, () => {
        if (stopped !== undefined) process.exit(SIGNAL_EXIT_BASE + SIGNAL_NUMBERS[signal]);
        stopped = cluster.stop();
        resolve();
      });
    }
  });
  try {
    await cluster.start();
    const { addresses } = cluster;
    process.stdout.write(isJson ? `${JSON.stringify(addresses)}\n` : welcome(addresses));
  } catch (error) {
    // Whoever stops it while it starts knows why it does not.
    if (stopped === undefined) throw error;
  }
  await signalled;
  await stopped;
  return hasDied ? EXIT_FAILED : EXIT_OK;
}

async function main(args: readonly string[]): Promise<number> {
  let command: Command | "help";
  try {
    command = readCommand(args);
  } catch (error) {
    complain(`${error instanceof Error ? error.message : String(error)}; see --help`);
    return EXIT_WRONG_USE;
  }
  if (command === "help") {
    process.stdout.write(`${HELP}\n`);
    return EXIT_OK;
  }
  try {
    return await run(command);
  } catch (error) {
    complain(error instanceof Error ? error.message : String(error));
    return EXIT_FAILED;
  }
}

process.exit(await main(process.argv.slice(2)));
