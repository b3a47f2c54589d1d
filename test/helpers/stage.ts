/**
 * A stage for tests that play a client of bad or good will against whole servers of one engine: starts them, speaks
 * JSON commands, asks the HTTP side, and ends everything.
 */
import { after } from "node:test";
import type { Options } from "../../server/options.ts";
import type { Surroundings } from "../../server/serve.ts";
import { handshake, Opcode, RawClient } from "./raw_client.ts";
import { startServer, type TestServer } from "./server.ts";

export type Reply = Record<string, unknown>;

/** The engines that this process can run; over the three runtimes these are all. */
export const ownEngines = ["auto", "ts"] as const;
export type OwnEngine = typeof ownEngines[number];

export type Start = (options?: Partial<Options>, around?: Surroundings) => Promise<TestServer>;

/** To be called inside a `describe`: what is started ends with it. */
export function stage(engine: OwnEngine): Start {
  const servers: TestServer[] = [];
  after(async () => {
    RawClient.destroyAll();
    await Promise.all(servers.map((server) => server.close()));
  });
  return async (options = {}, around = {}) => {
    const server = await startServer({ engine, shutdownTimeoutSeconds: 0, ...options }, around);
    servers.push(server);
    return server;
  };
}

export function tell(client: RawClient, command: unknown): void {
  client.send(Opcode.Text, JSON.stringify(command));
}

/** Sends one command and gives the next text that comes back. */
export async function ask(client: RawClient, command: unknown): Promise<Reply> {
  const before = client.textCount;
  tell(client, command);
  return JSON.parse((await client.receiveTexts(before + 1))[before] ?? "");
}

/** Status and `Retry-After` of a handshake that is refused; 101 for one that is not. */
export async function knock(
  url: string,
  headers: Record<string, string> = {},
): Promise<[number, string | undefined]> {
  const { head } = await RawClient.request(url, handshake(url, headers));
  return [Number(head.split(" ")[1]), /^retry-after: (.*)\r$/im.exec(head)?.[1]];
}

/** Asks the HTTP side of a server. */
export async function get(server: TestServer, path: string, headers: Record<string, string> = {}) {
  const response = await fetch(new URL(path, server.url.replace(/^ws/, "http")), { headers });
  return { status: response.status, body: await response.text() };
}

/** The sum over all labels of a metric. */
export async function metric(server: TestServer, name: string): Promise<number> {
  const { body } = await get(server, "/metrics");
  const samples = [...body.matchAll(new RegExp(`^${name}(?:\\{.*\\})? (\\S+)$`, "gm"))];
  if (samples.length === 0) throw new Error(`no metric ${name}`);
  return samples.reduce((sum, [, value]) => sum + Number(value), 0);
}
