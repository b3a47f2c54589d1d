/** The OpenAPI document against the server: its routes, its statuses and its bodies are the real ones. */
import { after, describe, it } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { createRoutes } from "../../server/http/routes.ts";
import { VERSION } from "../../server/version.ts";
import { askHttp, askRaw, type HttpAnswer } from "../helpers/http.ts";
import { handshake } from "../helpers/raw_client.ts";
import { whyNot } from "../helpers/runtime.ts";
import type { TestServer } from "../helpers/server.ts";
import { contradiction, document, faultsOf, faultsOfNamed, operations } from "./document.ts";
import { api, ApiFixture, subscriber } from "./setup.ts";

describe("the OpenAPI document", () => {
  it("has every route of the server, and no other", () => {
    // Building the routes looks at nothing but the path of the WebSocket endpoint.
    const routes = createRoutes({ webSocketPath: "/ws" } as Parameters<typeof createRoutes>[0]);
    const named = [...operations().keys()].sort();
    assertEquals(named, routes.map(({ method, path }) => `${method} ${path}`).sort());
    for (const { method, path, needsKey } of routes) {
      const { security, parameters = [] } = operations().get(`${method} ${path}`) ?? {};
      if (path !== "/metrics") assertEquals(security !== undefined, needsKey, `the key of ${path}`);
      const inPath = parameters.filter((parameter) => parameter.in === "path").map(({ name }) => `{${name}}`);
      assertEquals(path.match(/\{.*?\}/g) ?? [], inPath, path);
    }
  });

  it("has schemas that all compile, refuse what is not theirs, and refer to each other", () => {
    assertEquals(faultsOfNamed("Topics", { topics: [{ topic: "a", subscribers: 1 }], next: null }), []);
    assert(faultsOfNamed("Topics", { topics: [{ topic: "a b", subscribers: 1 }], next: null }).length > 0);
    assert(faultsOfNamed("Topics", { topics: [], next: null, more: 1 }).length > 0);
    for (const name of Object.keys(document.components.schemas)) {
      assert(faultsOf({ $ref: `#/components/schemas/${name}` }, 1).length > 0, `${name} takes 1`);
    }
  });
});

for (const engine of ["auto", "ts"] as const) {
  describe(`the OpenAPI document on ${engine}`, { skip: await whyNot(engine) }, () => {
    const fixture = new ApiFixture(engine);
    after(() => fixture.stop());

    it("is served to everybody, in one line", async () => {
      const { status, type, json, text } = await askHttp(
        await fixture.startPlain(),
        "GET",
        "/api/openapi.json",
      );
      assertEquals([status, type, json], [200, "application/json", JSON.parse(JSON.stringify(document))]);
      assertEquals(text.indexOf("\n"), text.length - 1);
      assertEquals(document.info.version, VERSION);
    });

    it("names the WebSocket endpoint where it is", async () => {
      const server = await fixture.startPlain({ path: "/sockets" });
      const { json } = await askHttp(server, "GET", "/api/openapi.json");
      const { paths } = json as { paths: object };
      assertEquals(["/sockets" in paths, "/ws" in paths], [true, false]);
    });

    it("says of every status of every route what is really answered", async () => {
      const seen = new Set<string>();
      const see = (operation: string, status: number, answer: HttpAnswer) => {
        assertEquals(answer.status, status, `${operation}: ${answer.text}`);
        assertEquals(contradiction(operation, answer), undefined);
        seen.add(`${operation} ${status}`);
      };
      await seeAll(fixture, see);
      const named = [...operations()].flatMap(([name, { responses }]) =>
        Object.keys(responses).map((status) => `${name} ${status}`)
      );
      assertEquals([...seen].sort(), named.sort());
    });
  });
}

type See = (operation: string, status: number, answer: HttpAnswer) => void;

const exampleOf: Readonly<Record<string, unknown>> = {
  "POST /api/publish": { topic: "news", data: null },
  "POST /api/disconnect": { session: "nobody" },
};

/** Asks for everything that the document names. */
async function seeAll(fixture: ApiFixture, see: See): Promise<void> {
  const server = await fixture.start({ maxHttpBodyBytes: 500, presence: ["news"], metrics: "key" });
  await seeAnswers(server, see);
  const off = await fixture.startPlain({ metrics: "off" });
  const away = await fixture.startAway();
  const draining = await fixture.start();
  for (const [operation, { requestBody, security = [] }] of operations()) {
    const [method = "", template = ""] = operation.split(" ");
    const path = template.replace("{topic}", "news");
    const body = exampleOf[operation];
    if (security.length === 1) {
      see(operation, 401, await askHttp(server, method, path, { body }));
      see(operation, 403, await askHttp(off, method, path, { body }));
    }
    if (requestBody === undefined) continue;
    const schema = requestBody.content["application/json"]?.schema ?? {};
    assertEquals(faultsOf(schema, body), []);
    for (const wrong of [{}, [], { topic: "a b", data: 1 }, { user: "a", session: "b" }]) {
      assert(faultsOf(schema, wrong).length > 0, `${JSON.stringify(wrong)} is taken by ${operation}`);
      see(operation, 400, await api(server, method, path, { body: wrong }));
    }
    see(operation, 415, await api(server, method, path, { body, type: "text/plain" }));
    see(operation, 413, await api(server, method, path, { body: "x".repeat(500) }));
  }
  see("GET /metrics", 401, await askHttp(server, "GET", "/metrics"));
  see("GET /metrics", 404, await askHttp(off, "GET", "/metrics"));
  see("POST /api/publish", 503, await api(away, "POST", "/api/publish", { body: { topic: "t", data: 1 } }));
  see("GET /api/topics/{topic}", 503, await api(away, "GET", "/api/topics/news"));
  see("GET /ready", 503, await askHttp(away, "GET", "/ready"));
  see("POST /api/drain", 202, await api(draining, "POST", "/api/drain"));
  see("GET /ready", 503, await askHttp(draining, "GET", "/ready"));
  await seeHandshakes(fixture, see, [server, away, draining]);
}

async function seeAnswers(server: TestServer, see: See): Promise<void> {
  await subscriber(server.url, "news");
  for (const path of ["/health", "/ready", "/ws", "/api/openapi.json"]) {
    see(`GET ${path}`, path === "/ws" ? 426 : 200, await askHttp(server, "GET", path));
  }
  for (const path of ["/metrics", "/api/topics", "/api/connections", "/api/slow"]) {
    see(`GET ${path}`, 200, await api(server, "GET", path));
    if (path !== "/metrics") see(`GET ${path}`, 400, await api(server, "GET", `${path}?what=1`));
  }
  const publication = { topic: "news", data: { a: [null] } };
  for (const body of [publication, [publication, { topic: "other", data: 0 }]]) {
    see("POST /api/publish", 200, await api(server, "POST", "/api/publish", { body }));
  }
  for (const topic of ["news", "other", "never"]) {
    see("GET /api/topics/{topic}", 200, await api(server, "GET", `/api/topics/${topic}`));
  }
  see("GET /api/topics/{topic}", 400, await api(server, "GET", "/api/topics/a%20b"));
  const nobody = { body: { user: "nobody" } };
  see("POST /api/disconnect", 200, await api(server, "POST", "/api/disconnect", nobody));
}

async function seeHandshakes(
  fixture: ApiFixture,
  see: See,
  [server, away, draining]: readonly [TestServer, TestServer, TestServer],
): Promise<void> {
  const knock = async (at: TestServer, status: number, headers: Record<string, string> = {}) =>
    see("GET /ws", status, await askRaw(at.url, handshake(at.url, headers)));
  await knock(server, 101);
  await knock(server, 400, { "Sec-WebSocket-Protocol": "unknown" });
  await knock(server, 403, { Origin: "https://evil.example" });
  await knock(await fixture.startPlain({ jwtSecret: "s".repeat(32) }), 401, { Authorization: "Bearer x" });
  const limited = await fixture.startPlain({ handshakeRate: { perSecond: 1, burst: 1 } });
  await knock(limited, 101);
  await knock(limited, 429);
  for (const closed of [away, draining]) await knock(closed, 503);
}
