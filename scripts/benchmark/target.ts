/**
 * Which server is measured: where it is, what it speaks, and which processes of this machine it is.
 * It must never know what is measured.
 */
import { existsSync } from "node:fs";
import process from "node:process";
import { Connection } from "../../bench/load/connection.ts";
import type { Owner } from "../../bench/load/connection.ts";
import { UpgradeRefused } from "../../bench/load/faults.ts";
import type { Job, Protocol } from "../../bench/load/job.ts";
import { commandName, cpuSeconds, listenersOn } from "../../bench/proc.ts";

/** How long a Millrace server may take to say `welcome`; a plain echo server never does. */
const WELCOME_MS = 1_500;
/** How long the first connection may take. */
const CONNECT_MS = 10_000;

/** Whether a host of a URL is this machine, whatever the network does. */
export function isLoopback(host: string): boolean {
  return /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/.test(host);
}

/** A URL without what may be secret in it: a token in the query, a password. */
export function shownUrl({ protocol, host, pathname }: URL): string {
  return `${protocol}//${host}${pathname}`;
}

/** The server does not let us in, or is not there. */
export class Unreachable extends Error {}

const silent: Owner = { progressed() {}, inspect() {}, failed() {} };

/**
 * Finds out whether `job.url` is a Millrace server, by its greeting. Rejects with {@link Unreachable} when no WebSocket
 * connection can be had.
 */
export async function recognise(job: Job): Promise<"millrace" | "echo"> {
  await attempt({ ...job, protocol: "bare" }, CONNECT_MS);
  try {
    await attempt({ ...job, protocol: "millrace" }, WELCOME_MS);
    return "millrace";
  } catch (error) {
    if (!(error instanceof Unreachable)) throw error;
    return "echo";
  }
}

/** Opens one connection as `job` has it and ends it. Rejects with {@link Unreachable}. */
export async function attempt(job: Job, mostMs = CONNECT_MS): Promise<void> {
  const connection = new Connection(job, 0, silent);
  let timer: ReturnType<typeof setTimeout> | undefined;
  try {
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`no answer within ${mostMs} ms`)), mostMs);
    });
    await Promise.race([connection.open(), late]);
  } catch (error) {
    throw new Unreachable(`${shownUrl(new URL(job.url))}: ${explain(error as Error & { code?: string })}`);
  } finally {
    clearTimeout(timer);
    connection.end();
  }
}

function explain(error: Error & { code?: string }): string {
  if (!(error instanceof UpgradeRefused)) return error.message || error.code || "the connection failed";
  const hints: Readonly<Record<number, string>> = {
    401: "; a token goes into --token",
    403: "; an Origin goes into --header 'Origin: https://…'",
    404: "; is the path right?",
    429: "; the server limits connections or handshakes of one address",
    503: "; the server takes no more connections now",
  };
  return error.message + (hints[error.status] ?? "");
}

/** The protocol of bench/load for what the options ask. */
export function protocolOf(kind: "millrace" | "echo", format: "json" | "msgpack"): Protocol {
  if (kind === "echo") return "bare";
  return format === "json" ? "millrace" : "millrace-msgpack";
}

/** The processes that are measured, or why there are none. */
export type ServerProcesses =
  | { readonly pids: readonly number[]; readonly command: string }
  | { readonly omitted: string };

/**
 * The processes behind `url`: those of `pids`, or without any those on this machine that listen on its port.
 * @throws RangeError when one of `pids` is no process that can be measured
 */
export function serverProcesses(url: URL, pids: readonly number[]): ServerProcesses {
  if (!existsSync("/proc/self/stat")) {
    if (pids.length > 0) throw new RangeError("--pid: this system has no /proc to read a process from");
    return { omitted: "this system has no /proc" };
  }
  for (const pid of pids) {
    try {
      cpuSeconds(pid);
    } catch {
      throw new RangeError(`--pid ${pid}: there is no such process on this machine`);
    }
  }
  if (pids.length > 0) return { pids, command: describe(pids) };
  if (!isLoopback(url.hostname)) return { omitted: "the server is on another machine" };
  const port = Number(url.port) || (url.protocol === "wss:" ? 443 : 80);
  const found = listenersOn(port).filter((pid) => pid !== process.pid);
  if (found.length > 0) return { pids: found, command: describe(found) };
  return { omitted: `no process that listens on port ${port} may be looked into; name it with --pid` };
}

function describe(pids: readonly number[]): string {
  return [...new Set(pids.map(commandName))].join(", ");
}
