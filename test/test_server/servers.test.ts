/** The tool has nothing to find in servers that are right: npm's ws, Bun.serve, and Millrace on every engine. */
import { after, describe, it } from "node:test";
import { assertEquals, assertMatch } from "@std/assert";
import type { Settings } from "../../scripts/test_server/settings.ts";
import type { Result } from "../../scripts/test_server/test.ts";
import { allTests } from "../../scripts/test_server/tests/mod.ts";
import { groupOf } from "../../scripts/test_server/test.ts";
import { runtime } from "../helpers/runtime.ts";
import { spawnScript, stopProcesses, whyNotAsProcess } from "../helpers/server.ts";
import { ownEngines, stage } from "../helpers/stage.ts";
import { SECRET, sign } from "../helpers/tokens.ts";
import { startWsEcho } from "../helpers/ws_echo.ts";
import { runOn, saying } from "./setup.ts";

const EVERYTHING = [...new Set(allTests.map(({ name }) => groupOf(name)))];

function runAll(url: string, changes: Partial<Settings> = {}): Promise<readonly Result[]> {
  return runOn(url, EVERYTHING, changes);
}

/** Which groups had a test skipped. */
function skippedGroups(results: readonly Result[]): string[] {
  return [...new Set(Object.keys(saying(results, "skipped")).map(groupOf))];
}

describe("test-server on servers of others", () => {
  after(stopProcesses);

  it("finds nothing in npm's ws, with compression", async () => {
    const server = await startWsEcho();
    try {
      const results = await runAll(server.url);
      assertEquals(saying(results, "failed"), {});
      assertEquals(skippedGroups(results), ["tls", "millrace"]);
    } finally {
      await server.close();
    }
  });

  // A process of its own is the same whoever tests it.
  const skip = runtime !== "node" || whyNotAsProcess("bun");
  it("finds nothing in a bare Bun.serve, with TLS", { skip }, async () => {
    const server = await spawnScript("bun", "bench/contenders/bun-bare.ts", ["--tls"]);
    const results = await runAll(server.url);
    assertEquals(saying(results, "failed"), {});
    assertEquals(skippedGroups(results), ["compression", "millrace"]);
  });

  // Without a handler of a connection's errors, ws passes them on to the process.
  it("finds that one frame ends a ws server without an error handler, and spares the tests after it", {
    skip: runtime !== "node",
  }, async () => {
    const server = await spawnScript("node", "bench/contenders/ws.ts");
    const results = await runOn(server.url, ["close", "echo"]);
    assertEquals(Object.keys(saying(results, "failed")), ["close.unlawful-codes"]);
    assertMatch(
      saying(results, "skipped")["echo.text"] ?? "",
      /nothing has listened there since close\.unlawful-codes/,
    );
  });
});

for (const engine of ownEngines) {
  describe(`test-server on Millrace (${engine} on ${runtime})`, () => {
    const start = stage(engine);

    it("finds nothing, with history and limits", async () => {
      const server = await start({ history: ["test-server.>:100:60"] });
      const results = await runAll(server.url);
      assertEquals(saying(results, "failed"), {});
      assertEquals(skippedGroups(results), ["tls", "compression"]);
      const size = results.find(({ name }) => name === "size.large-messages");
      assertMatch(size?.notes[0] ?? "", /one of 65535 bytes is refused with 1009/);
      const rate = results.find(({ name }) => name === "millrace.rate-limit");
      assertMatch(rate?.what ?? "", /^limited after 20\d\d commands; accepted again after \d+ ms, as told$/);
    });
  });
}

describe("test-server on Millrace with tokens", () => {
  const start = stage("auto");
  const names = ["connection.open", "echo.text", "millrace.publish", "millrace.recovery"];

  it("skips what needs a token without one, and what the token does not permit", async () => {
    const server = await start({ jwtSecret: SECRET });
    const without = await runOn(server.url, names);
    assertEquals(saying(without, "failed"), {});
    assertMatch(saying(without, "skipped")["echo.text"] ?? "", /--token/);
    const token = await sign({ sub: "operator", exp: Math.floor(Date.now() / 1_000) + 60 });
    const weak = await runOn(server.url, names, { headers: { Authorization: `Bearer ${token}` } });
    assertEquals(saying(weak, "failed"), {});
    assertMatch(saying(weak, "skipped")["millrace.publish"] ?? "", /not permitted/);
    assertEquals(Object.keys(saying(weak, "passed")), ["connection.open", "echo.text"]);
  });

  it("uses the topics that it is told to, and says where no history is kept", async () => {
    const server = await start({ jwtSecret: SECRET, allowSubscribe: ["probe.>"], allowPublish: ["probe.>"] });
    const token = await sign({ sub: "operator", exp: Math.floor(Date.now() / 1_000) + 60 });
    const headers = { Authorization: `Bearer ${token}` };
    const results = await runOn(server.url, names, { headers, topic: "probe" });
    assertEquals(saying(results, "failed"), {});
    assertMatch(saying(results, "skipped")["millrace.recovery"] ?? "", /keeps no history/);
    assertEquals(Object.keys(saying(results, "passed")), [
      "connection.open",
      "echo.text",
      "millrace.publish",
    ]);
  });

  it("says of a token that is not accepted where it was looked for", async () => {
    const server = await start({ jwtSecret: SECRET });
    const results = await runOn(server.url, names, { headers: { Authorization: "Bearer none" } });
    assertMatch(saying(results, "failed")["connection.open"] ?? "", /status 401 \(give credentials/);
    assertEquals(Object.keys(saying(results, "skipped")), names.slice(1));
  });
});
