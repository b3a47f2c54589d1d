/**
 * Child processes, each pinned to a core: a server that is to be measured, and a helper that prints one line.
 * Only processes started here are ever ended. It must never know what is measured.
 */
import { spawn, spawnSync } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import type { Launch } from "./contender.ts";
import { listensOn } from "./proc.ts";

const START_SECONDS = 20;
/** How long a server may take to stop by itself. */
const STOP_SECONDS = 3;
const LISTENING = /listening on ((?:wss?|tcp):\/\/\S+)/;
const UNSPECIFIED_HOST = /\/\/(0\.0\.0\.0|\[::\]|localhost)/;
const LOOPBACK = "//127.0.0.1";
/** Of what a child says on its error output, the end is kept. */
const KEPT_CHARACTERS = 2000;
const MILLISECONDS = 1e3;

/** Whether processes can be pinned: two cores and `taskset`. */
export const canPin: boolean = cpus().length > 1 && spawnSync("taskset", ["-V"]).status === 0;

/** A server's account of its memory after a garbage collection. */
const MEMORY = /^memory (\{.*\})$/;
const POLL_MS = 20;

/** What makes a child end when this process is killed and cannot see to it. */
const OUTLIVE_NOBODY: readonly string[] = ["setpriv", "--pdeathsig", "KILL"];
const canOutlive = spawnSync("setpriv", [...OUTLIVE_NOBODY.slice(1), "true"]).status !== 0;

const running = new Set<ChildProcess>();
const folders = new Set<string>();
process.on("exit", () => {
  for (const child of running) signalGroup(child, "SIGKILL");
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => process.exit(1));

/** What a runtime says of its memory, in bytes. */
export interface MemoryAccount {
  readonly heapUsed: number;
  readonly external: number;
}

/** A server that accepts connections at `url`. */
export interface Server {
  readonly url: string;
  readonly pid: number;
  /** What the server has said so far: an account for every garbage collection it was asked for. */
  readonly memory: readonly MemoryAccount[];
  /** Why it does not run any more, in its own words; undefined while it does. */
  lastWords(): string | undefined;
  stop(): Promise<void>;
}

/**
 * Starts a server on a free port and waits until it listens. Rejects when that does not come in time, and when another
 * process than the one started does the listening: its CPU time would be missed.
 */
export async function startServer(launch: Launch, core: number): Promise<Server> {
  const port = await freePort();
  const folder = mkdtempSync(join(tmpdir(), "millrace-bench-"));
  folders.add(folder);
  const fill = (text: string): string =>
    text.replaceAll("{port}", String(port)).replaceAll("{folder}", folder);
  for (const [name, text] of Object.entries(launch.files ?? {})) {
    writeFileSync(join(folder, name), fill(text));
  }
  const child = start(launch.command.map(fill), core, launch.environment);
  const lastWords = (): string | undefined =>
    running.has(child.process) ? undefined : `the server has ended: ${child.errors.trim()}`;
  const stopAll = async (): Promise<void> => {
    await stop(child.process);
    rmSync(folder, { recursive: true, force: true });
    folders.delete(folder);
  };
  try {
    const pid = child.process.pid ?? 0;
    const memory: MemoryAccount[] = [];
    if (launch.url !== undefined) {
      await listening(child, port);
      return { url: fill(launch.url), pid, memory, lastWords, stop: stopAll };
    }
    const line = await firstLine(child, LISTENING, START_SECONDS, (text) => {
      const account = MEMORY.exec(text)?.[1];
      if (account !== undefined) memory.push(JSON.parse(account) as MemoryAccount);
    });
    const url = (LISTENING.exec(line)?.[1] ?? "").replace(UNSPECIFIED_HOST, LOOPBACK);
    if (!listensOn(pid, Number(new URL(url).port))) {
      throw new Error(
        `the process started does not listen on ${url} itself; name the program, not a wrapper`,
      );
    }
    return { url, pid, memory, lastWords, stop: stopAll };
  } catch (error) {
    await stopAll();
    throw error;
  }
}

/** Waits until `child` listens on `port`. */
async function listening(child: Child, port: number): Promise<void> {
  child.process.stdout?.resume();
  let failure: string | undefined;
  child.process.once("error", (error) => failure = error.message);
  const end = performance.now() + START_SECONDS * MILLISECONDS;
  const { pid } = child.process;
  while (failure === undefined && pid !== undefined && running.has(child.process)) {
    if (listensOn(pid, port)) return;
    if (performance.now() > end) failure = `it did not listen within ${START_SECONDS} s`;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  throw new Error(`${failure ?? "the process ended"}: ${child.errors.trim()}`);
}

/** Runs `command` and resolves with the first line it prints; it is ended after `seconds`. */
export async function runHelper(command: readonly string[], core: number, seconds: number): Promise<string> {
  const child = start(command, core);
  try {
    return await firstLine(child, /^/, seconds);
  } finally {
    await stop(child.process);
  }
}

interface Child {
  process: ChildProcess;
  errors: string;
}

function start(
  command: readonly string[],
  core: number,
  environment: Readonly<Record<string, string>> = {},
): Child {
  // Both replace themselves with the program, so the process id is the program's.
  const [program = "", ...rest] = [
    ...(canOutlive ? [] : OUTLIVE_NOBODY),
    ...(canPin ? ["taskset", "-c", String(core)] : []),
    ...command,
  ];
  const child: Child = {
    process: spawn(program, rest, {
      detached: true,
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, ...environment },
    }),
    errors: "",
  };
  running.add(child.process);
  child.process.once("exit", () => running.delete(child.process));
  child.process.stderr?.on("data", (text: unknown) => {
    child.errors = (child.errors + String(text)).slice(-KEPT_CHARACTERS);
  });
  return child;
}

/** The first line of standard output that matches; `later` gets all of them, also the later ones. */
function firstLine(
  child: Child,
  pattern: RegExp,
  seconds: number,
  later: (line: string) => void = () => {},
): Promise<string> {
  return new Promise((resolve, reject) => {
    const fail = (what: string): void => {
      clearTimeout(timer);
      reject(new Error(`${what}${child.errors && `: ${child.errors.trim()}`}`));
    };
    const timer = setTimeout(() => fail(`nothing came within ${seconds} s`), seconds * MILLISECONDS);
    let text = "";
    child.process.once("error", (error) => fail(error.message));
    child.process.once("close", (code, signal) => fail(`the process ended (${signal ?? code})`));
    child.process.stdout?.on("data", (chunk: unknown) => {
      text += String(chunk);
      const lines = text.split("\n");
      text = lines.pop() ?? "";
      lines.forEach(later);
      const line = lines.find((candidate) => pattern.test(candidate));
      if (line === undefined) return;
      clearTimeout(timer);
      resolve(line);
    });
  });
}

async function stop(child: ChildProcess): Promise<void> {
  if (!running.has(child) || child.pid === undefined) return;
  const exited = once(child, "exit");
  signalGroup(child, "SIGTERM");
  const timer = setTimeout(() => signalGroup(child, "SIGKILL"), STOP_SECONDS * MILLISECONDS);
  await exited;
  clearTimeout(timer);
}

/** A child leads a process group of its own: what it has started, if anything, ends with it. */
function signalGroup(child: ChildProcess, signal: "SIGTERM" | "SIGKILL"): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, signal);
  } catch {
    // It has just ended by itself, and its `exit` is on the way.
  }
}

/** A port that nobody listens on now. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}
