/** One client of the feed, and what it received: how much, how late, and what it was told is missing. */
import { Packr } from "msgpackr";
import { WebSocket } from "ws";
import { type Client, createClient, json, type WebSocketConstructor } from "../../client/mod.ts";
import { msgpack } from "../../client/msgpack.ts";
import type { Topics } from "./feed.ts";

export interface WatcherOptions {
  readonly name: string;
  readonly url: string;
  /** A topic or a pattern. */
  readonly topic: `prices.${string}`;
  readonly format: "json" | "msgpack";
  /** How much its line carries; as much as comes unless told. */
  readonly bytesPerSecond?: number;
}

/** What happened in a quarter of a second. */
export interface Bin {
  received: number;
  /** Told to be missing, by the server. */
  lost: number;
  /** Of the latest one, from its publication. */
  maxLagMs: number;
}

/** How much a line carries. */
interface Throttle {
  bytesPerSecond: number;
}

export const BIN_MS = 250;
const SPEED_UP = 6;
const THROTTLE_INTERVAL_MS = 25;
const MS_PER_SECOND = 1_000;

/** MessagePack as plain maps, which is what the protocol speaks. */
export const format = msgpack(new Packr({ useRecords: false, mapsAsObjects: true }));

export class Watcher {
  readonly name: string;
  readonly bins: Bin[] = [];
  readonly lagsMs: number[] = [];
  received = 0;
  lost = 0;
  private readonly client: Client<Topics>;
  private readonly startedMs: number;
  private readonly throttle: Throttle | undefined;

  private constructor({ name, url, format: formatName, bytesPerSecond }: WatcherOptions, startedMs: number) {
    this.name = name;
    this.startedMs = startedMs;
    this.throttle = bytesPerSecond === undefined ? undefined : { bytesPerSecond };
    this.client = createClient<Topics>({
      url,
      format: formatName === "json" ? json : format,
      WebSocket: this.throttle === undefined ? WebSocket : throttled(this.throttle),
    });
  }

  /** Subscribes. `startedMs` is where its time begins, by the clock of `performance.now()`. */
  static async start(options: WatcherOptions, startedMs: number): Promise<Watcher> {
    const watcher = new Watcher(options, startedMs);
    const onGap = ({ from = 0, to = -1 }: { from?: number; to?: number }) => watcher.missed(to - from + 1);
    await watcher.client.subscribe(options.topic, ({ data }) => watcher.took(data.atMs), { onGap }).ready;
    return watcher;
  }

  /** From now on its line carries several times as much. */
  speedUp(): void {
    if (this.throttle !== undefined) this.throttle.bytesPerSecond *= SPEED_UP;
  }

  stop(): Promise<void> {
    return this.client.close({ flushMs: 0 });
  }

  private took(publishedMs: number): void {
    const lagMs = performance.now() - publishedMs;
    const bin = this.bin();
    this.received++;
    this.lagsMs.push(lagMs);
    bin.received++;
    bin.maxLagMs = Math.max(bin.maxLagMs, lagMs);
  }

  private missed(count: number): void {
    this.lost += count;
    this.bin().lost += count;
  }

  private bin(): Bin {
    const at = Math.floor((performance.now() - this.startedMs) / BIN_MS);
    while (this.bins.length <= at) this.bins.push({ received: 0, lost: 0, maxLagMs: 0 });
    return this.bins[at] as Bin;
  }
}

/**
 * A WebSocket behind a bad line: it stops reading until what it has read would have come through, so what is sent
 * meanwhile waits at the server. Only programs can do that; browsers always read.
 */
function throttled(throttle: Throttle): WebSocketConstructor {
  return class extends WebSocket {
    constructor(url: string, protocols: string) {
      super(url, protocols);
      let debtBytes = 0;
      this.on("message", (data: { byteLength: number }) => {
        debtBytes += data.byteLength;
        this.pause();
      });
      const timer = setInterval(() => {
        debtBytes = Math.max(0, debtBytes - throttle.bytesPerSecond * THROTTLE_INTERVAL_MS / MS_PER_SECOND);
        if (debtBytes === 0) this.resume();
      }, THROTTLE_INTERVAL_MS);
      this.on("close", () => clearInterval(timer));
    }
  };
}
