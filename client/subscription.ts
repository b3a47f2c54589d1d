/**
 * One listener's view of a topic or pattern: each message once and in order from its own place on, and gaps in between.
 * How messages come here is its feed's matter.
 */
import { guarded } from "./emitter.ts";
import { ClientErrorCode, MillraceError } from "./errors.ts";
import { type Gap, GapReason, type Message, type Place, type PresenceChange } from "./message.ts";
import type { SubscribeOptions } from "./options.ts";
import { missingBefore, newPartOf } from "./place.ts";

/** What `subscribe` gives. */
export interface Subscription {
  /** The topic or pattern. */
  readonly topic: string;
  /** Resolves when the server has taken it for the first time; rejects when it never will. Need not be looked at. */
  readonly ready: Promise<void>;
  /** Harmless when it has ended. */
  unsubscribe(): void;
}

export interface SubscriberOptions extends SubscribeOptions {
  readonly listener: (message: Message) => void;
  /** A gap is told to everybody who wants to know. */
  readonly lost: (gap: Gap) => void;
  /** A listener has thrown. */
  readonly failed: (error: unknown) => void;
  /** The server does not allow it, and nobody else has been told. */
  readonly refused: (error: MillraceError) => void;
  /** It has ended, for whatever reason. */
  readonly ended: (error: MillraceError | undefined) => void;
}

export class Subscriber implements Subscription {
  readonly topic: string;
  readonly options: SubscriberOptions;
  readonly ready: Promise<void>;
  /** The last one that was seen, or told to be missing; undefined until the server has said where the topic is. */
  place: Place | undefined;
  hasEnded = false;
  private isReady!: () => void;
  private isNeverReady!: (error: unknown) => void;
  private readonly abort = (): void => this.unsubscribe();

  constructor(topic: string, options: SubscriberOptions) {
    this.topic = topic;
    this.options = options;
    this.place = options.since;
    this.ready = new Promise((resolve, reject) => {
      this.isReady = resolve;
      this.isNeverReady = reject;
    });
    // Nobody need look at it.
    this.ready.catch(() => {});
    options.signal?.addEventListener("abort", this.abort, { once: true });
  }

  unsubscribe(): void {
    this.end(undefined);
  }

  /** Ends it, once. */
  end(error: MillraceError | undefined): void {
    if (this.hasEnded) return;
    this.hasEnded = true;
    const { signal, onError, refused, failed, ended } = this.options;
    signal?.removeEventListener("abort", this.abort);
    this.isNeverReady(error ?? new MillraceError(ClientErrorCode.Closed, "The subscription has ended."));
    if (error !== undefined) {
      if (onError === undefined) refused(error);
      else guarded(onError, error, failed);
    }
    ended(error);
  }

  subscribed(): void {
    if (this.hasEnded) return;
    this.isReady();
    guarded(this.options.onSubscribed, undefined, this.options.failed);
  }

  /** Of a topic: hands it out if it is new here. */
  take(message: Message): void {
    const { place } = this;
    if (place !== undefined) {
      const missing = missingBefore(place, message);
      if (missing === null) return;
      if (missing !== undefined) this.lose(missing);
    }
    this.place = message;
    this.hand(message);
  }

  hand(message: Message): void {
    if (!this.hasEnded) guarded(this.options.listener, message, this.options.failed);
  }

  /** Of a topic: what the server tells is missing. */
  told(gap: Gap & Required<Pick<Gap, "epoch" | "from" | "to">>): void {
    const missing = this.place === undefined ? gap : newPartOf(gap, this.place);
    if (missing === undefined) return;
    this.place = { epoch: gap.epoch, offset: gap.to };
    this.lose(missing);
  }

  /** Everything from the present place up to another is lost. */
  skipTo(to: Place): void {
    const from = (this.place?.offset ?? 0) + 1;
    this.place = to;
    this.lose({ topic: this.topic, reason: GapReason.Expired, epoch: to.epoch, from, to: to.offset });
  }

  /** The topic's offsets have started afresh. */
  startAfresh(epoch: string): void {
    this.place = { epoch, offset: 0 };
    this.lose({ topic: this.topic, reason: GapReason.Epoch, epoch, from: 1, to: 0 });
  }

  lose(gap: Gap): void {
    if (this.hasEnded) return;
    guarded(this.options.onGap, gap, this.options.failed);
    this.options.lost(gap);
  }

  changed(change: PresenceChange): void {
    if (!this.hasEnded) guarded(this.options.onPresence, change, this.options.failed);
  }
}
