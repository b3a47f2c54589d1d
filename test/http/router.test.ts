/** What all routes have in common: who may ask, how, and the one form of errors. */
import { after, describe, it } from "node:test";
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { askHttp, askRaw, type HttpAnswer } from "../helpers/http.ts";
import { RawClient } from "../helpers/raw_client.ts";
import { whyNot } from "../helpers/runtime.ts";
import { faultsOfNamed } from "./document.ts";
import { api, ApiFixture, type Json, KEY } from "./setup.ts";

function assertProblem(answer: HttpAnswer, status: number, says: string): void {
  assertEquals([answer.status, answer.type], [status, "application/problem+json"], answer.text);
  assertEquals(faultsOfNamed("Problem", answer.json), []);
  assertEquals((answer.json as Json)["status"], status);
  assertStringIncludes(String((answer.json as Json)["detail"]), says);
  assertEquals(answer.text.indexOf("\n"), answer.text.length - 1, "it is one line");
}

for (const engine of ["auto", "ts"] as const) {
  describe(`the HTTP side on ${engine}`, { skip: await whyNot(engine) }, () => {
    const fixture = new ApiFixture(engine);
    after(() => fixture.stop());

    it("tells errors as problem details (RFC 9457): the status, its name, and what would be right", async () => {
      const server = await fixture.start();
      const answer = await askHttp(server, "GET", "/nothing");
      assertEquals(answer.json, {
        type: "about:blank",
        title: "Not Found",
        status: 404,
        detail: "There is nothing at this path.",
      });
      assertProblem(answer, 404, "nothing");
      assertEquals(answer.headers.get("cache-control"), "no-store");
      for (const path of ["/api", "/api/", "/api/topics/", "/api/publish/", "/API/publish", "/healthy"]) {
        assertProblem(await api(server, "GET", path), 404, "nothing");
      }
    });

    it("answers another method than a route's with 405 and says which it takes, with a key or without", async () => {
      const server = await fixture.start();
      for (
        const [method, path, allow] of [
          ["POST", "/health", "GET, HEAD"],
          ["DELETE", "/api/topics", "GET, HEAD"],
          ["PUT", "/api/topics/a", "GET, HEAD"],
          ["GET", "/api/publish", "POST"],
          ["OPTIONS", "/api/drain", "POST"],
          ["POST", "/ws", "GET, HEAD"],
        ] as const
      ) {
        for (const key of [{}, { key: KEY }]) {
          const answer = await askHttp(server, method, path, key);
          assertProblem(answer, 405, allow);
          assertEquals(answer.headers.get("allow"), allow);
        }
      }
    });

    it("lets nobody use the API without a key, and says how to bring one", async () => {
      const server = await fixture.start();
      for (const question of [{}, { key: "" }, { key: `${KEY}x` }, { key: KEY.slice(1) }]) {
        const answer = await askHttp(server, "GET", "/api/topics", question);
        assertProblem(answer, 401, "Authorization: Bearer");
        assertEquals(answer.headers.get("www-authenticate"), "Bearer");
      }
      assertEquals((await api(server, "GET", "/api/topics")).status, 200);
    });

    it("has no API without a file of keys, whatever key is sent", async () => {
      assertProblem(await api(await fixture.startPlain(), "GET", "/api/topics"), 403, "--api-key-file");
    });

    it("answers HEAD as GET, without the body and with its length (RFC 9110, 9.3.2)", async () => {
      const server = await fixture.start();
      const ask = (method: string, path: string) => `${method} ${path} HTTP/1.1\r\nHost: a\r\n\r\n`;
      const client = await RawClient.request(server.url, ask("HEAD", "/health"));
      assertMatch(client.head, /^HTTP\/1\.1 200 [^]*content-length: 16\r\n/i);
      client.write(ask("HEAD", "/nothing"));
      await client.said(/404/);
      client.write(ask("GET", "/health"));
      await client.said(/"ok"\}\n$/);
      assertEquals(client.head.match(/^HTTP.*$/gm)?.map((line) => line.split(" ")[1]), ["200", "404", "200"]);
      assertEquals(client.head.match(/[{}].*/g), [`{"status":"ok"}`]);
      client.destroy();
    });

    it("takes a body of maxHttpBodyBytes, and refuses one byte more with 413", async () => {
      const server = await fixture.start({ maxHttpBodyBytes: 100 });
      const bodyOf = (bytes: number) => {
        const empty = JSON.stringify({ topic: "t", data: "" });
        return { topic: "t", data: "x".repeat(bytes - empty.length) };
      };
      assertEquals((await api(server, "POST", "/api/publish", { body: bodyOf(100) })).status, 200);
      assertEquals((await api(server, "POST", "/api/publish", { body: bodyOf(101) })).status, 413);
      assertEquals((await api(server, "POST", "/api/publish", { body: bodyOf(100_000) })).status, 413);
    });

    it("takes bodies that are said to be JSON, in any writing, and answers others with 415", async () => {
      const server = await fixture.start();
      const body = { topic: "t", data: 1 };
      for (const type of ["application/json", "Application/JSON", "application/json ; charset=utf-8"]) {
        assertEquals((await api(server, "POST", "/api/publish", { body, type })).status, 200, type);
      }
      for (const type of ["text/plain", "application/jsonp", "application/x-www-form-urlencoded", ""]) {
        assertProblem(await api(server, "POST", "/api/publish", { body, type }), 415, "application/json");
      }
      const bare = `POST /api/publish HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${KEY}\r\n` +
        `Content-Length: 22\r\n\r\n{"topic":"t","data":1}`;
      assertProblem(await askRaw(server.url, bare), 415, "application/json");
    });

    const bad: readonly [what: string, bytes: Uint8Array][] = [
      ["nothing", new Uint8Array(0)],
      ["half of an object", new TextEncoder().encode(`{"topic":"t","da`)],
      ["what is not UTF-8", new Uint8Array([0x22, 0xc3, 0x28, 0x22])],
      ["a million brackets", new TextEncoder().encode("[".repeat(1_000_000))],
    ];
    for (const [what, body] of bad) {
      it(`answers ${what} where JSON should be with 400, and does not repeat it`, async () => {
        const server = await fixture.start({ maxHttpBodyBytes: 2_000_000 });
        const answer = await api(server, "POST", "/api/publish", { body });
        assertProblem(answer, 400, "valid JSON");
        assertEquals((await api(server, "GET", "/health")).status, 200);
      });
    }

    it("answers parameters that it does not know, or knows once, with 400", async () => {
      const server = await fixture.start();
      assertProblem(await api(server, "GET", "/api/topics?perfix=a"), 400, "prefix, limit, after");
      assertProblem(await api(server, "GET", "/api/topics?prefix=a&prefix=b"), 400, "twice");
      for (const limit of ["0", "1001", "-1", "1.5", "x", "", "1e2", "00100"]) {
        assertProblem(await api(server, "GET", `/api/topics?limit=${limit}`), 400, "from 1 to 1000");
      }
      for (const limit of ["1", "1000"]) {
        assertEquals((await api(server, "GET", `/api/topics?limit=${limit}`)).status, 200);
      }
    });
  });
}
