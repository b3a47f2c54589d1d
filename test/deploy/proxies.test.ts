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
import { Opcode } from "../helpers/raw_client.ts";
import { joinRaw, unlimitedFlags } from "../helpers/server.ts";
import { visit } from "./visit.ts";

const LONG = process.env["MILLRACE_LONG"] !== undefined;
const WHOLE_RUN = { timeout: 300_000 };
/** Through each proxy. */
const FOLLOWERS = 100;
const MANY = 10_000;
const PER_TOPIC = 100;
/** Of loopback: from each come fewer connections than the limit allows, and than there are ports. */
const ADDRESSES = 20;
const MAX_PER_ADDRESS = 30;
/** How long a proxy may take to read its files again. */
const RELOAD_MS = 10_000;
/** Handshakes after a proxy has said that it has read its files again. */
const HANDSHAKES_AFTER = 10;
/** Connections of HAProxy's that are not followers: publishers, and those that are about to end. */
const SPARE = 50;

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
  // Whatever ends the tests.
  process.on("exit", () => cluster.destroy());
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
    addressOf: (index) => `127.0.1.${1 + index % ADDRESSES}`,
    publishers: followers > FOLLOWERS ? 8 : 2,
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
    await node.stop();
    await untilAllAreElsewhere(crowds, node.name);
    await node.start();
  }
}

/** The addresses of all sessions as the nodes see them, asked past the proxies. */
async function addressesAt({ cluster }: Stage): Promise<string[]> {
  const lists = cluster.nodes.map(async ({ url }) => {
    const headers = { Authorization: `Bearer ${cluster.apiKey}` };
    const response = await fetch(`${url}/api/connections?limit=1000`, { headers });
    return (await response.json() as { connections: { address: string }[] }).connections;
  });
  return (await Promise.all(lists)).flat().map(({ address }) => address);
}

describe("three nodes behind nginx and HAProxy", { skip }, () => {
  let stage: Stage;
  before(async () => {
    stage = await startCluster(
      { connectionsPerAddress: MAX_PER_ADDRESS },
      ...["--reconnect-window-seconds", "1"],
    );
  });
  after(() => stage?.cluster.stop());

  it("start without a warning of either proxy", () => {
    for (const proxy of proxyNames) {
      const said = stage.said.all.filter(({ name }) => name === proxy).map(({ text }) => text).join("");
      assertMatch(said, /start worker process|Loading success/);
      const complaints = said.split("\n").filter((line) => /\[(warn|error|alert|emerg)/i.test(line));
      // Where the limit of open files cannot be raised nginx says so and goes on with what it has.
      assertEquals(complaints.filter((line) => !line.includes("setrlimit(RLIMIT_NOFILE")), []);
    }
  });

  for (const proxy of proxyNames) {
    it(`${proxy} tells the nodes the client's address, whatever the client says of it`, async () => {
      const from = proxy === "nginx" ? "127.0.0.7" : "127.0.0.8";
      const invented = "203.0.113.9";
      const { status, socket } = await visit(stage.urlOf(proxy), {
        from,
        headers: { "X-Forwarded-For": invented, "x-forwarded-for": invented, Forwarded: `for=${invented}` },
      });
      try {
        assertEquals(status, 101);
        const addresses = await addressesAt(stage);
        assert(addresses.includes(from) && !addresses.includes(invented), addresses.join());
      } finally {
        socket?.destroy();
      }
    });

    it(`${proxy} lets nobody outside see anything but the WebSocket endpoint`, async () => {
      const outside = new URL(stage.urlOf(proxy).replace(/^wss/, "https"));
      const paths = ["/metrics", "/api/connections", "/api/openapi.json", "/health", "/ready", "/dashboard"];
      for (const path of [...paths, "/ws/../metrics", "//metrics", "/ws/", "/%6detrics"]) {
        const { status } = await visit(`${outside.origin}${path}`);
        assertEquals(status, 404, path);
      }
      // The node's own answer to a request that wants no WebSocket.
      assertEquals((await visit(outside.href)).status, 426);
      assertEquals((await fetch(`${stage.cluster.nodes[0]?.url}/metrics`)).status, 200);
    });

    it(`${proxy} speaks TLS 1.2 and 1.3, and nothing older`, async () => {
      for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
        const { status, socket } = await visit(stage.urlOf(proxy), { version });
        socket?.destroy();
        assertEquals(status, 101, version);
      }
      for (const version of ["TLSv1", "TLSv1.1"] as const) {
        await assertRejects(() => visit(stage.urlOf(proxy), { version }), Error, "alert protocol version");
      }
    });

    it(`${proxy} refuses an address that has too many connections, and says when to come back`, async () => {
      const from = proxy === "nginx" ? "127.0.0.17" : "127.0.0.18";
      const all = Array.from({ length: MAX_PER_ADDRESS }, () => visit(stage.urlOf(proxy), { from }));
      const sockets = (await Promise.all(all)).map(({ status, socket }) => {
        assertEquals(status, 101);
        return socket;
      });
      try {
        const { status, headers, body } = await visit(stage.urlOf(proxy), { from });
        assertEquals([status, headers["retry-after"]], [429, "5"]);
        assertEquals(headers["content-type"], "application/problem+json");
        assertEquals(JSON.parse(body).status, 429);
        const other = await visit(stage.urlOf(proxy), { from: "127.0.0.19" });
        other.socket?.destroy();
        assertEquals(other.status, 101);
      } finally {
        for (const socket of sockets) socket?.destroy();
      }
    });

    it(`${proxy} reads its files again without refusing or losing anybody`, async () => {
      const old = await joinRaw(stage.urlOf(proxy));
      const before = stage.said.all.length;
      stage.cluster.reload(proxy);
      const isDone = () => {
        const news = stage.said.all.slice(before).filter(({ name }) => name === proxy);
        return /gracefully shutting down|Loading success/.test(news.map(({ text }) => text).join(""));
      };
      const deadline = performance.now() + RELOAD_MS;
      for (let since = 0; since < HANDSHAKES_AFTER; since += isDone() ? 1 : 0) {
        assert(performance.now() < deadline, "it has not said that it did");
        const { status, socket } = await visit(stage.urlOf(proxy));
        socket?.destroy();
        assertEquals(status, 101);
      }
      old.send(Opcode.Text, JSON.stringify({ type: "ping", id: 1 }));
      assertMatch((await old.receiveTexts(2))[1] ?? "", /"pong"/);
      old.destroy();
    });
  }

  it(
    "lose nothing for clients that recover while the nodes are restarted one by one, and while one dies",
    WHOLE_RUN,
    async () => {
      const crowds = proxyNames.map((proxy) => crowdBehind(stage, proxy, FOLLOWERS));
      try {
        for (const crowd of crowds) await crowd.start();
        await rollingRestart(stage, crowds);
        // At least the node that it was connected to first has sent each of them away.
        for (const { followers } of crowds) assert(followers.every(({ drains }) => drains.length > 0));
        const [victim] = stage.cluster.nodes;
        assert(victim !== undefined);
        assert(crowds.every(({ followers }) => followers.some(({ node }) => node === victim.name)));
        await victim.kill();
        await untilAllAreElsewhere(crowds, victim.name);
        await victim.start();
        await assertNothingLost(crowds, stage);
      } finally {
        await Promise.all(crowds.map((crowd) => crowd.end()));
      }
    },
  );
});

describe("ten thousand connections", { skip: skip || !LONG && "takes minutes" }, () => {
  for (const proxy of proxyNames) {
    it(`behind ${proxy} lose nothing while the three nodes are restarted one by one`, WHOLE_RUN, async () => {
      const count = Math.min(MANY, proxy === "haproxy" ? haproxyConnections() - SPARE : MANY);
      const stage = await startCluster({ proxies: [proxy] });
      const crowd = crowdBehind(stage, proxy, count);
      try {
        const began = performance.now();
        await crowd.start();
        const connected = performance.now();
        await rollingRestart(stage, [crowd]);
        const restarted = performance.now();
        await assertNothingLost([crowd], stage);
        const recovered = sum(crowd.stories.map(({ recovered }) => recovered));
        const seen = sum(crowd.stories.map(({ chapters }) => chapters[0]?.seen.size ?? 0));
        const seconds = (ms: number) => (ms / 1_000).toFixed(1);
        console.log(
          `${proxy}: ${count} connections in ${seconds(connected - began)} s, rolling restart in ` +
            `${seconds(restarted - connected)} s, ${crowd.acknowledged.all.length} publications, ` +
            `${seen} deliveries, ${recovered} recoveries, 0 lost`,
        );
      } finally {
        await crowd.end();
        await stage.cluster.stop();
      }
    });
  }
});

describe("the files in deploy/", { skip }, () => {
  it("let an idle connection live: every timeout of a proxy is longer than a heartbeat and its answer", () => {
    const nginx = readFileSync(`${deploy}nginx/nginx.conf`, "utf8");
    const [location = ""] = /location = \/ws \{[^}]*\}/.exec(nginx) ?? [];
    const haproxy = readFileSync(`${deploy}haproxy/2-millrace.cfg`, "utf8");
    const timeouts = [
      ...location.matchAll(/(?:proxy_read|proxy_send|send)_timeout (\d+)s;/g),
      ...haproxy.matchAll(/timeout tunnel (\d+)s/g),
    ].map(([, seconds]) => Number(seconds));
    assertEquals(timeouts.length, 5);
    const { heartbeatSeconds, heartbeatTimeoutSeconds } = optionSpecs;
    assertGreater(Math.min(...timeouts), heartbeatSeconds.default + heartbeatTimeoutSeconds.default);
  });

  it("are accepted by nginx and HAProxy with the machine files that are in there", () => {
    const folder = mkdtempSync(join(tmpdir(), "millrace-deploy-"));
    try {
      cpSync(deploy, folder, { recursive: true });
      const pem = join(folder, "bundle.pem");
      const [certificate, key] = [fixture("localhost.cert.pem"), fixture("localhost.key.pem")];
      writeFileSync(pem, readFileSync(certificate, "utf8") + readFileSync(key, "utf8"));
      const places: readonly [RegExp, string][] = [
        [/\/etc\/letsencrypt\/\S*fullchain.pem/, certificate],
        [/\/etc\/letsencrypt\/\S*privkey.pem/, key],
        [/\/etc\/haproxy\/certs\/\S*.pem/, pem],
        [/(?<= )\/(run|var\/log\/nginx)(?=\/)/, folder],
        // As many as this machine may open files for.
        [/(?<=MILLRACE_CONNECTIONS +)60000/, String(haproxyConnections())],
      ];
      const files = ["nginx/machine", "haproxy"].flatMap((room) =>
        readdirSync(join(folder, room)).map((name) => join(folder, room, name))
      );
      for (const file of files) {
        const text = readFileSync(file, "utf8");
        writeFileSync(file, places.reduce((text, [from, to]) => text.replace(from, to), text));
      }
      const commands = [["nginx", "-t", "-c", join(folder, "nginx/nginx.conf")], [
        "haproxy",
        "-c",
        "-f",
        join(folder, "haproxy"),
      ]];
      for (const [program = "", ...args] of commands) {
        const { status, stdout, stderr } = spawnSync(findProgram(program) ?? program, args, {
          encoding: "utf8",
        });
        assertEquals(status, 0, stderr);
        assertMatch(stdout + stderr, /is successful|file is valid/);
        // Without root nginx cannot change users, which the file asks for.
        const lines = stderr.split("\n").filter((line) => !line.includes(`the "user" directive makes sense`));
        assertEquals(lines.filter((line) => /warn|alert|emerg/i.test(line)), []);
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
