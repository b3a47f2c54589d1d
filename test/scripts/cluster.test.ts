/** The command `cluster` as its user meets it: what it prints works, what dies is told, and nothing stays behind. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import process from "node:process";
import { after, describe, it } from "node:test";
import {
  assert,
  assertEquals,
  assertGreaterOrEqual,
  assertLess,
  assertMatch,
  assertThrows,
} from "@std/assert";
import { type Addresses, whatIsMissing } from "../../scripts/cluster/cluster.ts";
import { readCommand } from "../../scripts/cluster/command.ts";
import { welcome } from "../../scripts/cluster/welcome.ts";
import { type CommandRun, joinRaw, runScript, stopProcesses } from "../helpers/server.ts";
import { Opcode } from "../helpers/raw_client.ts";
import { runtime } from "../helpers/runtime.ts";

const skip = runtime !== "node"
  ? "tested on Node"
  : whatIsMissing({ proxies: ["nginx"], hasPrometheus: true }) ?? false;

function runCluster(...flags: string[]): CommandRun {
  return runScript("node", "scripts/cluster.ts", flags);
}

/** Every process of the groups that these processes lead. */
function processesOf(leaders: readonly number[]): number[] {
  return readdirSync("/proc").filter((name) => /^\d+$/.test(name)).map(Number).filter((pid) => {
    let stat = "";
    try {
      stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    } catch {
      return false; // It has just ended.
    }
    const [, , group] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return leaders.includes(Number(group));
  });
}

/** The processes that `pid` has started. */
function childrenOf(pid: number): number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, "latin1").trim().split(" ").map(Number);
}

/** Prometheus has found the nodes; the first scrape may take as long as its interval. */
async function untilPrometheusKnows({ prometheus, nodes }: Addresses): Promise<void> {
  const expected = nodes.map(({ url }) => `${url}/metrics`).sort();
  const deadline = performance.now() + 10_000;
  for (let known: string[] = []; JSON.stringify(known) !== JSON.stringify(expected);) {
    assertLess(performance.now(), deadline, `Prometheus knows ${known}`);
    const { data } = await (await fetch(`${prometheus}/api/v1/targets`)).json() as Targets;
    known = data.activeTargets.map(({ scrapeUrl }) => scrapeUrl).sort();
  }
}

interface Targets {
  readonly data: { readonly activeTargets: readonly { readonly scrapeUrl: string }[] };
}

describe("the command cluster", { skip }, () => {
  after(stopProcesses);

  it("starts what it says, tells what dies, and leaves nothing behind", { timeout: 60_000 }, async () => {
    const run = runCluster("--json", "--proxy", "both", "--", "--history", "chat.>:5:60");
    const said = () => run.output.all.join("");
    await run.output.until(() => /^\{.*\}$/m.test(said()) || run.child.exitCode !== null, "the addresses");
    const addresses = JSON.parse(/^\{.*\}$/m.exec(said())?.[0] ?? said()) as Addresses;
    const programs = childrenOf(run.child.pid ?? 0);
    const [url = ""] = Object.values(addresses.proxies);
    assertEquals([Object.keys(addresses.proxies), addresses.nodes.length], [["nginx", "haproxy"], 3]);
    assertGreaterOrEqual(programs.length, 6);

    await untilPrometheusKnows(addresses);

    // What a newcomer is told to try.
    const client = await joinRaw(url);
    client.send(Opcode.Text, JSON.stringify({ type: "subscribe", id: 1, topic: "news" }));
    await client.receiveTexts(2);
    const [curl = ""] = /curl [^]*?-d '.*'/.exec(welcome(addresses)) ?? [];
    const { status, stdout } = spawnSync("sh", ["-c", curl], { encoding: "utf8" });
    assertEquals([status, JSON.parse(stdout).offset], [0, 1]);
    assertEquals(JSON.parse((await client.receiveTexts(3))[2] ?? "").data, "hello");
    client.destroy();

    process.kill(addresses.nodes[1]?.pid ?? 0, "SIGKILL");
    await run.output.until(() => said().includes("node-2 has died: it ended by SIGKILL"), "the news of it");
    run.signal("SIGINT");
    assertEquals(await run.exitCode(), 1);
    assertEquals(processesOf(programs), []);
    assertEquals(existsSync(dirname(addresses.certificateFile)), false);
  });

  it("can be stopped while it starts", { timeout: 60_000 }, async () => {
    const folder = mkdtempSync(join(tmpdir(), "millrace-test-"));
    try {
      const run = runScript("node", "scripts/cluster.ts", ["--verbose"], { TMPDIR: folder });
      const said = () => run.output.all.join("");
      await run.output.until(() => said().includes("Ready to accept connections"), "Redis");
      const programs = childrenOf(run.child.pid ?? 0);
      assertEquals(readdirSync(folder).filter((name) => name.startsWith("millrace-")).length, 1);
      run.signal("SIGTERM");
      assertEquals(await run.exitCode(), 0, said());
      assertEquals(processesOf(programs), []);
      assertEquals(readdirSync(folder).filter((name) => name.startsWith("millrace-")), []);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it("names the packages of the programs that are missing", () => {
    const path = process.env["PATH"];
    try {
      process.env["PATH"] = "/nowhere";
      assertMatch(
        whatIsMissing({ proxies: ["nginx"], hasPrometheus: true }) ?? "",
        /^not installed: redis-server.*; on Debian: apt-get install redis-server/,
      );
      assertEquals(whatIsMissing({ proxies: [], hasPrometheus: false })?.includes("prometheus"), false);
    } finally {
      process.env["PATH"] = path ?? "";
    }
  });

  it("says what is wrong with a flag and what would be right", () => {
    const wrong: readonly [string[], string][] = [
      [["--nodes", "0"], "--nodes takes a whole number from 1 to 20, not 0"],
      [["--proxy", "apache"], "--proxy takes nginx, haproxy, both, not apache"],
      [["--engine", "quick"], "--engine takes auto, bun, uws, ts, not quick"],
      [["--node-port", "65535"], "--node-port takes a whole number from 1 to 65533, not 65535"],
      [["--port"], "--port"],
      [["--colour"], "--colour"],
    ];
    for (const [args, message] of wrong) assertThrows(() => readCommand(args), Error, message);
    const command = readCommand(["--proxy", "both", "--port", "8443", "--", "--deflate", "shared"]);
    assert(command !== "help");
    assertEquals(command.settings.ports, { nginx: 8443, haproxy: 8444 });
    assertEquals(command.settings.nodeFlags, ["--deflate", "shared"]);
    assertEquals(readCommand(["--help"]), "help");
  });
});
