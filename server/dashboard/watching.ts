/**
 * When a node tells its figures: once a second while somebody watches, on this node or on another one behind the same
 * broker, and never otherwise. Who watches has a subscription to `$nodes`; a node that has such a subscriber asks the
 * others on `$watch` every second, and stops asking when the last one has gone. It knows no connections.
 */
import { BrokerUnavailable, type Publication } from "../broker/broker.ts";
import type { Clock } from "../clock.ts";
import type { Hub } from "../hub/hub.ts";
import type { Log } from "../observe/log.ts";
import { OwnTopic } from "../topic.ts";
import type { NodeFigures } from "./figures.ts";

/** Between two records of a node. */
export const REPORT_INTERVAL_MS = 1_000;
/** How long a node goes on after it was last asked: two requests may be lost. */
export const ASKED_FOR_MS = 3_500;

export interface WatchingSettings {
  readonly hub: Pick<Hub, "publish" | "subscribe" | "unsubscribe" | "subscriberCount" | "isAvailable">;
  readonly sampler: {
    readonly run: string;
    start(): void;
    stop(): void;
    sample(): NodeFigures;
  };
  /** Whether the broker joins no other nodes. */
  readonly isAlone: boolean;
  readonly apiKeys: { has(key: string): boolean };
  readonly clock: Clock;
  readonly log: Log;
  /** To the subscribers on this node, without the broker. */
  deliverHere(publication: Publication): void;
}

export class Watching {
  private readonly settings: WatchingSettings;
  private readonly stopListening: () => void;
  /** Undefined while nobody watches. */
  private stopReporting: (() => void) | undefined = undefined;
  private askedUntilMs = -Infinity;
  private isListening = false;
  private isStopped = false;

  constructor(settings: WatchingSettings) {
    this.settings = settings;
    this.listen();
    this.stopListening = settings.clock.every(REPORT_INTERVAL_MS, () => this.listen());
  }

  /** Whether who shows this may watch. */
  accepts(key: string): boolean {
    return this.settings.apiKeys.has(key);
  }

  /** Somebody on this node has subscribed to `$nodes`. */
  begin(): void {
    this.start();
  }

  /** A publication to `$watch` has come. */
  asked(data: unknown): void {
    const { sampler, clock } = this.settings;
    const from = typeof data === "object" && data !== null && "run" in data ? data.run : undefined;
    if (typeof from !== "string" || from === sampler.run) return;
    this.askedUntilMs = clock.now() + ASKED_FOR_MS;
    this.start();
  }

  /** Nothing is told any more, whoever asks. */
  stop(): void {
    this.isStopped = true;
    this.stopListening();
    this.end();
  }

  /** Hears of those who watch on other nodes, from when the broker can be asked on. */
  private listen(): void {
    const { hub, isAlone } = this.settings;
    if (isAlone || this.isListening || !hub.isAvailable) return;
    this.isListening = true;
    hub.subscribe(OwnTopic.Watch, {
      since: undefined,
      joined() {},
      failed: () => {
        hub.unsubscribe(OwnTopic.Watch);
        this.isListening = false;
      },
    });
  }

  private start(): void {
    if (this.isStopped || this.stopReporting !== undefined) return;
    const { clock, sampler } = this.settings;
    sampler.start();
    this.stopReporting = clock.every(REPORT_INTERVAL_MS, () => this.report());
    this.report();
  }

  private end(): void {
    if (this.stopReporting === undefined) return;
    this.stopReporting();
    this.stopReporting = undefined;
    this.settings.sampler.stop();
  }

  /** What goes wrong here ends neither the connection that asked nor the server. */
  private report(): void {
    try {
      this.tell();
    } catch (error) {
      this.failed(error);
    }
  }

  private tell(): void {
    const { hub, sampler, isAlone, clock, deliverHere } = this.settings;
    const isWatchedHere = hub.subscriberCount(OwnTopic.Nodes) > 0;
    if (!isWatchedHere && clock.now() >= this.askedUntilMs) return this.end();
    const figures = sampler.sample();
    if (!hub.isAvailable) {
      return deliverHere({ topic: OwnTopic.Nodes, data: figures, epoch: "", offset: 0 });
    }
    if (isWatchedHere && !isAlone) this.publish(OwnTopic.Watch, { run: sampler.run });
    this.publish(OwnTopic.Nodes, figures);
  }

  /** What does not arrive is not told again: the next record is a second away. */
  private publish(topic: string, data: unknown): void {
    const answer = this.settings.hub.publish(topic, data);
    if (answer instanceof Promise) answer.catch((error: unknown) => this.failed(error));
  }

  private failed(error: unknown): void {
    if (!(error instanceof BrokerUnavailable)) this.settings.log.error({ err: error }, "figures not told");
  }
}
