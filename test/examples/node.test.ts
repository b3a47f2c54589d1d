/**
 * The Node example: its backend as a process of its own beside a server in this one, and its publisher against a server
 * that has troubles. On Node only, as its name says.
 */
import { after, before, describe, it } from "node:test";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server as HttpServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { json } from "node:stream/consumers";
import { assertEquals, assertRejects } from "@std/assert";
import { WebSocket } from "ws";
import { createClient } from "../../client/mod.ts";
import { type Publication, Publisher, PublishError } from "../../examples/node/publisher.ts";
import { Events } from "../helpers/events.ts";
import { runtime } from "../helpers/runtime.ts";
import { runScript, startServer, stopProcesses, type TestServer } from "../helpers/server.ts";
import { SECRET } from "../helpers/tokens.ts";

const API_KEY = "the-key-of-these-tests";

interface Change {
  readonly order: number;
  readonly status: string;
}

describe("the Node example", { skip: runtime !== "node" }, () => {
  const folder = mkdtempSync(join(tmpdir(), "millrace-node-"));
  const path = (name: string) => join(folder, name);
  let server: TestServer;
  let backend: string;

  const post = async (url: string, changes: unknown): Promise<[number, string]> => {
    const response = await fetch(`${url}/orders`, { method: "POST", body: JSON.stringify(changes) });
    return [response.status, await response.text()];
  };

  before(async () => {
    writeFileSync(path("keys"), `${API_KEY}\n`);
    writeFileSync(path("secret"), `${SECRET}\n`);
    server = await startServer({
      ...{ jwtSecretFile: path("secret"), apiKeyFile: path("keys"), shutdownTimeoutSeconds: 0 },
    });
    const { output } = runScript("node", "examples/node/backend.ts", [
      ...["--port", "0", "--millrace", server.url.replace("ws:", "http:")],
      ...["--jwt-secret-file", path("secret"), "--api-key-file", path("keys")],
    ]);
    const url = () => /backend: (\S+)/.exec(output.all.join(""))?.[1] ?? "";
    await output.until(() => url() !== "", "the backend");
    backend = url();
  });
  after(async () => {
    await stopProcesses();
    await server.close();
    rmSync(folder, { recursive: true });
  });

  it("tells each user of their orders, and lets nobody see those of others", async () => {
    const seen = new Events<Change>();
    const token = async () => await (await fetch(`${backend}/token?user=ann`)).text();
    const client = createClient<{ "orders.*": Change }>({ url: server.url, token, WebSocket });
    try {
      await client.subscribe("orders.ann", ({ data }) => seen.push(data)).ready;
      const forbidden = client.subscribe("orders.ben", ({ data }) => seen.push(data), { onError: () => {} });
      assertEquals((await assertRejects(() => forbidden.ready) as { code?: string }).code, "forbidden");
      assertEquals(
        await post(backend, [
          { user: "ann", order: 7, status: "packed" },
          { user: "ben", order: 8, status: "packed" },
          { user: "ann", order: 7, status: "shipped" },
        ]),
        [200, "3 told"],
      );
      await seen.until((all) => all.length === 2);
      assertEquals(seen.all.map(({ order, status }) => [order, status]), [[7, "packed"], [7, "shipped"]]);
    } finally {
      await client.close();
    }
  });

  it("refuses what it cannot tell, and says so when Millrace no longer takes its key", async () => {
    const list = "A list of changes, with user, order and status each.";
    assertEquals(await post(backend, [{ user: "a.b", order: 1, status: "packed" }]), [400, list]);
    assertEquals(await post(backend, []), [400, list]);
    writeFileSync(path("keys"), "another-key-than-that");
    server.reload();
    const answer = await post(backend, [{ user: "ann", order: 1, status: "packed" }]);
    assertEquals(answer, [502, "The buyers could not be told."]);
  });
});

describe("the publisher of the Node example", { skip: runtime !== "node" }, () => {
  /** What the server answers to each request in turn, and then 200 to all. */
  let answers: { status: number; body: unknown }[] = [];
  let batches: Publication[][] = [];
  let server: HttpServer;
  let publisher: Publisher;

  const someOf = (count: number) =>
    Array.from({ length: count }, (_, data): Publication => ({ topic: "t", data }));

  before(async () => {
    server = createServer(async (request, response) => {
      batches.push(await json(request) as Publication[]);
      const { status, body } = answers.shift() ?? { status: 200, body: [] };
      response.writeHead(status).end(JSON.stringify(body));
    });
    await once(server.listen(0, "127.0.0.1"), "listening");
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    publisher = new Publisher({ url, apiKey: API_KEY, maxAttempts: 3 });
  });
  after(() => void server.close().closeAllConnections());

  it("sends no more than a request takes", async () => {
    batches = [];
    await publisher.publish(someOf(2_500));
    assertEquals(batches.map(({ length }) => length), [1_000, 1_000, 500]);
  });

  it("publishes again what the server does not know to be stored, and nothing else", async () => {
    batches = [];
    answers = [{ status: 503, body: { stored: [{ index: 0 }, { index: 2 }] } }, { status: 503, body: {} }];
    await publisher.publish(someOf(4));
    assertEquals(batches.map((batch) => batch.map(({ data }) => data)), [[0, 1, 2, 3], [1, 3], [1, 3]]);
  });

  it("gives up after so many attempts, and at once when another would change nothing", async () => {
    batches = [];
    answers = [503, 503, 503].map((status) => ({ status, body: { detail: "away" } }));
    await assertRejects(() => publisher.publish(someOf(1)), PublishError, "away");
    assertEquals(batches.length, 3);
    answers = [{ status: 400, body: { detail: "Publication 0: no topic" } }];
    await assertRejects(() => publisher.publish(someOf(1)), PublishError, "no topic");
    assertEquals(batches.length, 4);
  });

  it("says so when nobody answers", async () => {
    const nobody = new Publisher({ url: "http://127.0.0.1:1", apiKey: API_KEY, maxAttempts: 2 });
    await assertRejects(() => nobody.publish(someOf(1)), PublishError, "cannot be reached");
  });
});
