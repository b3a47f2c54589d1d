/** The dashboard's files over HTTP, and its figures over the WebSocket: who gets them, when, and whether they are right. */
import { after, describe, it } from "node:test";
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import type { NodeFigures } from "../../server/dashboard/figures.ts";
import { VERSION } from "../../server/version.ts";
import { askHttp } from "../helpers/http.ts";
import { ManualClock } from "../helpers/manual_clock.ts";
import { Peer, type Received } from "../helpers/peer.ts";
import { runtime, whyNot } from "../helpers/runtime.ts";
import type { TestServer } from "../helpers/server.ts";
import { SECRET } from "../helpers/tokens.ts";
import { api, ApiFixture, KEY, tokenOf } from "./setup.ts";

const WRONG_KEY = "a-key-of-somewhere-else";
const PERMITTED = { type: "echo", data: 0 };

function figuresOf(peer: Peer): NodeFigures[] {
  return peer.of("message").filter(({ topic }) => topic === "$nodes").map(({ data }) => data as NodeFigures);
}

/** A connection that has shown a key, past the first figures. */
async function watcher(server: TestServer, format: "json" | "msgpack" = "json"): Promise<Peer> {
  const peer = await Peer.open(server.url, format);
  assertEquals((await peer.ask({ type: "auth", token: KEY })).type, "ack");
  await peer.messages(1);
  return peer;
}

/** What is told after the clock has moved by a second. */
async function nextFigures(peer: Peer, clock: ManualClock): Promise<NodeFigures> {
  const before = peer.of("message").length;
  clock.advance(1_000);
  await peer.messages(before + 1);
  return figuresOf(peer)[before] as NodeFigures;
}

async function publish(server: TestServer, topic: string, data: unknown): Promise<void> {
  const { status } = await api(server, "POST", "/api/publish", { body: { topic, data } });
  assertEquals(status, 200);
}

for (const engine of ["auto", "ts"] as const) {
  describe(`the dashboard on ${engine}`, { skip: await whyNot(engine) }, () => {
    const fixture = new ApiFixture(engine);
    after(() => fixture.stop());
    const start = async () => {
      const clock = new ManualClock();
      return { clock, server: await fixture.start({ dashboard: true }, { clock }) };
    };

    it("is off unless it is asked for: there is no page, and a key gives no figures", async () => {
      const server = await fixture.start();
      for (const path of ["/dashboard", "/dashboard/", "/dashboard/app.js"]) {
        assertEquals((await api(server, "GET", path)).status, 404, path);
      }
      const peer = await Peer.open(server.url);
      assertEquals((await peer.ask({ type: "auth", token: KEY }))["code"], "unauthorized");
      assertEquals((await peer.ask(PERMITTED)).type, "echo");
    });

    it("serves a page and every file that it names, with a policy that allows nothing else", async () => {
      const { server } = await start();
      const page = await askHttp(server, "GET", "/dashboard");
      assertEquals([page.status, page.type], [200, "text/html"]);
      const named = [...page.text.matchAll(/(?:href|src)="([^"]+)"/g)].map(([, path = ""]) => path);
      const seen = new Set<string>();
      for (const path of named) {
        assert(path.startsWith("dashboard/"), path);
        const file = await askHttp(server, "GET", `/${path}`);
        assertEquals(file.status, 200, path);
        seen.add(path);
        for (const [, other = ""] of file.text.matchAll(/from "\.\/([^"]+)"/g)) {
          named.push(`dashboard/${other}`);
        }
        if (named.length > 100) break;
      }
      assertEquals(seen.size, 10);
      assertEquals(page.headers.get("x-content-type-options"), "nosniff");
      const policy = page.headers.get("content-security-policy") ?? "";
      assertStringIncludes(policy, "default-src 'none'");
      assertEquals(/unsafe|\*|http/.test(policy), false, policy);
      assertEquals(
        /<script(?![^>]*src=)|<style|\son\w+=|style=/.test(page.text),
        false,
        "something is inline",
      );
    });

    it("names the WebSocket endpoint where it is, whatever that looks like", async () => {
      const server = await fixture.start({ dashboard: true, path: `/a"b<c` });
      const { text } = await askHttp(server, "GET", "/dashboard");
      assertStringIncludes(text, `content="/a&quot;b&lt;c"`);
    });

    it("finds the page from its path with a slash, and no file that is not its own", async () => {
      const { server } = await start();
      assertEquals((await askHttp(server, "GET", "/dashboard/")).status, 200); // fetch follows
      for (const path of ["index.html", "..%2ffigures.ts", "%2e%2e/figures.ts", "constructor"]) {
        assertEquals((await askHttp(server, "GET", `/dashboard/${path}`)).status, 404, path);
      }
    });

    it("tells a key's holder at once what the node is, and every second what it does", async () => {
      const { server, clock } = await start();
      clock.advance(61_000);
      const readers = [await Peer.open(server.url), await Peer.open(server.url)];
      for (const reader of readers) await reader.ask({ type: "subscribe", topic: "news.a" });
      await readers[0]?.ask({ type: "subscribe", topic: "news.>" });
      const peer = await watcher(server);
      const [first] = figuresOf(peer);
      assertEquals(
        [first?.node, first?.version, first?.engine, first?.runtime, first?.broker, first?.state],
        ["test-node", VERSION, server.engine, runtime, "memory", "ready"],
      );
      assertEquals([first?.connections, first?.topics, first?.subscriptions], [3, 1, 3]);
      assertEquals([first?.uptimeSeconds, first?.queuedBytes, first?.slow.count], [61, 0, 0]);
      const before = first?.totals as NodeFigures["totals"];
      for (const data of [1, 2, 3]) await publish(server, "news.a", data);
      await publish(server, "news.b", 4);
      await publish(server, "nobody", 5);
      await readers[0]?.messages(7);
      const { totals, traffic, atMs, loopLagMs } = await nextFigures(peer, clock);
      assertEquals(atMs - (first?.atMs ?? 0), 1_000);
      assertEquals(totals.publications - before.publications, 5);
      // Two to the topic and one to the pattern each, and one to the pattern; the figures themselves are not counted.
      assertEquals(totals.deliveries - before.deliveries, 3 * 3 + 1);
      assertEquals([totals.dropped, totals.evicted, loopLagMs], [0, 0, 0]);
      const { deliveredBytes } = totals;
      const [a, b] = traffic.topics;
      assertEquals([traffic.overMs, traffic.topics.length, traffic.others], [1_000, 2, 0]);
      assertEquals([a?.topic, a?.subscribers, a?.publications, a?.deliveries], ["news.a", 2, 3, 9]);
      assertEquals([b?.topic, b?.subscribers, b?.publications, b?.deliveries], ["news.b", 0, 1, 1]);
      assertEquals(
        (a?.deliveredBytes ?? 0) + (b?.deliveredBytes ?? 0),
        deliveredBytes - before.deliveredBytes,
      );
      const idle = await nextFigures(peer, clock);
      assertEquals([idle.traffic.topics, idle.totals.deliveries], [[], totals.deliveries]);
      assert(idle.residentBytes > 0 && idle.heapUsedBytes > 0 && idle.totals.cpuSeconds > 0);
    });

    it("tells the same in MessagePack", async () => {
      const { server, clock } = await start();
      const peer = await watcher(server, "msgpack");
      assertEquals((await nextFigures(peer, clock)).node, "test-node");
    });

    it("tells nothing without a key or with another one", async () => {
      const { server, clock } = await start();
      const strangers = [await Peer.open(server.url), await Peer.open(server.url)];
      const [guesser] = strangers;
      for (const token of [WRONG_KEY, "", `${KEY} `, KEY.toUpperCase()]) {
        assertEquals((await guesser?.ask({ type: "auth", token }))?.["code"], "unauthorized", token);
      }
      const peer = await watcher(server);
      await nextFigures(peer, clock);
      for (const stranger of strangers) {
        await stranger.ask(PERMITTED);
        assertEquals(stranger.of("message"), []);
      }
    });

    it("sends away who goes on guessing keys where nobody needs a token", async () => {
      const server = await fixture.start({ dashboard: true, maxErrors: 3 });
      const guesser = await Peer.open(server.url);
      for (const guess of [1, 2, 3]) guesser.send({ type: "auth", token: `${WRONG_KEY} ${guess}` });
      assertEquals((await guesser.end()).code, 1008);
      assertEquals(guesser.of("error").map(({ code }) => code), Array(3).fill("unauthorized"));
      const without = await Peer.open((await fixture.start({ maxErrors: 3 })).url);
      for (const guess of [1, 2, 3]) await without.ask({ type: "auth", token: `${WRONG_KEY} ${guess}` });
      assertEquals((await without.ask(PERMITTED)).type, "echo");
    });

    it("takes a key where tokens are needed, and tells users with a token nothing", async () => {
      const clock = new ManualClock();
      const server = await fixture.start(
        { dashboard: true, jwtSecret: SECRET, allowSubscribe: [">"], requireOrigin: false },
        { clock },
      );
      const user = await Peer.open(`${server.url}?token=${await tokenOf("ann")}`);
      await user.ask({ type: "subscribe", topic: ">" });
      const guesser = await Peer.open(server.url);
      guesser.send({ type: "auth", token: WRONG_KEY });
      assertEquals((await guesser.end()).code, 4002);
      const peer = await watcher(server);
      await nextFigures(peer, clock);
      await user.ask(PERMITTED);
      assertEquals(user.of("message"), []);
      // A user's connection that shows a key is the user's no longer.
      assertEquals((await user.ask({ type: "auth", token: KEY })).type, "ack");
      await user.received.until(() => user.of("error").length > 0, "the end of the subscription");
      assertEquals((await user.ask({ type: "subscribe", topic: "news" }))["code"], "forbidden");
      const { json } = await api(server, "GET", "/api/connections?user=ann");
      assertEquals((json as { connections: unknown[] }).connections, []);
    });

    it("lets nobody name its topics, and no pattern match them", async () => {
      const { server, clock } = await start();
      const client = await Peer.open(server.url);
      for (const topic of [">", "*"]) {
        assertEquals((await client.ask({ type: "subscribe", topic })).type, "ack");
      }
      const peer = await watcher(server);
      for (const asker of [client, peer]) {
        for (const topic of ["$nodes", "$watch"]) {
          for (const type of ["subscribe", "unsubscribe", "publish", "history", "presence"]) {
            const { code } = await asker.ask({ type, topic, data: 1 });
            assertEquals(code, "invalid_topic", `${type} ${topic}`);
          }
        }
      }
      await nextFigures(peer, clock);
      // Each record once, although somebody has patterns that match everything.
      await peer.ask({ type: "ping" });
      assertEquals(figuresOf(peer).length, 2);
      await publish(server, "news", 1);
      assertEquals((await client.messages(2)).map(({ topic }) => topic), ["news", "news"]);
      const { json } = await api(server, "GET", "/api/topics");
      assertEquals(json, { topics: [], next: null });
      assertEquals((await api(server, "GET", "/api/topics/$nodes")).status, 400);
      const { text } = await api(server, "GET", "/metrics");
      assertMatch(text, /^millrace_topics 0$/m);
      assertMatch(text, /^millrace_subscriptions 2$/m);
    });

    it("allows a key's holder nothing but to watch", async () => {
      const { server } = await start();
      const peer = await watcher(server);
      for (const type of ["subscribe", "publish", "history", "presence", "broadcast"]) {
        const { code } = await peer.ask({ type, topic: "news", data: 1 });
        assertEquals(code, "forbidden", type);
      }
    });

    it("goes on for who shows a key again, and tells no figures twice", async () => {
      const { server, clock } = await start();
      const peer = await watcher(server);
      assertEquals((await peer.ask({ type: "auth", token: KEY })).type, "ack");
      await nextFigures(peer, clock);
      await peer.ask({ type: "ping" });
      assertEquals([figuresOf(peer).length, peer.of("error")], [2, []]);
    });

    it("is silent while nobody watches, and goes on when somebody does", async () => {
      const { server, clock } = await start();
      const offsetOf = (peer: Peer) => Number((peer.of("message").at(-1) as Received)["offset"]);
      const first = await watcher(server);
      await nextFigures(first, clock);
      assertEquals(offsetOf(first), 2);
      await first.close();
      await Peer.open(server.url); // The server has seen the close.
      clock.advance(60_000);
      const second = await watcher(server);
      assertEquals(offsetOf(second), 3);
      assertEquals((await nextFigures(second, clock)).traffic.overMs, 1_000);
    });

    it("sends its watchers away when the keys are read again, to show theirs anew", async () => {
      const { server, clock } = await start();
      const [peer, client] = [await watcher(server), await Peer.open(server.url)];
      server.reload();
      assertEquals((await peer.end()).code, 4005);
      assertEquals((await client.ask(PERMITTED)).type, "echo");
      clock.advance(1_000);
      await nextFigures(await watcher(server), clock);
    });
  });
}
