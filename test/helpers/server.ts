/** Servers for tests: inside this process, with a clock to move and a log to read, or as a process of their own. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import process from "node:process";
import type { Log } from "../../server/observe/log.ts";
import type { Options } from "../../server/options.ts";
import { serve, type Server, type Surroundings } from "../../server/serve.ts";
import { Events } from "./events.ts";
import { RawClient } from "./raw_client.ts";

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
// Windows aside, npm puts the runtimes here; the tests of a runtime itself run in it.
const bun = `${root}node_modules/.bin/bun`;
const node = process.versions["bun"] === undefined && process.versions["deno"] === undefined
  ? process.execPath
  : "node";

export interface ServerProcess {
  readonly url: string;
  readonly child: ChildProcess;
  /** Everything it has printed so far. */
  readonly output: Events<string>;
  exitCode(): Promise<number | null>;
  stop(): Promise<void>;
}

/** Runs the command with `flags` and collects what it prints. */
export function runCommand(
  engine: "bun" | "uws",
  flags: readonly string[],
  environment: Record<string, string> = {},
) {
  const [command, args] = engine === "bun" ? [bun, []] : [node, ["--import", "tsx"]];
  const child = spawn(command, [...args, "server/main.ts", ...flags], {
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

/** Starts the command as a process of its own on a free port, and waits until it listens. */
export async function spawnServer(
  engine: "bun" | "uws",
  flags: readonly string[] = [],
): Promise<ServerProcess> {
  const { child, output, exitCode } = runCommand(engine, ["--port", "0", ...flags]);
  const url = () => /listening on (ws:[^\s"]+)/.exec(output.all.join(""))?.[1];
  await output.until(() => url() !== undefined || child.exitCode !== null, `${engine} to listen`);
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

/** A raw client that speaks JSON commands, past its welcome. */
export async function joinRaw(url: string, headers: Record<string, string> = {}): Promise<RawClient> {
  const client = await RawClient.open(url, headers);
  await client.receiveTexts(1);
  return client;
}
