/** Servers for tests: inside this process, with a clock to move and a log to read, or as a process of their own. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import process from "node:process";
import type { DeflateMode } from "../../server/engine.ts";
import type { EngineName } from "../../server/engines/pick.ts";
import type { Log } from "../../server/observe/log.ts";
import type { Options } from "../../server/options.ts";
import { serve, type Server, type Surroundings } from "../../server/serve.ts";
import { Events } from "./events.ts";
import { RawClient } from "./raw_client.ts";
import { type Runtime, runtime } from "./runtime.ts";

export interface LogLine {
  readonly level: "debug" | "info" | "warn" | "error";
  readonly text: string;
}

/** A log that keeps its lines. */
export function recordingLog(): { log: Log; lines: LogLine[] } {
  const lines: LogLine[] = [];
  const at = (level: LogLine["level"]) => (...parts: unknown[]) => {
    const errors = parts.flatMap((part) => (part as { err?: unknown })?.err ?? []);
    lines.push({ level, text: [JSON.stringify(parts), ...errors.map(String)].join(" ") });
  };
  return { log: { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") }, lines };
}

export interface TestServer extends Server {
  readonly lines: LogLine[];
}

/** For tests that send as much as they can. */
export const unlimited = { messageRate: null, byteRate: null } as const;
export const unlimitedFlags = ["--message-rate", "0", "--byte-rate", "0"] as const;

/** Starts a server in this process on a free port. */
export async function startServer(
  options: Partial<Options> = {},
  around: Surroundings = {},
): Promise<TestServer> {
  const { log, lines } = recordingLog();
  const server = await serve({ port: 0, node: "test-node", ...options }, { log, ...around });
  return Object.assign(server, { lines });
}

const root = fileURLToPath(new URL("../../", import.meta.url));
// The runtime that runs the tests runs its children too; npm puts the others here, Windows aside.
const programs: Readonly<Record<Runtime, string>> = {
  node: runtime === "node" ? process.execPath : "node",
  bun: runtime === "bun" ? process.execPath : `${root}node_modules/.bin/bun`,
  deno: runtime === "deno" ? process.execPath : `${root}node_modules/.bin/deno`,
};
const runFlags: Readonly<Record<Runtime, readonly string[]>> = {
  node: ["--import", "tsx"],
  bun: [],
  deno: ["run", "--allow-all", "--no-check"],
};

/** The native engines, each on the runtime that it needs, whatever runtime the tests are on. */
export const nativeEngines = ["bun", "uws"] as const;
/** Those, and `ts` on the runtime of the tests. */
export const everyProcessEngine = [...nativeEngines, "ts"] as const;
export type ProcessEngine = typeof everyProcessEngine[number];
/** A native engine in a process of its own is the same process whoever tests it: the tests on Node do. */
export const processEngines: readonly ProcessEngine[] = runtime === "node" ? everyProcessEngine : ["ts"];

const runtimeOf = { bun: "bun", uws: "node", ts: runtime } as const;

/** Why an engine cannot run in a process of its own here; false when it can. */
export function whyNotAsProcess(engine: ProcessEngine): string | false {
  // The tests themselves show that their runtime can be run.
  if (engine === "ts") return false;
  const command = programs[runtimeOf[engine]];
  const args = [...runFlags[runtimeOf[engine]], "-e", engine === "uws" ? `require("uWebSockets.js")` : ""];
  const { error, status, stderr } = spawnSync(command, args, { cwd: root, encoding: "utf8" });
  if (error !== undefined) return `${command} cannot be run: ${error.message}`;
  return status !== 0 && `${engine} cannot load: ${/^.*Error: .*$/m.exec(stderr)?.[0] ?? stderr}`;
}

/** A run of the command. */
export interface CommandRun {
  readonly child: ChildProcess;
  /** Everything it has printed so far, in the order of its coming. */
  readonly output: Events<string>;
  /** What of it went to standard error. */
  errorOutput(): string;
  signal(name: "SIGTERM" | "SIGINT"): void;
  /** Resolves when it has ended and everything it printed is here; null when a signal ended it. */
  exitCode(): Promise<number | null>;
}

const running = new Set<ChildProcess>();
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

/** Ends every process that {@link runCommand} started and that is still there: for `after`, whatever has failed. */
export async function stopProcesses(): Promise<void> {
  await Promise.all([...running].map(async (child) => {
    const closed = once(child, "close");
    child.kill("SIGKILL");
    await closed;
  }));
}

/** Runs a script of this project with `flags` and collects what it prints. */
export function runScript(
  on: Runtime,
  script: string,
  flags: readonly string[],
  environment: Record<string, string> = {},
): CommandRun {
  const inherited = Object.entries(process.env).filter(([name]) => !/^(PORT$|MILLRACE_)/.test(name));
  const child = spawn(programs[on], [...runFlags[on], script, ...flags], {
    cwd: root,
    env: { ...Object.fromEntries(inherited), ...environment },
    stdio: ["ignore", "pipe", "pipe"],
  });
  running.add(child);
  const output = new Events<string>();
  let errorOutput = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => output.push(text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    errorOutput += text;
    output.push(text);
  });
  const exited = once(child, "close").then(([code]) => {
    running.delete(child);
    output.wake();
    return code as number | null;
  });
  return {
    child,
    output,
    errorOutput: () => errorOutput,
    // On Deno a child that was signalled by its own method is told to have died of it, whatever it made of the signal.
    signal(name) {
      if (child.pid !== undefined) process.kill(child.pid, name);
    },
    exitCode: () => exited,
  };
}

/** Runs the server's command with `flags`, on the runtime that `engine` needs. */
export function runCommand(
  engine: ProcessEngine,
  flags: readonly string[],
  environment: Record<string, string> = {},
): CommandRun {
  return runScript(runtimeOf[engine], "server/main.ts", flags, environment);
}

export interface ServerProcess extends CommandRun {
  readonly url: string;
  stop(): Promise<void>;
}

/** Waits until what was run says where it listens. */
async function untilListening(run: CommandRun): Promise<ServerProcess> {
  const { child, output, exitCode } = run;
  const url = () => /listening on (wss?:[^\s"]+)/.exec(output.all.join(""))?.[1];
  await output.until(() => url() !== undefined || child.exitCode !== null, "a server to listen");
  const found = url();
  if (found === undefined) throw new Error(`the server did not start: ${output.all.join("")}`);
  return {
    ...run,
    url: found,
    async stop() {
      child.kill("SIGKILL");
      await exitCode();
    },
  };
}

/** Starts the command as a process of its own on a free port, and waits until it listens. */
export function spawnServer(engine: ProcessEngine, flags: readonly string[] = []): Promise<ServerProcess> {
  return untilListening(runCommand(engine, ["--engine", engine, "--port", "0", ...flags]));
}

/** Starts a script that says where it listens. */
export function spawnScript(
  on: Runtime,
  script: string,
  flags: readonly string[] = [],
): Promise<ServerProcess> {
  return untilListening(runScript(on, script, flags));
}

/** Starts `bench/echo.ts`, an engine without the server above it, and waits until it listens. */
export function spawnEcho(on: Runtime, engine: EngineName, deflate: DeflateMode): Promise<ServerProcess> {
  return spawnScript(on, "bench/echo.ts", ["--engine", engine, "--port", "0", "--deflate", deflate]);
}

/** A raw client that speaks JSON commands, past its welcome. */
export async function joinRaw(url: string, headers: Record<string, string> = {}): Promise<RawClient> {
  const client = await RawClient.open(url, headers);
  await client.receiveTexts(1);
  return client;
}
