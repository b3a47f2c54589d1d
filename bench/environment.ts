/** What figures depend on besides the contenders: the machine, versions, settings. It must never run a cell. */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { cpus, release, totalmem } from "node:os";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { canPin } from "./child.ts";
import { runtimes } from "./contender.ts";
import type { Contender } from "./contender.ts";
import { MAX_BACKPRESSURE_BYTES, MAX_MESSAGE_BYTES } from "./contenders/settings.ts";
import { serverFlags } from "./contenders/own.ts";
import type { Environment } from "./result.ts";
import { setupOf } from "./run.ts";
import type { RunOptions } from "./run.ts";

const PACKAGES = ["ws", "bufferutil", "socket.io", "uWebSockets.js", "mitata"];
const ROOT = fileURLToPath(new URL("..", import.meta.url));

/** The first line of a run's file, but for what was planned; `script` is the npm script that measures. */
export function environmentOf(
  contenders: readonly Contender[],
  options: RunOptions,
  script = "bench",
): Environment {
  return {
    kind: "environment",
    startedAt: new Date().toISOString(),
    cpu: cpus()[0]?.model ?? "unknown",
    cores: cpus().length,
    memoryBytes: totalmem(),
    kernel: release(),
    commit: output("git", ["-C", ROOT, "rev-parse", "HEAD"]),
    dirty: output("git", ["-C", ROOT, "status", "--porcelain"]) !== "",
    versions: versionsOf(contenders),
    command: [`npm run ${script} --`, ...process.argv.slice(2).map(quoted)].join(" "),
    settings: settingsOf(options),
  };
}

function versionsOf(contenders: readonly Contender[]): Record<string, string> {
  const versions: Record<string, string> = {
    node: process.version,
    bun: output(runtimes.bun, ["--version"]),
    deno: output(runtimes.deno, ["--version"]).split("\n")[0] ?? "",
    "redis-server": output("redis-server", ["--version"]),
  };
  for (const name of PACKAGES) versions[name] = packageVersion(name);
  for (const { name, versionCommand } of contenders) {
    const [program, ...args] = versionCommand ?? [];
    if (program !== undefined) versions[name] = output(program, args).split("\n")[0] ?? "";
  }
  return versions;
}

function packageVersion(name: string): string {
  const path = new URL(`../node_modules/${name}/package.json`, import.meta.url);
  try {
    return (JSON.parse(readFileSync(path, "utf8")) as { version: string }).version;
  } catch {
    return "not installed";
  }
}

function settingsOf({ load, loadProcesses = 1, seconds, warmupSeconds }: RunOptions): Record<string, string> {
  const mebibytes = (bytes: number): string => `${bytes / 2 ** 20} MiB`;
  return {
    "message limit": mebibytes(MAX_MESSAGE_BYTES),
    "backpressure limit": `${
      mebibytes(MAX_BACKPRESSURE_BYTES)
    } a connection where there is one; sockets over it are skipped, not closed`,
    "compression":
      "off, or permessage-deflate without context takeover for messages of any size, shared compressor",
    "pings and idle timeouts": "off, or longer than a run",
    "whole server":
      `${
        serverFlags(setupOf({ workload: "echo", parameters: {} })).join(" ")
      }; with rates on, a limit that is ` +
      "checked and never reached; with history on, 100 messages for 600 s",
    "TLS": "the fixture's certificate, no session resumption by the client",
    "pinning": canPin
      ? "server on core 0, load generator (and Redis) on core 1"
      : "none: a single core, or no taskset",
    "windows": `${warmupSeconds} s warm-up, ${seconds} s measured, a fresh server process each`,
    "load generator":
      `${load}, ${
        loadProcesses === 1
          ? "one process"
          : `${loadProcesses} processes for echo, rooms, storms and the whole server`
      }; ` +
      "its CPU time is in every sample",
    "latency": "from the intended send time; capacity from a closed loop of 0.5 s in the same run",
    "idle memory":
      "resident set between a fifth of the connections and all, after two garbage collections each",
  };
}

/** As a shell takes it for one argument. */
export function quoted(argument: string): string {
  return /^[\w@%+=:,./-]+$/.test(argument) ? argument : `'${argument.replaceAll("'", "'\\''")}'`;
}

/** What a program prints, on whichever of its outputs; empty when it cannot be run. */
function output(program: string, args: readonly string[]): string {
  const { stdout, stderr } = spawnSync(program, args, { encoding: "utf8" });
  return (stdout || stderr || "").trim();
}
