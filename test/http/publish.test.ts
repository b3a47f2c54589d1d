/** Publishing over HTTP: what is answered, what arrives, and what is told when a part of it could not be stored. */
import { Buffer } from "node:buffer";
import { after, describe, it } from "node:test";
import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { BrokerUnavailable, type Position } from "../../server/broker/broker.ts";
import type { HttpRequest } from "../../server/engine.ts";
import { RequestFault } from "../../server/http/answers.ts";
import { publish } from "../../server/http/publish.ts";
import { askHttp } from "../helpers/http.ts";
import { whyNot } from "../helpers/runtime.ts";
import { faultsOfNamed } from "./document.ts";
import { api, ApiFixture, type Json, subscriber } from "./setup.ts";

for (const engine of ["auto", "ts"] as const) {
  describe(`publishing over HTTP on ${engine}`, { skip: await whyNot(engine) }, () => {
    const fixture = new ApiFixture(engine);
    after(() => fixture.stop());

    it("brings one message to the topic's subscribers, and answers its place and how many they are", async () => {
      const server = await fixture.start();
      const [client] = await subscriber(server.url, "news");
      await subscriber(server.url, "news", "other");
      const data = { text: "ü", list: [1, null] };
      const { status, json } = await api(server, "POST", "/api/publish", { body: { topic: "news", data } });
      const message = JSON.parse((await client.receiveTexts(3))[2] ?? "");
      const { epoch } = message;
      assertEquals(message, { type: "message", topic: "news", data, offset: 1, epoch });
      assertEquals([status, json], [200, { topic: "news", epoch, offset: 1, subscribers: 2 }]);
      const nobody = await api(server, "POST", "/api/publish", { body: { topic: "nobody", data: null } });
      assertEquals([(nobody.json as Json)["offset"], (nobody.json as Json)["subscribers"]], [1, 0]);
    });

    it("keeps the order of up to 1,000 messages, and answers one after the other", async () => {
      const server = await fixture.start();
      const [client] = await subscriber(server.url, "a", "b");
      const body = Array.from({ length: 1000 }, (_, i) => ({ topic: i % 3 === 0 ? "a" : "b", data: i }));
      const { status, json } = await api(server, "POST", "/api/publish", { body });
      assertEquals(status, 200);
      const received = (await client.receiveTexts(1003)).slice(3).map((text) => JSON.parse(text));
      assertEquals(received.map(({ data }) => data), body.map(({ data }) => data));
      assertEquals(
        (json as Json[]).map(({ topic, offset, epoch }) => ({ topic, offset, epoch })),
        received.map(({ topic, offset, epoch }) => ({ topic, offset, epoch })),
      );
      const one = await api(server, "POST", "/api/publish", { body: [{ topic: "a", data: 1 }] });
      assertEquals((one.json as Json[]).length, 1);
      for (const [count, body] of [[1001, Array(1001).fill({ topic: "a", data: 1 })], [0, []]] as const) {
        const { status, json } = await api(server, "POST", "/api/publish", { body });
        assertEquals(status, 400);
        assertStringIncludes(
          String((json as Json)["detail"]),
          `1 to 1000 publications; this one has ${count}`,
        );
      }
    });

    it("publishes nothing of a batch with one bad item, and says which one it is", async () => {
      const server = await fixture.start();
      const [client] = await subscriber(server.url, "t");
      const good = { topic: "t", data: 1 };
      const bad: readonly [item: unknown, says: string][] = [
        [1, "an object"],
        [null, "an object"],
        [[good], "an object"],
        [{ data: 1 }, "A topic is"],
        [{ topic: "a b", data: 1 }, "A topic is"],
        [{ topic: "a.*", data: 1 }, "A topic is"],
        [{ topic: "t" }, "needs `data`"],
        [{ topic: "t", data: JSON.parse(`{"__proto__":1}`) }, "__proto__"],
        [{ topic: "t", data: JSON.parse(`${"[".repeat(65)}${"]".repeat(65)}`) }, "64 levels"],
      ];
      for (const [item, says] of bad) {
        const { status, json } = await api(server, "POST", "/api/publish", {
          body: [good, good, item, good],
        });
        assertEquals(status, 400);
        assertStringIncludes(String((json as Json)["detail"]), "Publication 2: ");
        assertStringIncludes(String((json as Json)["detail"]), says);
        if (Array.isArray(item)) continue;
        const alone = await api(server, "POST", "/api/publish", { body: item });
        assertStringIncludes(String((alone.json as Json)["detail"]), says);
      }
      await api(server, "POST", "/api/publish", { body: good });
      assertEquals(JSON.parse((await client.receiveTexts(3))[2] ?? "").offset, 1);
    });

    it("takes no message that is larger than a client's may be, also among small ones", async () => {
      const server = await fixture.start({ maxMessageBytes: 64 });
      const of = (bytes: number) => ({ topic: "t", data: "ü".repeat((bytes - 2) / 2) });
      assertEquals(
        (await api(server, "POST", "/api/publish", { body: [of(64), of(64), of(2)] })).status,
        200,
      );
      const { status, json } = await api(server, "POST", "/api/publish", { body: [of(64), of(66)] });
      assertEquals(status, 400);
      assertStringIncludes(String((json as Json)["detail"]), "Publication 1: Its data takes 66 bytes");
    });

    it("counts in the metrics what was published", async () => {
      const server = await fixture.start();
      const item = { topic: "t", data: 1 };
      await api(server, "POST", "/api/publish", { body: [item, item] });
      await api(server, "POST", "/api/publish", { body: [item, {}] });
      const { text } = await askHttp(server, "GET", "/metrics");
      assertStringIncludes(text, "\nmillrace_publications_total 2\n");
    });
  });
}

describe("publishing over HTTP to a broker that comes and goes", () => {
  const request = (body: unknown): HttpRequest => ({
    ...{ method: "POST", path: "/api/publish", query: "", remoteAddress: "127.0.0.1" },
    headers: new Map([["content-type", "application/json"]]),
    body: Buffer.from(JSON.stringify(body)),
  });
  const batch = ["a", "b", "a", "c"].map((topic, data) => ({ topic, data }));

  /** Publishes `batch`; `store` decides about each in its place. */
  async function publishing(store: (index: number) => Position | Promise<Position>, body: unknown = batch) {
    const asked: unknown[] = [];
    let counted = 0;
    const answer = publish(request(body), {
      hub: {
        publish(topic, data) {
          asked.push([topic, data]);
          return store(asked.length - 1);
        },
        subscriberCount: (topic) => topic === "a" ? 2 : 0,
      },
      maxMessageBytes: 1024,
      published: () => counted++,
    });
    const askedAtOnce = asked.length;
    const { status, headers, body: text } = await answer;
    return { status, headers, json: JSON.parse(String(text)), askedAtOnce, counted, asked };
  }

  const stored = (index: number): Position => ({ epoch: "e", offset: index + 1 });
  const away = () => new BrokerUnavailable("away");

  it("answers once everything is stored, whether the broker takes its time or not", async () => {
    const waits = (index: number) =>
      new Promise<Position>((resolve) => setTimeout(resolve, 0, stored(index)));
    for (const store of [stored, waits, (index: number) => index % 2 === 0 ? stored(index) : waits(index)]) {
      const { status, json, asked, askedAtOnce, counted } = await publishing(store);
      assertEquals([status, counted, askedAtOnce], [200, 4, 4]);
      assertEquals(asked, batch.map(({ topic, data }) => [topic, data]));
      assertEquals(json.map(({ offset }: Position) => offset), [1, 2, 3, 4]);
      assertEquals(faultsOfNamed("PublishedAll", json), []);
    }
  });

  it("says exactly which are stored when the broker goes away in the middle, at once or later", async () => {
    const failures: readonly ((index: number) => Position | Promise<Position>)[] = [
      () => {
        throw away();
      },
      () => Promise.reject(away()),
    ];
    for (const fail of failures) {
      const { status, headers, json, counted } = await publishing((index) =>
        index === 1 || index === 3 ? fail(index) : stored(index)
      );
      assertEquals([status, headers["retry-after"], counted], [503, "2", 2]);
      assertEquals(faultsOfNamed("NotStored", json), []);
      assertEquals(json.type, "/problems/broker_unavailable");
      assertStringIncludes(json.detail, "2 of 4");
      assertEquals(json.stored, [
        { index: 0, topic: "a", epoch: "e", offset: 1, subscribers: 2 },
        { index: 2, topic: "a", epoch: "e", offset: 3, subscribers: 2 },
      ]);
    }
  });

  it("says that none is known to be stored when the broker is away, for one as for several", async () => {
    for (const body of [batch, { topic: "a", data: 1 }]) {
      const { status, json, counted } = await publishing(() => Promise.reject(away()), body);
      assertEquals([status, json.stored, counted], [503, [], 0]);
      assertEquals(faultsOfNamed("NotStored", json), []);
    }
  });

  it("does not hide a fault of ours behind the broker", async () => {
    await assertRejects(() => publishing(() => Promise.reject(new TypeError("ours"))), TypeError, "ours");
  });

  it("asks the broker for nothing when the request is at fault", async () => {
    await assertRejects(
      () => publishing(() => Promise.reject(new Error("asked")), [...batch, {}]),
      RequestFault,
      "Publication 4: ",
    );
  });
});
