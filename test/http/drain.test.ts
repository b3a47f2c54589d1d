/** The drain by hand: clients go, and the server stays to say so. */
import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { after, describe, it } from "node:test";
import { assertEquals, assertGreaterOrEqual, assertLessOrEqual, assertStringIncludes } from "@std/assert";
import { askHttp, askRaw } from "../helpers/http.ts";
import { ManualClock } from "../helpers/manual_clock.ts";
import { handshake, RawClient } from "../helpers/raw_client.ts";
import { whyNot } from "../helpers/runtime.ts";
import { joinRaw } from "../helpers/server.ts";
import { keyPair, sign, WALL_START_SECONDS } from "../helpers/tokens.ts";
import { api, ApiFixture, ask, type Json } from "./setup.ts";

/** Gives out keys when it is told to. */
class Issuer {
  readonly asked: Promise<ServerResponse>;
  private readonly server: Server;

  constructor() {
    this.server = createServer();
    this.asked = new Promise((resolve) => this.server.once("request", (_, response) => resolve(response)));
  }

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.server.listen(0, "127.0.0.1", resolve));
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}/jwks`;
  }

  stop(): Promise<unknown> {
    const stopped = new Promise((resolve) => this.server.close(resolve));
    this.server.closeAllConnections();
    return stopped;
  }
}

for (const engine of ["auto", "ts"] as const) {
  describe(`the drain over HTTP on ${engine}`, { skip: await whyNot(engine) }, () => {
    const fixture = new ApiFixture(engine);
    const issuers: Issuer[] = [];
    after(async () => {
      await fixture.stop();
      await Promise.all(issuers.map((issuer) => issuer.stop()));
    });

    it("turns /ready to 503, waits, sends everybody away over the window, and goes on answering", async () => {
      const clock = new ManualClock();
      const options = { drainDelaySeconds: 5, reconnectWindowSeconds: 4, shutdownTimeoutSeconds: 10 };
      const server = await fixture.start({ ...options, heartbeatSeconds: 0 }, { clock });
      const clients = await Promise.all(Array.from({ length: 4 }, () => joinRaw(server.url)));
      const { status, json } = await api(server, "POST", "/api/drain");
      assertEquals([status, json], [202, { status: "draining", connections: 4 }]);
      const ready = await askHttp(server, "GET", "/ready");
      assertEquals([ready.status, ready.headers.get("retry-after")], [503, "5"]);
      assertStringIncludes(ready.text, "going away");
      assertEquals(
        await RawClient.open(server.url).then(() => 101, (error: Error) => /\d{3}/.exec(error.message)?.[0]),
        "503",
      );
      clock.advance(4_999);
      for (const client of clients) {
        assertEquals((await ask(client, { type: "ping", id: 1 }))["type"], "pong");
      }
      clock.advance(4_011);
      const leftMs = await Promise.all(clients.map(async (client) => {
        assertEquals(await client.closed(), { code: 1001, reason: "server is shutting down" });
        const drain = JSON.parse(client.texts().at(-1) ?? "");
        assertEquals(drain.type, "drain");
        assertLessOrEqual(drain.reconnectAfterMs, 1);
        await client.close();
        return 10_000 - drain.deadlineMs;
      }));
      for (const [index, ms] of leftMs.sort((a, b) => a - b).entries()) {
        assertGreaterOrEqual(ms, index * 1_000 - 1);
        assertLessOrEqual(ms, (index + 1) * 1_000 + 11);
      }
      assertEquals((await api(server, "POST", "/api/drain")).json, { status: "draining", connections: 0 });
      const places = await api(server, "POST", "/api/publish", { body: { topic: "t", data: 1 } });
      assertEquals([places.status, (places.json as Json)["offset"]], [200, 1]);
      assertEquals((await askHttp(server, "GET", "/health")).status, 200);
      await server.close();
    });

    it("is not begun by a request without the key, nor by GET", async () => {
      const server = await fixture.start();
      assertEquals((await askHttp(server, "POST", "/api/drain")).status, 401);
      assertEquals((await api(server, "GET", "/api/drain")).status, 405);
      assertEquals((await askHttp(server, "GET", "/ready")).status, 200);
    });

    it("refuses a handshake whose token was still being checked when it began", async () => {
      const { jwk, privateKey } = await keyPair("ES256", { kid: "k", alg: "ES256" });
      for (const isDrained of [false, true]) {
        const issuer = new Issuer();
        issuers.push(issuer);
        const server = await fixture.start({ jwksUrl: await issuer.listen() }, { clock: new ManualClock() });
        const claims = { sub: "ann", exp: WALL_START_SECONDS + 60 };
        const token = await sign(claims, { alg: "ES256", kid: "k" }, privateKey);
        const knocking = askRaw(server.url, handshake(server.url, { Authorization: `Bearer ${token}` }));
        const request = await issuer.asked;
        if (isDrained) await api(server, "POST", "/api/drain");
        request.end(JSON.stringify({ keys: [jwk] }));
        assertEquals((await knocking).status, isDrained ? 503 : 101);
      }
    });

    it("is what a shutdown that comes later goes on with", async () => {
      const server = await fixture.start({ reconnectWindowSeconds: 0, shutdownTimeoutSeconds: 10 });
      const client = await joinRaw(server.url);
      await api(server, "POST", "/api/drain");
      assertEquals((await client.closed())?.code, 1001);
      await client.close();
      await server.close();
      assertEquals(server.lines.filter(({ text }) => text.includes(`"draining"`)).length, 1);
    });
  });
}
