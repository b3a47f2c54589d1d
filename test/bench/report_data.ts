/**
 * Results that nobody measured, for tests of the report and the comparison: the shape of a full run with seeded noise.
 * They must never become a report.
 */
import type { Cell, Environment, Figures, ResultLine, Sample } from "../../bench/result.ts";
import { seededRandom } from "../../bench/report/statistics.ts";

/** As a run writes it, but for the figures. */
export const environment: Environment = {
  kind: "environment",
  startedAt: "2026-02-03T10:20:30.000Z",
  cpu: "AMD EPYC 7B13 64-Core Processor",
  cores: 2,
  memoryBytes: 8 * 1024 ** 3,
  kernel: "6.1.0",
  commit: "0123abc",
  dirty: false,
  versions: { node: "v20.0.0", ws: "8.0.0" },
  command: "npm run bench -- --full",
  settings: { "message limit": "16 MiB", "compression": "off | on" },
};

/** A figure's value by contender before noise. */
export type Truth = Readonly<Record<string, number>>;

export interface Plan {
  readonly cell: Cell;
  readonly figure: string;
  readonly truth: Truth;
}

/** Standard normal numbers out of even ones (Box and Muller). */
export function normal(random: () => number): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}

/** Samples of all plans with log-normal noise of the variation `noise` (0.02 is 2 %). */
export function samplesOf(plans: readonly Plan[], seed: number, noise: number, runs = 5): Sample[] {
  const random = seededRandom(seed);
  const samples: Sample[] = [];
  for (const { cell, figure, truth } of plans) {
    for (let run = 1; run <= runs; run++) {
      for (const [contender, value] of Object.entries(truth)) {
        const measured = value * Math.exp(normal(random) * noise);
        const figures = { [figure]: measured, ...besides(cell, measured) };
        samples.push({ kind: "sample", cell, contender, run, failures: [], figures });
      }
    }
  }
  return samples;
}

/** Percentiles around the p99, and the parts of memory. */
function besides({ workload }: Cell, value: number): Figures {
  if (workload === "latency") {
    return {
      p50Ms: value / 9,
      p90Ms: value / 3,
      p999Ms: value * 2.4,
      maxMs: value * 5,
      offeredPerSecond: 20_000,
    };
  }
  return workload === "idle" ? { rssBytes: 9e7, heapBytes: 2e7, externalBytes: 3e6, afterBytes: 5e6 } : {};
}

export const toText = (lines: readonly ResultLine[]): string =>
  lines.map((line) => `${JSON.stringify(line)}\n`).join("");

const RATE = "messagesPerCpuSecond";
const ECHO: Truth = {
  "engine-ts-node": 720e3,
  "engine-ts-bun": 1_030e3,
  "engine-ts-deno": 410e3,
  "uws-bare": 580e3,
  "engine-uws": 575e3,
  "engine-bun": 1_000e3,
  "bun-bare": 1_010e3,
  "ws": 84e3,
  "ws-bufferutil": 86e3,
  "deno-bare": 126e3,
  "tcp-node": 746e3,
  "tcp-bun": 950e3,
};
const scaled = (truth: Truth, by: (name: string) => number): Truth =>
  Object.fromEntries(Object.entries(truth).map(([name, value]) => [name, value * by(name)]));

function echo(): Plan[] {
  const plans: Plan[] = [];
  for (const payloadBytes of [16, 128, 1024, 16_384, 65_536]) {
    for (const connections of [1, 64, 1000]) {
      for (const inFlight of [1, 8, 64]) {
        const parameters = { payloadBytes, connections, inFlight, binary: false, deflate: "off" };
        const slower = (name: string) =>
          (inFlight === 1 ? 0.12 : 1) / (1 + payloadBytes / (name.includes("ts-") ? 600 : 1800));
        plans.push({ cell: { workload: "echo", parameters }, figure: RATE, truth: scaled(ECHO, slower) });
      }
    }
  }
  return plans;
}

/** Cells of every workload. */
export function fullPlans(): Plan[] {
  const servers = { "server-ts-node": 0.8, "server-uws": 0.97, "server-ts-bun": 0.8, "server-bun": 0.96 };
  const fanOut: Truth = {
    ...ECHO,
    "uws-bare": 2_140e3,
    "bun-bare": 2_530e3,
    "engine-ts-node": 1_900e3,
    "engine-ts-bun": 2_300e3,
  };
  const { "tcp-node": _, "tcp-bun": __, ...framed } = fanOut;
  const idle = {
    ...{
      "uws-bare": 1700,
      "bun-bare": 2900,
      "engine-ts-node": 6100,
      "engine-ts-bun": 2500,
      "engine-ts-deno": 9100,
      "ws": 8600,
    },
    ...{
      "deno-bare": 21_900,
      "socketio": 25_000,
      "server-ts-node": 6900,
      "server-uws": 2900,
      "engine-uws": 2100,
      "nats": 26_000,
    },
  };
  const latency = {
    "engine-ts-node": 1.9,
    "uws-bare": 2.3,
    "engine-ts-bun": 1.6,
    "bun-bare": 1.6,
    "ws": 6,
    "deno-bare": 11,
  };
  const storm = {
    "engine-ts-node": 9e3,
    "uws-bare": 21e3,
    "engine-ts-bun": 24e3,
    "bun-bare": 23e3,
    "ws": 6e3,
  };
  return [
    ...echo(),
    ...[10, 1000, 5000].map((connections): Plan => ({
      cell: { workload: "fanout", parameters: { subscribers: connections, inFlight: 16, payloadBytes: 128 } },
      figure: RATE,
      truth: {
        ...framed,
        ...scaled(servers, (name) => 2e6 / (name.includes("bun") ? 1 : 1.2)),
      },
    })),
    ...[1000, 5000].map((connections): Plan => ({
      cell: { workload: "idle", parameters: { connections } },
      figure: "bytesPerConnection",
      truth: idle,
    })),
    ...[0.25, 0.5, 0.75].map((share): Plan => ({
      cell: { workload: "latency", parameters: { payloadBytes: 128, connections: 64, share } },
      figure: "p99Ms",
      truth: scaled(latency, () => share * 2),
    })),
    ...[false, true].map((tls): Plan => ({
      cell: { workload: "storm", parameters: { tls } },
      figure: "handshakesPerCpuSecond",
      truth: scaled(storm, () => tls ? 0.2 : 1),
    })),
    ...["json", "msgpack"].map((format): Plan => ({
      cell: { workload: "server", parameters: { format, connections: 100 } },
      figure: RATE,
      truth: { "server-uws": 1.5e6, "server-ts-node": 1.2e6 },
    })),
    ...["decode 16 text masked whole many", "encode 1024 text unmasked whole one"].map((name): Plan => ({
      cell: { workload: "codec", parameters: { name, runtime: "node" } },
      figure: "nsPerMessage",
      truth: { "codec": 40, "ws": 310 },
    })),
  ];
}

const leftOut = {
  unavailable: { nchan: "nginx has no nchan module here" },
  notRun: [{
    cell: { workload: "churn", parameters: { connections: 1000, seconds: 600 } },
    contenders: ["ws", "nats"],
    reason: "no time left",
  }],
} as const;

/** A whole file with one failed sample and one contender that was not run. */
export function fullResults(seed = 7): string {
  const plans = fullPlans();
  const cell = (plans[0] as Plan).cell;
  return toText([
    { ...environment, ...leftOut },
    ...samplesOf(plans, seed, 0.015),
    {
      kind: "sample",
      cell,
      contender: "soketi",
      run: 1,
      failures: ["echoes lost: 3 <of> 5 | *all*"],
      figures: {},
    },
  ]);
}
