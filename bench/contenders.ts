/**
 * Who is measured: the built-in contenders by name, and any other server by the command line that starts it.
 * It must never know a workload's course or its figures.
 */
import { existsSync } from "node:fs";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { PROTOCOLS } from "./load/job.ts";
import type { Protocol, Workload } from "./load/job.ts";

/** A server that can be started. */
export interface Contender {
  name: string;
  protocol: Protocol;
  /** Program and arguments; `{port}` in them stands for the port. */
  command: string[];
}

/** Programs that a command line may begin with; the ones installed with this project go first. */
export const runtimes: Record<string, string> = {
  node: process.execPath,
  bun: installed("../node_modules/bun/bin/bun.exe") ?? "bun",
  deno: installed("../node_modules/deno/deno") ?? "deno",
};

/** How Node is made to run TypeScript, from any directory. */
export const NODE_FLAGS: readonly string[] = ["--import", import.meta.resolve("tsx")];

const NODE_COMMAND = ["node", "--expose-gc", ...NODE_FLAGS];
const BUN_COMMAND = ["bun"];
const DENO_COMMAND = ["deno", "run", "--allow-all", "--no-check", "--v8-flags=--expose-gc"];

const BUILT_IN: Record<string, { runtime: string[]; protocol: Protocol }> = {
  "bun-bare": { runtime: BUN_COMMAND, protocol: "bare" },
  "uws-bare": { runtime: NODE_COMMAND, protocol: "bare" },
  "ws": { runtime: NODE_COMMAND, protocol: "bare" },
  "deno-bare": { runtime: DENO_COMMAND, protocol: "bare" },
  "tcp-node": { runtime: NODE_COMMAND, protocol: "tcp" },
  "tcp-bun": { runtime: BUN_COMMAND, protocol: "tcp" },
};

/** The names that need no command. */
export const BUILT_IN_NAMES: readonly string[] = Object.keys(BUILT_IN);

const SPECIFICATION = /^([\w.-]+)(?::(\w+))?(?:=(.+))?$/s;
const WORD = /(?:[^\s"']+|"[^"]*"|'[^']*')+/g;
const QUOTED = /"([^"]*)"|'([^']*)'/g;

/**
 * Reads `NAME`, `NAME=COMMAND` or `NAME:PROTOCOL=COMMAND`. Quotes group words; nothing else of a shell's syntax is
 * known, as no shell may stand between us and the server. Throws a RangeError that says what is wrong.
 */
export function parseContender(text: string, workload: Workload): Contender {
  const [, name, protocolName = "bare", commandLine] = SPECIFICATION.exec(text) ?? [];
  if (name === undefined) {
    throw new RangeError(`--contender ${text}: expected NAME or NAME[:PROTOCOL]=COMMAND`);
  }
  const contender = commandLine === undefined
    ? builtIn(name, workload)
    : { name, protocol: protocolOf(protocolName), command: words(commandLine) };
  if (contender.protocol === "tcp" && workload === "fanout") {
    throw new RangeError(`--contender ${name}: the tcp protocol has no fan-out`);
  }
  const [program = "", ...rest] = contender.command;
  return { ...contender, command: [runtimes[program] ?? program, ...rest] };
}

function builtIn(name: string, workload: Workload): Contender {
  const known = BUILT_IN[name];
  if (known === undefined) {
    throw new RangeError(`--contender ${name}: needs a command; built in are ${BUILT_IN_NAMES.join(", ")}`);
  }
  const file = fileURLToPath(new URL(`./contenders/${name}.ts`, import.meta.url));
  const flags = ["--port", "{port}", ...(workload === "fanout" ? ["--publish"] : [])];
  return { name, protocol: known.protocol, command: [...known.runtime, file, ...flags] };
}

function protocolOf(name: string): Protocol {
  const protocol = PROTOCOLS.find((known) => known === name);
  if (protocol === undefined) throw new RangeError(`protocol ${name}: expected ${PROTOCOLS.join(", ")}`);
  return protocol;
}

function words(commandLine: string): string[] {
  return (commandLine.match(WORD) ?? []).map((word) => word.replace(QUOTED, "$1$2"));
}

function installed(path: string): string | undefined {
  const file = fileURLToPath(new URL(path, import.meta.url));
  return existsSync(file) ? file : undefined;
}
