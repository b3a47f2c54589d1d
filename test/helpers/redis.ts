/**
 * A Redis server of a test's own: on a free port of loopback, in a folder of its own, gone with the test. It can be
 * stopped, killed, paused, and started again on the same port with its data or without.
 */
import type { Buffer } from "node:buffer";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { createClient } from "@redis/client";

const PROGRAM = process.env["REDIS_SERVER"] ?? "redis-server";

/** Why there can be no Redis here; false when there can. */
export function whyNoRedis(): string | false {
  const { error, status } = spawnSync(PROGRAM, ["--version"]);
  if (error === undefined && status === 0) return false;
  return `${PROGRAM} is not installed (Debian: apt-get install redis-server); the tests that need Redis were skipped`;
}

/** Says on the terminal what will not be tested, beside the skipped tests themselves. */
export function skipLoudly(reason: string | false): string | false {
  if (reason !== false) console.error(`SKIPPED: ${reason}`);
  return reason;
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Deno's own `child.kill` sends one signal only, whichever was the first. */
function signal(child: ChildProcess, name: NodeJS.Signals): void {
  if (child.pid !== undefined) process.kill(child.pid, name);
}

export class RedisServer {
  readonly port: number;
  /** Its data. */
  readonly folder = mkdtempSync(join(tmpdir(), "millrace-redis-"));
  private readonly args: readonly string[];
  private child: ChildProcess | undefined = undefined;

  private constructor(port: number, args: readonly string[]) {
    this.port = port;
    this.args = args;
  }

  /** Resolves once it answers. */
  static async start(...args: string[]): Promise<RedisServer> {
    const server = await RedisServer.prepare(...args);
    await server.startAgain();
    return server;
  }

  /** Only takes a port. */
  static async prepare(...args: string[]): Promise<RedisServer> {
    return new RedisServer(await freePort(), args);
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  /** Starts with what is in the folder. */
  async startAgain(): Promise<void> {
    const child = spawn(PROGRAM, [
      ...["--port", String(this.port), "--bind", "127.0.0.1", "--dir", this.folder],
      ...["--appendonly", "yes", "--appendfsync", "everysec", "--save", "", ...this.args],
    ], { stdio: ["ignore", "pipe", "inherit"] });
    this.child = child;
    let output = "";
    await new Promise<void>((resolve, reject) => {
      child.once("error", reject);
      child.once("exit", (code) => reject(new Error(`redis-server ended with ${code}: ${output}`)));
      child.stdout?.on("data", (chunk: Uint8Array) => {
        output += new TextDecoder().decode(chunk);
        if (/Ready to accept connections/.test(output)) resolve();
      });
    });
  }

  /** Ends it in good order: what it has acknowledged stays. */
  stop(): Promise<void> {
    return this.end("SIGTERM");
  }

  /** Ends it at once: of the last second's data a part stays. */
  kill(): Promise<void> {
    return this.end("SIGKILL");
  }

  async restartWithData(): Promise<void> {
    await this.stop();
    await this.startAgain();
  }

  async restartWithoutData(): Promise<void> {
    await this.kill();
    this.wipe();
    await this.startAgain();
  }

  /** It keeps its connections, and answers nobody. */
  pause(): void {
    if (this.child !== undefined) signal(this.child, "SIGSTOP");
  }

  resume(): void {
    if (this.child !== undefined) signal(this.child, "SIGCONT");
  }

  /** What it says to a command over a connection of its own; parts of an array on lines of their own. */
  async ask(...args: (string | Buffer)[]): Promise<string> {
    const client = await createClient({ url: this.url, socket: { reconnectStrategy: false } }).connect();
    try {
      return [await client.sendCommand(args)].flat(Infinity).join("\n");
    } finally {
      client.destroy();
    }
  }

  async remove(): Promise<void> {
    await this.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }

  private async end(name: NodeJS.Signals): Promise<void> {
    const { child } = this;
    if (child === undefined) return;
    this.child = undefined;
    const exit = once(child, "exit");
    signal(child, name);
    await exit;
  }

  private wipe(): void {
    for (const entry of readdirSync(this.folder)) rmSync(join(this.folder, entry), { recursive: true });
  }
}
