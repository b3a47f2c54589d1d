/**
 * The benchmark against real servers, for moments: every message is counted, what is planted is found. No figure is
 * looked at for its size.
 */
import { after, describe, it } from "node:test";
import { assert, assertEquals, assertGreater, assertRejects, assertStringIncludes } from "@std/assert";
import { type Options, readOptions } from "../../scripts/benchmark/options.ts";
import type { Report } from "../../scripts/benchmark/report.ts";
import { runBenchmark } from "../../scripts/benchmark/run.ts";
import { Limit } from "../../scripts/benchmark/saturation.ts";
import { Unreachable } from "../../scripts/benchmark/target.ts";
import { reportText } from "../../scripts/benchmark/text.ts";
import { runtime } from "../helpers/runtime.ts";
import { runScript, startServer, stopProcesses, unlimited } from "../helpers/server.ts";
import { freePort } from "../helpers/server_process.ts";
import { SECRET, sign } from "../helpers/tokens.ts";
import { startWsEcho } from "../helpers/ws_echo.ts";

const skip = runtime !== "node" && "the command is Node's whatever runs the test: once is enough";
const SHORT = ["--connections", "8", "--topic-size", "4", "--duration", "0.1"];
const CERTIFICATE = "test/fixtures/localhost.cert.pem";
const KEY = "test/fixtures/localhost.key.pem";

async function bench(url: string, ...args: string[]): Promise<Report> {
  return await runBenchmark(readOptions([url, ...SHORT, ...args]) as Options, () => {});
}

/** That a measurement has sent something, and knows where everything is. */
function assertCounted(
  { sent, delivered, lost, refused }: { sent: number; delivered: number; lost: number; refused: number },
  receivers: number,
): void {
  assertGreater(sent, 0);
  assertEquals([delivered, lost, refused], [sent * receivers, 0, 0]);
}

describe("the benchmark command", { skip }, () => {
  after(stopProcesses);

  for (const format of ["json", "msgpack"]) {
    it(`counts every delivery of a Millrace server in ${format}`, async () => {
      const server = await startServer(unlimited);
      try {
        const chosen = ["connections", "throughput", "latency", "burst"].flatMap((
          one,
        ) => ["--benchmark", one]);
        const report = await bench(server.url, ...chosen, "--format", format, "--rate", "400");
        const { protocol, receivers, results, findings } = report;
        assertEquals([protocol, report.format, receivers, findings], ["millrace", format, 4, []]);
        const { connections, throughput, latency = [], burst = [] } = results;
        assertEquals([connections?.open, connections?.latency?.count], [8, 8]);
        assert(throughput !== undefined && latency.length === 1 && burst.length === 3);
        for (const each of [throughput, ...latency, ...burst]) assertCounted(each, 4);
        for (const { latency: times, delivered } of burst) assertEquals(times?.count, delivered);
        assertGreater(latency[0]?.inspected ?? 0, 0);
        assertEquals(latency[0]?.offeredPerSecond, 400);
        assertStringIncludes(reportText(report), "LATENCY");
      } finally {
        await server.close();
      }
    });
  }

  it("prints a report for a pipeline, with a knee and the server's memory, for an echo server", async () => {
    const server = await startWsEcho();
    try {
      const chosen = ["memory", "knee"].flatMap((one) => ["--benchmark", one]);
      const run = runScript("node", "scripts/benchmark.ts", [
        ...[server.url, ...SHORT, "--duration", "0.05", ...chosen, "--json", "--expect-rate", "1e9"],
      ]);
      assertEquals([await run.exitCode(), run.errorOutput()], [1, ""]);
      const report = JSON.parse(run.output.all.join("")) as Report;
      assertEquals([report.protocol, report.receivers], ["echo", 1]);
      const { memory, knee } = report.results;
      assert(memory !== undefined && "bytesPerConnection" in memory && memory.manyConnections === 8);
      assert(knee !== undefined && knee.probes.length > 1);
      for (const probe of knee.probes) assertEquals(probe.delivered + probe.lost, probe.sent);
      assertStringIncludes(report.findings.join(), "--expect-rate 1000000000");
    } finally {
      await server.close();
    }
  });

  it("names the rate limit of a server that has one", async () => {
    const server = await startServer({ messageRate: { perSecond: 20, burst: 5 }, byteRate: null });
    try {
      const report = await bench(server.url, "--benchmark", "latency", "--rate", "2000");
      const [measurement] = report.results.latency ?? [];
      assertEquals(measurement?.saturation?.limit, Limit.RateLimit);
      assertGreater(measurement?.refused ?? 0, 0);
      assertStringIncludes(report.findings.join(), "rate_limited");
      assertStringIncludes(report.warnings.join(), "--message-rate");
    } finally {
      await server.close();
    }
  });

  it("needs permissions that it says are missing, and keeps its token to itself", async () => {
    const token = await sign({ sub: "bench", exp: Math.floor(Date.now() / 1000) + 600 });
    const topics = ["benchmark.>"];
    for (const allowed of [{}, { allowSubscribe: topics, allowPublish: topics }]) {
      const server = await startServer({ ...unlimited, jwtSecret: SECRET, ...allowed });
      try {
        const url = `${server.url}?token=${token}`;
        const report = await bench(url, "--benchmark", "latency", "--rate", "400");
        const found = report.findings.join();
        if ("allowPublish" in allowed) assertEquals(found, "");
        else assertStringIncludes(found, "forbidden");
        assert(!JSON.stringify(report).includes(token));
        await assertRejects(() => bench(server.url, "--token", "forged"), Unreachable, "--token");
      } finally {
        await server.close();
      }
    }
  });

  it("names the limit of connections, and what was accepted below it", async () => {
    const server = await startServer({ maxConnectionsPerAddress: 5 });
    try {
      const { connections } = (await bench(server.url, "--benchmark", "connections")).results;
      assertEquals([connections?.open, connections?.saturation?.limit], [5, Limit.ConnectionLimit]);
    } finally {
      await server.close();
    }
  });

  it("finds the messages that a server loses, and exits with 1", async () => {
    const port = await freePort();
    const server = runScript("node", "test/bench/staged_server.ts", [String(port), "echo-lost"]);
    await server.output.until((all) => all.join("").includes("listening"), "the server to listen");
    const url = `ws://127.0.0.1:${port}/`;
    const report = await bench(url, "--protocol", "echo", "--benchmark", "latency", "--rate", "1000");
    const [measurement] = report.results.latency ?? [];
    assertEquals(measurement?.saturation?.limit, Limit.Loss);
    // It answers the first 39.
    assertEquals([measurement?.delivered, measurement?.lost], [39, (measurement?.sent ?? 0) - 39]);
    assertStringIncludes(report.findings.join(), "did not arrive");
  });

  it("trusts the certificates it is told to, and no others", async () => {
    const server = await startServer({ ...unlimited, tlsCert: CERTIFICATE, tlsKey: KEY });
    try {
      const url = server.url.replace("127.0.0.1", "localhost");
      for (const trust of [["--ca", CERTIFICATE], ["--insecure"]]) {
        const { connections } = (await bench(url, "--benchmark", "connections", ...trust)).results;
        assertEquals(connections?.open, 8);
      }
      await assertRejects(() => bench(url, "--benchmark", "connections"), Unreachable);
    } finally {
      await server.close();
    }
  });

  it("says what is wrong in one line and exits with 2", async () => {
    const port = await freePort();
    const nobody = runScript("node", "scripts/benchmark.ts", [`ws://127.0.0.1:${port}/`]);
    const unknown = runScript("node", "scripts/benchmark.ts", ["ws://192.0.2.1/"]);
    assertEquals([await nobody.exitCode(), await unknown.exitCode()], [2, 2]);
    assertStringIncludes(nobody.errorOutput(), "ECONNREFUSED");
    assertStringIncludes(unknown.errorOutput(), "--i-own-this-server");
  });
});
