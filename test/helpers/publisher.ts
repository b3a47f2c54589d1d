/**
 * A publisher that goes on whatever happens: what the broker could not take it publishes again, and when its connection
 * ends it looks for another node. Each attempt has data of its own, so that what arrives says which attempt it was.
 */
import { Events } from "./events.ts";
import { JsonClient } from "./json_client.ts";
import type { Received } from "./peer.ts";
import type { Random } from "./random.ts";
import type { Published } from "./story.ts";

const RETRY_MS = 25;

export interface PublisherSettings {
  readonly name: string;
  readonly topics: readonly string[];
  readonly urlOf: () => string;
  readonly random: Random;
  /** The longest rest between two bursts; the shortest is none. */
  readonly restMs: number;
  /** The most publications that are under way at once. */
  readonly burst: number;
  /** What was acknowledged, by all publishers, in the order of the acknowledgements. */
  readonly acknowledged: Events<Published>;
}

export class Publisher {
  readonly faults: string[] = [];
  /** How many attempts were refused because the broker was away. */
  refused = 0;
  private readonly settings: PublisherSettings;
  private readonly events = new Events<never>();
  private readonly pending = new Map<string, { readonly topic: string; readonly data: string }>();
  private client: JsonClient | undefined = undefined;
  private isWelcome = false;
  private wasRefused = false;
  private attempts = 0;
  private isStopped = false;
  private isEnded = false;
  private run: Promise<void> = Promise.resolve();

  constructor(settings: PublisherSettings) {
    this.settings = settings;
  }

  start(): void {
    this.run = this.publish();
  }

  /** Ends the bursts; what is under way is waited for. */
  async stop(): Promise<void> {
    this.isStopped = true;
    await this.run;
  }

  /** Publishes to each of the topics until that is acknowledged, and answers where. */
  async finish(): Promise<Published[]> {
    const { acknowledged, topics } = this.settings;
    const before = acknowledged.all.length;
    let missing = topics;
    while (missing.length > 0) {
      await this.connected();
      for (const topic of missing) this.attempt(topic);
      await this.settled();
      if (this.wasRefused) await pause(RETRY_MS);
      const done = acknowledged.all.slice(before);
      missing = topics.filter((topic) => !done.some((published) => published.topic === topic));
    }
    return acknowledged.all.slice(before);
  }

  /** Ends at once, whatever is under way. */
  async end(): Promise<void> {
    this.isStopped = true;
    this.isEnded = true;
    this.client?.destroy();
    await this.run;
  }

  private async publish(): Promise<void> {
    const { random, topics, burst, restMs } = this.settings;
    while (!this.isStopped) {
      await this.connected();
      if (this.isStopped) return;
      for (let count = 1 + random.below(burst); count > 0; count--) this.attempt(random.pick(topics));
      await this.settled();
      await pause(this.wasRefused ? RETRY_MS : random.below(restMs + 1));
    }
  }

  private async connected(): Promise<void> {
    while (!this.isWelcome && !this.isEnded) {
      this.client = new JsonClient(this.settings.urlOf(), {
        received: (event) => this.received(event),
        ended: () => this.ended(),
      });
      await this.events.until(() => this.isWelcome || this.client === undefined, "a connection or its end");
      if (!this.isWelcome) await pause(RETRY_MS);
    }
  }

  private attempt(topic: string): void {
    const data = `${this.settings.name}#${++this.attempts}`;
    this.pending.set(data, { topic, data });
    this.client?.send({ type: "publish", id: data, topic, data });
  }

  private async settled(): Promise<void> {
    this.wasRefused = false;
    await this.events.until(() => this.pending.size === 0, "answers to publications");
  }

  private received(event: Received): void {
    const id = String(event["id"]);
    const pending = this.pending.get(id);
    if (event.type === "welcome") this.isWelcome = true;
    else if (event.type === "drain") return;
    else if (pending === undefined) this.faults.push(`unexpected: ${JSON.stringify(event)}`);
    else if (event.type === "ack") {
      const [epoch, offset] = [String(event["epoch"]), Number(event["offset"])];
      this.settings.acknowledged.push({ ...pending, epoch, offset });
    } else if (event["code"] === "broker_unavailable") {
      this.refused++;
      this.wasRefused = true;
    } else this.faults.push(JSON.stringify(event));
    this.pending.delete(id);
    this.events.wake();
  }

  private ended(): void {
    this.client = undefined;
    this.isWelcome = false;
    // Whether these were published is not known.
    this.pending.clear();
    this.events.wake();
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => void setTimeout(resolve, ms));
}
