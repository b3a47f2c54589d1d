/**
 * Where a CPU profile says that time went: the functions with the most time of their own.
 * It reads the `.cpuprofile` that V8 and Bun write; it must never know whose profile it is.
 */
import type { SelfTime } from "./evidence.ts";

/** The part of a profile that is read (DevTools protocol, Profiler.Profile). */
interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
  }[];
  readonly samples: readonly number[];
  readonly timeDeltas?: readonly number[];
}

const IDLE = new Set(["(idle)", "(root)"]);

const MICROSECONDS = 1e6;

/**
 * The functions with the most time of their own in the last seconds of a profile (before them, a server starts), the
 * first one first. Throws a RangeError when it is no profile.
 */
export function topSelfTimes(text: string, count: number, lastSeconds = Infinity): SelfTime[] {
  const { nodes, samples, timeDeltas } = JSON.parse(text) as Partial<CpuProfile>;
  if (nodes === undefined || samples === undefined) throw new RangeError("not a CPU profile");
  const byId = new Map(nodes.map((node) => [node.id, node.callFrame]));
  const times = new Map<string, SelfTime>();
  let left = (timeDeltas ?? []).reduce((sum, delta) => sum + delta, 0);
  let total = 0;
  for (const [at, id] of samples.entries()) {
    const frame = byId.get(id);
    const time = timeDeltas?.[at] ?? 1;
    left -= time;
    if (left > lastSeconds * MICROSECONDS) continue;
    if (frame === undefined || IDLE.has(frame.functionName) || time <= 0) continue;
    total += time;
    const functionName = frame.functionName || "(anonymous)";
    const place = placeOf(frame.url, frame.lineNumber);
    const key = `${functionName}\n${place}`;
    times.set(key, { functionName, place, share: (times.get(key)?.share ?? 0) + time });
  }
  return [...times.values()]
    .sort((a, b) => b.share - a.share)
    .slice(0, count)
    .map((own) => ({ ...own, share: own.share / total }));
}

/** From the last folder that says whose code it is. */
const PROJECT_PART = /(?:^|\/)((?:node_modules|server|bench)\/.*)$/;

function placeOf(url: string, lineNumber: number): string {
  if (url === "" || url === "[native code]") return "native code";
  if (url.startsWith("node:")) return url;
  const path = PROJECT_PART.exec(url)?.[1] ?? url.slice(url.lastIndexOf("/") + 1);
  // What tsx has compiled is one long line.
  return lineNumber > 0 ? `${path}:${lineNumber + 1}` : path;
}
