/**
 * From what a run counted to the figures of the table.
 */
import { describe, it } from "node:test";
import { assertEquals, assertStringIncludes } from "@std/assert";
import type { Outcome } from "../../bench/load/job.ts";
import { formatTable, summarize, toSample } from "../../bench/sample.ts";

function outcome(messages: number, serverCpuSeconds: number, loadCpuSeconds = 0.5): Outcome {
  return {
    failures: [],
    throughput: { messages, seconds: 1, serverCpuSeconds, loadCpuSeconds, deliveryRatio: 1, inspected: 1 },
  };
}

describe("samples and summaries", () => {
  it("divide messages by the server's CPU time, not by the clock", () => {
    const sample = toSample("echo", "a", 1, outcome(1000, 0.5));
    assertEquals([sample.value, sample.perSecond, sample.serverShare], [2000, 1000, 0.5]);
  });

  it("compare with the first contender run by run, not median with median", () => {
    const samples = [100, 200, 400].flatMap((reference, i) => [
      toSample("echo", "a", i + 1, outcome(reference, 1)),
      toSample("echo", "b", i + 1, outcome(reference * [3, 1, 2][i]!, 1)),
    ]);
    const [, b] = summarize(samples);
    assertEquals(b?.value, { median: 300, min: 200, max: 800 });
    assertEquals(b?.ratio, { median: 2, min: 1, max: 3 });
  });

  it("show a failed run and leave its figures out", () => {
    const failed: Outcome = { ...outcome(9999, 1), failures: ["message 3 came back with other content"] };
    const samples = [toSample("echo", "a", 1, outcome(100, 1)), toSample("echo", "a", 2, failed)];
    const summaries = summarize(samples);
    assertEquals(summaries[0]?.value, { median: 100, min: 100, max: 100 });
    assertStringIncludes(formatTable(summaries), "1 FAILED");
  });

  it("call a run without any CPU time failed instead of infinitely fast", () => {
    assertEquals(toSample("echo", "a", 1, outcome(100, 0)).value, undefined);
  });

  it("tell a run whose load generator was the limit from one whose server was", () => {
    assertEquals(toSample("echo", "a", 1, outcome(100, 0.6, 0.99)).loadIsLimit, true);
    assertEquals(toSample("echo", "a", 1, outcome(100, 0.99, 0.99)).loadIsLimit, false);
  });

  it("charge idle memory to the connections between few and many", () => {
    const idle = {
      fewConnections: 100,
      manyConnections: 500,
      fewBytes: 1e6,
      manyBytes: 3e6,
      collected: true,
    };
    assertEquals(toSample("idle", "a", 1, { failures: [], idle }).value, 5000);
  });
});
