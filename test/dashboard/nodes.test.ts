/** Several nodes behind one broker: who watches one hears of all of them, and they are silent otherwise. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { assertEquals } from "@std/assert";
import type { NodeFigures } from "../../server/dashboard/figures.ts";
import { untilReady } from "../helpers/http.ts";
import { NatsServer, whyNoNats } from "../helpers/nats.ts";
import { Peer } from "../helpers/peer.ts";
import { RedisServer, whyNoRedis } from "../helpers/redis.ts";
import { startServer, type TestServer } from "../helpers/server.ts";

const KEY = "the-key-of-these-tests";

const brokers = [
  { broker: "redis", skip: whyNoRedis(), start: () => RedisServer.start() },
  { broker: "nats", skip: whyNoNats(), start: () => NatsServer.start() },
] as const;

for (const { broker, skip, start } of brokers) {
  describe(`watching several nodes behind ${broker}`, { skip }, () => {
    const folder = mkdtempSync(join(tmpdir(), "millrace-nodes-"));
    const servers: TestServer[] = [];
    let program: RedisServer | NatsServer | undefined;
    after(async () => {
      await Promise.all(servers.map((server) => server.close()));
      await program?.process.remove();
      rmSync(folder, { recursive: true });
    });

    it("tells of all of them on any, and nothing to those without a key, whatever their pattern", async () => {
      program = await start();
      const apiKeyFile = join(folder, "keys");
      writeFileSync(apiKeyFile, `${KEY}\n`);
      for (const node of ["alpha", "beta"]) {
        const around = {
          node,
          broker,
          brokerUrls: [program.url],
          apiKeyFile,
          dashboard: true,
          engine: "ts",
        } as const;
        servers.push(await startServer({ ...around, shutdownTimeoutSeconds: 0 }));
      }
      await Promise.all(servers.map(untilReady));
      const [alpha, beta] = servers as [TestServer, TestServer];
      const stranger = await Peer.open(beta.url);
      await stranger.ask({ type: "subscribe", topic: ">" });
      const watcher = await Peer.open(alpha.url);
      await watcher.ask({ type: "auth", token: KEY });
      const heard = (name: string) =>
        watcher.received.find(
          ({ topic, data }) => topic === "$nodes" && (data as NodeFigures).node === name,
          `the figures of ${name}`,
        );
      await heard("alpha");
      await heard("beta");
      await watcher.ask({ type: "ping" });
      const publisher = await Peer.open(alpha.url);
      await publisher.ask({ type: "publish", topic: "news", data: 1 });
      assertEquals((await stranger.messages(1)).map(({ topic }) => topic), ["news"]);
    });
  });
}
