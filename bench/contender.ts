/**
 * What a contender is: a name, what it speaks, and how it is started for a cell, or why it cannot be.
 * It must never know a workload's course or its figures.
 */
import { existsSync } from "node:fs";
import process from "node:process";
import { fileURLToPath } from "node:url";
import type { Protocol } from "./load/job.ts";
import type { WorkloadName } from "./result.ts";

/** What a server is to be started for. */
export interface Setup {
  readonly workload: WorkloadName;
  readonly binary: boolean;
  readonly deflate: boolean;
  readonly tls: boolean;
  /** Latency and idle connections that are echoed to: what is done. */
  readonly traffic: "echo" | "fanout" | "none";
  /** The whole server alone: its format, its rate limits, its history, its broker. */
  readonly format: "json" | "msgpack";
  readonly rates: boolean;
  readonly history: boolean;
  readonly redisUrl: string | undefined;
}

/** A process to start. `{port}` and `{folder}` stand for a free port and a folder that goes away afterwards. */
export interface Launch {
  /** Program and arguments. */
  readonly command: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  /** Files of that folder by name. */
  readonly files?: Readonly<Record<string, string>>;
  /** Where it listens, if it does not print `listening on URL` itself. */
  readonly url?: string;
  /** What it speaks, if that depends on the setup. */
  readonly protocol?: Protocol;
}

export interface Contender {
  readonly name: string;
  readonly protocol: Protocol;
  /** Roughly how long it takes to start, for estimates. */
  readonly startSeconds: number;
  /** Prints its version, when it is a program of the system. */
  readonly versionCommand?: readonly string[];
  /** How to start it for `setup`, or in words why that cannot be; `missing: …` when it is not installed. */
  launch(setup: Setup): Launch | string;
}

/** Whether connections are subscribed to topics. */
export function isTopical({ traffic }: Pick<Setup, "traffic">): boolean {
  return traffic === "fanout";
}

/** Why a server that only passes publications on cannot do something. */
export function lacksEcho({ deflate, tls, traffic, workload }: Setup): string | undefined {
  if (workload === "server") return "it has no formats";
  if (traffic === "echo") return "it does not echo";
  return deflate || tls ? "set up without compression and TLS" : undefined;
}

/** Programs that a command line may begin with; the ones installed with this project go first. */
export const runtimes = {
  node: "Bun" in globalThis || "Deno" in globalThis ? "node" : process.execPath,
  bun: installed("../node_modules/bun/bin/bun.exe") ?? "bun",
  deno: installed("../node_modules/deno/deno") ?? "deno",
} as const;
export type Runtime = keyof typeof runtimes;

/** How Node is made to run TypeScript, from any directory. */
export const NODE_FLAGS: readonly string[] = ["--import", import.meta.resolve("tsx")];

/** The command that runs a TypeScript file, after `preload` if there is one; the file's path follows. */
export function runtimeCommand(runtime: Runtime, preload?: string): string[] {
  const loaded = (flag: string): string[] => preload === undefined ? [] : [flag, preload];
  switch (runtime) {
    case "node":
      return [runtimes.node, "--expose-gc", ...NODE_FLAGS, ...loaded("--import")];
    case "bun":
      return [runtimes.bun, ...loaded("--preload")];
    case "deno":
      return [
        ...[runtimes.deno, "run", "--allow-all", "--no-check", "--v8-flags=--expose-gc"],
        ...loaded("--preload"),
      ];
  }
}

function installed(path: string): string | undefined {
  const file = fileURLToPath(new URL(path, import.meta.url));
  return existsSync(file) ? file : undefined;
}
