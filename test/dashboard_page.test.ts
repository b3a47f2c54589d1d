/**
 * The dashboard in Debian's Chromium, over two nodes behind a Redis, under load. On Node only, for the page is the same
 * whichever runtime serves it. MILLRACE_SCREENSHOTS=FOLDER keeps pictures.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { after, before, describe, it } from "node:test";
import { assertEquals, assertGreater } from "@std/assert";
import type { BrowserContext, Page } from "playwright-core";
import type { Options } from "../server/options.ts";
import { launchBrowser, legible, SCHEMES, SIZES, textFaults, whyNoBrowser } from "./helpers/browser.ts";
import { untilReady } from "./helpers/http.ts";
import { Peer } from "./helpers/peer.ts";
import { Opcode, RawClient } from "./helpers/raw_client.ts";
import { RedisServer, whyNoRedis } from "./helpers/redis.ts";
import { freePort } from "./helpers/server_process.ts";
import { startServer, type TestServer, unlimited } from "./helpers/server.ts";

const KEY = "the-key-of-these-tests";
const LOAD_INTERVAL_MS = 20;
const READERS = 12;
const CHARTS = { charts: 8, pixels: 6 };
const TOPICS = [
  "trades.eurusd",
  "trades.gbpusd",
  "news.front-page.headlines",
  "chat:lobby",
  "presence/users",
];

/** Whether every chart has so many pixels in the colour of the first node's line. */
function areDrawn({ charts, pixels }: { readonly charts: number; readonly pixels: number }): boolean {
  const probe = document.createElement("canvas").getContext("2d") as CanvasRenderingContext2D;
  probe.fillStyle = getComputedStyle(document.documentElement).getPropertyValue("--line-0");
  probe.fillRect(0, 0, 1, 1);
  const [red, green, blue] = probe.getImageData(0, 0, 1, 1).data;
  const counts = [...document.querySelectorAll<HTMLCanvasElement>("#charts canvas")].map((canvas) => {
    const { data } = (canvas.getContext("2d") as CanvasRenderingContext2D)
      .getImageData(0, 0, canvas.width, canvas.height);
    let count = 0;
    for (let at = 0; at < data.length; at += 4) {
      if (data[at] === red && data[at + 1] === green && data[at + 2] === blue && data[at + 3] === 255) {
        count++;
      }
    }
    return count;
  });
  return counts.length === charts && counts.every((count) => count >= pixels);
}

describe("the dashboard in a browser", { skip: whyNoBrowser() || whyNoRedis() }, () => {
  const folder = mkdtempSync(join(tmpdir(), "millrace-dashboard-"));
  const apiKeyFile = join(folder, "keys");
  const complaints: string[] = [];
  let redis: RedisServer;
  let context: BrowserContext;
  let page: Page;
  let nodes: TestServer[] = [];
  let load: ReturnType<typeof setInterval> | undefined;

  const start = (node: string, port: number) => {
    const options: Partial<Options> = {
      ...{ node, port, apiKeyFile, dashboard: true, broker: "redis", brokerUrls: [redis.url], ...unlimited },
      ...{ slowPolicy: "skip", maxBackpressureBytes: 1 << 20, shutdownTimeoutSeconds: 0 },
    };
    return startServer(options);
  };

  before(async () => {
    writeFileSync(apiKeyFile, `${KEY}\n`);
    await Promise.all([startNodes(), openPage()]);
    page.on("console", (message) => {
      // This is about the test's own way to look at charts.
      if (!message.text().includes("willReadFrequently")) complaints.push(`console: ${message.text()}`);
    });
    page.on("pageerror", (error) => complaints.push(`error: ${error.message}`));
    const here = new URL(nodes[0]?.url ?? "").host;
    page.on("request", (request) => {
      if (new URL(request.url()).host !== here) complaints.push(`asked ${request.url()}`);
    });
    await work();
  });

  async function startNodes(): Promise<void> {
    redis = await RedisServer.start();
    nodes = [await start("alpha", await freePort()), await start("beta", await freePort())];
    await Promise.all(nodes.map(untilReady));
  }

  async function openPage(): Promise<void> {
    context = await launchBrowser(join(folder, "profile"));
    page = await context.newPage();
  }

  after(async () => {
    clearInterval(load);
    RawClient.destroyAll();
    await context?.close();
    await Promise.all(nodes.map((node) => node.close()));
    await redis?.process.remove();
    rmSync(folder, { recursive: true, force: true });
  });

  /** Readers on both nodes, one that reads nothing, and somebody who publishes more to the first topics than to others. */
  async function work(): Promise<void> {
    for (let reader = 0; reader < READERS; reader++) {
      const peer = await Peer.open(nodes[reader % 2]?.url ?? "");
      for (const topic of TOPICS.slice(0, 1 + reader % TOPICS.length)) {
        await peer.ask({ type: "subscribe", topic });
      }
    }
    const stuck = await RawClient.open(nodes[0]?.url ?? "");
    stuck.send(Opcode.Text, JSON.stringify({ type: "subscribe", id: 1, topic: "firehose" }));
    await stuck.receiveTexts(2);
    stuck.pause();
    const publisher = await Peer.open(nodes[1]?.url ?? "");
    let turn = 0;
    load = setInterval(() => {
      turn++;
      for (const [index, topic] of TOPICS.entries()) {
        if (turn % (index + 1) === 0) publisher.send({ type: "publish", topic, data: { turn } });
      }
      publisher.send({ type: "publish", topic: "firehose", data: "x".repeat(32_000 + (turn % 50) * 300) });
    }, LOAD_INTERVAL_MS);
  }

  async function logIn(key: string): Promise<void> {
    await page.getByLabel("API key").fill(key);
    await page.getByRole("button", { name: "Show the figures" }).click();
  }

  const textOf = (selector: string) => page.locator(selector).first().innerText();
  const untilText = (selector: string, pattern: string) =>
    page.waitForFunction(
      ([selector = "", pattern = ""]) =>
        new RegExp(pattern).test(document.querySelector(selector)?.textContent ?? ""),
      [selector, pattern],
      { timeout: 15_000 },
    );

  async function inspect(name: string): Promise<void> {
    for (const colorScheme of SCHEMES) {
      for (const size of SIZES) {
        await page.setViewportSize(size);
        await page.emulateMedia({ colorScheme });
        // Charts take the new colours with the next figures.
        if (name !== "door") await page.waitForFunction(areDrawn, CHARTS, { polling: 200 });
        const where = `${name} at ${size.width} in ${colorScheme}`;
        assertEquals(await page.evaluate(() => document.documentElement.scrollWidth), size.width, where);
        assertEquals(await page.evaluate(textFaults, legible), [], where);
        await keepPicture(`dashboard-${name}-${size.width}-${colorScheme}`);
      }
    }
  }

  async function keepPicture(name: string): Promise<void> {
    const pictures = process.env["MILLRACE_SCREENSHOTS"];
    if (pictures === undefined) return;
    mkdirSync(pictures, { recursive: true });
    await page.screenshot({ path: join(pictures, `${name}.png`), fullPage: true });
  }

  it("asks for a key, and says when one is not taken", async () => {
    await page.goto((nodes[0]?.url ?? "").replace(/^ws(.*)\/ws$/, "http$1/dashboard"));
    // tsx names functions with a helper that the page does not have.
    await page.evaluate("globalThis.__name = (named) => named");
    await inspect("door");
    await logIn("a-key-of-somewhere-else");
    await untilText("#refusal", "not one of the server's API keys");
    assertEquals(await page.evaluate(() => sessionStorage.length), 0);
    assertEquals(complaints, []);
  });

  it("shows both nodes under load, legible on a phone and a desk, in light and dark", async () => {
    await logIn(KEY);
    await untilText("#status", "^Live$");
    await untilText("#nodes tbody", "alpha.*ready.*beta.*ready");
    await untilText("#topics tbody", "trades.eurusd");
    await untilText("#slow tbody", "alpha.*MiB");
    const deliveries = "#totals > :nth-child(5) dd";
    await untilText(deliveries, "[1-9]");
    const before = await textOf("#charts output");
    await page.waitForFunction(
      (before) => document.querySelector("#charts output")?.textContent !== before,
      before,
    );
    assertEquals(await textOf("#totals dd"), "2");
    assertGreater(await page.locator("#topics tbody tr").count(), 4);
    await inspect("figures");
    assertEquals(complaints, []);
  });

  it("shows a node that has fallen silent, survives a restart of its own, and says so", async () => {
    const [alpha, beta] = nodes as [TestServer, TestServer];
    nodes = [alpha];
    await beta.close();
    await untilText("#nodes tbody", "beta(silent|gone)");
    await untilText("#totals dd", "1 of 2");
    nodes = [];
    await alpha.close();
    await untilText("#status", "Trying again");
    await keepPicture("dashboard-lost");
    nodes = [await start("alpha", Number(new URL(alpha.url).port))];
    await untilText("#status", "^Live$");
    // A restart that is quick leaves the run before among the nodes until its silence is noticed.
    await page.waitForFunction(() => {
      const texts = [...document.querySelectorAll("#nodes tbody tr")].map((row) => row.textContent ?? "");
      const [alpha, ...others] = texts.filter((text) => text.startsWith("alpha"));
      return alpha?.startsWith("alphaready") === true && others.length === 0;
    });
    // The browser itself says that connections were refused meanwhile, and that a node is not ready at first.
    const unexpected = complaints.filter((text) => !/ERR_CONNECTION_(REFUSED|RESET)|\b503\b/.test(text));
    assertEquals(unexpected, []);
  });

  it("forgets the key on demand", async () => {
    await page.getByRole("button", { name: "Forget the key" }).click();
    await page.reload();
    await page.getByLabel("API key").waitFor();
    assertEquals(await page.locator("#figures").isVisible(), false);
  });
});
