/** Servers for tests: inside this process, with a clock to move and a log to read, or as a process of their own. */
import { type ChildProcess, spawn } from "node:child_process";
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
  deno: runtime === "deno" ? process.execPath : `${root}node_modules/deno/deno`,
};
const runFlags: Readonly<Record<Runtime, readonly string[]>> = {
  node: ["--import", "tsx"],
  bun: [],
  deno: ["run", "--allow-all", "--no-check"],
};

export interface ServerProcess {
  readonly url: string;
  readonly child: ChildProcess;
  /** Everything it has printed so far. */
  readonly output: Events<string>;
  exitCode(): Promise<number | null>;
  stop(): Promise<void>;
}

/** Runs a script of this project with `flags` and collects what it prints. */
export function runScript(
  on: Runtime,
  script: string,
  flags: readonly string[],
  environment: Record<string, string> = {},
) {
  const child = spawn(programs[on], [...runFlags[on], script, ...flags], {
    cwd: root,
    env: { ...process.env, ...environment },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const output = new Events<string>();
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8");
    stream.on("data", (text: string) => output.push(text));
  }
  const exited = once(child, "close").then(([code]) => code as number | null);
  void exited.then(() => output.wake());
  return { child, output, exitCode: () => exited };
}

/** Runs the server's command with `flags`. */
export function runCommand(
  engine: "bun" | "uws",
  flags: readonly string[],
  environment: Record<string, string> = {},
) {
  return runScript(engine === "bun" ? "bun" : "node", "server/main.ts", flags, environment);
}

/** Waits until what was run says where it listens. */
async function untilListening(
  { child, output, exitCode }: ReturnType<typeof runScript>,
): Promise<ServerProcess> {
  const url = () => /listening on (ws:[^\s"]+)/.exec(output.all.join(""))?.[1];
  await output.until(() => url() !== undefined || child.exitCode !== null, "a server to listen");
  const found = url();
  if (found === undefined) throw new Error(`the server did not start: ${output.all.join("")}`);
  return {
    url: found,
    child,
    output,
    exitCode,
    async stop() {
      if (child.exitCode === null) child.kill("SIGKILL");
      await exitCode();
    },
  };
}

/** Starts the command as a process of its own on a free port, and waits until it listens. */
export function spawnServer(
  engine: "bun" | "uws",
  flags: readonly string[] = [],
): Promise<ServerProcess> {
  return untilListening(runCommand(engine, ["--port", "0", ...flags]));
}

/** Starts `bench/echo.ts`, an engine without the server above it, and waits until it listens. */
export function spawnEcho(on: Runtime, engine: EngineName, deflate: DeflateMode): Promise<ServerProcess> {
  return untilListening(
    runScript(on, "bench/echo.ts", ["--engine", engine, "--port", "0", "--deflate", deflate]),
  );
}

/** A raw client that speaks JSON commands, past its welcome. */
export async function joinRaw(url: string, headers: Record<string, string> = {}): Promise<RawClient> {
  const client = await RawClient.open(url, headers);
  await client.receiveTexts(1);
  return client;
}
