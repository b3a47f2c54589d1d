/** Topics over HTTP: which have subscribers on this node, where each is, and who is in it. */
import { after, describe, it } from "node:test";
import { assertEquals, assertStringIncludes } from "@std/assert";
import { ManualClock } from "../helpers/manual_clock.ts";
import { whyNot } from "../helpers/runtime.ts";
import { SECRET } from "../helpers/tokens.ts";
import { api, ApiFixture, ask, type Json, subscriber, tokenOf } from "./setup.ts";

for (const engine of ["auto", "ts"] as const) {
  describe(`topics over HTTP on ${engine}`, { skip: await whyNot(engine) }, () => {
    const fixture = new ApiFixture(engine);
    after(() => fixture.stop());

    it("are listed by name with their subscribers, those with a prefix if there is one", async () => {
      const server = await fixture.start();
      await subscriber(server.url, "b.2", "ab.1", "b.1", "a.*");
      const [leaving] = await subscriber(server.url, "b.1", "c");
      const list = async (query: string) => (await api(server, "GET", `/api/topics${query}`)).json as Json;
      const [a, b1, b2, c] = [["ab.1", 1], ["b.1", 2], ["b.2", 1], ["c", 1]].map(([topic, subscribers]) => (
        { topic, subscribers }
      ));
      assertEquals(await list(""), { topics: [a, b1, b2, c], next: null });
      assertEquals(await list("?prefix=b."), { topics: [b1, b2], next: null });
      assertEquals(await list("?prefix=none"), { topics: [], next: null });
      assertEquals(await list("?limit=3"), { topics: [a, b1, b2], next: "b.2" });
      assertEquals(await list("?limit=3&after=b.2"), { topics: [c], next: null });
      assertEquals(await list("?limit=1&prefix=b.&after=b.1"), { topics: [b2], next: null });
      await ask(leaving, { type: "unsubscribe", id: 1, topic: "c" });
      assertEquals(await list("?after=b.2"), { topics: [], next: null });
    });

    it("are shown with their place, whatever signs their names have, and slashes encoded or not", async () => {
      const server = await fixture.start();
      const topic = "a/b:c@d=e,f;g_h-i.j";
      const [client] = await subscriber(server.url, topic);
      const { epoch } = await ask(client, { type: "publish", id: 1, topic, data: 1 });
      await client.receiveTexts(4);
      for (const path of [encodeURIComponent(topic), topic]) {
        const { status, json } = await api(server, "GET", `/api/topics/${path}`);
        assertEquals([status, json], [200, { topic, subscribers: 1, epoch, offset: 1 }]);
      }
      for (const path of ["a%20b", "%zz", "%c3%28", "a*", "x".repeat(201)]) {
        const { status, json } = await api(server, "GET", `/api/topics/${path}`);
        assertEquals(status, 400);
        assertStringIncludes(String((json as Json)["detail"]), "1 to 200 characters");
      }
    });

    it("have no place before the first publication, and no subscribers when those have gone", async () => {
      const server = await fixture.start();
      const { json } = await api(server, "GET", "/api/topics/never");
      assertEquals(json, { topic: "never", subscribers: 0, epoch: null, offset: null });
      await api(server, "POST", "/api/publish", { body: { topic: "t", data: 1 } });
      const shown = (await api(server, "GET", "/api/topics/t")).json as Json;
      assertEquals([shown["subscribers"], shown["offset"], typeof shown["epoch"]], [0, 1, "string"]);
    });

    it("tell their members where it is kept who is in them: a user once, a stranger per session", async () => {
      const options = { jwtSecret: SECRET, presence: ["room.*"], allowSubscribe: [">"] };
      const server = await fixture.start(options, { clock: new ManualClock() });
      const url = `${server.url}?token=${await tokenOf("ann")}`;
      const [, first] = await subscriber(url, "room.1", "hall");
      await subscriber(url, "room.1");
      const [, bob] = await subscriber(`${server.url}?token=${await tokenOf("bob")}`, "room.1");
      const shown = (await api(server, "GET", "/api/topics/room.1")).json as Json;
      assertEquals([shown["subscribers"], shown["memberCount"]], [3, 2]);
      assertEquals(shown["members"], [{ user: "ann", session: first }, { user: "bob", session: bob }]);
      const hall = (await api(server, "GET", "/api/topics/hall")).json as Json;
      assertEquals([hall["subscribers"], "members" in hall, "memberCount" in hall], [1, false, false]);
    });
  });
}
