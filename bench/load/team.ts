/**
 * One job done by several processes at once, for a server that one of them cannot keep busy. The first process is the leader:
 * it forks the others, lets all begin together once everybody is connected, and adds up what they counted.
 * It must never know how a share is worked through.
 */
import { type ChildProcess, fork, spawnSync } from "node:child_process";
import process from "node:process";
import { fileURLToPath } from "node:url";
import type { Job, Outcome, Window, Workload } from "./job.ts";
import { run } from "./work.ts";

/** Those whose connections know nothing of each other, or of their room only. */
const SHARED: readonly Workload[] = ["echo", "rooms", "storm"];

const GO = "go";
const READY = "ready";

/** The shares of a job, at most one for each core, which together are the job. A room is in one share. */
export function sharesOf(job: Job): Job[] {
  if (!SHARED.includes(job.workload)) return [job];
  const isStorm = job.workload === "storm";
  const unit = job.workload === "rooms" ? job.roomSize : 1;
  const total = isStorm ? job.inFlight : job.connections;
  const units = Math.ceil(total / unit);
  const size = Math.max(1, Math.min(job.cores.length, units));
  const edge = (at: number): number => Math.min(total, Math.round(units * at / size) * unit);
  return Array.from({ length: size }, (_, at): Job => {
    const [from, count] = [edge(at), edge(at + 1) - edge(at)];
    const share = isStorm ? { inFlight: count } : { connections: count, firstIndex: from };
    return { ...job, cores: job.cores.slice(at, at + 1), ...share };
  });
}

/** Does a job with a process for each of its cores. Never rejects. */
export async function lead(job: Job): Promise<Outcome> {
  const [own, ...others] = sharesOf(job) as [Job, ...Job[]]; // there is at least one
  const members = others.map(startMember);
  const outcome = await run(own, async () => {
    await Promise.all(members.map(({ ready }) => ready));
    for (const { child } of members) child.send(GO);
  });
  // Of a leader who failed before the beginning the others would wait for ever.
  const outcomes = outcome.failures.length > 0
    ? [outcome]
    : [outcome, ...await Promise.all(members.map((member) => member.outcome))];
  for (const { child } of members) child.kill("SIGKILL");
  return addUp(outcomes);
}

interface Member {
  readonly child: ChildProcess;
  /** Rejects when it ends before. */
  readonly ready: Promise<void>;
  readonly outcome: Promise<Outcome>;
}

function startMember(part: Job): Member {
  const child = fork(fileURLToPath(new URL("./main.ts", import.meta.url)), [JSON.stringify(part)]);
  const outcome = new Promise<Outcome>((resolve) => {
    child.on("message", (message) => message !== READY && resolve(message as Outcome));
    child.once("error", ({ message }) => resolve({ failures: [`a load process failed: ${message}`] }));
    child.once("exit", (code, signal) => resolve({ failures: [`a load process ended (${signal ?? code})`] }));
  });
  const ready = new Promise<void>((resolve, reject) => {
    child.on("message", (message) => message === READY && resolve());
    void outcome.then(({ failures }) => reject(new Error(failures[0])));
  });
  ready.catch(() => {}); // the leader may have failed before it waits
  return { child, ready, outcome };
}

/** Does a part of a job in step with the leader, and tells him the outcome. */
export async function follow(part: Job): Promise<void> {
  process.once("disconnect", () => process.exit(1));
  // A core that the machine does not have leaves it on the leader's.
  spawnSync("taskset", ["-apc", String(part.cores[0]), String(process.pid)]);
  const told = new Promise<void>((resolve) => process.once("message", () => resolve()));
  const outcome = await run(part, async () => {
    process.send?.(READY);
    await told;
  });
  process.send?.(outcome);
}

/** The windows are of one length and begin together; the server's CPU time is read by the leader. */
function addUp(outcomes: readonly Outcome[]): Outcome {
  const failures = outcomes.flatMap((outcome) => outcome.failures);
  const [first] = outcomes;
  const throughputs = outcomes.flatMap(({ throughput }) => throughput ?? []);
  const storms = outcomes.flatMap(({ storm }) => storm ?? []);
  return {
    ...first,
    failures,
    ...first?.throughput && {
      throughput: {
        ...first.throughput,
        ...loadOf(throughputs),
        messages: sum(throughputs.map(({ messages }) => messages)),
        inspected: sum(throughputs.map(({ inspected }) => inspected)),
        deliveryRatio: Math.min(...throughputs.map(({ deliveryRatio }) => deliveryRatio)),
      },
    },
    ...first?.storm && {
      storm: {
        ...first.storm,
        ...loadOf(storms),
        handshakes: sum(storms.map(({ handshakes }) => handshakes)),
      },
    },
  };
}

function loadOf(windows: readonly Window[]): Pick<Window, "loadCpuSeconds" | "loadProcesses"> {
  return {
    loadCpuSeconds: sum(windows.map(({ loadCpuSeconds }) => loadCpuSeconds)),
    loadProcesses: windows.length,
  };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
