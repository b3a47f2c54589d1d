/**
 * The Python example with Debian's python3-websockets, against a server in this process and behind a balancer that cuts
 * its line. On Node only: it is a process of its own, and the server is tested on all runtimes elsewhere.
 */
import { after, before, describe, it } from "node:test";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server as HttpServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { assertEquals, assertStringIncludes } from "@std/assert";
import { Balancer } from "../../examples/chat/balancer.ts";
import { whyMissing } from "../../scripts/debian.ts";
import { Events } from "../helpers/events.ts";
import { runtime } from "../helpers/runtime.ts";
import { startServer, type TestServer } from "../helpers/server.ts";
import { SECRET, sign } from "../helpers/tokens.ts";

// The package is for Debian's own Python, whatever stands first on the PATH.
const PYTHON = "/usr/bin/python3";
const SCRIPT = fileURLToPath(new URL("../../examples/python/subscriber.py", import.meta.url));
const API_KEY = "the-key-of-these-tests";
const SHORT_LIFE_SECONDS = 2;

const skip = runtime === "node"
  ? whyMissing(PYTHON) || whyMissing("/usr/lib/python3/dist-packages/websockets")
  : "it is the same process whichever runtime starts it";

/** A run of the example. */
class Subscriber {
  /** Lines of standard output and standard error, in the order of their coming. */
  readonly lines = new Events<string>();
  readonly exitCode: Promise<number | null>;
  private readonly child: ChildProcess;

  constructor(...args: string[]) {
    this.child = spawn(PYTHON, [SCRIPT, ...args], { stdio: ["ignore", "pipe", "pipe"] });
    for (const stream of [this.child.stdout, this.child.stderr]) {
      let rest = "";
      stream?.setEncoding("utf8").on("data", (text: string) => {
        const lines = (rest + text).split("\n");
        rest = lines.pop() ?? "";
        for (const line of lines) this.lines.push(line);
      });
    }
    this.exitCode = once(this.child, "close").then(([code]) => code as number | null);
  }

  /** What it has printed of a topic: offsets and data. */
  messages(topic: string): unknown[] {
    const messages = this.lines.all.filter((line) => line.startsWith("{")).map((line) => JSON.parse(line));
    return messages.filter((message) => message.topic === topic).map(({ offset, data }) => [offset, data]);
  }

  async untilSaid(text: string): Promise<void> {
    await this.lines.find((line) => line.includes(text), text);
  }

  stop(): void {
    this.child.kill("SIGTERM");
  }
}

describe("the Python example", { skip }, () => {
  const folder = mkdtempSync(join(tmpdir(), "millrace-python-"));
  const subscribers: Subscriber[] = [];
  let server: TestServer;
  let balancer: Balancer;
  let front: HttpServer;

  const path = (name: string) => join(folder, name);
  const start = (...args: string[]): Subscriber => {
    const { port } = front.address() as AddressInfo;
    const subscriber = new Subscriber("--url", `ws://127.0.0.1:${port}/ws?line=py`, ...args);
    subscribers.push(subscriber);
    return subscriber;
  };
  const writeToken = async (name: string, lifeSeconds: number): Promise<string> => {
    const exp = Math.floor(Date.now() / 1_000) + lifeSeconds;
    writeFileSync(path(name), await sign({ sub: "ann", exp, millrace: { subscribe: ["news.>"] } }));
    return path(name);
  };
  const publish = async (...publications: { topic: string; data: unknown }[]) => {
    const { status } = await fetch(new URL("/api/publish", server.url.replace("ws:", "http:")), {
      method: "POST",
      headers: { "Authorization": `Bearer ${API_KEY}`, "Content-Type": "application/json" },
      body: JSON.stringify(publications),
    });
    assertEquals(status, 200);
  };

  before(async () => {
    writeFileSync(path("keys"), API_KEY);
    server = await startServer({
      ...{ jwtSecret: SECRET, apiKeyFile: path("keys"), shutdownTimeoutSeconds: 0 },
      history: ["news.brief:1:60", "news.>:100:60"],
    });
    balancer = new Balancer([new URL(server.url.replace("ws:", "http:"))]);
    front = createServer().on("upgrade", (...args) => void balancer.upgrade(...args));
    await once(front.listen(0, "127.0.0.1"), "listening");
  });

  after(async () => {
    for (const subscriber of subscribers) subscriber.stop();
    await Promise.all(subscribers.map(({ exitCode }) => exitCode));
    front.closeAllConnections();
    front.close();
    await server.close();
    rmSync(folder, { recursive: true });
  });

  it("gets what it missed while its line was cut, is told what is lost, and ends in good order", async () => {
    const subscriber = start("--token-file", await writeToken("token", 600), "news.sport", "news.brief");
    await subscriber.untilSaid("subscribed to news.brief");
    const publishBoth = (data: number) =>
      publish({ topic: "news.sport", data }, { topic: "news.brief", data });
    await publishBoth(1);
    await subscriber.lines.until(() => subscriber.messages("news.brief").length === 1);

    balancer.cut("py");
    await subscriber.untilSaid("back in");
    await publishBoth(2);
    await publishBoth(3);
    balancer.mend("py");
    await subscriber.untilSaid("lost: news.brief 2 to 3");
    await publishBoth(4);
    await subscriber.lines.until(() => subscriber.messages("news.brief").length === 2);
    assertEquals(subscriber.messages("news.sport"), [[1, 1], [2, 2], [3, 3], [4, 4]]);
    assertEquals(subscriber.messages("news.brief"), [[1, 1], [4, 4]]);

    subscriber.stop();
    assertEquals(await subscriber.exitCode, 0);
  });

  it("renews its token before that runs out", async () => {
    const subscriber = start("--token-file", await writeToken("short", SHORT_LIFE_SECONDS), "news.renewed");
    await subscriber.untilSaid("subscribed to news.renewed");
    await writeToken("short", 600);
    await subscriber.untilSaid("token renewed");
    await publish({ topic: "news.renewed", data: "still here" });
    await subscriber.lines.until(() => subscriber.messages("news.renewed").length === 1);
    assertEquals(subscriber.lines.all.filter((line) => line === "authenticated").length, 1);
  });

  it("does not come back with a token that is not accepted", async () => {
    writeFileSync(path("bad"), "not.a.token");
    const subscriber = start("--token-file", path("bad"), "news.sport");
    assertEquals(await subscriber.exitCode, 1);
    assertStringIncludes(subscriber.lines.all.join("\n"), "closed with 4002: not coming back");
  });

  it("says what it needs when it is used without a token, or wrongly", async () => {
    const [withoutToken, wrong] = [start("news.sport"), start()];
    assertEquals([await withoutToken.exitCode, await wrong.exitCode], [1, 2]);
    assertStringIncludes(withoutToken.lines.all.join("\n"), "give --token-file");
    assertStringIncludes(wrong.lines.all.join("\n"), "the following arguments are required: TOPIC");
  });
});
