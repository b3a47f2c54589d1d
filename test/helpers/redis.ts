/** A Redis server of a test's own. */
import type { Buffer } from "node:buffer";
import { spawnSync } from "node:child_process";
import process from "node:process";
import { createClient } from "@redis/client";
import { freePort, ServerProcess, whyNotInstalled } from "./server_process.ts";

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

const CLUSTER_SIZE = 3;

/** Three Redis servers that have formed a cluster. */
export class RedisCluster {
  readonly servers: readonly RedisServer[];

  private constructor(servers: readonly RedisServer[]) {
    this.servers = servers;
  }

  static async start(): Promise<RedisCluster> {
    const servers: RedisServer[] = [];
    for (let index = 0; index < CLUSTER_SIZE; index++) {
      // The servers talk to each other on a second port, by default ten thousand above the first: that may not exist.
      const busPort = String(await freePort());
      servers.push(await RedisServer.start("--cluster-enabled", "yes", "--cluster-port", busPort));
    }
    const addresses = servers.map(({ process }) => `127.0.0.1:${process.port}`);
    const { status, stdout } = spawnSync(
      "redis-cli",
      ["--cluster", "create", ...addresses, "--cluster-yes"],
      {
        timeout: 30_000,
        encoding: "utf8",
      },
    );
    if (status !== 0) throw new Error(`no cluster: ${stdout}`);
    // Every server comes to know of that by itself.
    for (const server of servers) while (!(await server.ask("CLUSTER", "INFO")).includes("cluster_state:ok"));
    return new RedisCluster(servers);
  }

  get urls(): string[] {
    return this.servers.map(({ url }) => url);
  }

  async remove(): Promise<void> {
    await Promise.all(this.servers.map(({ process }) => process.remove()));
  }
}
