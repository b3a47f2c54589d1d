/**
 * Every contender that is installed here, in every workload that it has, for a moment: what a run checks must hold. No
 * figure is looked at. The servers are processes of their own, so one runtime for the test says it all.
 */
import { existsSync } from "node:fs";
import process from "node:process";
import { describe, it } from "node:test";
import { assertEquals, assertGreater, assertMatch } from "@std/assert";
import { partCells } from "../../bench/codec/parts.ts";
import { takeCodecSamples } from "../../bench/codec_run.ts";
import { builtIn, contenderNamed } from "../../bench/contenders.ts";
import type { Contender } from "../../bench/contender.ts";
import { lead } from "../../bench/load/team.ts";
import { run } from "../../bench/load/work.ts";
import type { Cell } from "../../bench/result.ts";
import { jobOf, setupOf, takeSample, withServer } from "../../bench/run.ts";
import { whyMissing } from "../../scripts/debian.ts";

const OPTIONS = { warmupSeconds: 0.1, seconds: 0.1, load: "bun" } as const;
/** Long enough for the server to use a few of the hundredths of a second that its CPU time is counted in. */
const COUNTED = { ...OPTIONS, seconds: 0.3 } as const;
const AT_ONCE = 4;

function cell(workload: Cell["workload"], parameters: Cell["parameters"] = {}): Cell {
  return { workload, parameters: { connections: 8, inFlight: 2, payloadBytes: 64, ...parameters } };
}

/** Cells that share a server, as it is started alike for them. */
const groups: readonly (readonly Cell[])[] = [
  [
    cell("echo"),
    cell("echo", { payloadBytes: 20_000, connections: 2 }),
    cell("latency", { share: 0.2 }),
    cell("storm"),
  ],
  [
    cell("fanout"),
    cell("fanout", { slowConsumers: 1 }),
    cell("rooms", { connections: 12, roomSize: 4 }),
    cell("latency", { traffic: "fanout", share: 0.2 }),
  ],
  [cell("echo", { deflate: "on", content: "json", payloadBytes: 500 })],
  [cell("storm", { tls: true }), cell("echo", { tls: true })],
];
/** For those that do not echo. */
const stormAlone = [cell("storm")];

/** The contender's answers in all cells that it can be asked. */
async function ask(contender: Contender): Promise<string[]> {
  const wrong: string[] = [];
  let asked = 0;
  const canEcho = typeof contender.launch(setupOf(cell("echo"))) !== "string";
  for (const group of canEcho ? groups : [...groups, stormAlone]) {
    const first = group.find((one) => typeof contender.launch(setupOf(one)) !== "string");
    if (first === undefined) continue;
    await withServer(first, contender, async (server) => {
      for (const one of group) {
        if (typeof contender.launch(setupOf(one)) === "string") continue;
        asked++;
        const { failures } = await run(jobOf(one, OPTIONS, server));
        wrong.push(
          ...failures.map((failure) => `${one.workload} ${JSON.stringify(one.parameters)}: ${failure}`),
        );
      }
    });
  }
  assertGreater(asked, 0);
  return wrong;
}

function whyNot(name: string): string | false {
  if ("Bun" in globalThis || "Deno" in globalThis) {
    return "it starts processes of its own: once is enough, on Node";
  }
  if (!existsSync("/proc/self/stat")) return "the benchmark reads Linux's /proc";
  const launch = contenderNamed(name).launch(setupOf(cell("fanout")));
  return typeof launch === "string" && launch.startsWith("missing") && `NOT TESTED: ${name}: ${launch}`;
}

describe("the benchmark's contenders", { concurrency: AT_ONCE }, () => {
  for (const contender of builtIn) {
    it(`do what is asked of them: ${contender.name}`, { skip: whyNot(contender.name) }, async () => {
      assertEquals(await ask(contender), []);
    });
  }
});

describe("the benchmark's other workloads", { concurrency: AT_ONCE }, () => {
  const own = contenderNamed("server-ts-bun");
  const skip = whyNot(own.name);

  for (
    const one of [
      cell("idle", { connections: 50, activeMessages: 2 }),
      cell("churn", { connections: 20 }),
      cell("server", { format: "msgpack", rates: true, history: true }),
    ]
  ) {
    it(`${one.workload} gives a figure`, { skip }, async () => {
      const { failures, figures } = await takeSample(one, own, 1, COUNTED);
      assertEquals(failures, []);
      assertGreater(figures["rssBytes"] ?? 0, 1e6);
    });
  }

  it(
    "idle leaves programs alone to which SIGUSR2 means something else",
    { skip: whyNot("nats") },
    async () => {
      const idle = cell("idle", { connections: 50 });
      const { failures, figures } = await takeSample(idle, contenderNamed("nats"), 1, COUNTED);
      assertEquals([failures, figures["collected"]], [[], 0]);
    },
  );

  it("server goes through Redis", { skip: skip || whyMissing("redis-server") }, async () => {
    const { failures } = await takeSample(cell("server", { broker: "redis" }), own, 1, COUNTED);
    assertEquals(failures, []);
  });

  for (
    const one of [
      cell("echo"),
      cell("rooms", { connections: 12, roomSize: 4 }),
      cell("storm", { handshakes: 5 }),
    ]
  ) {
    for (const load of ["bun", "node"] as const) {
      it(`${one.workload} has its load from several processes of ${load}`, { skip }, async () => {
        const engine = contenderNamed("engine-ts-bun");
        const { failures, figures } = await takeSample(one, engine, 1, {
          ...COUNTED,
          load,
          loadProcesses: 3,
        });
        assertEquals(failures, []);
        assertGreater(figures["messagesPerSecond"] ?? figures["handshakesPerSecond"] ?? 0, 0);
      });
    }
  }

  it(
    "several processes of load say why they could not connect, and none waits for the others",
    { skip },
    async () => {
      const one = cell("echo");
      const unreachable = {
        protocol: "bare",
        url: "ws://127.0.0.1:1/",
        serverPid: process.pid,
        collects: false,
      } as const;
      const { failures } = await lead(jobOf(one, { ...OPTIONS, loadProcesses: 3 }, unreachable));
      assertMatch(failures.join(), /ECONNREFUSED|refused/);
    },
  );

  it("codec compares ours with ws", { skip }, async () => {
    const name = "decode 125 text masked whole many";
    const samples = await takeCodecSamples({ workload: "codec", parameters: { name, runtime: "node" } }, 1);
    assertEquals(samples.map(({ contender }) => contender).slice(0, 2), ["codec", "ws"]);
    assertEquals(samples.flatMap(({ failures }) => failures), []);
  });

  it("codec's parts and what they are compared with give the right output", { skip }, async () => {
    const cells = [...partCells("125 bytes", false)];
    const parts = [...new Set(cells.map(({ name }) => name.split(" ")[0]))];
    assertEquals(parts, ["mask", "utf8", "prepare", "deflate", "inflate"]);
    for (const { contenders } of cells) for (const contender of contenders) await contender.check();
  });
});
