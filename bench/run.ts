/**
 * One run: a fresh server on one core, one job for the load generator on another, one sample. Whatever goes wrong,
 * hanging included, is a sample with failures. It must never know why a cell is asked, nor what comes next.
 */
import { canPin, runHelper, startServer } from "./child.ts";
import type { MemoryAccount, Server } from "./child.ts";
import { runtimeCommand } from "./contender.ts";
import type { Contender, Setup } from "./contender.ts";
import { fileURLToPath } from "node:url";
import { findProgram } from "../scripts/debian.ts";
import { HOST } from "./contenders/settings.ts";
import { TOPIC } from "./load/fanout.ts";
import { defaultJob, WORKLOADS } from "./load/job.ts";
import type { Job, JobServer, Outcome } from "./load/job.ts";
import type { Cell, Sample } from "./result.ts";
import { toSample } from "./sample.ts";

/** The core that servers are pinned to, and the one of the load generator. */
export const SERVER_CORE = 0;
export const LOAD_CORE = 1;
/** What a run may take beyond its windows: connecting, draining, and memory becoming stable. */
const RUN_SLACK_SECONDS = 15;
const SLACK_CONNECTIONS_PER_SECOND = 200;
const SETTLING_SECONDS = 40;

/** How long a run measures, and what generates the load. */
export interface RunOptions {
  readonly warmupSeconds: number;
  readonly seconds: number;
  readonly load: "bun" | "node";
  /** Processes that share the load, each on a core of its own from {@link LOAD_CORE} on; 1 unless given. */
  readonly loadProcesses?: number;
}

/** What a server must be for a cell. */
export function setupOf({ workload, parameters }: Cell): Setup {
  return {
    workload,
    binary: parameters["binary"] === true,
    deflate: parameters["deflate"] === "on",
    tls: parameters["tls"] === true,
    traffic: trafficOf({ workload, parameters }),
    format: parameters["format"] === "msgpack" ? "msgpack" : "json",
    rates: parameters["rates"] === true,
    history: parameters["history"] === true,
    redisUrl: undefined,
  };
}

function trafficOf({ workload, parameters }: Cell): Setup["traffic"] {
  switch (workload) {
    case "echo":
      return "echo";
    case "latency":
      return parameters["traffic"] === "fanout" ? "fanout" : "echo";
    case "fanout":
    case "rooms":
    case "server":
      return "fanout";
    default:
      return Number(parameters["activeMessages"] ?? 0) > 0 ? "echo" : "none";
  }
}

/** What a `message` of the millrace protocol holds besides its data, with an offset of five digits. */
export const MESSAGE_FIELDS_BYTES: number =
  JSON.stringify({ type: "message", topic: TOPIC, data: "", offset: 10_000, epoch: "8letters" }).length;

/**
 * The payload of a cell's messages. With `wholeMessage` it is the whole message that arrives: Millrace's own gets so much
 * less data that its fields and data together come to it.
 */
function payloadBytesOf({ parameters }: Cell, { protocol }: JobServer): number {
  const bytes = Number(parameters["payloadBytes"] ?? defaultJob.payloadBytes);
  return parameters["wholeMessage"] === true && protocol === "millrace"
    ? bytes - MESSAGE_FIELDS_BYTES
    : bytes;
}

/** The job for a cell's parameters, on a server that runs. */
export function jobOf(
  cell: Cell,
  options: RunOptions,
  server: JobServer,
): Job {
  const { workload, parameters } = cell;
  const { subscribers, handshakes, seconds, deflate, wholeMessage: _, ...rest } = parameters;
  return {
    ...defaultJob,
    warmupSeconds: options.warmupSeconds,
    ...rest,
    payloadBytes: payloadBytesOf(cell, server),
    cores: Array.from({ length: options.loadProcesses ?? 1 }, (_, at) => LOAD_CORE + at),
    seconds: typeof seconds === "number" ? seconds : options.seconds,
    deflate: deflate === "on",
    ...(typeof subscribers === "number" && { connections: subscribers }),
    ...(typeof handshakes === "number" && { inFlight: handshakes }),
    workload: WORKLOADS.find((known) => known === workload) ?? "rooms",
    protocol: server.protocol,
    url: server.url,
    serverPid: server.serverPid,
    collects: server.collects,
  };
}

/** Takes one sample. Never rejects. */
export async function takeSample(
  cell: Cell,
  contender: Contender,
  run: number,
  options: RunOptions,
): Promise<Sample> {
  let memory: readonly MemoryAccount[] = [];
  let outcome: Outcome = { failures: [] };
  try {
    await withServer(cell, contender, async (server) => {
      const job = jobOf(cell, options, server);
      const answer = await runHelper(loadCommand(options.load, job), LOAD_CORE, mostSeconds(job));
      outcome = JSON.parse(answer) as Outcome;
      memory = server.memory;
      const lastWords = server.lastWords();
      if (lastWords !== undefined) outcome.failures.push(lastWords);
    });
  } catch (error) {
    outcome = { failures: [(error as Error).message] };
  }
  return toSample(cell, contender.name, run, outcome, memory);
}

/** A server as a job wants it described, and what it has said. */
export interface RunningServer extends JobServer, Pick<Server, "memory" | "lastWords"> {}

/** Starts a contender for a cell, with a broker where the cell has one, and stops it after `use`. */
export async function withServer(
  cell: Cell,
  contender: Contender,
  use: (server: RunningServer) => Promise<void>,
): Promise<void> {
  let redis: Server | undefined;
  let server: Server | undefined;
  try {
    if (cell.parameters["broker"] === "redis") redis = await startRedis();
    const redisUrl = redis?.url.replace("tcp:", "redis:");
    const launch = contender.launch({ ...setupOf(cell), redisUrl });
    if (typeof launch === "string") throw new Error(launch);
    server = await startServer(launch, SERVER_CORE);
    const { lastWords, memory, pid, url } = server;
    const protocol = launch.protocol ?? contender.protocol;
    // Programs of the system announce nothing, and give the signal a meaning of their own.
    const collects = launch.url === undefined;
    await use({ protocol, url, serverPid: pid, collects, memory, lastWords });
  } finally {
    await server?.stop();
    await redis?.stop();
  }
}

/** The command that runs the load generator. */
export function loadCommand(runtime: RunOptions["load"], job: Job): string[] {
  return [
    ...runtimeCommand(runtime),
    fileURLToPath(new URL("./load/main.ts", import.meta.url)),
    JSON.stringify(job),
  ];
}

/** After this the load generator hangs, or its server does. */
function mostSeconds({ connections, seconds, warmupSeconds, workload }: Job): number {
  const settling = workload === "idle" || workload === "churn" ? SETTLING_SECONDS : 0;
  return 2 * warmupSeconds + seconds + RUN_SLACK_SECONDS + connections / SLACK_CONNECTIONS_PER_SECOND +
    settling;
}

/** A Redis of the run's own, which shares the load generator's core: its CPU time is not the server's. */
async function startRedis(): Promise<Server> {
  const program = findProgram("redis-server");
  if (program === undefined) throw new Error("missing: apt-get install redis-server");
  return await startServer({
    command: [
      program,
      ...["--port", "{port}", "--bind", HOST, "--dir", "{folder}", "--save", "", "--appendonly", "no"],
    ],
    url: `tcp://${HOST}:{port}`,
  }, LOAD_CORE);
}

/** Says that figures are worth less than they seem, when server and load cannot be kept apart. */
export function warnIfNotPinned(): void {
  if (canPin) return;
  console.error("warning: not pinned (no taskset, or a single core); server and load share cores");
}
