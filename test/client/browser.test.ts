/** The client and its React hooks in Debian's Chromium, on Node only: it is Node that playwright-core is made for. */
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { assertEquals } from "@std/assert";
import type { BrowserContext } from "playwright-core";
import { createClient } from "../../client/mod.ts";
import { findProgram, whyMissing } from "../../scripts/debian.ts";
import { startServer } from "../helpers/server.ts";
import { testWebSocket } from "../helpers/web_socket.ts";

const isNode = process.versions["bun"] === undefined && process.versions["deno"] === undefined;
const skip = isNode ? whyMissing("chromium") : "playwright-core drives browsers from Node only";
/** No service of Chromium's own may ask the network for anything. */
const FLAGS = [
  ...["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"],
  ...["--disable-background-networking", "--disable-component-update", "--disable-sync"],
];

describe("the client in a browser", { skip }, () => {
  const profile = mkdtempSync(join(tmpdir(), "millrace-chromium-"));
  const pages = createServer();
  let context: BrowserContext;

  before(async () => {
    const { build } = await import("esbuild");
    const { outputFiles: [script] } = await build({
      ...{ entryPoints: [fileURLToPath(new URL("browser_page.ts", import.meta.url))], write: false },
      ...{ bundle: true, format: "iife", define: { "process.env.NODE_ENV": '"development"' } },
    });
    pages.on("request", (_, response) => {
      response.setHeader("content-type", "text/html; charset=utf-8");
      response.end(`<!doctype html><div id="root"></div><script>${script?.text}</script>`);
    });
    pages.listen(0, "127.0.0.1");
    await once(pages, "listening");
    const { chromium } = await import("playwright-core");
    const executablePath = findProgram("chromium") as string;
    context = await chromium.launchPersistentContext(profile, {
      executablePath,
      headless: true,
      args: FLAGS,
    });
  });

  after(async () => {
    await context?.close();
    pages.close();
    rmSync(profile, { recursive: true, force: true });
  });

  it("shows what comes, comes back to a server that was restarted, and leaves nothing behind", async () => {
    const options = {
      engine: "ts",
      history: ["room.>:10:60"],
      presence: ["room.>"],
      shutdownTimeoutSeconds: 0,
      reconnectWindowSeconds: 0,
    } as const;
    let server = await startServer(options);
    const { port } = new URL(server.url);
    const publisher = createClient({
      ...{ url: server.url, WebSocket: testWebSocket, backoff: { minMs: 10, maxMs: 100 } },
    });
    const page = await context.newPage();
    const complaints: string[] = [];
    page.on("pageerror", (error) => complaints.push(error.message));
    try {
      const address = `http://127.0.0.1:${(pages.address() as AddressInfo).port}`;
      await page.goto(`${address}/?server=${encodeURIComponent(server.url)}`);
      const shows = (id: string, text: string) =>
        page.waitForFunction(`document.getElementById("${id}")?.textContent === "${text}"`);
      await shows("state", "open");
      await shows("room", " of 1");
      await publisher.publish("room.a", 1);
      await publisher.publish("room.a", 2);
      await shows("room", "1 2 of 1");
      await server.close();
      server = await startServer({ ...options, port: Number(port) });
      await shows("state", "open");
      await publisher.publish("room.a", 3);
      await shows("room", "1 2 3 of 1");
      await page.click("button");
      await page.waitForFunction(`document.getElementById("room") === null`);
      // Nobody is told of it, so it is asked until it is true.
      while ((await publisher.presence("room.a")).count > 0);
      await page.click("button");
      await shows("room", " of 1");
      assertEquals(complaints, []);
    } finally {
      await page.close();
      await publisher.close({ flushMs: 0 });
      await server.close();
    }
  });
});
