/**
 * Reads clocks and counters of the machine, of the server's processes and of this one, and says what passed between two
 * readings. It must never know what was done in between.
 */
import { cpus } from "node:os";
import process from "node:process";
import { cpuSeconds, residentBytes, threadCpuSeconds } from "../../bench/proc.ts";

const MICROSECONDS = 1e6;
const MILLISECONDS = 1e3;

interface ServerReading {
  readonly cpuSeconds: number;
  readonly threads: ReadonlyMap<number, number>;
  readonly residentBytes: number;
}

/** Counters at one moment. */
export interface Reading {
  readonly seconds: number;
  readonly loadCpuSeconds: number;
  readonly machineBusyMs: number;
  readonly machineMs: number;
  /** Undefined when there is no process to read. */
  readonly server: ServerReading | undefined;
}

/** What passed between two readings. Shares of one CPU, where nothing else is said. */
export interface Usage {
  readonly seconds: number;
  /** CPU time of this process. */
  readonly loadShare: number;
  /** Of all CPUs of this machine, by whatever runs on it: 0 to 1. */
  readonly machineShare: number;
  /** How many this machine has. */
  readonly cpus: number;
  readonly server?: {
    /** CPU time of all processes and threads. */
    readonly cpuShare: number;
    /** That of the busiest thread: what is single-threaded can have no more than 1. */
    readonly busiestThreadShare: number;
    /** Resident memory at the end, in bytes. */
    readonly residentBytes: number;
  };
}

/** Reads the counters of `pids` and of this process. A process that has ended makes `server` undefined. */
export function readMeter(pids: readonly number[]): Reading {
  const own = process.cpuUsage();
  const { busyMs, allMs } = machineTimes();
  return {
    seconds: performance.now() / MILLISECONDS,
    loadCpuSeconds: (own.user + own.system) / MICROSECONDS,
    machineBusyMs: busyMs,
    machineMs: allMs,
    server: readServer(pids),
  };
}

function readServer(pids: readonly number[]): ServerReading | undefined {
  if (pids.length === 0) return undefined;
  try {
    return {
      cpuSeconds: sum(pids.map(cpuSeconds)),
      threads: new Map(pids.flatMap((pid) => [...threadCpuSeconds(pid)])),
      residentBytes: sum(pids.map(residentBytes)),
    };
  } catch {
    return undefined; // it has ended, which the connections tell
  }
}

function machineTimes(): { busyMs: number; allMs: number } {
  let idleMs = 0;
  let allMs = 0;
  for (const { times } of cpus()) {
    idleMs += times.idle;
    allMs += times.idle + times.user + times.sys + times.nice + times.irq;
  }
  return { busyMs: allMs - idleMs, allMs };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

/** What passed from `start` to `end`. */
export function usageBetween(start: Reading, end: Reading): Usage {
  const seconds = end.seconds - start.seconds;
  const machineMs = end.machineMs - start.machineMs;
  return {
    seconds,
    loadShare: (end.loadCpuSeconds - start.loadCpuSeconds) / seconds,
    machineShare: machineMs > 0 ? (end.machineBusyMs - start.machineBusyMs) / machineMs : 0,
    cpus: cpus().length,
    ...(start.server !== undefined && end.server !== undefined && {
      server: serverUsage(start.server, end.server, seconds),
    }),
  };
}

function serverUsage(start: ServerReading, end: ServerReading, seconds: number) {
  const threads = [...end.threads].map(([thread, cpu]) => cpu - (start.threads.get(thread) ?? 0));
  return {
    cpuShare: (end.cpuSeconds - start.cpuSeconds) / seconds,
    busiestThreadShare: Math.max(0, ...threads) / seconds,
    residentBytes: end.residentBytes,
  };
}
