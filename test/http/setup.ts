/** Servers with an API, and clients, for the tests of the HTTP side. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server as NetServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { EngineName } from "../../server/engines/pick.ts";
import type { Options } from "../../server/options.ts";
import type { Surroundings } from "../../server/serve.ts";
import { askHttp, type HttpAnswer, type HttpQuestion } from "../helpers/http.ts";
import { ManualClock } from "../helpers/manual_clock.ts";
import { Opcode, RawClient } from "../helpers/raw_client.ts";
import { joinRaw, startServer, type TestServer } from "../helpers/server.ts";
import { sign, WALL_START_SECONDS } from "../helpers/tokens.ts";

export const KEY = "the-key-of-these-tests";

export type Json = Record<string, unknown>;

/** A user's token, valid for an hour from the start of a manual clock. */
export function tokenOf(user: string): Promise<string> {
  return sign({ sub: user, exp: WALL_START_SECONDS + 3600 });
}

export class ApiFixture {
  private readonly engine: EngineName;
  private readonly directory = mkdtempSync(join(tmpdir(), "millrace-http-"));
  private readonly servers: TestServer[] = [];
  private readonly strangers: NetServer[] = [];
  private readonly clocks = new Set<ManualClock>();

  constructor(engine: EngineName) {
    this.engine = engine;
  }

  /** A server without an API. */
  async startPlain(options: Partial<Options> = {}, around: Surroundings = {}): Promise<TestServer> {
    const server = await startServer(
      { engine: this.engine, shutdownTimeoutSeconds: 0, ...options },
      around,
    );
    this.servers.push(server);
    if (around.clock instanceof ManualClock) this.clocks.add(around.clock);
    return server;
  }

  start(options: Partial<Options> = {}, around: Surroundings = {}): Promise<TestServer> {
    const apiKeyFile = join(this.directory, "keys");
    writeFileSync(apiKeyFile, `${KEY}\n`);
    return this.startPlain({ apiKeyFile, ...options }, around);
  }

  /** A server whose broker cannot be reached: who listens there hangs up on everybody. */
  async startAway(): Promise<TestServer> {
    const stranger = createServer((socket) => socket.destroy());
    this.strangers.push(stranger);
    await new Promise<void>((resolve) => stranger.listen(0, "127.0.0.1", resolve));
    const { port } = stranger.address() as { port: number };
    return await this.start({ broker: "redis", brokerUrls: [`redis://127.0.0.1:${port}`] });
  }

  async stop(): Promise<void> {
    RawClient.destroyAll();
    const closed = this.servers.map((server) => server.close());
    // A drain that a failed test has left half done.
    for (const clock of this.clocks) clock.advance(60_000);
    await Promise.all(closed);
    await Promise.all(this.strangers.map((stranger) => new Promise((resolve) => stranger.close(resolve))));
    rmSync(this.directory, { recursive: true });
  }
}

/** Asks with the key. */
export function api(
  server: TestServer,
  method: string,
  path: string,
  question: HttpQuestion = {},
): Promise<HttpAnswer> {
  return askHttp(server, method, path, { key: KEY, ...question });
}

/** Sends one command and gives the next text that comes back. */
export async function ask(client: RawClient, command: unknown): Promise<Json> {
  const before = client.textCount;
  client.send(Opcode.Text, JSON.stringify(command));
  return JSON.parse((await client.receiveTexts(before + 1))[before] ?? "");
}

/** A client that is subscribed to topics; the second value is its session. */
export async function subscriber(url: string, ...topics: readonly string[]): Promise<[RawClient, string]> {
  const client = await joinRaw(url);
  for (const topic of topics) await ask(client, { type: "subscribe", id: topic, topic });
  return [client, sessionOf(client)];
}

export function sessionOf(client: RawClient): string {
  return JSON.parse(client.texts()[0] ?? "").session;
}
