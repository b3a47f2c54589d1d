/**
 * `npm run measure:cluster`: two nodes behind one Redis, Millrace beside Socket.IO with its Redis adapters. How long it
 * takes from publish on one node to delivery on the other, what a delivery costs, and what publications cost a node that
 * has no subscriber for them. Fresh servers for every run, runs interleaved. It must never time a message itself.
 */
import { writeFileSync } from "node:fs";
import { cpus } from "node:os";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { ServerProcess } from "../test/helpers/server_process.ts";
import { canPin, runHelper, type Server, startServer } from "./child.ts";
import type { ClusterJob, Dialect, Phase, PhaseOutcome } from "./cluster/job.ts";
import { NODE_FLAGS, runtimes } from "./contender.ts";
import { environmentOf } from "./environment.ts";
import type { ResultLine, Sample } from "./result.ts";

const SERVER_CORE = 0;
const LOAD_CORE = 1;
const RUN_SECONDS = 60;

const OTHER_NODE = [1_000, 5_000].map((rate): Phase => ({ rate, subscribersAt: 1 }));
/** The second node has nothing to do. */
const SAME_NODE: Phase = { rate: 5_000, subscribersAt: 0 };

interface Contender {
  /** In the results. */
  readonly id: string;
  readonly name: string;
  readonly dialect: Dialect;
  command(redis: string): readonly string[];
}

const file = (path: string) => fileURLToPath(new URL(path, import.meta.url));

function millrace(name: string, ...flags: string[]): Contender {
  return {
    id: "server-uws",
    name,
    dialect: "millrace",
    command: (redis) => [
      ...["node", ...NODE_FLAGS, file("../server/main.ts"), "--engine", "uws", "--port", "{port}"],
      ...["--broker", "redis", "--broker-urls", redis, "--message-rate", "0", "--byte-rate", "0", ...flags],
    ],
  };
}

function socketio(adapter: string): Contender {
  const program = ["node", ...NODE_FLAGS, file("contenders/socketio-redis.ts"), "--port", "{port}"];
  return {
    id: `socketio-${adapter}`,
    name: `socket.io, ${adapter} adapter`,
    dialect: "socketio",
    command: (redis) => [...program, "--redis", redis, "--adapter", adapter],
  };
}

const contenders: readonly Contender[] = [
  millrace("millrace, 100 kept", "--history", "topic.>:100:600"),
  socketio("classic"),
  socketio("sharded"),
];

/** Keeps nothing on disk, so that what is measured is not the disk. */
async function startRedis(): Promise<ServerProcess> {
  const pin = canPin ? ["taskset", "-c", String(SERVER_CORE)] : [];
  const [command = "", ...rest] = [...pin, process.env["REDIS_SERVER"] ?? "redis-server"];
  const redis = await ServerProcess.prepare({
    command,
    args: (port, folder) => [
      ...[...rest, "--port", String(port), "--bind", "127.0.0.1", "--dir", folder],
      ...["--appendonly", "no", "--save", ""],
    ],
    ready: /Ready to accept connections/,
  });
  await redis.start();
  return redis;
}

async function runOnce(contender: Contender, job: Omit<ClusterJob, "dialect" | "urls" | "pids">) {
  const redis = await startRedis();
  const nodes: Server[] = [];
  try {
    const [program = "", ...rest] = contender.command(`redis://127.0.0.1:${redis.port}`);
    const command = [program === "node" || program === "bun" ? runtimes[program] : program, ...rest];
    nodes.push(await startServer({ command }, SERVER_CORE), await startServer({ command }, SERVER_CORE));
    const [first, second] = nodes as [Server, Server];
    const whole: ClusterJob = {
      ...job,
      dialect: contender.dialect,
      urls: [first.url, second.url],
      pids: [first.pid, second.pid, redis.pid],
    };
    const load = [runtimes["bun"] ?? "bun", file("cluster/load.ts"), JSON.stringify(whole)];
    return JSON.parse(await runHelper(load, LOAD_CORE, RUN_SECONDS)) as PhaseOutcome[];
  } finally {
    await Promise.all(nodes.map((node) => node.stop()));
    await redis.remove();
  }
}

/** The median, with the least and the most in brackets. */
function spread(values: readonly number[], digits: number): string {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = ((sorted[(sorted.length - 1) >> 1] ?? NaN) + (sorted[sorted.length >> 1] ?? NaN)) / 2;
  return `${middle.toFixed(digits)} (${sorted[0]?.toFixed(digits)} to ${sorted.at(-1)?.toFixed(digits)})`;
}

function print(name: string, phase: Phase, outcomes: readonly PhaseOutcome[]): void {
  const of = (figure: (outcome: PhaseOutcome) => number) => outcomes.map(figure);
  const missing = outcomes.reduce((sum, { published, delivered }) => sum + published - delivered, 0);
  const cpuOf = (outcome: PhaseOutcome, index: number) => outcome.cpu[index] ?? NaN;
  const figures = phase.subscribersAt === 1
    ? [
      `p50 ${spread(of(({ p50 }) => p50), 2)} ms`,
      `p99 ${spread(of(({ p99 }) => p99), 2)} ms`,
      `of which the load's own lateness ${spread(of(({ lateP99 }) => lateP99), 2)} ms`,
      `${spread(of((one) => one.rate / (cpuOf(one, 0) + cpuOf(one, 1))), 0)} deliveries per node-CPU-second`,
      `${spread(of((one) => one.rate / (cpuOf(one, 0) + cpuOf(one, 1) + cpuOf(one, 2))), 0)} with Redis's`,
    ]
    : [`the node without subscribers uses ${spread(of((one) => cpuOf(one, 1) * 100), 1)} % of a core`];
  console.log(`${name}, ${phase.rate}/s:\n  ${figures.join("\n  ")}\n  ${missing} not delivered`);
}

/** A phase as a line of a results file: a whole server's cell, behind Redis on two nodes. */
function sampleOf(
  { id }: Contender,
  { payloadBytes, topics }: Pick<ClusterJob, "payloadBytes" | "topics">,
  outcome: PhaseOutcome,
  run: number,
): Sample {
  const { delivered, p50, p99, published, rate } = outcome;
  const parameters = { broker: "redis", nodes: 2, publicationsPerSecond: rate, topics, payloadBytes };
  return {
    kind: "sample",
    cell: { workload: "server", parameters },
    contender: id,
    run,
    failures: delivered === published ? [] : [`${published - delivered} of ${published} not delivered`],
    figures: { p50Ms: p50, p99Ms: p99, offeredPerSecond: rate, deliveryRatio: delivered / published },
  };
}

async function measure(runs: number, seconds: number, out: string | undefined): Promise<void> {
  if (!canPin) console.error("warning: not pinned (no taskset, or a single core); everybody shares cores");
  const job = {
    phases: [...OTHER_NODE, SAME_NODE],
    ...{ warmupSeconds: 0.5, seconds, topics: 16, publishers: 8, payloadBytes: 64 },
  };
  const options = { warmupSeconds: job.warmupSeconds, seconds, load: "bun" } as const;
  const lines: ResultLine[] = [environmentOf([], options, "measure:cluster")];
  const outcomes = new Map(contenders.map(({ name }) => [name, [] as PhaseOutcome[]]));
  for (let run = 0; run < runs; run++) {
    for (let i = 0; i < contenders.length; i++) {
      const contender = contenders[(i + run) % contenders.length] as Contender;
      const phases = await runOnce(contender, job);
      outcomes.get(contender.name)?.push(...phases);
      // What the idle node costs is another figure.
      const toOthers = phases.filter(({ subscribersAt }) => subscribersAt === 1);
      lines.push(...toOthers.map((phase) => sampleOf(contender, job, phase, run + 1)));
      console.error(`run ${run + 1}/${runs}: ${contender.name}`);
    }
  }
  if (out !== undefined) writeFileSync(out, lines.map((line) => `${JSON.stringify(line)}\n`).join(""));
  console.log(
    `${cpus()[0]?.model}, ${cpus().length} cores, Node ${process.version}; ${runs} runs of ${seconds} s, ` +
      `${job.topics} topics, ${job.payloadBytes} bytes; median (least to most)`,
  );
  for (const phase of job.phases) {
    for (const { name } of contenders) {
      const own = outcomes.get(name)?.filter((outcome) =>
        outcome.rate === phase.rate && outcome.subscribersAt === phase.subscribersAt
      );
      print(name, phase, own ?? []);
    }
  }
}

const { values } = parseArgs({
  options: {
    runs: { type: "string", default: "5" },
    seconds: { type: "string", default: "2" },
    // The samples as lines of JSON, for npm run bench:report.
    out: { type: "string" },
  },
});
await measure(Number(values.runs), Number(values.seconds), values.out);
