/** The unit before systemd's own judges; what it runs is run in bundle.test.ts. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { after, describe, it } from "node:test";
import { assert, assertEquals, assertMatch } from "@std/assert";
import { findProgram, whyMissing } from "../../scripts/debian.ts";
import { readText } from "../helpers/deployment.ts";
import { runtime } from "../helpers/runtime.ts";

const unit = readText("deploy/systemd/millrace.service");
/** Tenths of the scale from 0, safe, to 10. What is left is the network, which a server needs. */
const EXPOSURE_TENTHS = 15;

const skip = runtime === "node" ? whyMissing("systemd-analyze") : "systemd says the same to everybody";
describe("the unit", { skip }, () => {
  const folder = mkdtempSync(join(tmpdir(), "millrace-unit-"));
  after(() => rmSync(folder, { recursive: true }));

  function analyze(text: string, ...args: string[]): { status: number | null; said: string } {
    const path = join(folder, "millrace.service");
    writeFileSync(path, text);
    const { status, stdout, stderr } = spawnSync(findProgram("systemd-analyze") ?? "", [...args, path], {
      encoding: "utf8",
    });
    return { status, said: stdout + stderr };
  }

  it("has nothing that `systemd-analyze verify` complains of, its program aside, which is not here", () => {
    const installed = unit.replace("/usr/local/bin/bun", process.execPath);
    assertEquals(analyze(installed, "verify", "--man=no"), { status: 0, said: "" });
    assertMatch(analyze(installed.replace("LimitNOFILE", "LimitNOFILES"), "verify").said, /Unknown key/);
  });

  it("may do no more than it needs, by `systemd-analyze security`", () => {
    const judge = (text: string) =>
      analyze(text, "security", "--offline=true", "--no-pager", `--threshold=${EXPOSURE_TENTHS}`);
    const { status, said } = judge(unit);
    assertEquals(status, 0, said);
    assert(judge(unit.replace("CapabilityBoundingSet=\n", "")).status !== 0, "a unit with all capabilities");
  });
});
