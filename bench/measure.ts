/**
 * The command that measures contenders side by side: a fresh server for every run, runs interleaved, one workload.
 * It wires options, servers, the load generator and the table; it must never count a message itself.
 */
import { appendFileSync, writeFileSync } from "node:fs";
import process from "node:process";
import { parseArgs } from "node:util";
import type { Contender } from "./contender.ts";
import { builtIn, parseContender } from "./contenders.ts";
import { environmentOf } from "./environment.ts";
import { WORKLOADS } from "./load/job.ts";
import type { Workload } from "./load/job.ts";
import { balancedOrder } from "./plan.ts";
import type { Cell, Sample } from "./result.ts";
import { MESSAGE_FIELDS_BYTES, setupOf, takeSample, warnIfNotPinned } from "./run.ts";
import type { RunOptions } from "./run.ts";
import { formatTable, mainFigureText, summarize } from "./sample.ts";

const IDLE_CONNECTIONS = 5000;
const ECHO_CONNECTIONS = 64;
const USAGE_EXIT_CODE = 2;

const HELP = `Measures servers side by side, in messages per server-CPU-second.

node --import tsx bench/measure.ts --workload echo --contender bun-bare --contender ws

  --workload NAME               what the clients do: ${WORKLOADS.join(", ")}
  --contender NAME              a built-in one: ${builtIn.map(({ name }) => name).join(", ")}
  --contender NAME=COMMAND      any server; {port} in COMMAND is replaced, and it prints "listening on ws://..."
  --contender NAME:PROTOCOL=... speaking bare (default), millrace, tcp or another of bench/load/job.ts; repeat --contender for more, the first
                                is what the others are compared with
  --runs 5                      runs per contender, each with a fresh server process
  --seconds 4                   the measured window; --warmup-seconds 1 goes before it
  --connections N               64; idle: 5000
  --subscribers 1000            fan-out: connections that receive every publication
  --in-flight 8                 messages under way: per connection, or publications
  --payload-bytes 64            --binary for binary messages instead of text
  --whole-message               --payload-bytes is the whole message that arrives: millrace contenders get so much
                                less data that their fields and data together come to it (a byte or two more or less)
  --load bun|node               what runs the load generator; bun is cheaper
  --load-processes 1            processes that share the connections of echo, rooms and storm, each on a core of its own
  --json FILE                   the environment, every sample and the summaries, as JSON lines
`;

interface Options {
  readonly cell: Cell;
  readonly contenders: readonly Contender[];
  readonly runs: number;
  readonly jsonFile: string | undefined;
  readonly run: RunOptions;
  /** Whether the payload's size is that of the whole message, fields included. */
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
      "load-processes": { type: "string", default: "1" },
      json: { type: "string" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return "help";
  const workload = WORKLOADS.find((name) => name === values.workload);
  if (workload === undefined) throw new RangeError(`--workload: expected ${WORKLOADS.join(", ")}`);
  if (values.load !== "bun" && values.load !== "node") throw new RangeError("--load: expected bun or node");
  const contenders = values.contender.map(parseContender);
  if (contenders.length === 0) throw new RangeError("at least one --contender is needed");
  if (new Set(contenders.map(({ name }) => name)).size < contenders.length) {
    throw new RangeError("two contenders have the same name");
  }
  const payloadBytes = count("payload-bytes", values["payload-bytes"]);
  if (values["whole-message"] && payloadBytes <= MESSAGE_FIELDS_BYTES) {
    throw new RangeError(`--whole-message: the fields alone take ${MESSAGE_FIELDS_BYTES} of --payload-bytes`);
  }
  const { binary } = values;
  if (binary && contenders.some(({ protocol }) => protocol === "millrace")) {
    throw new RangeError("--binary: the millrace protocol is spoken in JSON, which is text");
  }
  const wholeMessage = values["whole-message"] && { wholeMessage: true };
  const cell = cellOf(workload, values, { payloadBytes, binary, ...wholeMessage });
  for (const { name, launch } of contenders) {
    const answer = launch(setupOf(cell));
    if (typeof answer === "string") throw new RangeError(`--contender ${name}: ${answer}`);
  }
  return {
    cell,
    contenders,
    runs: count("runs", values.runs),
    jsonFile: values.json,
    run: {
      warmupSeconds: positive("warmup-seconds", values["warmup-seconds"]),
      seconds: positive("seconds", values.seconds),
      load: values.load,
      loadProcesses: count("load-processes", values["load-processes"]),
    },
  };
}

interface Counts {
  readonly connections?: string | undefined;
  readonly subscribers: string;
  readonly "in-flight": string;
}

function cellOf(workload: Workload, values: Counts, more: Cell["parameters"]): Cell {
  const isIdle = workload === "idle";
  const connections = values.connections ?? String(isIdle ? IDLE_CONNECTIONS : ECHO_CONNECTIONS);
  return {
    workload,
    parameters: {
      ...(workload === "fanout"
        ? { subscribers: count("subscribers", values.subscribers) }
        : { connections: count("connections", connections, isIdle ? 2 : 1) }),
      ...(isIdle ? {} : { inFlight: count("in-flight", values["in-flight"]), ...more }),
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

function describe({ cell, runs, run }: Options): string {
  const parameters = Object.entries(cell.parameters).map(([name, value]) => `${name} ${value}`).join(", ");
  return `${cell.workload}: ${parameters}; ${runs} runs of ${run.seconds} s`;
}

async function measure(options: Options): Promise<Sample[]> {
  const { contenders, jsonFile, runs } = options;
  warnIfNotPinned();
  const record = (line: object): void => {
    if (jsonFile !== undefined) appendFileSync(jsonFile, `${JSON.stringify(line)}\n`);
  };
  if (jsonFile !== undefined) writeFileSync(jsonFile, "");
  record(environmentOf(contenders, options.run));
  const samples: Sample[] = [];
  for (let run = 1; run <= runs; run++) {
    for (const at of balancedOrder(contenders.length, run - 1)) {
      const contender = contenders[at] as Contender; // an order holds indexes
      const sample = await takeSample(options.cell, contender, run, options.run);
      samples.push(sample);
      record(sample);
      console.error(`run ${run}/${runs} ${contender.name}: ${mainFigureText(sample)}`);
    }
  }
  const summaries = summarize(samples);
  for (const summary of summaries) record(summary);
  console.log(`${describe(options)}\n${formatTable(options.cell.workload, summaries)}`);
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
