/**
 * The ticker example as a newcomer runs it, but shorter: a process of its own with a server of its own, so on Node only.
 * MILLRACE_SCREENSHOTS=FOLDER keeps its drawing.
 */
import { after, before, describe, it } from "node:test";
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { assertEquals, assertGreater, assertMatch, assertStringIncludes } from "@std/assert";
import { runtime } from "../helpers/runtime.ts";
import { runScript, stopProcesses } from "../helpers/server.ts";

const RATE = 5_000;
const SECONDS = 2;
/** A third of all, and a ninth. */
const SHARES = { exchange: 3, symbol: 9 };

interface Row {
  readonly received: number;
  readonly leftOut: number;
}

describe("the ticker example", { skip: runtime !== "node" }, () => {
  const folder = mkdtempSync(join(tmpdir(), "millrace-ticker-"));
  const drawing = join(folder, "ticker.svg");
  let output = "";

  /** What it says of a client. */
  const rowOf = (name: string): Row => {
    const row = new RegExp(`^${name} +received +(\\d+), left out +(\\d+), lag`, "m").exec(output);
    return { received: Number(row?.[1]), leftOut: Number(row?.[2]) };
  };

  before(async () => {
    const run = runScript("node", "examples/ticker/ticker.ts", [
      ...["--rate", String(RATE), "--seconds", String(SECONDS), "--slow-bytes-per-second", "500000"],
      ...["--plot", drawing],
    ]);
    assertEquals(await run.exitCode(), 0, run.output.all.join(""));
    output = run.output.all.join("");
  });
  after(async () => {
    await stopProcesses();
    rmSync(folder, { recursive: true });
  });

  it("brings every tick to whoever reads fast enough, in either format, and by their pattern", () => {
    const published = RATE * SECONDS;
    assertStringIncludes(output, `published ${published}\n`);
    assertEquals(rowOf("all"), { received: published, leftOut: 0 });
    const exchange = rowOf("one exchange, as JSON");
    const symbol = rowOf("one symbol");
    assertEquals([exchange.leftOut, symbol.leftOut], [0, 0]);
    assertEquals(Math.round(published / exchange.received), SHARES.exchange);
    assertEquals(Math.round(published / symbol.received), SHARES.symbol);
  });

  it("leaves out what a slow line cannot carry, and tells it of every tick", () => {
    const { received, leftOut } = rowOf("all, slow line");
    assertGreater(leftOut, 0);
    assertGreater(received, 0);
    assertEquals(received + leftOut, RATE * SECONDS);
  });

  it("draws what each client received", () => {
    const svg = readFileSync(drawing, "utf8");
    for (const text of ["all, slow line", "one symbol", "Lag, seconds", "Left out by the server"]) {
      assertStringIncludes(svg, text);
    }
    assertMatch(svg, /<path d="M[\d.]+ [\d.]+(L[\d.]+ [\d.]+){4}/);
    const pictures = process.env["MILLRACE_SCREENSHOTS"];
    if (pictures === undefined) return;
    mkdirSync(pictures, { recursive: true });
    copyFileSync(drawing, join(pictures, "ticker.svg"));
  });

  it("says what is wrong with an option, and stops", async () => {
    const run = runScript("node", "examples/ticker/ticker.ts", ["--rate", "fast"]);
    assertEquals(await run.exitCode(), 2);
    assertStringIncludes(run.errorOutput(), "--rate is a number above 0: see --help");
  });
});
