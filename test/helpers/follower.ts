/**
 * A subscriber as a good client is one: it comes back after every end of its connection, asks for what it has missed,
 * tries again what the broker could not do, and waits before it returns as long as a node that goes away asks it to.
 */
import { JsonClient } from "./json_client.ts";
import type { Received } from "./peer.ts";
import { Story } from "./story.ts";

/** Before something that has failed is tried again. */
const RETRY_MS = 25;

export interface FollowerSettings {
  readonly topics: readonly string[];
  /** Where to connect to, asked each time. */
  readonly urlOf: () => string;
  /** Where it connects from, if that matters. */
  readonly localAddress?: string | undefined;
  /** Something has come. */
  readonly wake: () => void;
}

export class Follower {
  readonly stories: ReadonlyMap<string, Story>;
  /** What was wrong, beside what the stories know. */
  readonly faults: string[] = [];
  /** The `reconnectAfterMs` of every `drain`. */
  readonly drains: { readonly reconnectAfterMs: number; readonly deadlineMs: number }[] = [];
  /** The node that answered last. */
  node = "";
  private readonly settings: FollowerSettings;
  private client: JsonClient | undefined = undefined;
  private readonly live = new Set<string>();
  private readonly timers = new Set<ReturnType<typeof setTimeout>>();
  private isAway = true;
  private waitMs = RETRY_MS;

  constructor(settings: FollowerSettings) {
    this.settings = settings;
    this.stories = new Map(settings.topics.map((topic) => [topic, new Story(topic)]));
  }

  /** Whether it is connected, and every topic is subscribed. */
  get isLive(): boolean {
    return this.live.size === this.stories.size;
  }

  get isFollowing(): boolean {
    return !this.isAway;
  }

  follow(): void {
    this.isAway = false;
    this.connect();
  }

  /** Goes, and stays away until {@link follow}. */
  leave(how: "close" | "destroy"): void {
    this.isAway = true;
    for (const timer of this.timers) clearTimeout(timer);
    this.timers.clear();
    this.client?.[how]();
  }

  private connect(): void {
    this.client = new JsonClient(this.settings.urlOf(), {
      received: (event, client) => {
        if (client !== this.client) return;
        this.received(event);
        this.settings.wake();
      },
      ended: (client) => this.ended(client),
    }, this.settings.localAddress);
  }

  private ended(client: JsonClient): void {
    if (client !== this.client) return;
    this.client = undefined;
    this.live.clear();
    if (!this.isAway) this.after(this.waitMs, () => this.connect());
    this.waitMs = RETRY_MS;
    this.settings.wake();
  }

  private received(event: Received): void {
    const topic = String(event["topic"]);
    const story = this.stories.get(topic);
    switch (event.type) {
      case "welcome":
        this.node = String(event["node"]);
        for (const topic of this.stories.keys()) this.subscribe(topic);
        return;
      case "ack":
        this.live.add(topic);
        return story?.subscribed(event);
      case "message":
        if (!this.live.has(topic)) this.faults.push(`${topic}: a message before the ack`);
        return story?.message(event);
      case "gap":
        return story?.gap(event);
      case "drain":
        this.waitMs = Number(event["reconnectAfterMs"]);
        this.drains.push({ reconnectAfterMs: this.waitMs, deadlineMs: Number(event["deadlineMs"]) });
        return;
      case "error": {
        if (event["code"] !== "broker_unavailable") this.faults.push(JSON.stringify(event));
        const refused = String(event["id"]);
        const { client } = this;
        return this.after(RETRY_MS, () => {
          if (client === this.client) this.subscribe(refused);
        });
      }
      default:
        this.faults.push(`unexpected: ${event.type}`);
    }
  }

  private subscribe(topic: string): void {
    const since = this.stories.get(topic)?.place;
    this.client?.send({ type: "subscribe", id: topic, topic, ...(since === undefined ? {} : { since }) });
  }

  private after(ms: number, run: () => void): void {
    const timer = setTimeout(() => {
      this.timers.delete(timer);
      run();
    }, ms);
    this.timers.add(timer);
  }
}
