/**
 * The command that measures what the guards cost and what they protect: the same work on two fresh servers in turn,
 * with the guards and without, with trouble and without. It must never count a message itself.
 */
import process from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { SignJWT } from "jose";
import { canPin, runHelper, startServer } from "./child.ts";
import { NODE_FLAGS, runtimes } from "./contender.ts";
import { defaultJob } from "./load/job.ts";
import type { Task, TaskOutcome } from "./guards/task.ts";

const SERVER_CORE = 0;
const LOAD_CORE = 1;
const RUN_SLACK_SECONDS = 30;
const WARMUP_SECONDS = 0.75;
const MIB = 1024 * 1024;
const TOKEN_HOURS = 1;
const SECRET = "only for servers that a benchmark starts on loopback";

const ENGINES = ["bun", "uws", "ts"] as const;
type Engine = typeof ENGINES[number];
const PARTS = ["flood", "slow", "cost"] as const;
type Part = typeof PARTS[number];

const HELP = `Measures what the guards cost and what they protect.

node --import tsx bench/guards.ts [--part flood|slow|cost] [--engine bun|uws|ts] [--runs 5] [--seconds 1.5]

  flood  100 connections publish 180 messages a second each and are acknowledged, alone and beside one that sends
         10,000 a second, 50 times its rate, and comes back each time it is closed
  slow   publications of 1 KiB to 1,000 subscribers, alone and beside one that never reads (--slow-policy skip)
  cost   publishing without rates, limits and tokens, and with all of them, high enough to refuse nothing:
         acknowledged (64 connections, 8 under way each), and to one subscriber (16 under way)

Without --part and --engine all of them, ts on Node; --runtime bun for ts on Bun.
`;

/** Rates and limits that are counted and never reached. */
const HIGH_RATE = "1000000000:1000000000";
const GUARDS = [
  ...["--jwt-secret", SECRET, "--message-rate", HIGH_RATE, "--byte-rate", HIGH_RATE],
  ...["--user-message-rate", HIGH_RATE, "--user-byte-rate", HIGH_RATE],
];
const NO_GUARDS = [
  ...["--message-rate", "0", "--byte-rate", "0", "--user-message-rate", "0", "--user-byte-rate", "0"],
  ...["--handshake-rate", "0", "--max-connections", "0", "--max-connections-per-address", "0"],
  ...["--max-connections-per-user", "0", "--max-pending-handshakes", "0"],
];
const PERMISSIONS = {
  subscribe: ["news.>", "user.{user}.*", "chat.*.public", "t"],
  publish: ["chat.*.public", "user.{user}.*", "rooms.>", "acknowledged", "t"],
};

/** One side of a comparison. */
interface Side {
  readonly flags: readonly string[];
  readonly withToken?: boolean;
  readonly trouble?: Task["trouble"];
}

interface Comparison {
  readonly name: string;
  readonly work: Task["work"];
  readonly connections: number;
  readonly inFlight: number;
  readonly payloadBytes: number;
  /** What the ratio is of. */
  readonly unit: "per second" | "per server-CPU-second";
  readonly without: Side;
  readonly with: Side;
}

const SLOW_FLAGS = [...NO_GUARDS, "--slow-policy", "skip"];
const COST = {
  unit: "per server-CPU-second",
  without: { flags: NO_GUARDS },
  with: { flags: GUARDS, withToken: true },
} as const;

const COMPARISONS: Readonly<Record<Part, readonly Comparison[]>> = {
  flood: [{
    ...{
      name: "100 others, a flood at 50 x",
      work: "paced",
      connections: 100,
      inFlight: 1,
      payloadBytes: 64,
    },
    ...{ unit: "per second", without: { flags: [] }, with: { flags: [], trouble: "flood" } },
  }],
  slow: [{
    ...{ name: "1,000 readers, one never reads", work: "fanout", connections: 1000, inFlight: 16 },
    ...{ payloadBytes: 1024, unit: "per server-CPU-second" },
    ...{ without: { flags: SLOW_FLAGS }, with: { flags: SLOW_FLAGS, trouble: "sleeper" } },
  }],
  cost: [
    { name: "publish and ack", work: "publish", connections: 64, inFlight: 8, payloadBytes: 64, ...COST },
    { name: "publish to 1", work: "fanout", connections: 1, inFlight: 16, payloadBytes: 64, ...COST },
  ],
};

const OTHERS_PER_SECOND = 180;
const FLOOD_PER_SECOND = 10_000;

function count(name: string, text: string): number {
  const value = Number(text);
  if (!(value > 0 && Number.isFinite(value))) {
    throw new RangeError(`--${name} ${text}: expected a positive number`);
  }
  return value;
}

function pick<Name extends string>(
  name: string,
  names: readonly Name[],
  text: string | undefined,
): readonly Name[] {
  if (text === undefined) return names;
  const found = names.find((known) => known === text);
  if (found === undefined) throw new RangeError(`--${name} ${text}: expected ${names.join(", ")}`);
  return [found];
}

function commandOf(engine: Engine, tsRuntime: "node" | "bun", flags: readonly string[]): string[] {
  const runtime = engine === "bun" || (engine === "ts" && tsRuntime === "bun") ? "bun" : "node";
  const main = fileURLToPath(new URL("../server/main.ts", import.meta.url));
  return [
    ...[runtimes[runtime] ?? runtime, ...(runtime === "node" ? NODE_FLAGS : []), main],
    ...["--engine", engine, "--port", "{port}", ...flags],
  ];
}

/** One run on a fresh server. */
async function run(
  comparison: Comparison,
  side: Side,
  command: string[],
  seconds: number,
): Promise<TaskOutcome> {
  const server = await startServer({ command }, SERVER_CORE);
  try {
    const token = side.withToken ? `?token=${await signToken()}` : "";
    const { work, connections, inFlight, payloadBytes } = comparison;
    const task: Task = {
      job: {
        ...{ ...defaultJob, collects: false },
        ...{ workload: work === "fanout" ? "fanout" : "echo", protocol: "millrace", binary: false },
        ...{ url: server.url + token, serverPid: server.pid, warmupSeconds: WARMUP_SECONDS, seconds },
        ...{ connections, inFlight, payloadBytes },
      },
      ...{ work, trouble: side.trouble ?? "none" },
      ...{ perSecond: OTHERS_PER_SECOND, floodPerSecond: FLOOD_PER_SECOND },
    };
    const load = fileURLToPath(new URL("./guards/load.ts", import.meta.url));
    const helper = [runtimes["bun"] ?? "bun", load, JSON.stringify(task)];
    return JSON.parse(await runHelper(helper, LOAD_CORE, seconds + RUN_SLACK_SECONDS)) as TaskOutcome;
  } finally {
    await server.stop();
  }
}

function signToken(): Promise<string> {
  return new SignJWT({ sub: "bench", millrace: PERMISSIONS }).setProtectedHeader({ alg: "HS256" })
    .setExpirationTime(`${TOKEN_HOURS}h`).sign(new TextEncoder().encode(SECRET));
}

function valueOf({ throughput, failures }: TaskOutcome, unit: Comparison["unit"]): number {
  if (failures.length > 0 || throughput === undefined) {
    throw new Error(`a run failed: ${failures.join("; ")}`);
  }
  return throughput.messages / (unit === "per second" ? throughput.seconds : throughput.serverCpuSeconds);
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return ((sorted[(sorted.length - 1) >> 1] ?? NaN) + (sorted[sorted.length >> 1] ?? NaN)) / 2;
}

/** What there is to say besides the ratio, of the runs with trouble. */
function remarks(troubled: readonly TaskOutcome[], calm: readonly TaskOutcome[]): string {
  const of = (
    outcomes: readonly TaskOutcome[],
    name: "p99Ms" | "grownBytes" | "queuedBytes" | "floodCloses" | "floodSent",
  ) => median(outcomes.flatMap((outcome) => outcome[name] ?? []));
  if (troubled[0]?.floodSent !== undefined) {
    const share = (outcomes: readonly TaskOutcome[]) =>
      median(outcomes.flatMap(({ throughput: t }) => t === undefined ? [] : t.serverCpuSeconds / t.seconds));
    return `p99 ${of(calm, "p99Ms").toFixed(1)} -> ${of(troubled, "p99Ms").toFixed(1)} ms, server ` +
      `${share(calm).toFixed(2)} -> ${share(troubled).toFixed(2)} of a core, ` +
      `flood sent ${of(troubled, "floodSent")}, closed ${of(troubled, "floodCloses")} times`;
  }
  if (troubled[0]?.queuedBytes !== undefined) {
    const grown = (outcomes: readonly TaskOutcome[]) => (of(outcomes, "grownBytes") / MIB).toFixed(1);
    return `RSS +${grown(calm)} -> +${grown(troubled)} MiB, queued ${
      (of(troubled, "queuedBytes") / MIB).toFixed(2)
    } MiB`;
  }
  return "";
}

async function compare(comparison: Comparison, engine: Engine, options: Settings): Promise<void> {
  const outcomes = { without: [] as TaskOutcome[], with: [] as TaskOutcome[] };
  for (let i = 0; i < options.runs; i++) {
    // Each pair begins with the other side.
    const order = i % 2 === 0 ? ["without", "with"] as const : ["with", "without"] as const;
    for (const name of order) {
      const side = comparison[name];
      const command = commandOf(engine, options.tsRuntime, side.flags);
      outcomes[name].push(await run(comparison, side, command, options.seconds));
    }
  }
  const [without, having] = [outcomes.without, outcomes.with].map((all) =>
    all.map((outcome) => valueOf(outcome, comparison.unit))
  ) as [number[], number[]];
  const ratios = having.map((value, i) => value / (without[i] ?? NaN));
  const cells = [
    ...[engine, comparison.name, comparison.unit, median(without).toFixed(0), median(having).toFixed(0)],
    ...[median(ratios).toFixed(3), Math.min(...ratios).toFixed(3), Math.max(...ratios).toFixed(3)],
    remarks(outcomes.with, outcomes.without),
  ];
  console.log(`| ${cells.join(" | ")} |`);
}

interface Settings {
  readonly runs: number;
  readonly seconds: number;
  readonly tsRuntime: "node" | "bun";
}

const { values } = parseArgs({
  options: {
    part: { type: "string" },
    engine: { type: "string" },
    runtime: { type: "string", default: "node" },
    runs: { type: "string", default: "5" },
    seconds: { type: "string", default: "1.5" },
    help: { type: "boolean", default: false },
  },
});
if (values.help) {
  console.log(HELP);
  process.exit(0);
}
if (!canPin) console.error("warning: not pinned (no taskset, or a single core); server and load share cores");
const settings: Settings = {
  runs: count("runs", values.runs),
  seconds: count("seconds", values.seconds),
  tsRuntime: values.runtime === "bun" ? "bun" : "node",
};
console.log(
  "| engine | what | messages | without | with | ratio | min | max | |\n| --- | --- | --- | --: | --: | --: | --: | --: | --- |",
);
for (const part of pick("part", PARTS, values.part)) {
  for (const comparison of COMPARISONS[part]) {
    for (const engine of pick("engine", ENGINES, values.engine)) await compare(comparison, engine, settings);
  }
}
