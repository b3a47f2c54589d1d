/**
 * The command that measures contenders side by side: a fresh server for every run, runs interleaved, one workload.
 * It wires options, servers, the load generator and the table; it must never count a message itself.
 */
import { spawnSync } from "node:child_process";
import { appendFileSync, writeFileSync } from "node:fs";
import { cpus, release } from "node:os";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { canPin, runHelper, startServer } from "./child.ts";
import { BUILT_IN_NAMES, NODE_FLAGS, parseContender, runtimes } from "./contenders.ts";
import type { Contender } from "./contenders.ts";
import { TOPIC } from "./load/connection.ts";
import { WORKLOADS } from "./load/job.ts";
import type { Job, Outcome, Workload } from "./load/job.ts";
import { formatTable, summarize, toSample } from "./sample.ts";
import type { Sample } from "./sample.ts";

const SERVER_CORE = 0;
const LOAD_CORE = 1;
/** What a run may take beyond its window: connecting, draining, and memory becoming stable. */
const RUN_SLACK_SECONDS = 60;
const IDLE_CONNECTIONS = 5000;
const ECHO_CONNECTIONS = 64;
const USAGE_EXIT_CODE = 2;

const HELP = `Measures servers side by side, in messages per server-CPU-second.

node --import tsx bench/measure.ts --workload echo --contender bun-bare --contender ws

  --workload echo|fanout|idle   what the clients do
  --contender NAME              a built-in one: ${BUILT_IN_NAMES.join(", ")}
  --contender NAME=COMMAND      any server; {port} in COMMAND is replaced, and it prints "listening on ws://..."
  --contender NAME:PROTOCOL=... speaking bare (default), millrace or tcp; repeat --contender for more, the first
                                is what the others are compared with
  --runs 5                      runs per contender, each with a fresh server process
  --seconds 4                   the measured window; --warmup-seconds 1 goes before it
  --connections N               echo: 64; idle: 5000
  --subscribers 1000            fan-out: connections that receive every publication
  --in-flight 8                 messages under way: per connection, or publications
  --payload-bytes 64            --binary for binary messages instead of text
  --whole-message               --payload-bytes is the whole message that arrives: millrace contenders get so much
                                less data that their fields and data together come to it (a byte or two more or less)
  --load bun|node               what runs the load generator; bun is cheaper
  --json FILE                   the environment, every sample and the summaries, as JSON lines
`;

/** What a `message` of the millrace protocol holds besides its data, with an offset of five digits. */
const MESSAGE_FIELDS_BYTES =
  JSON.stringify({ type: "message", topic: TOPIC, data: "", offset: 10_000, epoch: "8letters" }).length;

interface Options {
  workload: Workload;
  contenders: Contender[];
  runs: number;
  jsonFile: string | undefined;
  loadCommand: string[];
  /** Whether the payload's size is that of the whole message, fields included. */
  wholeMessage: boolean;
  /** The job, but for what only a running server knows. */
  job: Omit<Job, "protocol" | "url" | "serverPid">;
}

/** Reads the command line. Throws a RangeError or TypeError that says what is wrong with it. */
function parseOptions(args: string[]): Options | "help" {
  const { values } = parseArgs({
    args,
    options: {
      workload: { type: "string", default: "echo" },
      contender: { type: "string", multiple: true, default: [] },
      runs: { type: "string", default: "5" },
      seconds: { type: "string", default: "4" },
      "warmup-seconds": { type: "string", default: "1" },
      connections: { type: "string" },
      subscribers: { type: "string", default: "1000" },
      "in-flight": { type: "string", default: "8" },
      "payload-bytes": { type: "string", default: "64" },
      binary: { type: "boolean", default: false },
      "whole-message": { type: "boolean", default: false },
      load: { type: "string", default: "bun" },
      json: { type: "string" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return "help";
  const workload = WORKLOADS.find((name) => name === values.workload);
  if (workload === undefined) throw new RangeError(`--workload: expected ${WORKLOADS.join(", ")}`);
  if (values.load !== "bun" && values.load !== "node") throw new RangeError("--load: expected bun or node");
  const contenders = values.contender.map((text) => parseContender(text, workload));
  if (contenders.length === 0) throw new RangeError("at least one --contender is needed");
  if (new Set(contenders.map(({ name }) => name)).size < contenders.length) {
    throw new RangeError("two contenders have the same name");
  }
  const payloadBytes = count("payload-bytes", values["payload-bytes"]);
  if (values["whole-message"] && payloadBytes <= MESSAGE_FIELDS_BYTES) {
    throw new RangeError(`--whole-message: the fields alone take ${MESSAGE_FIELDS_BYTES} of --payload-bytes`);
  }
  if (values.binary && contenders.some(({ protocol }) => protocol === "millrace")) {
    throw new RangeError("--binary: the millrace protocol is spoken in JSON, which is text");
  }
  const defaultConnections = workload === "idle" ? IDLE_CONNECTIONS : ECHO_CONNECTIONS;
  const connections = values.connections ?? String(defaultConnections);
  return {
    workload,
    contenders,
    runs: count("runs", values.runs),
    jsonFile: values.json,
    loadCommand: loadCommand(values.load),
    wholeMessage: values["whole-message"],
    job: {
      workload,
      warmupSeconds: positive("warmup-seconds", values["warmup-seconds"]),
      seconds: positive("seconds", values.seconds),
      connections: workload === "fanout"
        ? count("subscribers", values.subscribers)
        : count("connections", connections, workload === "idle" ? 2 : 1),
      inFlight: count("in-flight", values["in-flight"]),
      payloadBytes,
      binary: values.binary,
    },
  };
}

function positive(name: string, text: string): number {
  const value = Number(text);
  if (!(value > 0 && Number.isFinite(value))) {
    throw new RangeError(`--${name} ${text}: expected a positive number`);
  }
  return value;
}

function count(name: string, text: string, least = 1): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < least) {
    throw new RangeError(`--${name} ${text}: expected a whole number of at least ${least}`);
  }
  return value;
}

function loadCommand(runtime: "bun" | "node"): string[] {
  const main = fileURLToPath(new URL("./load/main.ts", import.meta.url));
  return [runtimes[runtime] ?? runtime, ...(runtime === "node" ? NODE_FLAGS : []), main];
}

/** One run: a fresh server, one job for the load generator. A run that goes wrong is a sample with its failures. */
async function runOnce(options: Options, contender: Contender, run: number): Promise<Sample> {
  let outcome: Outcome;
  try {
    const server = await startServer(contender.command, SERVER_CORE);
    try {
      const { protocol } = contender;
      const fieldsBytes = options.wholeMessage && protocol === "millrace" ? MESSAGE_FIELDS_BYTES : 0;
      const payloadBytes = options.job.payloadBytes - fieldsBytes;
      const job: Job = { ...options.job, payloadBytes, protocol, url: server.url, serverPid: server.pid };
      const seconds = job.warmupSeconds + job.seconds + RUN_SLACK_SECONDS;
      const answer = await runHelper([...options.loadCommand, JSON.stringify(job)], LOAD_CORE, seconds);
      outcome = JSON.parse(answer) as Outcome;
    } finally {
      await server.stop();
    }
  } catch (error) {
    outcome = { failures: [(error as Error).message] };
  }
  return toSample(options.workload, contender.name, run, outcome);
}

/** What figures depend on besides the contenders. */
function environment(options: Options): object {
  return {
    kind: "environment",
    date: new Date().toISOString(),
    commit: output("git", [
      "-C",
      fileURLToPath(new URL(".", import.meta.url)),
      "describe",
      "--always",
      "--dirty",
    ]),
    cpu: cpus()[0]?.model,
    cores: cpus().length,
    pinned: canPin,
    kernel: release(),
    node: process.version,
    bun: output(runtimes["bun"] ?? "bun", ["--version"]),
    deno: output(runtimes["deno"] ?? "deno", ["--version"]).split("\n")[0],
    arguments: process.argv.slice(2),
    job: options.job,
  };
}

function output(program: string, args: string[]): string {
  return spawnSync(program, args, { encoding: "utf8" }).stdout?.trim() ?? "";
}

function describe({ job, runs, workload }: Options): string {
  const message = `${job.payloadBytes} bytes of ${job.binary ? "binary" : "text"}`;
  if (workload === "idle") return `idle: up to ${job.connections} connections, ${runs} runs`;
  const who = workload === "echo" ? "connections" : "subscribers";
  return `${workload}: ${job.connections} ${who}, ${job.inFlight} in flight, ${message}, ${runs} runs of ${job.seconds} s`;
}

async function measure(options: Options): Promise<Sample[]> {
  const { contenders, jsonFile, runs } = options;
  if (!canPin) {
    console.error("warning: not pinned (no taskset, or a single core); server and load share cores");
  }
  const record = (line: object): void => {
    if (jsonFile !== undefined) appendFileSync(jsonFile, `${JSON.stringify(line)}\n`);
  };
  if (jsonFile !== undefined) writeFileSync(jsonFile, "");
  record(environment(options));
  const samples: Sample[] = [];
  for (let run = 1; run <= runs; run++) {
    for (let i = 0; i < contenders.length; i++) {
      // Each run begins with another contender, so that none always follows the same one.
      const contender = contenders[(i + run - 1) % contenders.length] as Contender;
      const sample = await runOnce(options, contender, run);
      samples.push(sample);
      record(sample);
      const result = sample.failures.length > 0
        ? `FAILED: ${sample.failures.join("; ")}`
        : sample.value?.toFixed(0);
      console.error(`run ${run}/${runs} ${contender.name}: ${result}`);
    }
  }
  const summaries = summarize(samples);
  for (const summary of summaries) record(summary);
  console.log(`${describe(options)}\n${formatTable(summaries)}`);
  return samples;
}

try {
  const options = parseOptions(process.argv.slice(2));
  if (options === "help") {
    console.log(HELP);
  } else {
    const samples = await measure(options);
    process.exitCode = samples.some((sample) => sample.failures.length > 0) ? 1 : 0;
  }
} catch (error) {
  if (!(error instanceof RangeError || error instanceof TypeError)) throw error;
  console.error(`${error.message}\nTry --help.`);
  process.exitCode = USAGE_EXIT_CODE;
}
