/**
 * The connections to a Redis Cluster, as one: each request goes to the server that owns its key, and channels are
 * listened to by sharded pub/sub. Like a lane it lives until its first fault, on whichever server, and is then thrown
 * away: while a server is being replaced, nothing is taken. Redis 7 and newer.
 */
import { Buffer } from "node:buffer";
import { createCluster, ErrorReply, RESP_TYPES } from "@redis/client";
import { BrokerUnavailable } from "./broker.ts";
import type { Lane, LaneSettings, Message } from "./redis_lane.ts";

const BYTES = { typeMapping: { [RESP_TYPES.BLOB_STRING]: Buffer } };

type Cluster = ReturnType<typeof create>;

function create(urls: readonly string[], timeoutMs: number) {
  const { username, password, protocol } = new URL(urls[0] ?? "");
  return createCluster({
    rootNodes: urls.map((url) => ({ url })),
    RESP: 3,
    commandOptions: { timeout: 0 },
    // What waits here instead of failing would be published by surprise, much later.
    defaults: {
      name: "millrace",
      disableOfflineQueue: true,
      disableClientInfo: true,
      maintNotifications: "disabled",
      ...(username === "" ? {} : { username: decodeURIComponent(username) }),
      ...(password === "" ? {} : { password: decodeURIComponent(password) }),
      socket: {
        reconnectStrategy: false,
        connectTimeout: timeoutMs,
        ...(protocol === "rediss:" ? { tls: true as const } : {}),
      },
    },
  });
}

export class RedisClusterLane implements Lane {
  hasEnded = false;
  pending = 0;
  private readonly cluster: Cluster;
  private readonly settings: LaneSettings;
  private readonly onEnd: (error: Error) => void;

  private constructor(cluster: Cluster, settings: LaneSettings, onEnd: (error: Error) => void) {
    this.cluster = cluster;
    this.settings = settings;
    this.onEnd = onEnd;
    for (const event of ["error", "node-error", "sharded-channel-moved-error"]) {
      cluster.on(event, (error: Error) => this.fail(error));
    }
  }

  /** @throws {Error} (rejects) when no server of the cluster answers in time */
  static async connect(
    urls: readonly string[],
    settings: LaneSettings,
    onEnd: (error: Error) => void,
  ): Promise<RedisClusterLane> {
    const cluster = create(urls, settings.timeoutMs);
    let isLate = false;
    const cancel = settings.clock.after(settings.timeoutMs * 2, () => {
      isLate = true;
      cluster.destroy();
    });
    for (const event of ["error", "node-error"]) cluster.on(event, () => undefined); // connect() rejects with it
    try {
      await cluster.connect();
      if (isLate) throw new Error("the Redis Cluster did not answer in time");
    } catch (error) {
      cluster.destroy();
      throw error;
    } finally {
      cancel();
    }
    return new RedisClusterLane(cluster, settings, onEnd);
  }

  request(args: readonly (string | Buffer)[], asBytes?: boolean, key?: string): Promise<unknown> {
    return this.bounded(
      this.cluster.sendCommand(key, false, [...args], asBytes === true ? BYTES : undefined),
    );
  }

  requestAll(args: readonly string[]): Promise<unknown> {
    const { cluster } = this;
    const ask = async (server: Cluster["masters"][number]) =>
      (await cluster.nodeClient(server)).sendCommand([...args]);
    return this.bounded(Promise.all(cluster.masters.map(ask)));
  }

  subscribe(channels: readonly string[], listener: Message): Promise<unknown> {
    return this.bounded(
      Promise.all(channels.map((channel) => this.cluster.sSubscribe(channel, listener, true))),
    );
  }

  unsubscribe(channels: readonly string[], listener: Message): Promise<unknown> {
    return this.bounded(
      Promise.all(channels.map((channel) => this.cluster.sUnsubscribe(channel, listener, true))),
    );
  }

  subscribePatterns(globs: readonly string[], listener: Message): Promise<unknown> {
    return this.bounded(this.cluster.pSubscribe([...globs], listener, true));
  }

  unsubscribePatterns(globs: readonly string[], listener: Message): Promise<unknown> {
    return this.bounded(this.cluster.pUnsubscribe([...globs], listener, true));
  }

  end(): void {
    if (this.hasEnded) return;
    this.hasEnded = true;
    this.cluster.destroy();
  }

  /** A server that does not answer in time is a fault. Unlike on one connection, the answers come in no order. */
  private async bounded(asked: Promise<unknown>): Promise<unknown> {
    this.pending++;
    const { clock, timeoutMs } = this.settings;
    const cancel = clock.after(
      timeoutMs,
      () => this.fail(new Error("the Redis Cluster did not answer in time")),
    );
    try {
      return await asked;
    } catch (error) {
      if (error instanceof ErrorReply) throw error;
      throw new BrokerUnavailable("the Redis Cluster did not answer", { cause: error });
    } finally {
      cancel();
      this.pending--;
    }
  }

  private fail(error: Error): void {
    if (this.hasEnded) return;
    this.end();
    this.onEnd(error);
  }
}
