/**
 * Child processes, each pinned to a core: a server that is to be measured, and a helper that prints one line.
 * Only processes started here are ever ended. It must never know what is measured.
 */
import { spawn, spawnSync } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { cpus } from "node:os";
import process from "node:process";
import { listensOn } from "./proc.ts";

const START_SECONDS = 20;
/** How long a server may take to stop by itself. */
const STOP_SECONDS = 3;
const LISTENING = /listening on ((?:ws|tcp):\/\/\S+)/;
const UNSPECIFIED_HOST = /\/\/(0\.0\.0\.0|\[::\]|localhost)/;
const LOOPBACK = "//127.0.0.1";
/** Of what a child says on its error output, the end is kept. */
const KEPT_CHARACTERS = 2000;
const MILLISECONDS = 1e3;

/** Whether processes can be pinned: two cores and `taskset`. */
export const canPin: boolean = cpus().length > 1 && spawnSync("taskset", ["-V"]).status === 0;

const running = new Set<ChildProcess>();
process.on("exit", () => {
  for (const child of running) signalGroup(child, "SIGKILL");
});
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => process.exit(1));

/** A server that accepts connections at `url`. */
export interface Server {
  url: string;
  pid: number;
  stop(): Promise<void>;
}

/**
 * Starts `command` with its `{port}` replaced and waits for its `listening on …`. Rejects when it says nothing of the
 * kind in time, and when another process than the one started does the listening: its CPU time would be missed.
 */
export async function startServer(command: readonly string[], core: number): Promise<Server> {
  const port = await freePort();
  const child = start(command.map((word) => word.replaceAll("{port}", String(port))), core);
  try {
    const line = await firstLine(child, LISTENING, START_SECONDS);
    const url = (LISTENING.exec(line)?.[1] ?? "").replace(UNSPECIFIED_HOST, LOOPBACK);
    const pid = child.process.pid ?? 0;
    if (!listensOn(pid, Number(new URL(url).port))) {
      throw new Error(
        `the process started does not listen on ${url} itself; name the program, not a wrapper`,
      );
    }
    return { url, pid, stop: () => stop(child.process) };
  } catch (error) {
    await stop(child.process);
    throw error;
  }
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

function start(command: readonly string[], core: number): Child {
  // taskset replaces itself with the program, so the process id is the program's.
  const [program = "", ...rest] = canPin ? ["taskset", "-c", String(core), ...command] : command;
  const child: Child = {
    process: spawn(program, rest, { detached: true, stdio: ["ignore", "pipe", "pipe"] }),
    errors: "",
  };
  running.add(child.process);
  child.process.once("exit", () => running.delete(child.process));
  child.process.stderr?.on("data", (text: unknown) => {
    child.errors = (child.errors + String(text)).slice(-KEPT_CHARACTERS);
  });
  return child;
}

/** The first line of standard output that matches; later output is read and dropped. */
function firstLine(child: Child, pattern: RegExp, seconds: number): Promise<string> {
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
  if (child.pid !== undefined) process.kill(-child.pid, signal);
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
