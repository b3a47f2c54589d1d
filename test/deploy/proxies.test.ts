/**
 * nginx and HAProxy with the files of `deploy/` in front of three nodes, as clients meet them: while nodes are restarted,
 * die, and while the proxies read their files again; and what of the nodes can be reached from outside.
 */
import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { assert, assertEquals, assertGreater, assertMatch, assertRejects } from "@std/assert";
import { Cluster, type ClusterSettings, whatIsMissing } from "../../scripts/cluster/cluster.ts";
import { haproxyConnections, type ProxyName, proxyNames } from "../../scripts/cluster/proxies.ts";
import { findProgram } from "../../scripts/debian.ts";
import { optionSpecs } from "../../server/options.ts";
import { Crowd } from "../helpers/crowd.ts";
import { Events } from "../helpers/events.ts";
import { seededRandom } from "../helpers/random.ts";
import { runtime } from "../helpers/runtime.ts";
import { unlimitedFlags } from "../helpers/server.ts";
import { visit, type Visited } from "./visit.ts";

const LONG = process.env["MILLRACE_LONG"] !== undefined;
const WHOLE_RUN = { timeout: 300_000 };
/** Through each proxy. */
const FOLLOWERS = 100;
const MANY = 10_000;
const PER_TOPIC = 100;
const MAX_PER_ADDRESS = 120;
/** Of loopback, for many connections: less than the limit from each. */
const MANY_ADDRESSES = 20;

/** What is the same on all runtimes is tested on one. */
const skip = runtime !== "node"
  ? "tested on Node"
  : whatIsMissing({ proxies: proxyNames, hasPrometheus: false }) ?? false;
if (typeof skip === "string" && runtime === "node") console.error(`SKIPPED: ${skip}`);

const deploy = fileURLToPath(new URL("../../deploy/", import.meta.url));
const fixture = (name: string) => fileURLToPath(new URL(`../fixtures/${name}`, import.meta.url));

interface Stage {
  readonly cluster: Cluster;
  /** What died without having been told to. */
  readonly deaths: string[];
  readonly said: Events<{ readonly name: string; readonly text: string }>;
  urlOf(proxy: ProxyName): string;
}

async function startCluster(settings: Partial<ClusterSettings>, ...nodeFlags: string[]): Promise<Stage> {
  const deaths: string[] = [];
  const said: Stage["said"] = new Events();
  const cluster = new Cluster({
    ...{ engine: "bun", nodeCount: 3, proxies: proxyNames, hasPrometheus: false },
    nodeFlags: [...unlimitedFlags, "--history", "kept.>:20000:600", ...nodeFlags],
    report: (line) => deaths.push(line),
    said: (name, text) => said.push({ name, text }),
    ...settings,
  });
  await cluster.start();
  const { proxies } = cluster.addresses;
  return { cluster, deaths, said, urlOf: (proxy) => proxies[proxy] ?? "" };
}

/** Subscribers and publishers that know the proxy alone. */
function crowdBehind(stage: Stage, proxy: ProxyName, followers: number): Crowd {
  const url = stage.urlOf(proxy);
  const topics = Array.from(
    { length: Math.ceil(followers / PER_TOPIC) },
    (_, index) => `kept.${proxy}.${index}`,
  );
  return new Crowd({
    random: seededRandom(1),
    followers,
    topicsOf: (index) => [topics[index % topics.length] ?? ""],
    followerUrl: () => url,
    ...(followers > FOLLOWERS && { addressOf: (index: number) => `127.0.1.${1 + index % MANY_ADDRESSES}` }),
    publishers: 2,
    publishing: { topics, urlOf: () => url, restMs: followers > FOLLOWERS ? 80 : 20, burst: 4 },
  });
}

/** Every follower is subscribed again, none of them at `node`. */
async function untilAllAreElsewhere(crowds: readonly Crowd[], node: string): Promise<void> {
  for (const crowd of crowds) {
    await crowd.arrived.until(
      () => crowd.followers.every((follower) => follower.isLive && follower.node !== node),
      `everybody away from ${node}`,
    );
  }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

/** Everything acknowledged has come to everybody, in order, once, and nothing had to be told as lost. */
async function assertNothingLost(crowds: readonly Crowd[], stage: Stage): Promise<void> {
  for (const crowd of crowds) {
    await crowd.settle();
    assertEquals(crowd.faults().slice(0, 20), []);
    for (const { unrecovered, chapters } of crowd.stories) {
      assertEquals([unrecovered, chapters.length, chapters[0]?.holes], [0, 1, []]);
    }
    assertGreater(sum(crowd.stories.map(({ recovered }) => recovered)), 0);
  }
  assertEquals(stage.deaths, []);
}

async function rollingRestart(stage: Stage, crowds: readonly Crowd[]): Promise<void> {
  for (const node of stage.cluster.nodes) {
    const away = untilAllAreElsewhere(crowds, node.name).catch(async (e)=>{ for (const c of crowds) { console.log(c.faults().slice(0,5), c.followers.filter(f=>!f.isLive).length, c.followers.map(f=>f.node).sort().join().slice(0,300), sum(c.followers.map(f=>f.drains.length)));}
    console.log(stage.said.all.filter(s=>s.name!="redis-server").map(s=>s.text).slice(-40).join("")); throw e; });
    await node.stop();
    console.log(node.name, "stopped", performance.now());
    await away;
    console.log(node.name, "away", performance.now());
    await node.start();
  }
}

/** Sessions at the nodes, asked past the proxies. */
async function connectionsOf({ cluster }: Stage): Promise<{ session: string; address: string }[]> {
  const lists = cluster.nodes.map(async ({ url }) => {
    const headers = { Authorization: `Bearer ${cluster.apiKey}` };
    const response = await fetch(`${url}/api/connections?limit=1000`, { headers });
    return (await response.json() as { connections: { session: string; address: string }[] }).connections;
  });
  return (await Promise.all(lists)).flat();
}

describe("three nodes behind nginx and HAProxy", { skip }, () => {
  let stage: Stage;
  const sockets: Visited[] = [];
  before(async () => {
    stage = await startCluster(
      { connectionsPerAddress: MAX_PER_ADDRESS },
      ...["--reconnect-window-seconds", "1"],
    );
  });
  after(async () => {
    for (const { socket } of sockets) socket?.destroy();
    await stage?.cluster.stop();
  });

  async function open(proxy: ProxyName, from: string, headers: Record<string, string> = {}): Promise<Visited> {
    const visited = await visit(stage.urlOf(proxy), { from, headers });
    sockets.push(visited);
    return visited;
  }

  it("start without a warning from either proxy", () => {
    const lines = stage.said.all.filter(({ name }) => proxyNames.some((proxy) => proxy === name))
      .flatMap(({ text }) => text.split("\n"));
    assertGreater(lines.length, 2);
    // Where the limit of open files cannot be raised nginx says so and goes on with what it has.
    const complaints = lines.filter((line) => /\[(warn|error|alert|emerg)|^\[(WARNING|ALERT)/i.test(line));
    assertEquals(complaints.filter((line) => !line.includes("setrlimit(RLIMIT_NOFILE")), []);
  });

  it("lose nothing for clients that recover while the nodes are restarted one after the other, and when one dies", WHOLE_RUN, async () => {
    const crowds = proxyNames.map((proxy) => crowdBehind(stage, proxy, FOLLOWERS));
    try {
      for (const crowd of crowds) await crowd.start();
      await rollingRestart(stage, crowds);
      // Each was sent away at least by the node that it was connected to at first.
      for (const { followers } of crowds) {
        assertGreater(sum(followers.map(({ drains }) => drains.length)), FOLLOWERS - 1);
      }
      const [victim] = stage.cluster.nodes;
      assert(victim !== undefined);
      const before = sum(crowds.flatMap(({ stories }) => stories.map(({ recovered }) => recovered)));
      await victim.kill();
      await untilAllAreElsewhere(crowds, victim.name);
      await victim.start();
      await assertNothingLost(crowds, stage);
      const recovered = sum(crowds.flatMap(({ stories }) => stories.map(({ recovered }) => recovered)));
      assertGreater(recovered, before);
    } finally {
      await Promise.all(crowds.map((crowd) => crowd.end()));
    }
  });
});
