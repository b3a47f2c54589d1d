/** The client against a real server on this runtime: formats, recovery across restarts, tokens, draining, presence. */
import { Buffer } from "node:buffer";
import { after, afterEach, describe, it } from "node:test";
import { assertEquals, assertRejects } from "@std/assert";
import { Packr } from "msgpackr";
import { type Client, type ClientOptions, createClient, type Gap, MillraceError } from "../../client/mod.ts";
import { type MessagePackCodec, msgpack } from "../../client/msgpack.ts";
import type { Options } from "../../server/options.ts";
import { Events } from "../helpers/events.ts";
import { ManualClock, WALL_START_MS } from "../helpers/manual_clock.ts";
import { RedisServer, whyNoRedis } from "../helpers/redis.ts";
import { startServer, type TestServer, unlimited } from "../helpers/server.ts";
import { SECRET, sign } from "../helpers/tokens.ts";
import { testWebSocket } from "../helpers/web_socket.ts";

const packr = new Packr({ useRecords: false, mapsAsObjects: true }) as MessagePackCodec;
const formats = { json: {}, msgpack: { format: msgpack(packr) } } as const;

describe("the client at a server", () => {
  const servers: TestServer[] = [];
  const clients: Client[] = [];
  afterEach(async () => {
    await Promise.all(clients.splice(0).map((client) => client.close({ flushMs: 0 })));
  });
  after(() => Promise.all(servers.map((server) => server.close())));

  async function start(
    options: Partial<Options> = {},
    clock: ManualClock | undefined = undefined,
  ): Promise<TestServer> {
    const kept = { history: ["kept.>:100:60"], presence: ["room.>"], shutdownTimeoutSeconds: 0 };
    const server = await startServer({ ...unlimited, ...kept, ...options }, clock && { clock });
    servers.push(server);
    return server;
  }

  function join(url: ClientOptions["url"], more: Partial<ClientOptions> = {}): Client {
    const WebSocket = testWebSocket;
    const client = createClient({ url, WebSocket, backoff: { minMs: 1, maxMs: 20 }, ...more });
    clients.push(client);
    return client;
  }

  for (const [name, format] of Object.entries(formats)) {
    it(`publishes, subscribes, reads the history and sees who is there, in ${name}`, async () => {
      const server = await start({ allowBroadcast: true, allowPublish: [">"], allowSubscribe: [">"] });
      const client = join(server.url, format);
      const direct = client.messages("kept.a");
      const all = client.messages("kept.*");
      await Promise.all([direct.ready, all.ready]);
      const data = { text: "grüß", list: [1, null, true, 2.5] };
      const place = await client.publish("kept.a", data);
      assertEquals(place.offset, 1);
      assertEquals((await direct.next()).value?.data, data);
      const { value } = await all.next();
      assertEquals([value?.topic, value?.pattern, value?.data], ["kept.a", "kept.*", data]);
      const heard = new Promise((resolve) => client.on("broadcast", resolve));
      assertEquals(await client.broadcast("hello"), 1);
      assertEquals((await heard as { data: unknown }).data, "hello");
    });
  }

  it("reads the history and sees who comes and goes", async () => {
    const server = await start();
    const [one, two] = [join(server.url), join(server.url)];
    const { epoch } = await one.publish("kept.b", 1);
    await one.publish("kept.b", 2);
    const page = await one.history("kept.b", { since: { epoch, offset: 1 }, limit: 5 });
    assertEquals([page.messages, page.complete, page.offset], [[{ offset: 2, data: 2 }], true, 2]);
    const changes = new Events<string>();
    await one.subscribe("room.a", () => {}, { onPresence: ({ type }) => changes.push(type) }).ready;
    const there = two.subscribe("room.a", () => {});
    await there.ready;
    await changes.until((all) => all.filter((type) => type === "join").length >= 1);
    assertEquals((await one.presence("room.a")).count, 2);
    there.unsubscribe();
    await changes.until((all) => all.includes("leave"));
  });

  it("is sent elsewhere by a node that drains, and says what the move has lost", async () => {
    const [first, second] = [await start({ reconnectWindowSeconds: 0 }), await start()];
    const urls = [first.url, second.url];
    const client = join(() => urls[0] as string);
    const gaps = new Events<Gap>();
    client.on("gap", (gap) => gaps.push(gap));
    const messages = client.messages("kept.c");
    await messages.ready;
    await client.publish("kept.c", "one");
    assertEquals((await messages.next()).value?.data, "one");
    urls.shift();
    const states = new Events<number | undefined>();
    client.on("state", ({ closeCode }) => states.push(closeCode));
    // Another node's memory: another epoch.
    await join(second.url).publish("kept.c", "two");
    await first.close();
    assertEquals((await messages.next()).value?.data, "two");
    assertEquals(states.all[0], 1001);
    assertEquals(gaps.all.map(({ reason, from, to }) => [reason, from, to]), [["epoch", 1, 0]]);
  });

  it(
    "goes from one node to another of the same Redis, and loses nothing",
    { skip: whyNoRedis() },
    async () => {
      const redis = await RedisServer.start();
      try {
        const shared = { broker: "redis", brokerUrls: [redis.url], reconnectWindowSeconds: 0 } as const;
        const [first, second] = [await start(shared), await start(shared)];
        const urls = [first.url, second.url];
        const client = join(() => urls[0] as string);
        const told: unknown[] = [];
        for (const name of ["gap", "error"] as const) client.on(name, (event) => told.push(event));
        const messages = client.messages("kept.f");
        await messages.ready;
        const publisher = join(second.url);
        await publisher.publish("kept.f", 1);
        assertEquals((await messages.next()).value?.data, 1);
        urls.shift();
        const away = new Promise<void>((resolve) => {
          client.on("state", ({ state }) => state === "waiting" && resolve());
        });
        const closed = first.close();
        await away;
        for (const data of [2, 3]) await publisher.publish("kept.f", data);
        const seen = [await messages.next(), await messages.next()].map(({ value }) => value?.data);
        assertEquals([seen, told], [[2, 3], []]);
        await closed;
        await Promise.all(clients.splice(0).map((client) => client.close({ flushMs: 0 })));
        await second.close();
      } finally {
        await redis.process.remove();
      }
    },
  );

  it("authenticates, renews its token, and is told what the new one does not allow", async () => {
    const clock = new ManualClock();
    const server = await start({ jwtSecret: SECRET, heartbeatSeconds: 0 }, clock);
    const own = new ManualClock();
    const grants = [["a", "b"], ["a"]];
    const token = () =>
      sign({
        ...{ sub: "ann", exp: (WALL_START_MS + own.now()) / 1000 + 100 },
        millrace: { subscribe: grants.shift() ?? [] },
      });
    const client = join(server.url, { token, clock: own });
    const errors = new Events<string>();
    client.on("error", ({ code }) => errors.push(code));
    const [a, b] = [client.messages("a"), client.messages("b")];
    await Promise.all([a.ready, b.ready]);
    assertEquals((await assertRejects(() => client.publish("a", 1), MillraceError)).code, "forbidden");
    const end = assertRejects(() => b.next(), MillraceError);
    own.advance(80_000);
    // The server's word comes, and then our turn to ask which it was.
    const asking = setInterval(() => own.advance(1), 1);
    assertEquals((await end).code, "forbidden");
    clearInterval(asking);
    assertEquals([client.state, errors.all, grants.length], ["open", [], 0]);
  });

  it("stops at a server that does not accept its token", async () => {
    const server = await start({ jwtSecret: SECRET });
    const bad = await sign({ sub: "ann" }, {}, Buffer.from(`x${SECRET}`));
    const client = join(server.url, { token: () => bad });
    client.on("error", () => {});
    const { code, closeCode } = await assertRejects(() => client.connect(), MillraceError);
    assertEquals([code, closeCode], ["stopped", 4002]);
  });

  it("flushes what it was asked for before it closes", async () => {
    const server = await start();
    const client = join(server.url);
    const all = Array.from({ length: 200 }, (_, data) => client.publish("kept.d", data));
    await client.close();
    assertEquals((await Promise.all(all)).at(-1)?.offset, 200);
  });

  it("sends no faster than the server's rates allow, and loses nothing by it", async () => {
    const server = await start({ messageRate: { perSecond: 1_000, burst: 40 } });
    const client = join(server.url);
    const all = Array.from({ length: 150 }, (_, data) => client.publish("kept.e", data));
    assertEquals(new Set((await Promise.all(all)).map(({ offset }) => offset)).size, 150);
    assertEquals(client.state, "open");
  });
});
