/** History, recovery, patterns and presence, as a client meets them on every engine, with the broker in this process. */
import { after, describe, it } from "node:test";
import { assertEquals, assertNotEquals } from "@std/assert";
import type { Options } from "../server/options.ts";
import { ManualClock } from "./helpers/manual_clock.ts";
import { type FormatName, Peer, type Received } from "./helpers/peer.ts";
import { whyNot } from "./helpers/runtime.ts";
import { startServer, type TestServer, unlimited } from "./helpers/server.ts";

/** `offset` and `data` of publications. */
function seen(messages: readonly Received[]): unknown[][] {
  return messages.map(({ offset, data }) => [offset, data]);
}

for (const engine of ["auto", "ts"] as const) {
  describe(`whoever comes back on ${engine}`, { skip: await whyNot(engine) }, () => {
    const servers: TestServer[] = [];
    const peers: Peer[] = [];
    after(async () => {
      await Promise.all(peers.map((peer) => peer.close()));
      await Promise.all(servers.map((server) => server.close()));
    });

    async function start(options: Partial<Options> = {}, clock = new ManualClock()): Promise<TestServer> {
      const kept = { heartbeatSeconds: 0, history: ["kept.>:3:60"], presence: ["room.>"] };
      const server = await startServer({
        engine,
        shutdownTimeoutSeconds: 0,
        ...unlimited,
        ...kept,
        ...options,
      }, { clock });
      servers.push(server);
      return server;
    }

    async function join(server: TestServer, format: FormatName = "json"): Promise<Peer> {
      const peer = await Peer.open(server.url, format);
      peers.push(peer);
      return peer;
    }

    async function publish(peer: Peer, topic: string, ...data: unknown[]): Promise<Received> {
      let ack: Received | undefined;
      for (const item of data) ack = await peer.ask({ type: "publish", topic, data: item });
      return ack as Received;
    }

    for (const format of ["json", "msgpack"] as const) {
      it(`gets in ${format} what was missed, marked, behind the ack and before anything live`, async () => {
        const server = await start();
        const publisher = await join(server);
        const { epoch } = await publish(publisher, "kept.a", "one", "two", "three");
        const peer = await join(server, format);
        const ack = await peer.ask({ type: "subscribe", topic: "kept.a", since: { epoch, offset: 1 } });
        assertEquals([ack["recovered"], ack["offset"]], [true, 3]);
        await publish(publisher, "kept.a", "four");
        const messages = await peer.messages(3);
        assertEquals(seen(messages), [[2, "two"], [3, "three"], [4, "four"]]);
        assertEquals(messages.map(({ replayed }) => replayed), [true, true, undefined]);
        assertEquals(peer.received.all.map(({ type }) => type), [
          "welcome",
          "ack",
          "message",
          "message",
          "message",
        ]);
      });
    }

    it("is told when the history no longer reaches back, by count, by age, or for a new epoch", async () => {
      const clock = new ManualClock();
      const server = await start({}, clock);
      const publisher = await join(server);
      const { epoch } = await publish(publisher, "kept.a", 1, 2, 3, 4, 5);
      const peer = await join(server);
      const recovered = async (since: object, topic = "kept.a") =>
        (await peer.ask({ type: "subscribe", topic, since }))["recovered"];
      assertEquals(await recovered({ epoch, offset: 1 }), false);
      assertEquals(await recovered({ epoch, offset: 2 }), true);
      assertEquals(seen(await peer.messages(3)), [[3, 3], [4, 4], [5, 5]]);
      assertEquals(await recovered({ epoch: "another", offset: 5 }), false);
      assertEquals(await recovered({ epoch, offset: 6 }), false);
      assertEquals(await recovered({ epoch, offset: 5 }), true);
      clock.advance(61_000);
      assertEquals(await recovered({ epoch, offset: 4 }), false);
      assertEquals(await recovered({ epoch, offset: 5 }), true);
      const bare = await publish(publisher, "bare", 1);
      assertEquals(await recovered({ epoch: bare["epoch"], offset: 0 }, "bare"), false);
      assertEquals(await recovered({ epoch: bare["epoch"], offset: 1 }, "bare"), true);
    });

    it("reads the history without subscribing, from a place or the newest", async () => {
      const server = await start();
      const peer = await join(server);
      const { epoch } = await publish(peer, "kept.a", 1, 2, 3, 4);
      const read = async (fields: object) => {
        const { messages, complete, offset } = await peer.ask({
          type: "history",
          topic: "kept.a",
          ...fields,
        });
        return [seen(messages as Received[]), complete, offset];
      };
      assertEquals(await read({}), [[[2, 2], [3, 3], [4, 4]], true, 4]);
      assertEquals(await read({ limit: 1 }), [[[4, 4]], true, 4]);
      assertEquals(await read({ since: { epoch, offset: 2 }, limit: 1 }), [[[3, 3]], true, 4]);
      assertEquals(await read({ since: { epoch, offset: 0 } }), [[[2, 2], [3, 3], [4, 4]], false, 4]);
      assertEquals((await peer.ask({ type: "history", topic: "unused" }))["messages"], []);
      assertEquals(peer.of("message"), []);
    });

    it("gets the publications of a pattern, marked with it, and once more for a topic of its own", async () => {
      const server = await start();
      const [peer, publisher] = [await join(server), await join(server)];
      for (const topic of ["a.*", "a.>", "a.b"]) {
        const ack = await peer.ask({ type: "subscribe", topic });
        assertEquals([ack.type, ack["topic"]], ["ack", topic]);
      }
      await publish(publisher, "a.b", 1);
      await publish(publisher, "a.b.c", 2);
      await publish(publisher, "a", 3);
      await peer.ask({ type: "unsubscribe", topic: "a.>" });
      await publish(publisher, "a.b", 4);
      await peer.ask({ type: "ping" });
      const got = peer.of("message").map(({ topic, data, pattern }) => [topic, data, pattern ?? ""]);
      assertEquals(
        got.sort(),
        [
          ["a.b", 1, ""],
          ["a.b", 1, "a.*"],
          ["a.b", 1, "a.>"],
          ["a.b", 4, ""],
          ["a.b", 4, "a.*"],
          ["a.b.c", 2, "a.>"],
        ].sort(),
      );
    });

    it("sees who is in a topic, who comes and who goes", async () => {
      const server = await start();
      const [watcher, other] = [await join(server), await join(server, "msgpack")];
      assertEquals(
        (await watcher.ask({ type: "subscribe", topic: "bare", presence: true }))["code"],
        "invalid_message",
      );
      const refused = await watcher.ask({ type: "presence", topic: "room.1" });
      assertEquals([refused["count"], refused["members"]], [0, []]);
      await watcher.ask({ type: "subscribe", topic: "room.1", presence: true });
      await other.ask({ type: "subscribe", topic: "room.1" });
      const join1 = await watcher.received.find(({ type, session }) =>
        type === "join" && session !== own(watcher)
      );
      assertEquals([join1["topic"], join1["user"], join1["session"]], ["room.1", null, own(other)]);
      const there = await other.ask({ type: "presence", topic: "room.1" });
      assertEquals([there["count"], (there["members"] as Received[]).map(({ session }) => session).sort()], [
        2,
        [own(watcher), own(other)].sort(),
      ]);
      await other.close();
      const left = await watcher.received.find(({ type }) => type === "leave");
      assertEquals([left["topic"], left["session"]], ["room.1", own(other)]);
      assertEquals((await watcher.ask({ type: "presence", topic: "room.1" }))["count"], 1);
      assertEquals(other.of("join"), []);
    });

    it("starts a live subscription anew when it asks again with a place", async () => {
      const server = await start();
      const peer = await join(server);
      const { epoch } = await peer.ask({ type: "subscribe", topic: "kept.a" });
      await publish(peer, "kept.a", 1, 2);
      const again = await peer.ask({ type: "subscribe", topic: "kept.a", since: { epoch, offset: 0 } });
      assertEquals(again["recovered"], true);
      await publish(peer, "kept.a", 3);
      assertEquals(seen(await peer.messages(5)), [[1, 1], [2, 2], [1, 1], [2, 2], [3, 3]]);
    });

    it("sees a new epoch where the topic has been forgotten", async () => {
      const server = await start({ maxIdleTopics: 1 });
      const peer = await join(server);
      const first = await publish(peer, "kept.a", 1);
      await publish(peer, "kept.b", 1);
      const second = await publish(peer, "kept.a", 1);
      assertEquals(second["offset"], 1);
      assertNotEquals(second["epoch"], first["epoch"]);
    });
  });
}

function own(peer: Peer): unknown {
  return peer.received.all[0]?.["session"];
}
