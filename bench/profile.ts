/**
 * `npm run bench:profile`: why a contender is as fast as it is. It echoes under load while perf counts its system calls
 * and samples whose code runs, and once more under its runtime's own profiler. It must never judge.
 */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { runHelper, startServer } from "./child.ts";
import { runtimes } from "./contender.ts";
import type { Launch } from "./contender.ts";
import { contenderNamed } from "./contenders.ts";
import { environmentOf } from "./environment.ts";
import type { Outcome } from "./load/job.ts";
import type { Evidence, FunctionTimes, Observation } from "./profile/evidence.ts";
import { countSystemCalls, sampleTime, whyNoPerf } from "./profile/perf.ts";
import { topSelfTimes } from "./profile/self_time.ts";
import type { Cell } from "./result.ts";
import { jobOf, LOAD_CORE, loadCommand, SERVER_CORE, setupOf, warnIfNotPinned } from "./run.ts";

const HELP = `Shows where contenders spend their time while they echo: evidence for a report.

npm run bench:profile -- [--out FILE] [--seconds S]

  --out FILE    where the evidence goes; default bench/results/evidence.json.
                npm run bench:report -- RESULTS --evidence FILE puts it into a report
  --seconds S   how long each contender is looked at; default 2

System calls and time shares come from Linux's perf (linux-perf), which needs root; times of functions come from the
runtimes' own profilers.
`;

/** Of ours, their native counterparts, and what Node has otherwise. */
const OBSERVED = [
  ...["engine-ts-node", "uws-bare", "ws", "tcp-node"],
  ...["engine-ts-bun", "bun-bare", "tcp-bun", "engine-ts-deno", "deno-bare"],
];
const IN_FLIGHT = [1, 8];
/** With functions of JavaScript to look at, on runtimes that profile them. */
const PROFILED = ["engine-ts-node", "engine-ts-bun", "ws"];
const PROFILED_IN_FLIGHT = 8;
const TOP_FUNCTIONS = 10;

const CONNECTIONS = 64;
const PAYLOAD_BYTES = 128;
/** Until code is compiled. */
const WARMUP_SECONDS = 1;
/** Time for a job beyond its windows. */
const SLACK_SECONDS = 15;
const MILLISECONDS = 1e3;
const WRONG_USE = 2;

function cellOf(inFlight: number): Cell {
  const payload = { payloadBytes: PAYLOAD_BYTES, binary: false, content: "random" };
  return {
    workload: "echo",
    parameters: { connections: CONNECTIONS, inFlight, ...payload, deflate: "off", tls: false },
  };
}

/** Starts a contender, loads it, and looks at its process in the middle of the measured window. */
async function underLoad(
  { launch, name, cell, seconds }: { launch: Launch; name: string; cell: Cell; seconds: number },
  look: (pid: number) => Promise<void>,
): Promise<Outcome> {
  const server = await startServer(launch, SERVER_CORE);
  try {
    const options = { warmupSeconds: WARMUP_SECONDS, seconds, load: "bun" } as const;
    const protocol = launch.protocol ?? contenderNamed(name).protocol;
    const job = jobOf(cell, options, { protocol, url: server.url, serverPid: server.pid, collects: false });
    const answer = runHelper(loadCommand("bun", job), LOAD_CORE, WARMUP_SECONDS + seconds + SLACK_SECONDS);
    const looking = pause(WARMUP_SECONDS + seconds / 4).then(() => look(server.pid));
    const [text] = await Promise.all([answer, looking]);
    const outcome = JSON.parse(text) as Outcome;
    if (outcome.failures.length > 0) throw new Error(`${name}: ${outcome.failures.join("; ")}`);
    return outcome;
  } finally {
    await server.stop();
  }
}

function pause(seconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, seconds * MILLISECONDS));
}

function launchOf(name: string, cell: Cell): Launch {
  const launch = contenderNamed(name).launch(setupOf(cell));
  if (typeof launch === "string") throw new Error(`${name}: ${launch}`);
  return launch;
}

async function observe(
  name: string,
  inFlight: number,
  seconds: number,
  folder: string,
): Promise<Observation> {
  const cell = cellOf(inFlight);
  let calls = { read: 0, write: 0, wait: 0, other: 0 };
  let timeShares = { kernel: 0, compiled: 0, native: 0 };
  const lookSeconds = seconds / 2;
  const outcome = await underLoad({ launch: launchOf(name, cell), name, cell, seconds }, async (pid) => {
    [calls, timeShares] = await Promise.all([
      countSystemCalls(pid, lookSeconds),
      sampleTime(pid, lookSeconds, folder),
    ]);
  });
  const messagesPerSecond = (outcome.throughput?.messages ?? 0) / (outcome.throughput?.seconds ?? 1);
  const perMessage = (count: number): number => count / lookSeconds / messagesPerSecond;
  return {
    ...{ contender: name, inFlight, messagesPerSecond, timeShares },
    systemCallsPerMessage: {
      read: perMessage(calls.read),
      write: perMessage(calls.write),
      wait: perMessage(calls.wait),
      // Events are counted one after the other: the sum may be smaller than its parts.
      other: Math.max(0, perMessage(calls.other)),
    },
  };
}

const EXIT_FILE = fileURLToPath(new URL("./contenders/exit.ts", import.meta.url));

/** The same server under its runtime's profiler, which writes into `folder` when the server ends. */
function profiled(launch: Launch, folder: string): Launch {
  const [program = "", ...rest] = launch.command;
  const preload = program === runtimes.bun ? "--preload" : "--import";
  // What loads TypeScript on Node must come before what is TypeScript.
  const at = program === runtimes.bun ? 0 : rest.findIndex((arg) => arg.endsWith(".ts"));
  const flags = ["--cpu-prof", "--cpu-prof-dir", folder, ...rest.slice(0, at), preload, EXIT_FILE];
  return { ...launch, command: [program, ...flags, ...rest.slice(at)] };
}

async function profile(name: string, seconds: number): Promise<FunctionTimes> {
  const cell = cellOf(PROFILED_IN_FLIGHT);
  const folder = mkdtempSync(join(tmpdir(), "millrace-profile-"));
  try {
    const launch = profiled(launchOf(name, cell), folder);
    await underLoad({ launch, name, cell, seconds }, () => Promise.resolve());
    const [file] = readdirSync(folder).filter((entry) => entry.endsWith(".cpuprofile"));
    if (file === undefined) throw new Error(`${name}: its runtime wrote no profile`);
    const top = topSelfTimes(readFileSync(join(folder, file), "utf8"), TOP_FUNCTIONS, seconds);
    return { contender: name, inFlight: PROFILED_IN_FLIGHT, top };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function observeAll(seconds: number): Promise<Observation[]> {
  const missing = whyNoPerf();
  if (missing !== undefined) {
    console.error(`NOT OBSERVED: system calls and time shares: ${missing}`);
    return [];
  }
  const folder = mkdtempSync(join(tmpdir(), "millrace-perf-"));
  const observations: Observation[] = [];
  try {
    for (const inFlight of IN_FLIGHT) {
      for (const name of OBSERVED) {
        const observation = await observe(name, inFlight, seconds, folder);
        observations.push(observation);
        const { read, write, wait, other } = observation.systemCallsPerMessage;
        const { kernel, compiled, native } = observation.timeShares;
        const percent = (share: number): string => `${(share * 100).toFixed(0)} %`;
        console.log(
          `${name}, ${inFlight} in flight: ${
            (read + write + wait + other).toFixed(2)
          } system calls a message; ` +
            `time in the kernel ${percent(kernel)}, compiled ${percent(compiled)}, native ${percent(native)}`,
        );
      }
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return observations;
}

async function main(args: string[]): Promise<void> {
  const { values } = parseArgs({
    args,
    options: {
      out: { type: "string", default: fileURLToPath(new URL("./results/evidence.json", import.meta.url)) },
      seconds: { type: "string", default: "2" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return console.log(HELP);
  const seconds = Number(values.seconds);
  if (!(seconds > 0 && Number.isFinite(seconds))) {
    throw new RangeError(`--seconds ${values.seconds}: expected a positive number`);
  }
  warnIfNotPinned();
  const observations = await observeAll(seconds);
  const functions: FunctionTimes[] = [];
  for (const name of PROFILED) functions.push(await profile(name, seconds));
  const options = { warmupSeconds: WARMUP_SECONDS, seconds, load: "bun" } as const;
  const { command, commit } = environmentOf([], options, "bench:profile");
  const evidence: Evidence = {
    ...{ command, commit },
    ...{ connections: CONNECTIONS, payloadBytes: PAYLOAD_BYTES, observations, functions },
  };
  mkdirSync(dirname(values.out), { recursive: true });
  writeFileSync(values.out, `${JSON.stringify(evidence, undefined, 2)}\n`);
  console.log(`${values.out}: ${observations.length} observations, ${functions.length} profiles`);
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof RangeError || error instanceof TypeError)) throw error;
  console.error(`bench:profile: ${error.message}\n\n${HELP}`);
  process.exitCode = WRONG_USE;
}
