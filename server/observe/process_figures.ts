/**
 * What the process uses: CPU, memory, file descriptors. The same figures on Node, Bun and Deno; one that cannot be had
 * here is undefined. It knows nothing of what the server does.
 */
import { readdirSync, readFileSync, statSync } from "node:fs";
import process from "node:process";

/** The use of memory at one moment. */
export interface MemoryFigures {
  readonly residentBytes: number;
  readonly heapTotalBytes: number;
  readonly heapUsedBytes: number;
  /** Memory outside the heap that objects in it hold: buffers above all. */
  readonly externalBytes: number;
}

/** The use of resources at one moment. */
export interface ProcessFigures {
  readonly userCpuSeconds: number;
  readonly systemCpuSeconds: number;
  /** Cannot be read on Linux when no file descriptor is left. */
  readonly memory: MemoryFigures | undefined;
  /** Linux only. */
  readonly openFileDescriptors: number | undefined;
}

const MICROSECONDS = 1e6;

/** Reads the figures: about 10 µs, but on Linux before 6.2 more with every open descriptor. */
export function readProcessFigures(): ProcessFigures {
  const cpu = process.cpuUsage();
  return {
    userCpuSeconds: cpu.user / MICROSECONDS,
    systemCpuSeconds: cpu.system / MICROSECONDS,
    memory: readMemory(),
    openFileDescriptors: countFileDescriptors(),
  };
}

function readMemory(): MemoryFigures | undefined {
  try {
    const { rss, heapTotal, heapUsed, external } = process.memoryUsage();
    return {
      residentBytes: rss,
      heapTotalBytes: heapTotal,
      heapUsedBytes: heapUsed,
      externalBytes: external,
    };
  } catch {
    return undefined; // It opens a file of /proc: connections may have taken the last descriptor.
  }
}

function countFileDescriptors(): number | undefined {
  try {
    // Since Linux 6.2 the size of this folder is their number; before, it was 0.
    const { size } = statSync("/proc/self/fd");
    return size > 0 ? size : readdirSync("/proc/self/fd").length;
  } catch {
    return undefined; // No /proc, or it may not be read: the figure is left out.
  }
}

/** How many file descriptors the process may have open; undefined when unlimited or unknown. Linux only. */
export function maxFileDescriptors(): number | undefined {
  try {
    const [, soft] = /^Max open files\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8")) ?? [];
    return soft === undefined ? undefined : Number(soft);
  } catch {
    return undefined; // As above.
  }
}
