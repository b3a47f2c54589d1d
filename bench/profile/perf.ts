/**
 * Linux's perf, asked about a running process: how many system calls it makes, and in whose code it spends its time.
 * Needs root, or a kernel.perf_event_paranoid of -1. It must never know what the process is.
 */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { findProgram } from "../../scripts/debian.ts";
import type { SystemCalls, TimeShares } from "./evidence.ts";

const run = promisify(execFile);

/** Where the kernel lists what it can count; mounted by perf's users, not by every system. */
const TRACE_POINTS = "/sys/kernel/tracing/events/syscalls";
const SAMPLES_PER_SECOND = 997;
const MOST_OUTPUT_BYTES = 16 * 1024 * 1024;

const KINDS: Readonly<Record<string, keyof SystemCalls>> = {
  read: "read",
  readv: "read",
  recvfrom: "read",
  recvmsg: "read",
  write: "write",
  writev: "write",
  sendto: "write",
  sendmsg: "write",
  sendmmsg: "write",
  epoll_wait: "wait",
  epoll_pwait: "wait",
  epoll_pwait2: "wait",
};
const ALL = "raw_syscalls:sys_enter";

/** In words, why perf cannot be asked here; undefined when it can. */
export function whyNoPerf(): string | undefined {
  if (findProgram("perf") === undefined) return "missing: apt-get install linux-perf";
  if (existsSync(TRACE_POINTS)) return undefined;
  return "the kernel shows no trace points: mount -t tracefs tracefs /sys/kernel/tracing";
}

/** System calls that all threads of `pid` make in so many seconds, by kind. */
export async function countSystemCalls(pid: number, seconds: number): Promise<SystemCalls> {
  const events = [ALL, ...Object.keys(KINDS).map((name) => `syscalls:sys_enter_${name}`)];
  const { stderr } = await run("perf", [
    ...["stat", "-x", ",", "-p", String(pid), "-e", events.join(",")],
    ...["--", "sleep", String(seconds)],
  ]);
  return systemCallsOf(stderr);
}

/** Reads what `perf stat -x ,` prints: the count first, the event third. */
export function systemCallsOf(text: string): SystemCalls {
  const calls = { read: 0, write: 0, wait: 0, other: 0 };
  for (const line of text.split("\n")) {
    const [count = "", , event = ""] = line.split(",");
    // `<not counted>` stands where nothing happened.
    const number = Number(count) || 0;
    if (event === ALL) calls.other += number;
    const kind = KINDS[event.replace("syscalls:sys_enter_", "")];
    if (kind === undefined) continue;
    calls[kind] += number;
    calls.other -= number;
  }
  return calls;
}

/** Whose code all threads of `pid` run, sampled for so many seconds; `folder` takes perf's own file. */
export async function sampleTime(pid: number, seconds: number, folder: string): Promise<TimeShares> {
  const file = join(folder, "perf.data");
  await run("perf", [
    ...["record", "-q", "-o", file, "-e", "cpu-clock", "-F", String(SAMPLES_PER_SECOND), "-p", String(pid)],
    ...["--", "sleep", String(seconds)],
  ]);
  const { stdout } = await run("perf", ["report", "-i", file, "--stdio", "--sort", "dso", "-w", "200"], {
    maxBuffer: MOST_OUTPUT_BYTES,
  });
  return timeSharesOf(stdout);
}

const SHARE = /^\s*([\d.]+)%\s+(\S.*?)\s*$/;
const KERNEL = /^\[(?:kernel|vdso|vvar|guest)|\.ko\b/;
const COMPILED = /^\[JIT\]|perf-\d+\.map|^\/\/anon|^\[unknown\]|^anon|memfd|jit/i;

/** Reads what `perf report --sort dso` prints. */
export function timeSharesOf(text: string): TimeShares {
  const shares = { kernel: 0, compiled: 0, native: 0 };
  for (const line of text.split("\n")) {
    const [, percent, object = ""] = SHARE.exec(line) ?? [];
    if (percent === undefined) continue;
    const whose = KERNEL.test(object) ? "kernel" : COMPILED.test(object) ? "compiled" : "native";
    shares[whose] += Number(percent);
  }
  const total = shares.kernel + shares.compiled + shares.native;
  if (total === 0) throw new RangeError("perf has taken no samples");
  return {
    kernel: shares.kernel / total,
    compiled: shares.compiled / total,
    native: shares.native / total,
  };
}
