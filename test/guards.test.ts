/** The guards as a client meets them: tokens, permissions, Origins, addresses, rates and limits, on every engine. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import {
  assert,
  assertEquals,
  assertFalse,
  assertGreater,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import { SignJWT } from "jose";
import type { Options } from "../server/options.ts";
import type { Surroundings } from "../server/serve.ts";
import { ManualClock, WALL_START_MS } from "./helpers/manual_clock.ts";
import { handshake, Opcode, RawClient } from "./helpers/raw_client.ts";
import { whyNot } from "./helpers/runtime.ts";
import { joinRaw, startServer, type TestServer } from "./helpers/server.ts";

const SECRET = "a secret of at least thirty-two bytes";
const START_SECONDS = WALL_START_MS / 1000;

type Claims = Record<string, unknown>;

/** A token that is valid for an hour from the start of the manual clock. */
function sign(user: string, claims: Claims = {}, secret = SECRET): Promise<string> {
  return new SignJWT({ sub: user, exp: START_SECONDS + 3600, ...claims })
    .setProtectedHeader({ alg: "HS256" }).sign(new TextEncoder().encode(secret));
}

/** What a client may do in most of these tests. */
const everything = { millrace: { subscribe: [">"], publish: [">"], broadcast: true } };

type Reply = Record<string, unknown>;

for (const engine of ["auto", "ts"] as const) {
  describe(`the guards on ${engine}`, { skip: await whyNot(engine) }, () => {
    const servers: TestServer[] = [];
    const directory = mkdtempSync(join(tmpdir(), "millrace-guards-"));
    after(async () => {
      RawClient.destroyAll();
      await Promise.all(servers.map((server) => server.close()));
      rmSync(directory, { recursive: true });
    });

    async function start(options: Partial<Options> = {}, around: Surroundings = {}): Promise<TestServer> {
      const server = await startServer({ engine, shutdownTimeoutSeconds: 0, ...options }, around);
      servers.push(server);
      return server;
    }

    function startWithTokens(options: Partial<Options> = {}, clock = new ManualClock()): Promise<TestServer> {
      return start({ jwtSecret: SECRET, ...options }, { clock });
    }

    /** Sends one text and gives the next text that comes back. */
    async function ask(client: RawClient, command: unknown): Promise<Reply> {
      const before = client.textCount;
      client.send(Opcode.Text, JSON.stringify(command));
      return JSON.parse((await client.receiveTexts(before + 1))[before] ?? "");
    }

    /** Status and `Retry-After` of a handshake that is refused; 101 for one that is not. */
    async function knock(
      url: string,
      headers: Record<string, string> = {},
    ): Promise<[number, string | undefined]> {
      const { head } = await RawClient.request(url, handshake(url, headers));
      return [Number(head.split(" ")[1]), /^retry-after: (.*)\r$/im.exec(head)?.[1]];
    }

    describe("tokens", () => {
      it("come in the URL, in a header or in the named cookie, and name the user", async () => {
        const { url } = await startWithTokens({ authCookie: "session", allowSubscribe: ["own.{user}"] });
        const token = await sign("ann");
        const ways: [string, Record<string, string>][] = [
          [`${url}?token=${token}`, {}],
          [url, { Authorization: `Bearer ${token}` }],
          [url, { Cookie: `a=b; session=${token}` }],
        ];
        for (const [address, headers] of ways) {
          const client = await joinRaw(address, headers);
          assertEquals(JSON.parse(client.texts()[0] ?? "").authRequired, false);
          assertEquals((await ask(client, { type: "subscribe", id: 1, topic: "own.ann" }))["type"], "ack");
          assertEquals(
            (await ask(client, { type: "subscribe", id: 2, topic: "own.bob" }))["code"],
            "forbidden",
          );
        }
      });

      it("that are not valid are answered with 401, and with 4001 where close codes are asked for", async () => {
        const clock = new ManualClock();
        const { url } = await startWithTokens({ jwtAudience: "here" }, clock);
        const closing = await startWithTokens({ jwtAudience: "here", rejectWith: "close" }, clock);
        const bad = [
          await sign("ann", { aud: "elsewhere" }),
          await sign("ann", { aud: "here" }, SECRET.toUpperCase()),
          await sign("ann", { aud: "here", exp: START_SECONDS - 6 }),
          await sign("ann", { aud: "here", nbf: START_SECONDS + 6 }),
          `${btoa(`{"alg":"none"}`)}.${btoa(`{"sub":"ann","aud":"here"}`)}.`.replaceAll("=", ""),
          "nonsense",
          "",
        ];
        for (const token of bad) {
          assertEquals(await knock(`${url}?token=${token}`), [401, undefined]);
          const client = await RawClient.open(`${closing.url}?token=${token}`);
          assertEquals((await client.closed())?.code, 4001);
          assertEquals(client.textCount, 0);
        }
        const good = await sign("ann", { aud: "here", exp: START_SECONDS - 4 });
        assertEquals(await knock(`${url}?token=${good}`), [101, undefined]);
        assertEquals(await knock(`${closing.url}?token=${good}`), [101, undefined]);
      });

      it("may come in an auth message, and until then only auth and ping are taken", async () => {
        const { url } = await startWithTokens();
        const client = await joinRaw(url);
        assertEquals(JSON.parse(client.texts()[0] ?? "").authRequired, true);
        for (const type of ["publish", "subscribe", "broadcast", "echo"]) {
          const reply = await ask(client, { type, id: type, topic: "t", data: 1 });
          assertEquals([reply["id"], reply["code"]], [type, "unauthorized"]);
        }
        assertEquals(await ask(client, { type: "ping", id: 1 }), { type: "pong", id: 1 });
        assertEquals(await ask(client, { type: "auth", id: 2, token: await sign("ann", everything) }), {
          type: "ack",
          id: 2,
          user: "ann",
          expiresAt: START_SECONDS + 3600,
        });
        assertEquals((await ask(client, { type: "publish", id: 3, topic: "t", data: 1 }))["offset"], 1);
      });

      it("that are not accepted in an auth message get an error and 4002", async () => {
        const { url, lines } = await startWithTokens();
        const client = await joinRaw(url);
        const token = await sign("ann", {}, "x".repeat(32));
        const reply = await ask(client, { type: "auth", id: 1, token });
        assertEquals([reply["type"], reply["id"], reply["code"]], ["error", 1, "unauthorized"]);
        assertEquals((await client.closed())?.code, 4002);
        const said = lines.map(({ text }) => text).join() + client.texts().join();
        for (const part of token.split(".")) assertFalse(said.includes(part), "the token is repeated");
      });

      it("are awaited for five seconds, and then the connection is closed with 4003", async () => {
        const clock = new ManualClock();
        const { url } = await startWithTokens({}, clock);
        const [slow, quick] = [await joinRaw(url), await joinRaw(url)];
        clock.advance(4999);
        assertEquals((await ask(quick, { type: "auth", id: 1, token: await sign("ann") }))["type"], "ack");
        assertEquals((await ask(slow, { type: "ping", id: 1 }))["type"], "pong");
        clock.advance(1001);
        assertEquals((await slow.closed())?.code, 4003);
        assertEquals((await ask(quick, { type: "ping", id: 2 }))["type"], "pong");
      });

      it("end their connection with 4005 when they run out, unless a fresh one has come", async () => {
        const clock = new ManualClock();
        const { url } = await startWithTokens({ heartbeatSeconds: 0, jwtClockToleranceSeconds: 0 }, clock);
        const token = await sign("ann", { exp: START_SECONDS + 60 });
        const [idle, refreshed] = [
          await joinRaw(`${url}?token=${token}`),
          await joinRaw(`${url}?token=${token}`),
        ];
        clock.advance(59_000);
        const fresh = await sign("ann", { exp: START_SECONDS + 120 });
        assertEquals(
          (await ask(refreshed, { type: "auth", id: 1, token: fresh }))["expiresAt"],
          START_SECONDS + 120,
        );
        assertEquals((await ask(idle, { type: "ping", id: 1 }))["type"], "pong");
        clock.advance(2_000);
        assertEquals((await idle.closed())?.code, 4005);
        clock.advance(58_000);
        assertEquals((await ask(refreshed, { type: "ping", id: 2 }))["type"], "pong");
        clock.advance(2_000);
        assertEquals((await refreshed.closed())?.code, 4005);
      });

      it("that are refreshed keep their user and end the subscriptions that they no longer allow", async () => {
        const { url } = await startWithTokens();
        const client = await joinRaw(`${url}?token=${await sign("ann", everything)}`);
        await ask(client, { type: "subscribe", id: 1, topic: "a" });
        await ask(client, { type: "subscribe", id: 2, topic: "b" });
        const less = await sign("ann", { millrace: { subscribe: ["a"], publish: [">"] } });
        client.send(Opcode.Text, JSON.stringify({ type: "auth", id: 3, token: less }));
        const [ack, ended] = (await client.receiveTexts(5)).slice(3).map((text) => JSON.parse(text));
        assertEquals(ack.type, "ack");
        assertEquals([ended.type, ended.code], ["error", "forbidden"]);
        assertStringIncludes(ended.message, " b:");
        assertEquals(
          (await ask(client, { type: "unsubscribe", id: 4, topic: "b" }))["code"],
          "not_subscribed",
        );
        assertEquals((await ask(client, { type: "unsubscribe", id: 5, topic: "a" }))["type"], "ack");
        const other = await ask(client, { type: "auth", id: 6, token: await sign("bob") });
        assertEquals(other["code"], "unauthorized");
        assertEquals((await client.closed())?.code, 4002);
      });

      it("that are refreshed may take away the right to publish where the client just did", async () => {
        const { url } = await startWithTokens();
        const client = await joinRaw(`${url}?token=${await sign("ann", everything)}`);
        const publish = async () =>
          (await ask(client, { type: "publish", id: 1, topic: "t", data: 1 }))["type"];
        assertEquals([await publish(), await publish()], ["ack", "ack"]);
        await ask(client, { type: "auth", id: 2, token: await sign("ann") });
        assertEquals([await publish(), await publish()], ["error", "error"]);
        await ask(client, { type: "auth", id: 3, token: await sign("ann", everything) });
        assertEquals(await publish(), "ack");
      });

      it("follow a key that is rotated: the old ones are refused, their connections stay", async () => {
        const file = join(directory, "secret");
        const [first, second] = ["1".repeat(32), "2".repeat(32)];
        writeFileSync(file, `${first}\n`);
        const server = await start({ jwtSecretFile: file }, { clock: new ManualClock() });
        const [old, fresh] = [await sign("ann", {}, first), await sign("ann", {}, second)];
        const client = await joinRaw(`${server.url}?token=${old}`);
        assertEquals((await knock(`${server.url}?token=${fresh}`))[0], 401);
        writeFileSync(file, second);
        server.reload();
        assertEquals((await knock(`${server.url}?token=${fresh}`))[0], 101);
        assertEquals((await knock(`${server.url}?token=${old}`))[0], 401);
        assertEquals((await ask(client, { type: "ping", id: 1 }))["type"], "pong");
        writeFileSync(file, "short");
        server.reload();
        assertEquals((await knock(`${server.url}?token=${fresh}`))[0], 101);
        assertMatch(server.lines.at(-1)?.text ?? "", /keys not reloaded: /);
      });

      it("are not needed where none are checked, and an auth message says so", async () => {
        const { url } = await start();
        const client = await joinRaw(`${url}?token=nonsense`);
        const reply = await ask(client, { type: "auth", id: 1, token: "nonsense" });
        assertEquals([reply["code"], reply["id"]], ["unauthorized", 1]);
        assertEquals((await ask(client, { type: "ping", id: 2 }))["type"], "pong");
      });
    });

    describe("permissions", () => {
      it("come from the token and from the configuration, and what neither grants is forbidden", async () => {
        const { url } = await startWithTokens({ allowSubscribe: ["news.>"], allowPublish: ["own.{user}"] });
        const claims = { millrace: { publish: ["chat.*"], subscribe: ["chat.*"] } };
        const client = await joinRaw(`${url}?token=${await sign("ann", claims)}`);
        const answers = async (type: string, topics: string[]) => {
          const replies = [];
          for (const topic of topics) {
            const reply = await ask(client, { type, id: 1, topic, data: 1 });
            replies.push(reply["code"] ?? reply["type"]);
          }
          return replies;
        };
        assertEquals(await answers("publish", ["own.ann", "chat.a", "own.bob", "chat.a.b", "news.x"]), [
          ...["ack", "ack", "forbidden", "forbidden", "forbidden"],
        ]);
        assertEquals(await answers("subscribe", ["news.a.b", "chat.a", "news", "own.ann"]), [
          ...["ack", "ack", "forbidden", "forbidden"],
        ]);
        assertEquals((await ask(client, { type: "broadcast", id: 2, data: 1 }))["code"], "forbidden");
        assertEquals((await ask(client, { type: "echo", id: 3, data: 1 }))["type"], "echo");
      });

      it("of the anonymous are all topics, but not broadcast, unless the configuration names some", async () => {
        const open = await joinRaw((await start()).url);
        assertEquals((await ask(open, { type: "publish", id: 1, topic: "any", data: 1 }))["type"], "ack");
        assertEquals((await ask(open, { type: "broadcast", id: 1, data: 1 }))["code"], "forbidden");
        const reading = await joinRaw(
          (await start({ allowSubscribe: ["public.>"], allowBroadcast: true })).url,
        );
        assertEquals(
          (await ask(reading, { type: "publish", id: 1, topic: "any", data: 1 }))["code"],
          "forbidden",
        );
        assertEquals((await ask(reading, { type: "subscribe", id: 1, topic: "any" }))["code"], "forbidden");
        assertEquals((await ask(reading, { type: "subscribe", id: 1, topic: "public.a" }))["type"], "ack");
        const broadcast = await ask(reading, { type: "broadcast", data: 1 });
        assertEquals(broadcast, { type: "broadcast", data: 1 });
      });

      it("are needed to hear a broadcast: a connection that has yet to authenticate does not", async () => {
        const { url } = await startWithTokens();
        const waiting = await joinRaw(url);
        const client = await joinRaw(`${url}?token=${await sign("ann", everything)}`);
        await ask(client, { type: "broadcast", data: "secret" });
        await ask(waiting, { type: "ping" });
        assertEquals(waiting.textCount, 2);
      });
    });

    describe("Origins", () => {
      const origin = (name: string) => ({ Origin: name });

      it("of another site are refused with 403, or with 4004 where close codes are asked for", async () => {
        const { url } = await start();
        assertEquals(await knock(url, origin("https://evil.example")), [403, undefined]);
        assertEquals(await knock(url, origin(`http://${new URL(url).host}`)), [101, undefined]);
        assertEquals(await knock(url), [101, undefined]);
        const closing = await start({ rejectWith: "close" });
        const client = await RawClient.open(closing.url, origin("https://evil.example"));
        assertEquals((await client.closed())?.code, 4004);
      });

      it("are those on the list, once there is one", async () => {
        const { url } = await start({
          allowedOrigins: ["https://app.example.com", "https://*.example.org"],
          requireOrigin: true,
        });
        const statuses = [];
        for (
          const name of [
            "https://app.example.com",
            "https://a.b.example.org",
            "https://example.org",
            "http://app.example.com",
            "https://app.example.com.evil.test",
            `http://${new URL(url).host}`,
            "null",
          ]
        ) statuses.push((await knock(url, origin(name)))[0]);
        assertEquals(statuses, [101, 101, 403, 403, 403, 403, 403]);
        assertEquals((await knock(url))[0], 403);
      });
    });

    describe("limits of connections", () => {
      /** Opens as many as are allowed, sees one more refused, and one let in once another has left. */
      async function holds(url: string, most: number, status: number, headers: Record<string, string> = {}) {
        const inside = [];
        for (let i = 0; i < most; i++) inside.push(await joinRaw(url, headers));
        const [refused, retryAfter] = await knock(url, headers);
        assertEquals(refused, status);
        assertGreater(Number(retryAfter), 0);
        for (const client of inside) {
          assertEquals((await ask(client, { type: "ping", id: 1 }))["type"], "pong");
        }
        await inside[0]?.close();
        assertEquals((await knock(url, headers))[0], 101);
      }

      it("in total: one above gets 503, and those inside notice nothing", async () => {
        const { url } = await start({ maxConnections: 3 });
        await holds(url, 3, 503);
      });

      it("per address: one above gets 429, and other addresses are let in", async () => {
        const { url } = await start({ maxConnectionsPerAddress: 2, trustedProxies: ["127.0.0.1"] });
        const from = (address: string) => ({ "X-Forwarded-For": address });
        await holds(url, 2, 429, from("192.0.2.1"));
        assertEquals((await knock(url, from("192.0.2.2")))[0], 101);
        // Two addresses of one /64 network are one; its neighbour is another.
        await holds(url, 2, 429, from("2001:db8::1"));
        assertEquals((await knock(url, from("2001:db8::ffff")))[0], 429);
        assertEquals((await knock(url, from("2001:db8:0:1::1")))[0], 101);
      });

      it("per address count the peer itself when it is no trusted proxy, whatever it says", async () => {
        const { url } = await start({ maxConnectionsPerAddress: 1 });
        await joinRaw(url, { "X-Forwarded-For": "192.0.2.1" });
        assertEquals((await knock(url, { "X-Forwarded-For": "192.0.2.2" }))[0], 429);
      });

      it("per user: one above gets 429 at the handshake, and 1013 for its auth message", async () => {
        const { url } = await startWithTokens({ maxConnectionsPerUser: 2 });
        const token = await sign("ann");
        await holds(`${url}?token=${token}`, 2, 429);
        const late = await joinRaw(url);
        const reply = await ask(late, { type: "auth", id: 1, token });
        assertEquals(reply["type"], "error");
        assertEquals((await late.closed())?.code, 1013);
        assertEquals((await knock(`${url}?token=${await sign("bob")}`))[0], 101);
      });

      it("are told with 1013 where close codes are asked for, and such connections take no place", async () => {
        const { url } = await start({ maxConnections: 1, rejectWith: "close" });
        const inside = await joinRaw(url);
        for (let i = 0; i < 3; i++) {
          assertEquals((await (await RawClient.open(url)).closed())?.code, 1013);
        }
        await inside.close();
        await joinRaw(url);
      });

      it("handshakes per address: beyond the burst they get 429 until the rate allows another", async () => {
        const clock = new ManualClock();
        const { url } = await start({ handshakeRate: { perSecond: 1, burst: 3 } }, { clock });
        for (let i = 0; i < 3; i++) assertEquals((await knock(url))[0], 101);
        assertEquals(await knock(url), [429, "1"]);
        clock.advance(999);
        assertEquals(await knock(url), [429, "1"]);
        clock.advance(1);
        assertEquals((await knock(url))[0], 101);
      });
    });

    describe("rates of messages", () => {
      const ping = JSON.stringify({ type: "ping", id: "x" });

      it("let the burst pass and refuse what is above, with the time to wait and without doing it", async () => {
        const clock = new ManualClock();
        const { url } = await start({ messageRate: { perSecond: 10, burst: 5 } }, { clock });
        const [client, other] = [await joinRaw(url), await joinRaw(url)];
        for (let i = 1; i <= 5; i++) {
          const reply = await ask(client, { type: "publish", id: i, topic: "t", data: i });
          assertEquals([reply["type"], reply["offset"]], ["ack", i]);
        }
        const refused = await ask(client, { type: "publish", id: 6, topic: "t", data: 6 });
        assertEquals([refused["type"], refused["id"], refused["code"]], ["error", 6, "rate_limited"]);
        assertEquals(refused["retryAfterMs"], 100);
        assertEquals((await ask(other, { type: "publish", id: 1, topic: "t", data: 0 }))["offset"], 6);
        clock.advance(99);
        assertEquals((await ask(client, { type: "ping", id: 7 }))["retryAfterMs"], 1);
        clock.advance(1);
        assertEquals((await ask(client, { type: "publish", id: 8, topic: "t", data: 7 }))["offset"], 7);
      });

      it("close with 4009 who goes on regardless", async () => {
        const clock = new ManualClock();
        const { url } = await start({ messageRate: { perSecond: 10, burst: 5 } }, { clock });
        const [flood, polite] = [await joinRaw(url), await joinRaw(url)];
        for (let i = 0; i < 11; i++) flood.send(Opcode.Text, ping);
        assertEquals((await flood.closed())?.code, 4009);
        const types = flood.texts().slice(1).map((text) => JSON.parse(text).type);
        assertEquals(types, [...Array(5).fill("pong"), ...Array(5).fill("error")]);
        for (let i = 0; i < 10; i++) polite.send(Opcode.Text, ping);
        await polite.receiveTexts(11);
        clock.advance(500);
        assertEquals((await ask(polite, { type: "ping", id: 1 }))["type"], "pong");
      });

      it("count bytes too: a message larger than what is left waits", async () => {
        const clock = new ManualClock();
        const { url } = await start({
          byteRate: { perSecond: 1000, burst: 2000 },
          maxMessageBytes: 1000,
        }, { clock });
        const client = await joinRaw(url);
        const data = "ü".repeat(400);
        assertEquals((await ask(client, { type: "echo", id: 1, data }))["type"], "echo");
        assertEquals((await ask(client, { type: "echo", id: 2, data }))["type"], "echo");
        const bytes = new TextEncoder().encode(JSON.stringify({ type: "echo", id: 3, data })).length;
        const refused = await ask(client, { type: "echo", id: 3, data });
        assertEquals([refused["code"], refused["retryAfterMs"]], ["rate_limited", 3 * bytes - 2000]);
        clock.advance(3 * bytes - 2000);
        assertEquals((await ask(client, { type: "echo", id: 4, data }))["type"], "echo");
      });

      it("count all connections of a user together, and nobody else's", async () => {
        const clock = new ManualClock();
        const { url } = await startWithTokens({ userMessageRate: { perSecond: 1, burst: 4 } }, clock);
        const [ann, bob] = [await sign("ann"), await sign("bob")];
        const [first, second, other] = [
          await joinRaw(`${url}?token=${ann}`),
          await joinRaw(url),
          await joinRaw(`${url}?token=${bob}`),
        ];
        await ask(second, { type: "auth", id: 0, token: ann });
        for (const client of [first, first, second, second]) {
          assertEquals((await ask(client, { type: "ping", id: 1 }))["type"], "pong");
        }
        for (const client of [first, second]) {
          assertEquals((await ask(client, { type: "ping", id: 2 }))["code"], "rate_limited");
        }
        assertEquals((await ask(other, { type: "ping", id: 2 }))["type"], "pong");
        // Who leaves and comes back finds the bucket as it was.
        await first.close();
        await second.close();
        const back = await joinRaw(`${url}?token=${ann}`);
        assertEquals((await ask(back, { type: "ping", id: 3 }))["code"], "rate_limited");
      });

      it("can be turned off", async () => {
        const { url } = await start({ messageRate: null, byteRate: null, userMessageRate: null });
        const client = await joinRaw(url);
        for (let i = 0; i < 3000; i++) client.send(Opcode.Text, ping);
        await client.receiveTexts(3001);
        assert(client.texts().slice(1).every((text) => text.includes("pong")));
      });
    });

    describe("the HTTP side", () => {
      async function get(server: TestServer, path: string, headers: Record<string, string> = {}) {
        const url = new URL(path, server.url.replace(/^ws/, "http"));
        const response = await fetch(url, { headers });
        return {
          status: response.status,
          type: response.headers.get("content-type"),
          body: await response.text(),
        };
      }

      it("answers the API to those with one of the keys, which can be rotated", async () => {
        const apiKeyFile = join(directory, "keys");
        const [first, second] = ["first-key-of-the-api", "second-key-of-the-api"];
        writeFileSync(apiKeyFile, `# for deployment\n${first}\n`);
        const server = await start({ apiKeyFile });
        const status = async (key: string) =>
          (await get(server, "/api/slow", { authorization: `Bearer ${key}` })).status;
        assertEquals([await status(first), await status(second), await status("")], [200, 401, 401]);
        writeFileSync(apiKeyFile, `${first}\n${second}\n`);
        server.reload();
        assertEquals([await status(first), await status(second)], [200, 200]);
        assertEquals((await get(server, "/api/slow")).status, 401);
        assertEquals((await get(await start(), "/api/slow")).status, 403);
      });

      it("shows metrics to everybody, to those with a key, or to nobody", async () => {
        const apiKeyFile = join(directory, "metrics-keys");
        writeFileSync(apiKeyFile, "a-key-for-the-metrics\n");
        const { status, type, body } = await get(await start(), "/metrics");
        assertEquals(status, 200);
        assertStringIncludes(type ?? "", "text/plain");
        assertStringIncludes(body, `millrace_handshakes_total{outcome="accepted"} 0`);
        const locked = await start({ metrics: "key", apiKeyFile });
        assertEquals((await get(locked, "/metrics")).status, 401);
        const headers = { authorization: "Bearer a-key-for-the-metrics" };
        assertEquals((await get(locked, "/metrics", headers)).status, 200);
        assertEquals((await get(await start({ metrics: "off" }), "/metrics")).status, 404);
      });

      it("counts in the metrics what the guards have done", async () => {
        const server = await startWithTokens({ messageRate: { perSecond: 1, burst: 2 } });
        await knock(`${server.url}?token=nonsense`);
        await knock(server.url, { Origin: "https://evil.example" });
        const client = await joinRaw(`${server.url}?token=${await sign("ann", everything)}`);
        await ask(client, { type: "subscribe", id: 1, topic: "t" });
        client.send(Opcode.Text, JSON.stringify({ type: "publish", id: 2, topic: "t", data: "x" }));
        await client.receiveTexts(4);
        await ask(client, { type: "ping", id: 3 });
        const { body } = await get(server, "/metrics");
        for (
          const line of [
            `millrace_handshakes_total{outcome="accepted"} 1`,
            `millrace_handshakes_total{outcome="token"} 1`,
            `millrace_handshakes_total{outcome="origin"} 1`,
            `millrace_auth_failures_total{reason="malformed"} 1`,
            `millrace_rate_limited_total{reason="connection"} 1`,
            `millrace_publications_total 1`,
            `millrace_deliveries_total 1`,
          ]
        ) assertStringIncludes(body, `${line}\n`);
        assertMatch(body, /^millrace_connections\{.*format="json".*\} 1$/m);
        assertFalse(body.includes("ann"));
      });
    });
  });
}
