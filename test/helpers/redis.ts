/** A Redis server of a test's own. */
import type { Buffer } from "node:buffer";
import process from "node:process";
import { createClient } from "@redis/client";
import { ServerProcess, whyNotInstalled } from "./server_process.ts";

const PROGRAM = process.env["REDIS_SERVER"] ?? "redis-server";

/** Why there can be no Redis here; false when there can. */
export function whyNoRedis(): string | false {
  return whyNotInstalled(PROGRAM, "redis-server");
}

export class RedisServer {
  readonly process: ServerProcess;

  private constructor(process: ServerProcess) {
    this.process = process;
  }

  /** Only takes a port. */
  static async prepare(...more: string[]): Promise<RedisServer> {
    return new RedisServer(
      await ServerProcess.prepare({
        command: PROGRAM,
        args: (port, folder) => [
          ...["--port", String(port), "--bind", "127.0.0.1", "--dir", folder],
          ...["--appendonly", "yes", "--appendfsync", "everysec", "--save", "", ...more],
        ],
        ready: /Ready to accept connections/,
      }),
    );
  }

  /** Resolves once it answers. */
  static async start(...more: string[]): Promise<RedisServer> {
    const server = await RedisServer.prepare(...more);
    await server.process.start();
    return server;
  }

  get url(): string {
    return `redis://127.0.0.1:${this.process.port}`;
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
}
