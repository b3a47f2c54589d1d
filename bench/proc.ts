/**
 * What Linux's /proc says about a process: its CPU time, its memory, the ports it listens on, the signals it handles.
 * It must never know what the process is for.
 */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";

/** Linux counts CPU time for user space in hundredths of a second, whatever the kernel's own tick. */
const TICKS_PER_SECOND = 100;
/** Fields of /proc/PID/stat after the command's name, from 0: `utime` and `stime`. */
const USER_TIME_FIELD = 11;
const SYSTEM_TIME_FIELD = 12;
const LISTENING = "0A";
const SOCKET_STATE_FIELD = 3;
const SOCKET_INODE_FIELD = 9;
const BYTES_PER_KIB = 1024;

/** User and system time of all threads of `pid`, in seconds. Children are not included. */
export function cpuSeconds(pid: number): number {
  return cpuSecondsIn(`/proc/${pid}/stat`);
}

/** User and system time of each thread of `pid`, in seconds, by the thread's id. */
export function threadCpuSeconds(pid: number): Map<number, number> {
  const threads = new Map<number, number>();
  for (const thread of readdirSync(`/proc/${pid}/task`).map(Number)) {
    try {
      threads.set(thread, cpuSecondsIn(`/proc/${pid}/task/${thread}/stat`));
    } catch {
      // It has ended since the folder was listed.
    }
  }
  return threads;
}

function cpuSecondsIn(file: string): number {
  const stat = readFileSync(file, "latin1");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[USER_TIME_FIELD]) + Number(fields[SYSTEM_TIME_FIELD])) / TICKS_PER_SECOND;
}

/** The name of what `pid` runs, of up to 15 characters. */
export function commandName(pid: number): string {
  return readFileSync(`/proc/${pid}/comm`, "utf8").trim();
}

/** Resident memory of `pid`, in bytes. */
export function residentBytes(pid: number): number {
  return Number(statusField(pid, "VmRSS").split(" ")[0]) * BYTES_PER_KIB;
}

/** Whether `pid` has a handler for signal `number`; sending it to one that has none may end it. */
export function handlesSignal(pid: number, number: number): boolean {
  const caught = BigInt(`0x${statusField(pid, "SigCgt")}`);
  return (caught >> BigInt(number - 1) & 1n) === 1n;
}

/** Whether `pid` itself, and not a child of it, has the socket that listens on TCP `port`. */
export function listensOn(pid: number, port: number): boolean {
  return hasSocket(pid, listeningSockets(port));
}

/** The processes that have a socket listening on TCP `port`, among those that this user may look into. */
export function listenersOn(port: number): number[] {
  const sockets = listeningSockets(port);
  if (sockets.size === 0) return [];
  const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name)).map(Number);
  return pids.filter((pid) => hasSocket(pid, sockets));
}

function listeningSockets(port: number): ReadonlySet<string> {
  return new Set([...listeningInodes("tcp", port), ...listeningInodes("tcp6", port)]);
}

function hasSocket(pid: number, sockets: ReadonlySet<string>): boolean {
  return fileDescriptors(pid).some((fd) => sockets.has(linkTarget(`/proc/${pid}/fd/${fd}`)));
}

function fileDescriptors(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/fd`);
  } catch {
    return []; // it has ended, or is somebody else's
  }
}

function statusField(pid: number, name: string): string {
  const status = readFileSync(`/proc/${pid}/status`, "latin1");
  const value = new RegExp(`^${name}:\\s*(.*)$`, "m").exec(status)?.[1];
  if (value === undefined) throw new Error(`/proc/${pid}/status has no ${name}`);
  return value;
}

function listeningInodes(table: "tcp" | "tcp6", port: number): string[] {
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  return readTable(table).map((line) => line.trim().split(/\s+/))
    .filter((fields) => fields[1]?.endsWith(suffix) && fields[SOCKET_STATE_FIELD] === LISTENING)
    .map((fields) => `socket:[${fields[SOCKET_INODE_FIELD]}]`);
}

function readTable(table: "tcp" | "tcp6"): string[] {
  try {
    return readFileSync(`/proc/net/${table}`, "latin1").split("\n").slice(1);
  } catch {
    return []; // a machine without IPv6 has no such table
  }
}

function linkTarget(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return ""; // closed since the directory was listed
  }
}
