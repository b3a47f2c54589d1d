import { describe, it } from "node:test";
import { Buffer } from "node:buffer";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { assertAlmostEquals, assertEquals, assertGreater, assertLess, assertThrows } from "@std/assert";
import {
  compare,
  type Comparison,
  defaultSettings,
  isRegression,
  type Settings,
} from "../../bench/compare/compare.ts";
import { runtime } from "../helpers/runtime.ts";
import { busyLoop } from "../../bench/contenders/busy.ts";
import { parseResults, Summary } from "../../bench/report/results.ts";
import { bootstrapError, normalQuantile, seededRandom } from "../../bench/report/statistics.ts";
import type { Sample } from "../../bench/result.ts";
import { environment, type Plan, samplesOf, toText } from "./report_data.ts";

const RATE = "messagesPerCpuSecond";
const isLong = process.env["MILLRACE_LONG"] !== undefined;

/** Echo cells with two contenders; `ours` runs at `speed` times its usual rate. */
function plans(cells: number, speed = 1): Plan[] {
  return Array.from({ length: cells }, (_, at) => ({
    cell: { workload: "echo", parameters: { payloadBytes: 16 << at, inFlight: 8 } },
    figure: RATE,
    truth: { ours: 700e3 * speed, ws: 84e3 },
  }));
}

const summaryOf = (samples: readonly Sample[]) => new Summary({ environment, samples });

interface Trial {
  readonly cells?: number;
  readonly noise?: number;
  readonly speed?: number;
  readonly runs?: number;
}

function tryOut(seed: number, trial: Trial, settings: Partial<Settings> = {}): Comparison[] {
  const { cells = 8, noise = 0.02, speed = 1, runs = 5 } = trial;
  const first = summaryOf(samplesOf(plans(cells), 2 * seed, noise, runs));
  const second = summaryOf(samplesOf(plans(cells, speed), 2 * seed + 1, noise, runs));
  return compare(first, second, { ...defaultSettings, resamples: 300, ...settings });
}

const worse = (comparisons: readonly Comparison[]) =>
  comparisons.filter(({ verdict }) => verdict === "worse");

/** How many of a number of trials have a finding of either kind. */
function countFindings(trials: number, trial: Trial, settings?: Partial<Settings>): number {
  let found = 0;
  for (let seed = 1; seed <= trials; seed++) {
    if (tryOut(seed, trial, settings).some(({ verdict }) => verdict !== "same")) found++;
  }
  return found;
}

describe("a comparison of two runs", () => {
  for (const noise of [0.01, 0.02, 0.03]) {
    it(`finds a contender that is 5 % slower in eight cells, at a noise of ${noise * 100} % and five samples`, () => {
      for (let seed = 1; seed <= 10; seed++) {
        const [slowed] = worse(tryOut(seed, { noise, speed: 0.95 }));
        assertEquals([slowed?.contender, slowed?.cell], ["ours", undefined]);
      }
    });

    it(`does not call two runs of one build different, at a noise of ${noise * 100} %`, () => {
      // Permitted are 5 %; a hundred trials are for those who have the time.
      const trials = isLong ? 100 : 15;
      assertLess(countFindings(trials, { noise }), 0.05 * trials);
    });
  }

  it("finds 5 % in each of eight cells at a noise of 1 %, and says how much it is", () => {
    const cells = tryOut(3, { noise: 0.01, speed: 0.95 }).filter(({ cell, contender }) =>
      cell !== undefined && contender === "ours"
    );
    assertGreater(worse(cells).length, 6);
    for (const { ratio, low, high } of cells) {
      assertAlmostEquals(ratio ?? 0, 0.95, 0.03);
      assertLess(low ?? 0, ratio ?? 0);
      assertGreater(high ?? 0, ratio ?? 0);
    }
  });

  it("calls what became faster better, which is no regression", () => {
    const found = tryOut(1, { speed: 1.1, noise: 0.01 });
    assertEquals(found.some(({ verdict }) => verdict === "better"), true);
    assertEquals(found.some(isRegression), false);
  });

  it("lets differences below the threshold pass", () => {
    assertGreater(worse(tryOut(1, { speed: 0.95, noise: 0.005 })).length, 0);
    assertEquals(worse(tryOut(1, { speed: 0.95, noise: 0.005 }, { threshold: 0.1 })), []);
  });

  it("turns figures of which less is better", () => {
    const bytes = (value: number, seed: number) => {
      const cell = { workload: "idle", parameters: { connections: 1000 } } as const;
      const plan = { cell, figure: "bytesPerConnection", truth: { ours: value } };
      return summaryOf(samplesOf([plan], seed, 0.01));
    };
    const [grown] = compare(bytes(1000, 1), bytes(1200, 2), defaultSettings);
    assertEquals(grown?.verdict, "worse");
    assertAlmostEquals(grown?.ratio ?? 0, 1000 / 1200, 0.03);
  });

  it("gives the same answer for the same seed", () => {
    assertEquals(tryOut(5, {}), tryOut(5, {}));
  });

  it("takes drift of the whole machine for a regression, unless a reference is measured beside it", () => {
    const first = samplesOf(plans(8), 1, 0.01);
    const drifted = samplesOf(plans(8), 2, 0.01).map((sample) => ({
      ...sample,
      figures: { [RATE]: (sample.figures[RATE] ?? 0) * 0.93 },
    }));
    const settings = { ...defaultSettings, resamples: 300 };
    const verdict = (chosen: Settings) =>
      compare(summaryOf(first), summaryOf(drifted), chosen).some(isRegression);
    assertEquals(verdict(settings), true);
    assertEquals(verdict({ ...settings, reference: "ws" }), false);
  });

  it("takes out what paired runs share", () => {
    // Every second run is on a machine that is a quarter slower, for both builds alike.
    const shaken = (samples: readonly Sample[]) =>
      samples.map((sample) => ({
        ...sample,
        figures: { [RATE]: (sample.figures[RATE] ?? 0) * (sample.run % 2 === 0 ? 0.75 : 1) },
      }));
    const first = summaryOf(shaken(samplesOf(plans(8), 1, 0.01)));
    const second = summaryOf(shaken(samplesOf(plans(8, 0.95), 2, 0.01)));
    assertEquals(worse(compare(first, second, defaultSettings)), []);
    assertGreater(worse(compare(first, second, { ...defaultSettings, isPaired: true })).length, 0);
  });

  it("compares two contenders of one file when the second one stands for the first", () => {
    const cell = { workload: "echo", parameters: { inFlight: 8 } } as const;
    const plan = { cell, figure: RATE, truth: { ours: 700e3, slowed: 650e3, ws: 84e3 } };
    const file = summaryOf(samplesOf([plan], 1, 0.01));
    const renamed = new Map([["ours", "slowed"]]);
    const found = compare(file, file, { ...defaultSettings, isPaired: true, renamed });
    assertEquals(found.map(({ contender, verdict }) => [contender, verdict]), [["ours", "worse"]]);
  });

  it("calls it a regression when what was measured fails now, and not when it is gone or new", () => {
    const samples = samplesOf(plans(1), 1, 0.01);
    const failing = samples.map((sample): Sample =>
      sample.contender === "ours" ? { ...sample, failures: ["lost"], figures: {} } : sample
    );
    const without = samples.filter(({ contender }) => contender === "ws");
    const verdictOf = (first: readonly Sample[], second: readonly Sample[]) => {
      const found = compare(summaryOf(first), summaryOf(second), defaultSettings)
        .find(({ contender }) => contender === "ours");
      return [found?.verdict, found && isRegression(found)];
    };
    assertEquals(verdictOf(samples, samples), ["same", false]);
    assertEquals(verdictOf(samples, failing), ["failed", true]);
    assertEquals(verdictOf(samples, without), ["gone", false]);
    assertEquals(verdictOf(without, samples), ["new", false]);
    assertEquals(verdictOf(samples.filter(({ run }) => run < 3), samples), ["few", false]);
  });
});

describe("the arithmetic of a comparison", () => {
  it("knows the quantiles of the normal distribution", () => {
    assertAlmostEquals(normalQuantile(0.5), 0, 1e-6);
    assertAlmostEquals(normalQuantile(0.975), 1.959964, 1e-5);
    assertAlmostEquals(normalQuantile(0.0001), -3.719016, 1e-3);
  });

  it("finds no error where all values are one, and the right size where they are many", () => {
    const random = seededRandom(1);
    assertEquals(bootstrapError([4, 4, 4, 4, 4], 100, random), 0);
    const even = Array.from({ length: 401 }, (_, at) => at / 400);
    // The median of n even numbers varies by 1 / (2 sqrt(n)).
    assertAlmostEquals(bootstrapError(even, 2000, random), 0.5 / Math.sqrt(401), 0.005);
  });
});

describe("the busy loop of a slowed contender", () => {
  it("spins for its share of the other CPU time, and leaves the rest alone", () => {
    let now = 0;
    // Each look at the clock takes a moment itself.
    const spin = busyLoop(0.05, () => now += 0.5);
    let worked = 0;
    for (let message = 0; message < 64_000; message++) {
      now += 2;
      worked += 2;
      spin();
    }
    assertAlmostEquals((now - worked) / worked, 0.05, 0.01);
  });

  it("refuses a share that is none", () => {
    for (const share of [0, -1, 1.5, NaN]) assertThrows(() => busyLoop(share), RangeError);
    busyLoop(0.05);
  });
});

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

/** Runs the command, which is Node's whatever runs the test, over two files. */
function run(
  files: readonly string[],
  ...args: string[]
): { code: number | null; out: string; error: string } {
  const folder = mkdtempSync(join(tmpdir(), "millrace-compare-"));
  try {
    const paths = files.map((text, at) => {
      const path = join(folder, `${at}.jsonl`);
      writeFileSync(path, text);
      return path;
    });
    const command = ["--import", "tsx", "bench/compare/main.ts", ...paths, ...args];
    const { status, stdout, stderr } = spawnSync("node", command, { cwd: ROOT });
    return { code: status, out: Buffer.from(stdout).toString(), error: Buffer.from(stderr).toString() };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

// It starts itself on Node, whoever runs the tests.
describe("the compare command", { skip: runtime !== "node" }, () => {
  const before = toText([environment, ...samplesOf(plans(8), 1, 0.02)]);
  const same = toText([environment, ...samplesOf(plans(8), 2, 0.02)]);
  const slower = toText([environment, ...samplesOf(plans(8, 0.95), 3, 0.02)]);

  it("exits with 0 when nothing became worse, 1 when something did, and names it first", () => {
    assertEquals(run([before, same]).code, 0);
    const { code, out } = run([before, slower]);
    assertEquals([code, out.split("\n")[1]?.startsWith("WORSE  ours")], [1, true], out);
  });

  it("writes JSON that says the same", () => {
    const { code, out } = run([before, slower], "--json");
    const comparisons = JSON.parse(out) as Comparison[];
    assertEquals([code, comparisons.some(isRegression)], [1, true]);
  });

  it("exits with 2 and says why when it is used wrongly", () => {
    for (
      const [files, args] of [
        [[before], []],
        [[before, same], ["--threshold", "two"]],
        [[before, same], ["--reference", "nobody"]],
        [[before, same], ["--rename", "ours"]],
        [[before, "not JSON"], []],
        [[before, same], ["--nonsense"]],
      ] as const
    ) {
      const { code, error } = run([...files], ...args);
      assertEquals([code, error.startsWith("bench:compare: ")], [2, true], `${args.join(" ")}: ${error}`);
    }
  });

  it("reads what it compares with the parser that names a wrong line", () => {
    assertThrows(() => parseResults(`${before}{"kind":"sample"}\n`, "file"), RangeError, "file:82");
  });
});
