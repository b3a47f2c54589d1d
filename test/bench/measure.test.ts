/**
 * The measure command from end to end, with tiny counts: every workload, and every check of a run seen to fail.
 * Figures are only asserted to be there: these runs are far too short to compare anything.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { runtime } from "../helpers/runtime.ts";
import { assert, assertEquals, assertGreater, assertStringIncludes } from "@std/assert";
import type { Sample } from "../../bench/result.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const SHORT = [
  "--runs",
  "1",
  "--seconds",
  "0.2",
  "--warmup-seconds",
  "0.1",
  "--connections",
  "8",
  "--subscribers",
  "8",
];
/** Cases that say little more than their neighbours, at a second each. */
const isLong = process.env["MILLRACE_LONG"] !== undefined;
const long = (cases: string[]): string[] => isLong ? cases : [];
const HAS_PROC = existsSync("/proc/self/stat");
const skip = runtime !== "node"
  ? "the command is Node's whatever runs the test: once is enough"
  : HAS_PROC
  ? false
  : "the measure is taken from Linux's /proc";

/** Runs the command, which is Node's whatever runs the test, and reads the samples it wrote. */
async function measure(...args: string[]): Promise<{ code: number; samples: Sample[]; text: string }> {
  const directory = await mkdtemp(join(tmpdir(), "millrace-measure-"));
  const file = join(directory, "samples.jsonl");
  try {
    const command = ["--import", "tsx", "bench/measure.ts", ...SHORT, "--json", file, ...args];
    const child = spawn("node", command, { cwd: ROOT, stdio: ["ignore", "pipe", "pipe"] });
    let text = "";
    child.stdout.on("data", (chunk: unknown) => text += String(chunk));
    child.stderr.on("data", (chunk: unknown) => text += String(chunk));
    const [code] = await once(child, "close") as [number];
    const lines = existsSync(file) ? (await readFile(file, "utf8")).trim().split("\n") : [];
    const records = lines.map((line) => JSON.parse(line) as Sample | { kind: "other" });
    return { code, text, samples: records.filter((record) => record.kind === "sample") };
  } finally {
    await rm(directory, { recursive: true });
  }
}

function staged(behaviour: string, protocol = "bare"): string[] {
  return [
    "--contender",
    `staged:${protocol}=node --import tsx test/bench/staged_server.ts {port} ${behaviour}`,
  ];
}

describe("the measure command", { skip }, () => {
  for (const contender of ["ws", ...long(["uws-bare", "bun-bare", "tcp-node", "tcp-bun", "deno-bare"])]) {
    it(`counts the echoes of ${contender}`, async () => {
      const { code, samples, text } = await measure("--workload", "echo", "--contender", contender);
      assertEquals([code, samples.length, samples[0]?.failures], [0, 1, []], text);
      assertGreater(samples[0]?.figures["messagesPerCpuSecond"] ?? 0, 1000);
    });
  }

  for (const contender of ["ws", ...long(["uws-bare", "bun-bare", "deno-bare"])]) {
    it(`counts the deliveries of ${contender} at every subscriber`, async () => {
      const { code, samples, text } = await measure("--workload", "fanout", "--contender", contender);
      assertEquals([code, samples[0]?.failures, samples[0]?.figures["deliveryRatio"]], [0, [], 1], text);
      assertEquals((samples[0]?.figures["messagesPerSecond"] ?? 0) > 1000, true);
    });
  }

  it("weighs idle connections and asks for a garbage collection first", async () => {
    const { code, samples, text } = await measure(
      "--workload",
      "idle",
      "--contender",
      "ws",
      "--connections",
      "200",
    );
    assertEquals([code, samples[0]?.failures, samples[0]?.figures["collected"]], [0, [], 1], text);
    assertGreater(samples[0]?.figures["heapBytes"] ?? 0, 1e6);
  });

  it("lets another contender begin each run", async () => {
    const contenders = ["--contender", "ws", "--contender", "uws-bare", "--runs", "2"];
    const { samples, text } = await measure(...contenders);
    assertEquals(samples.map(({ contender }) => contender), ["ws", "uws-bare", "uws-bare", "ws"], text);
  });

  it("refuses a command line it does not understand and says why", async () => {
    const { code, text } = await measure("--workload", "eco", "--contender", "ws");
    assertEquals(code, 2);
    assertStringIncludes(text, "expected echo, fanout, rooms");
  });
});

describe("a run's checks", { skip, concurrency: 4 }, () => {
  it("pass a server that does nothing wrong", async () => {
    const echo = await measure(...staged("echo"));
    assertEquals([echo.code, echo.samples[0]?.failures], [0, []], echo.text);
    const fanout = await measure("--workload", "fanout", ...staged("fanout"));
    assertEquals([fanout.code, fanout.samples[0]?.failures], [0, []], fanout.text);
  });

  it("pass a server that speaks Millrace's protocol", async () => {
    const echo = await measure(...staged("millrace", "millrace"));
    assertEquals([echo.code, echo.samples[0]?.failures], [0, []], echo.text);
    const fanout = await measure("--workload", "fanout", ...staged("millrace", "millrace"));
    assertEquals([fanout.code, fanout.samples[0]?.failures], [0, []], fanout.text);
  });

  const faults: [workload: string, behaviour: string, reason: string][] = [
    ["echo", "echo-altered", "arrived with other content"],
    ["echo", "echo-twice", "came back"],
    ["echo", "echo-lost", "messages came back"],
    ["fanout", "fanout-lost", "1 of 8 subscribers did not get exactly"],
    ["fanout", "fanout-twice", "arrived with other content"],
    ["fanout", "millrace-gap", "has offset"],
  ];
  for (const [workload, behaviour, reason] of faults) {
    it(`show a run as failed when the server does this: ${behaviour}`, async () => {
      const protocol = behaviour.startsWith("millrace") ? "millrace" : "bare";
      const { code, samples, text } = await measure("--workload", workload, ...staged(behaviour, protocol));
      assertEquals(code, 1);
      assertEquals(samples[0]?.figures["messagesPerCpuSecond"], undefined);
      assertStringIncludes(samples[0]?.failures.join() ?? "", reason);
      assertStringIncludes(text, "1 FAILED");
    });
  }

  it("refuse a wrapper whose child does the listening, as its CPU time would be missed", async () => {
    const command = "sh -c 'node --import tsx test/bench/staged_server.ts {port} echo; true'";
    const { code, samples } = await measure("--contender", `wrapped=${command}`);
    assertEquals(code, 1);
    assertStringIncludes(samples[0]?.failures.join() ?? "", "does not listen");
  });

  it("show a server that cannot start as a failed run", async () => {
    const { code, samples } = await measure("--contender", "absent=/nonexistent/server");
    assertEquals(code, 1);
    assert(samples[0]?.failures.length === 1);
  });
});
