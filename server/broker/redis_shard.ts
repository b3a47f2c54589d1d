/**
 * One Redis server, or one Redis Cluster, as the broker needs it: something to ask and something to listen to, that come
 * and go together. It comes back by itself, and is up only once its owner has restored everything. It knows no topics.
 */
import type { Buffer } from "node:buffer";
import { ErrorReply } from "@redis/client";
import type { Clock } from "../clock.ts";
import type { Log } from "../observe/log.ts";
import { BrokerUnavailable } from "./broker.ts";
import { RedisClusterLane } from "./redis_cluster_lane.ts";
import { type Lane, type Message, RedisLane } from "./redis_lane.ts";
import { type Script, scripts } from "./redis_scripts.ts";

const FIRST_WAIT_MS = 20;
const LONGEST_WAIT_MS = 2_000;

/** Of Redis's forty digits: enough to tell one process from another. */
const RUN_LENGTH = 12;

/** Subscriptions of one command, so that it does not hold up the others. */
const CHANNELS_PER_COMMAND = 500;

/** Publications that may wait for an answer; further ones fail. */
const MAX_PENDING = 20_000;

/** Of a server that is not known yet, and of a cluster, which has many. */
const NO_RUN = "-";

export interface ShardSettings {
  /** One server, or some of a cluster. */
  readonly urls: readonly [string, ...string[]];
  readonly isCluster: boolean;
  readonly timeoutMs: number;
  readonly clock: Clock;
  readonly log: Log;
}

export interface ShardHandlers {
  /** A message on a subscribed channel, or on one that a subscribed glob matches. */
  readonly message: Message;
  /** The server can be asked, and nothing is subscribed. Once this is done, the shard is up. */
  readonly restore: (shard: RedisShard) => Promise<void>;
  readonly up: (shard: RedisShard) => void;
  /** The server is gone, or never came up fully. */
  readonly down: (shard: RedisShard) => void;
}

interface Lanes {
  readonly ask: Lane;
  readonly listen: Lane;
}

export class RedisShard {
  /** Where it is, without credentials. */
  readonly name: string;
  /** Which process of Redis it is; changes when that is started again. */
  run = NO_RUN;
  isUp = false;
  private readonly settings: ShardSettings;
  private readonly handlers: ShardHandlers;
  private lanes: Lanes | undefined = undefined;
  private failures = 0;
  private stopWaiting: () => void = () => undefined;
  private isClosed = false;

  constructor(settings: ShardSettings, handlers: ShardHandlers) {
    this.settings = settings;
    this.handlers = handlers;
    this.name = shardName(settings.urls[0]);
  }

  /** Connects, and again whenever the connection is lost, until {@link close}. */
  start(): void {
    void this.connect();
  }

  /** Whether a publication is taken now. */
  get takesMore(): boolean {
    return this.isUp && (this.lanes?.ask.pending ?? 0) < MAX_PENDING;
  }

  /** @throws {BrokerUnavailable} (rejects) when there is no answer, or Redis says that it cannot */
  evaluate(
    script: Script,
    keys: readonly string[],
    args: readonly (string | Buffer)[],
    asBytes = false,
  ): Promise<unknown> {
    const lane = this.lanes?.ask;
    if (lane === undefined) return Promise.reject(unavailable(this.name));
    const rest = [String(keys.length), ...keys, ...args];
    return lane.request(["EVALSHA", script.sha, ...rest], asBytes, keys[0]).catch(async (error: unknown) => {
      if (error instanceof BrokerUnavailable) throw error;
      try {
        // Somebody has flushed the scripts; EVAL brings this one back.
        if (isReply(error, "NOSCRIPT")) {
          return await lane.request(["EVAL", script.source, ...rest], asBytes, keys[0]);
        }
        throw error;
      } catch (refusal) {
        throw new BrokerUnavailable(`${this.name} refused`, { cause: refusal });
      }
    });
  }

  /** Reads a string. */
  get(key: string): Promise<unknown> {
    return this.lanes?.ask.request(["GET", key], false, key) ?? Promise.reject(unavailable(this.name));
  }

  async subscribe(channels: readonly string[]): Promise<void> {
    const { listen } = this.connected();
    await inParts(channels, (part) => listen.subscribe(part, this.handlers.message));
  }

  async subscribeGlobs(globs: readonly string[]): Promise<void> {
    const { listen } = this.connected();
    await inParts(globs, (part) => listen.subscribePatterns(part, this.handlers.message));
  }

  /** When the server is away, there is nothing to do. */
  unsubscribe(channel: string): void {
    this.lanes?.listen.unsubscribe([channel], this.handlers.message).catch(ignoreLoss);
  }

  unsubscribeGlob(glob: string): void {
    this.lanes?.listen.unsubscribePatterns([glob], this.handlers.message).catch(ignoreLoss);
  }

  close(): void {
    this.isClosed = true;
    this.stopWaiting();
    this.drop();
  }

  private connected(): Lanes {
    if (this.lanes === undefined) throw unavailable(this.name);
    return this.lanes;
  }

  private async connect(): Promise<void> {
    const { log } = this.settings;
    try {
      const lanes = await this.open();
      if (this.isClosed) {
        lanes.ask.end();
        lanes.listen.end();
        return;
      }
      this.lanes = lanes;
      await this.prepare(lanes.ask);
      await this.handlers.restore(this);
      if (lanes.ask.hasEnded || lanes.listen.hasEnded) throw unavailable(this.name);
      this.isUp = true;
      this.failures = 0;
      log.info({ broker: this.name }, "the broker is there");
      this.handlers.up(this);
    } catch (error) {
      if (this.isClosed) return;
      if (this.failures === 0) log.warn({ broker: this.name, err: error }, "the broker cannot be reached");
      this.drop();
      this.connectLater();
    }
  }

  /** Loads the scripts everywhere beforehand: what had to be asked a second time would be overtaken. */
  private async prepare(lane: Lane): Promise<void> {
    await Promise.all(scripts.map(({ source }) => lane.requestAll(["SCRIPT", "LOAD", source])));
    if (this.settings.isCluster) return;
    const info = String(await lane.request(["INFO", "server"]));
    this.run = /^run_id:(\w+)/m.exec(info)?.[1]?.slice(0, RUN_LENGTH) ?? NO_RUN;
  }

  private async open(): Promise<Lanes> {
    const onEnd = (error: Error): void => this.lost(error);
    const { settings } = this;
    if (settings.isCluster) {
      const lane = await RedisClusterLane.connect(settings.urls, settings, onEnd);
      return { ask: lane, listen: lane };
    }
    const opening = [0, 1].map(() => RedisLane.connect(settings.urls[0], settings, onEnd));
    try {
      const [ask, listen] = await Promise.all(opening) as [RedisLane, RedisLane]; // one for each
      return { ask, listen };
    } catch (error) {
      for (const lane of await Promise.allSettled(opening)) if (lane.status === "fulfilled") lane.value.end();
      throw error;
    }
  }

  /** A connection has failed after it was there. */
  private lost(error: Error): void {
    // Before it is up, connect() sees the failure itself: what it waits for rejects.
    if (!this.isUp) return this.drop();
    this.settings.log.warn({ broker: this.name, err: error }, "the broker is gone");
    this.drop();
    if (!this.isClosed) this.connectLater();
  }

  private drop(): void {
    const { lanes } = this;
    if (lanes === undefined) return;
    this.lanes = undefined;
    this.isUp = false;
    lanes.ask.end();
    lanes.listen.end();
    this.handlers.down(this);
  }

  private connectLater(): void {
    const wait = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** this.failures++);
    // Nodes that lost the same server do not come back in step.
    this.stopWaiting = this.settings.clock.after(wait * (0.5 + Math.random() / 2), () => void this.connect());
  }
}

/** What a server is called when a topic's shard is chosen: it stays when a password changes. */
function shardName(url: string): string {
  if (url.startsWith("unix:")) return url.replace(/^unix:\/\/[^/]*/, "unix://");
  const { hostname, port, pathname } = new URL(url);
  return `${hostname}:${port === "" ? "6379" : port}${pathname.length > 1 ? pathname : ""}`;
}

function unavailable(name: string): BrokerUnavailable {
  return new BrokerUnavailable(`${name} is away`);
}

function isReply(error: unknown, start: string): boolean {
  return error instanceof ErrorReply && error.message.startsWith(start);
}

/** The server has gone meanwhile and its subscriptions with it; what comes unwanted is dropped anyway. */
function ignoreLoss(): void {}

async function inParts(
  names: readonly string[],
  send: (part: readonly string[]) => Promise<unknown>,
): Promise<void> {
  const answers: Promise<unknown>[] = [];
  for (let start = 0; start < names.length; start += CHANNELS_PER_COMMAND) {
    answers.push(send(names.slice(start, start + CHANNELS_PER_COMMAND)));
  }
  await Promise.all(answers);
}
