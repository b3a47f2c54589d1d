/** What gave out first, told from measurements that show one cause each. */
import { describe, it } from "node:test";
import { assertEquals, assertStringIncludes } from "@std/assert";
import type { Measurement } from "../../scripts/benchmark/measurement.ts";
import type { Usage } from "../../scripts/benchmark/meter.ts";
import { Limit, saturationOf } from "../../scripts/benchmark/saturation.ts";
import type { TroubleCounts } from "../../scripts/benchmark/troubles.ts";

const BOUND_MS = 50;
const noTroubles: TroubleCounts = { refusals: {}, closes: {}, handshakes: {}, gaps: {}, wrong: [] };
const relaxed: Usage = {
  seconds: 1,
  loadShare: 0.3,
  machineShare: 0.4,
  cpus: 2,
  server: { cpuShare: 0.4, busiestThreadShare: 0.4, residentBytes: 1e8 },
};
const calm: Measurement = {
  offeredPerSecond: 1000,
  sentPerSecond: 1000,
  deliveredPerSecond: 1000,
  ...{ connections: 10, sent: 1000, delivered: 1000, lost: 0, refused: 0, unsent: 0, inspected: 20 },
  ...{ lateP99Ms: 0.1, generatorShare: 0.3, waitingBytes: 0, endedEarly: false },
  usage: relaxed,
  troubles: noTroubles,
};

function server(busiestThreadShare: number, more: Partial<Usage> = {}): Usage {
  return { ...relaxed, ...more, server: { cpuShare: 1.1, busiestThreadShare, residentBytes: 1e8 } };
}

function troubles(some: Partial<TroubleCounts>): TroubleCounts {
  return { ...noTroubles, ...some };
}

const cases: readonly [name: string, limit: Limit, evidence: string, Partial<Measurement>][] = [
  ["a busy thread of the server", Limit.ServerCpu, "busiest thread used 97 %", { usage: server(0.97) }],
  [
    "a server whose threads are all half busy, on a busy machine",
    Limit.MachineCpu,
    "busy 96 % of the time",
    { usage: server(0.6, { machineShare: 0.96, loadShare: 0.8 }) },
  ],
  [
    "others on the machine",
    Limit.MachineCpu,
    "other processes used 80 %",
    { usage: { ...relaxed, loadShare: 0.8, machineShare: 1 } },
  ],
  ["a busy load generator", Limit.LoadGenerator, "busy 98 %", { generatorShare: 0.98 }],
  ["a late load generator", Limit.LoadGenerator, "20 ms late", { lateP99Ms: 20 }],
  [
    "a load generator that is as busy as the server",
    Limit.ServerCpu,
    "load generator 95 % busy",
    { usage: server(0.97), generatorShare: 0.95 },
  ],
  [
    "refusals",
    Limit.RateLimit,
    "refused 7 messages with rate_limited",
    { usage: server(0.97), troubles: troubles({ refusals: { rate_limited: 7 } }) },
  ],
  [
    "connections closed for going on",
    Limit.RateLimit,
    "closed 2 connections with 4009 (rate limited)",
    { troubles: troubles({ closes: { "4009": 2 } }) },
  ],
  [
    "handshakes refused",
    Limit.ConnectionLimit,
    "3 handshakes with HTTP 429",
    { troubles: troubles({ handshakes: { "HTTP 429": 3 } }) },
  ],
  [
    "slow consumers, told by close code",
    Limit.SlowConsumers,
    "4008 (slow consumer)",
    { troubles: troubles({ closes: { "4008": 1 } }) },
  ],
  [
    "slow consumers, told by gaps",
    Limit.SlowConsumers,
    "left out 40 messages",
    { troubles: troubles({ gaps: { slow: 40 } }) },
  ],
  [
    "slow consumers of a server that is busy: the server's CPU came first",
    Limit.ServerCpu,
    "4008",
    { usage: server(0.97), troubles: troubles({ closes: { "4008": 1 } }) },
  ],
  ["bytes that nobody takes", Limit.Backpressure, "500000 bytes waited", { waitingBytes: 500_000 }],
  [
    "missing messages, however busy the server",
    Limit.Loss,
    "9 messages did not arrive",
    { lost: 9, usage: server(0.97) },
  ],
  ["no sign at all", Limit.Unknown, "the server's busiest thread used 40 %", {}],
];

describe("what gave out first", () => {
  for (const [name, limit, evidence, some] of cases) {
    it(`is told from ${name}: ${limit}`, () => {
      const found = saturationOf({ ...calm, ...some }, BOUND_MS);
      assertEquals(found.limit, limit);
      assertStringIncludes(found.evidence.join("; "), evidence);
    });
  }

  it("is not said to be the server's CPU when that is not known", () => {
    const { server: _, ...remote } = relaxed;
    assertEquals(
      saturationOf({ ...calm, usage: { ...remote, machineShare: 0.5 } }, BOUND_MS).limit,
      Limit.Unknown,
    );
  });
});
