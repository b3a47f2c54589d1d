/** The drain by hand: clients go, and the server stays to say so. */
import { after, describe, it } from "node:test";
import { assertEquals, assertLessOrEqual, assertStringIncludes } from "@std/assert";
import { askHttp } from "../helpers/http.ts";
import { ManualClock } from "../helpers/manual_clock.ts";
import { RawClient } from "../helpers/raw_client.ts";
import { whyNot } from "../helpers/runtime.ts";
import { joinRaw } from "../helpers/server.ts";
import { api, ApiFixture, ask, type Json } from "./setup.ts";

for (const engine of ["auto", "ts"] as const) {
  describe(`the drain over HTTP on ${engine}`, { skip: await whyNot(engine) }, () => {
    const fixture = new ApiFixture(engine);
    after(() => fixture.stop());

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
      for (let gone = 1; gone <= 4; gone++) {
        clock.advance(gone === 1 ? 1_011 : 1_000);
        await Promise.any(
          clients.filter((client) => !client.ended).map(async (client) => {
            assertEquals(await client.closed(), { code: 1001, reason: "server is shutting down" });
            const drain = JSON.parse(client.texts().at(-1) ?? "");
            assertEquals(drain.type, "drain");
            assertLessOrEqual(drain.reconnectAfterMs, 1);
            await client.close();
          }),
        );
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
