/**
 * From what a run counted to the figures of the table.
 */
import { describe, it } from "node:test";
import { assertEquals, assertStringIncludes } from "@std/assert";
import type { Cell } from "../../bench/result.ts";
import type { Idle, Latency, Outcome } from "../../bench/load/job.ts";
import { formatTable, mainFigure, summarize, toSample } from "../../bench/sample.ts";

const echo: Cell = { workload: "echo", parameters: {} };
const idleCell: Cell = { workload: "idle", parameters: {} };

function outcome(messages: number, serverCpuSeconds: number, loadCpuSeconds = 0.5): Outcome {
  return {
    failures: [],
    throughput: {
      messages,
      seconds: 1,
      serverCpuSeconds,
      loadCpuSeconds,
      deliveryRatio: 1,
      inspected: 1,
      rssBytes: 1,
    },
  };
}

describe("samples and summaries", () => {
  it("divide messages by the server's CPU time, not by the clock", () => {
    const sample = toSample(echo, "a", 1, outcome(1000, 0.5));
    const { messagesPerCpuSecond, messagesPerSecond, serverShare } = sample.figures;
    assertEquals([messagesPerCpuSecond, messagesPerSecond, serverShare], [2000, 1000, 0.5]);
  });

  it("compare with the first contender run by run, not median with median", () => {
    const samples = [100, 200, 400].flatMap((reference, i) => [
      toSample(echo, "a", i + 1, outcome(reference, 1)),
      toSample(echo, "b", i + 1, outcome(reference * [3, 1, 2][i]!, 1)),
    ]);
    const [, b] = summarize(samples);
    assertEquals(b?.value, { median: 300, min: 200, max: 800 });
    assertEquals(b?.ratio, { median: 2, min: 1, max: 3 });
  });

  it("show a failed run and leave its figures out", () => {
    const failed: Outcome = { ...outcome(9999, 1), failures: ["message 3 came back with other content"] };
    const samples = [toSample(echo, "a", 1, outcome(100, 1)), toSample(echo, "a", 2, failed)];
    const summaries = summarize(samples);
    assertEquals(summaries[0]?.value, { median: 100, min: 100, max: 100 });
    assertStringIncludes(formatTable("echo", summaries), "1 FAILED");
  });

  it("call a run without any CPU time failed instead of infinitely fast", () => {
    const sample = toSample(echo, "a", 1, outcome(100, 0));
    assertEquals([sample.failures.length, mainFigure(sample)], [1, undefined]);
  });

  it("tell a run whose load generator was the limit from one whose server was", () => {
    assertEquals(toSample(echo, "a", 1, outcome(100, 0.6, 0.99)).loadIsLimit, true);
    assertEquals(toSample(echo, "a", 1, outcome(100, 0.99, 0.99)).loadIsLimit, false);
  });

  it("charge idle memory to the connections between few and many", () => {
    const idle: Idle = {
      ...{ fewConnections: 100, manyConnections: 500, fewBytes: 1e6, manyBytes: 3e6, afterBytes: 2e6 },
      ...{ collected: true, collections: [2, 4, 6] },
    };
    const account = (heapUsed: number) => ({ heapUsed, external: 0 });
    const memory = [9e9, 1e6, 9e9, 2e6, 9e9, 1e6].map(account);
    const { figures } = toSample(idleCell, "a", 1, { failures: [], idle }, memory);
    assertEquals([figures["bytesPerConnection"], figures["rssBytes"], figures["afterBytes"]], [
      5000,
      3e6,
      2e6,
    ]);
    assertEquals([figures["heapBytesPerConnection"], figures["heapBytes"]], [2500, 2e6]);
    const { figures: without } = toSample(idleCell, "a", 1, { failures: [], idle }, []);
    assertEquals(without["heapBytes"], undefined);
  });

  it("call a load generator the limit of latency when it cannot keep its own timetable", () => {
    const latency: Latency = {
      ...{
        seconds: 1,
        serverCpuSeconds: 0.5,
        loadCpuSeconds: 1,
        capacityPerSecond: 1000,
        offeredPerSecond: 500,
      },
      ...{ p50Ms: 0.1, p90Ms: 0.2, p99Ms: 0.3, p999Ms: 0.4, maxMs: 0.5, lateP99Ms: 0.2, deliveryRatio: 1 },
    };
    const cell: Cell = { workload: "latency", parameters: {} };
    const punctual = toSample(cell, "a", 1, { failures: [], latency });
    assertEquals([punctual.figures["p99Ms"], punctual.figures["share"], punctual.loadIsLimit], [
      0.3,
      0.5,
      false,
    ]);
    const late = toSample(cell, "a", 1, { failures: [], latency: { ...latency, lateP99Ms: 5 } });
    assertEquals(late.loadIsLimit, true);
  });
});
