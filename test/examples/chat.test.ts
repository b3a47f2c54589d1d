/**
 * The chat example in Debian's Chromium: as a newcomer starts it, and in front of nodes that come and go. On Node only:
 * page and servers are processes of their own. MILLRACE_SCREENSHOTS=FOLDER keeps pictures.
 */
import { after, before, describe, it } from "node:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { assertEquals, assertGreater } from "@std/assert";
import type { BrowserContext, Page } from "playwright-core";
import { launchBrowser, legible, SCHEMES, SIZES, textFaults, whyNoBrowser } from "../helpers/browser.ts";
import { defaultEngine } from "../helpers/cluster.ts";
import { RedisServer, whyNoRedis } from "../helpers/redis.ts";
import { runScript, type ServerProcess, spawnServer, stopProcesses } from "../helpers/server.ts";
import { freePort } from "../helpers/server_process.ts";
import { SECRET } from "../helpers/tokens.ts";

const skip = whyNoBrowser();

/** A browser with the chat, as `npm run example:chat` serves it. */
class Chat {
  readonly complaints: string[] = [];
  private readonly profile = mkdtempSync(join(tmpdir(), "millrace-chromium-"));
  private context!: BrowserContext;
  private url = "";

  async start(...flags: string[]): Promise<void> {
    const run = runScript("node", "examples/chat/serve.ts", ["--port", "0", ...flags]);
    const url = () => /open (http\S+)/.exec(run.output.all.join(""))?.[1] ?? "";
    const [context] = await Promise.all([
      launchBrowser(this.profile),
      run.output.until(() => url() !== "", "the page"),
    ]);
    this.context = context;
    this.url = url();
  }

  /** Opens a tab, through the door when it has no name. */
  async open(name?: string): Promise<Page> {
    const page = await this.context.newPage();
    page.on("pageerror", (error) => this.complaints.push(error.message));
    await page.goto(name === undefined ? this.url : `${this.url}?name=${name}`);
    // tsx names functions with a helper that the page does not have.
    await page.evaluate("globalThis.__name = (named) => named");
    if (name !== undefined) await waitForState(page, "open");
    return page;
  }

  async stop(): Promise<void> {
    await this.context?.close();
    await stopProcesses();
    rmSync(this.profile, { recursive: true });
  }
}

async function waitForState(page: Page, state: string): Promise<void> {
  await page.locator(`#state[data-state="${state}"]`).waitFor();
}

async function say(page: Page, text: string): Promise<void> {
  await page.getByLabel("Message").fill(text);
  await page.keyboard.press("Enter");
}

const texts = (page: Page): Promise<string[]> => page.locator("#messages li span").allTextContents();

/** Resolves once the tab shows them all, in this order, and nothing beside them. */
async function waitForTexts(page: Page, wanted: readonly string[]): Promise<void> {
  await waitForCount(page, wanted.length);
  assertEquals(await texts(page), [...wanted]);
}

async function waitForCount(page: Page, count: number): Promise<void> {
  await page.locator("#messages li").nth(count - 1).waitFor();
}

async function waitForMembers(page: Page, wanted: readonly string[]): Promise<void> {
  await page.waitForFunction(
    (names) =>
      [...document.querySelectorAll("#members li")].map(({ textContent }) => textContent).sort().join() ===
        names,
    [...wanted].sort().join(),
  );
}

describe("the chat example", { skip }, () => {
  const chat = new Chat();
  let ann: Page;
  let ben: Page;
  const said: string[] = [];

  before(() => chat.start());
  after(() => chat.stop());

  it("asks for a name, and lets two tabs talk", async () => {
    ann = await chat.open();
    await ann.getByLabel("Your name").fill("ann");
    await ann.keyboard.press("Enter");
    await waitForState(ann, "open");
    await say(ann, "Is anybody here?");
    await waitForTexts(ann, ["Is anybody here?"]);

    ben = await chat.open("ben");
    await waitForTexts(ben, ["Is anybody here?"]);
    await say(ben, "I am. <b>Hello</b>!");
    said.push("Is anybody here?", "I am. <b>Hello</b>!");
    await Promise.all([ann, ben].map((page) => waitForTexts(page, said)));
    assertEquals(await ann.locator("#messages li.mine span").allTextContents(), said.slice(0, 1));
  });

  it("shows who is there, and no longer who has left", async () => {
    await Promise.all([waitForMembers(ann, ["ann (you)", "ben"]), waitForMembers(ben, ["ann", "ben (you)"])]);
    const eve = await chat.open("eve");
    await waitForMembers(ann, ["ann (you)", "ben", "eve"]);
    await eve.close();
    await Promise.all([waitForMembers(ann, ["ann (you)", "ben"]), waitForMembers(ben, ["ann", "ben (you)"])]);
  });

  it("recovers a cut line: what was said meanwhile arrives once, and what was written leaves once", async () => {
    await ben.getByRole("button", { name: "Cut the line" }).click();
    await ben.locator("#state:not([data-state=open])").waitFor();
    await waitForMembers(ann, ["ann (you)"]);
    await say(ann, "Ben?");
    await say(ann, "Where are you?");
    await say(ben, "Can you hear me?");
    said.push("Ben?", "Where are you?");
    await waitForTexts(ann, said);
    assertEquals(await ben.locator("#outbox li span").allTextContents(), ["Can you hear me?"]);
    assertEquals(await texts(ben), said.slice(0, 2));

    await ben.getByRole("button", { name: "Mend the line" }).click();
    said.push("Can you hear me?");
    await Promise.all([ann, ben].map((page) => waitForTexts(page, said)));
    const notes = await ben.locator("#messages li small").allTextContents();
    assertEquals(notes, ["#1", "#2", "#3, caught up", "#4, caught up", "#5"]);
    assertEquals(await ben.locator("#outbox li").count(), 0);
    assertEquals(await ann.locator(".gap").count(), 0);
    assertEquals(await ben.locator(".gap").count(), 0);
    await waitForMembers(ann, ["ann (you)", "ben"]);
  });

  for (const scheme of SCHEMES) {
    for (const size of SIZES) {
      it(`is legible at ${size.width} pixels in ${scheme}, and nothing is cut off`, async () => {
        await ben.setViewportSize(size);
        await ben.emulateMedia({ colorScheme: scheme });
        assertEquals(await ben.evaluate(() => document.documentElement.scrollWidth), size.width);
        assertEquals(await ben.evaluate(textFaults, legible), []);
        await keepPicture(ben, `chat-${size.width}-${scheme}`);
      });
    }
  }

  it("has made no page complain", () => assertEquals(chat.complaints, []));
});

describe("the chat example behind Redis", { skip: skip || whyNoRedis() }, () => {
  const chat = new Chat();
  const folder = mkdtempSync(join(tmpdir(), "millrace-chat-"));
  const secretFile = join(folder, "jwt.secret");
  let redis: RedisServer;
  let flags: string[];

  const startNode = (node: string, port: number): Promise<ServerProcess> =>
    spawnServer(defaultEngine, ["--node", node, "--port", String(port), ...flags]);

  before(async () => {
    writeFileSync(secretFile, SECRET);
    redis = await RedisServer.start();
    flags = [
      ...["--broker", "redis", "--broker-urls", redis.url, "--jwt-secret-file", secretFile],
      ...["--history", "chat.>:100:3600", "--presence", "chat.>", "--reconnect-window-seconds", "1"],
    ];
  });
  after(async () => {
    await chat.stop();
    await redis?.process.remove();
    rmSync(folder, { recursive: true });
  });

  it("goes on while its server is restarted, dies, and its node is moved: each message once and in order", async () => {
    const [port, newPort] = [await freePort(), await freePort()];
    let [node] = await Promise.all([
      startNode("one", port),
      chat.start(
        ...[port, newPort].flatMap((at) => ["--node", `http://127.0.0.1:${at}`]),
        ...["--jwt-secret-file", secretFile],
      ),
    ]);
    const tabs = await Promise.all([chat.open("ann"), chat.open("ben")]);
    let count = 0;
    const saySomething = async () => {
      for (const tab of tabs) await say(tab, `message ${++count}`);
    };
    const waitForAll = async () => {
      await Promise.all(tabs.map((tab) => waitForCount(tab, count)));
      const [seen, seenToo] = await Promise.all(tabs.map(texts));
      assertEquals(seen, seenToo);
      assertEquals(
        seen?.toSorted(),
        Array.from({ length: count }, (_, at) => `message ${at + 1}`).toSorted(),
      );
    };
    const upheaval = async (end: NodeJS.Signals, next: () => Promise<ServerProcess>) => {
      await saySomething();
      process.kill(node.child.pid as number, end);
      await saySomething();
      await node.exitCode();
      await saySomething();
      node = await next();
      await saySomething();
      await waitForAll();
    };

    await upheaval("SIGTERM", () => startNode("one", port));
    await upheaval("SIGKILL", () => startNode("one", port));
    const two = await startNode("two", newPort);
    await upheaval("SIGTERM", () => Promise.resolve(two));

    for (const tab of tabs) {
      assertEquals(await tab.locator(".gap").count(), 0);
      assertEquals(await tab.locator("#outbox li").count(), 0);
    }
    await waitForMembers(tabs[0] as Page, ["ann (you)", "ben"]);
    assertGreater(count, 20);
    assertEquals(chat.complaints, []);
  });
});

async function keepPicture(page: Page, name: string): Promise<void> {
  const pictures = process.env["MILLRACE_SCREENSHOTS"];
  if (pictures === undefined) return;
  mkdirSync(pictures, { recursive: true });
  await page.screenshot({ path: join(pictures, `${name}.png`) });
}
