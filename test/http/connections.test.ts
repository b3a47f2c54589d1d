/** Connections over HTTP: who is there, who reads too slowly, and who is made to go. */
import { after, describe, it } from "node:test";
import { assertEquals, assertGreater, assertStringIncludes } from "@std/assert";
import { ManualClock } from "../helpers/manual_clock.ts";
import { RawClient } from "../helpers/raw_client.ts";
import { whyNot } from "../helpers/runtime.ts";
import { joinRaw, type TestServer, unlimited } from "../helpers/server.ts";
import { SECRET } from "../helpers/tokens.ts";
import { api, ApiFixture, ask, type Json, sessionOf, subscriber, tokenOf } from "./setup.ts";

async function listed(server: TestServer, query = ""): Promise<{ connections: Json[]; next: string | null }> {
  const { json } = await api(server, "GET", `/api/connections${query}`);
  return json as { connections: Json[]; next: string | null };
}

for (const engine of ["auto", "ts"] as const) {
  describe(`connections over HTTP on ${engine}`, { skip: await whyNot(engine) }, () => {
    const fixture = new ApiFixture(engine);
    after(() => fixture.stop());

    it("are listed with what is known of each", async () => {
      const clock = new ManualClock();
      const server = await fixture.start({ jwtSecret: SECRET, allowSubscribe: [">"] }, { clock });
      clock.advance(10_500);
      const [, session] = await subscriber(`${server.url}?token=${await tokenOf("ann")}`, "a", "b", "c.*");
      clock.advance(2_000);
      const waiting = await RawClient.open(server.url, { "Sec-WebSocket-Protocol": "millrace.v1.msgpack" });
      await waiting.frames.until((all) => all.length === 1);
      clock.advance(1_000);
      const { connections, next } = await listed(server);
      connections.sort((a, b) => Number(a["connectedSeconds"]) - Number(b["connectedSeconds"]));
      const common = { address: "127.0.0.1", queuedBytes: 0 };
      assertEquals([connections.length, next], [2, null]);
      assertEquals(connections[0], {
        session: String(connections[0]?.["session"]),
        ...{ user: null, format: "msgpack", connectedSeconds: 1, subscriptions: 0, ...common },
      });
      assertEquals(connections[1], {
        session,
        ...{ user: "ann", format: "json", connectedSeconds: 3, subscriptions: 3, ...common },
      });
    });

    it("are listed page by page, all of them or one user's, and those that have gone are not", async () => {
      const server = await fixture.start({ jwtSecret: SECRET }, { clock: new ManualClock() });
      const token = await tokenOf("ann");
      const clients = [];
      for (let i = 0; i < 5; i++) clients.push(await joinRaw(`${server.url}?token=${token}`));
      await joinRaw(server.url);
      const sessions = clients.map(sessionOf).sort();
      const seen: unknown[] = [];
      for (let after: string | null = ""; after !== null;) {
        const page = await listed(server, `?user=ann&limit=2&after=${encodeURIComponent(after)}`);
        seen.push(...page.connections.map(({ session }) => session));
        after = page.next;
      }
      assertEquals(seen, sessions);
      assertEquals((await listed(server)).connections.length, 6);
      assertEquals((await listed(server, "?user=bob")).connections, []);
      await clients[0]?.close();
      assertEquals((await listed(server, "?user=ann")).connections.length, 4);
    });

    it("show the address that limits count by, which a trusted proxy tells", async () => {
      const server = await fixture.start({ trustedProxies: ["127.0.0.1"] });
      await joinRaw(server.url, { "X-Forwarded-For": "192.0.2.7" });
      await joinRaw(server.url, { "X-Forwarded-For": "2001:db8::1" });
      const addresses = (await listed(server)).connections.map(({ address }) => address);
      assertEquals(addresses.sort(), ["192.0.2.7", "2001:db8::/64"]);
    });

    it("with a backlog show how many bytes it has, and are in the report of slow ones", async () => {
      const server = await fixture.start({ ...unlimited, slowPolicy: "skip", maxBackpressureBytes: 300_000 });
      const [slow, session] = await subscriber(server.url, "t");
      await joinRaw(server.url);
      slow.pause();
      const body = Array.from({ length: 20 }, () => ({ topic: "t", data: "x".repeat(30_000) }));
      for (let i = 0; i < 20; i++) await api(server, "POST", "/api/publish", { body });
      const report = (await api(server, "GET", "/api/slow")).json as Json & { connections: Json[] };
      assertEquals([report["count"], report.connections.length], [1, 1]);
      assertEquals([report.connections[0]?.["session"], report.connections[0]?.["user"]], [session, null]);
      for (const figure of ["queuedBytes", "skipped"]) {
        assertGreater(report.connections[0]?.[figure], 0, figure);
      }
      const { connections } = await listed(server);
      const bytes = connections.map((
        connection,
      ) => [connection["session"] === session, connection["queuedBytes"]]);
      assertEquals(bytes.find(([isSlow]) => isSlow === false)?.[1], 0);
      assertGreater(Number(bytes.find(([isSlow]) => isSlow)?.[1]), 0);
      slow.destroy();
    });

    it("of a user or with a session are closed with 4006 when the operator says so, and no others", async () => {
      const server = await fixture.start({ jwtSecret: SECRET }, { clock: new ManualClock() });
      const [ann, bob] = [
        `${server.url}?token=${await tokenOf("ann")}`,
        `${server.url}?token=${await tokenOf("bob")}`,
      ];
      const [first, second, other] = [await joinRaw(ann), await joinRaw(ann), await joinRaw(bob)];
      const stranger = await joinRaw(server.url);
      const send = async (body: unknown) => (await api(server, "POST", "/api/disconnect", { body })).json;
      assertEquals(await send({ user: "nobody" }), { disconnected: 0 });
      assertEquals(await send({ user: "ann" }), { disconnected: 2 });
      for (const client of [first, second]) {
        assertEquals(await client.closed(), { code: 4006, reason: "disconnected by the operator" });
        await client.close();
      }
      assertEquals(await send({ session: "ann" }), { disconnected: 0 });
      assertEquals(await send({ session: sessionOf(stranger) }), { disconnected: 1 });
      assertEquals((await stranger.closed())?.code, 4006);
      assertEquals((await ask(other, { type: "ping", id: 1 }))["type"], "pong");
      const back = await joinRaw(ann);
      assertEquals((await ask(back, { type: "ping", id: 1 }))["type"], "pong");
    });

    it("stay when it is not said clearly who is to go", async () => {
      const server = await fixture.start();
      const client = await joinRaw(server.url);
      const session = sessionOf(client);
      for (
        const body of [{}, [], null, { user: 1 }, { session, user: "a" }, { session: [session] }, {
          id: session,
        }]
      ) {
        const { status, json } = await api(server, "POST", "/api/disconnect", { body });
        assertEquals(status, 400);
        assertStringIncludes(String((json as Json)["detail"]), "either `user` or `session`");
      }
      assertEquals((await ask(client, { type: "ping", id: 1 }))["type"], "pong");
    });
  });
}
