/**
 * One subscription at the server, which serves all subscribers of its topic or pattern here. It asks for what they have
 * missed, lowest place first, and tells each what is not coming.
 */
import type { Backoff } from "./backoff.ts";
import type { Clock } from "./clock.ts";
import type { MillraceError } from "./errors.ts";
import { type Gap, GapReason, type Message, type Place } from "./message.ts";
import { missingBefore, newPartOf } from "./place.ts";
import type { Requests } from "./requests.ts";
import type { Subscriber } from "./subscription.ts";
import { isPattern } from "./topics.ts";
import type { Reply, ToldGap } from "./wire.ts";

/** Of how many topics a pattern's last offset is known: a loss in others is seen when the server tells. */
const MAX_PLACES = 1_000;
/** What may work another time. */
const passing = ["broker_unavailable", "internal"];

export interface FeedOptions {
  readonly requests: Requests;
  readonly clock: Clock;
  readonly backoff: Backoff;
  /** The last subscriber has gone. */
  readonly emptied: (feed: Feed) => void;
}

const Phase = { Off: 0, Asked: 1, Live: 2 } as const;
type Phase = typeof Phase[keyof typeof Phase];

export class Feed {
  readonly name: string;
  readonly isPattern: boolean;
  readonly subscribers = new Set<Subscriber>();
  private readonly options: FeedOptions;
  private phase: Phase = Phase.Off;
  /** Whether there is a line to ask on. */
  isOnline = false;
  /** Whether the present subscription is not what is needed any more. */
  private mustAskAgain = false;
  private watches = false;
  private hasBeenLive = false;
  /** Of the topic, as far as it has been heard here. */
  private place: Place | undefined = undefined;
  /** Of a pattern's topics, the one that was heard of last at the end. */
  private readonly places = new Map<string, Place>();
  private forget: () => boolean = () => false;
  private cancel: () => void = () => {};

  constructor(name: string, options: FeedOptions) {
    this.name = name;
    this.isPattern = isPattern(name);
    this.options = options;
  }

  add(subscriber: Subscriber): void {
    this.subscribers.add(subscriber);
    const { since, onPresence } = subscriber.options;
    const needsMore = since !== undefined || (onPresence !== undefined && !this.watches);
    if (this.phase === Phase.Asked) this.mustAskAgain ||= needsMore;
    else if (this.phase === Phase.Live) {
      subscriber.place ??= this.place;
      if (needsMore) this.ask();
      else subscriber.subscribed();
    } else if (this.isOnline) this.ask();
  }

  remove(subscriber: Subscriber): void {
    if (!this.subscribers.delete(subscriber) || this.subscribers.size > 0) return;
    const wasAsked = this.phase === Phase.Live || (this.phase === Phase.Asked && this.forget());
    this.offline();
    this.options.emptied(this);
    if (!wasAsked) return;
    const { requests } = this.options;
    requests.control({ type: "unsubscribe", topic: this.name }, ignore, ignore);
  }

  /** There is a line. */
  online(): void {
    this.isOnline = true;
    this.ask();
  }

  /** There is none any more. */
  offline(): void {
    this.isOnline = false;
    this.phase = Phase.Off;
    this.cancel();
  }

  /** Asks the server whether it still allows this; nothing is lost by it. */
  verify(): void {
    if (this.phase === Phase.Live) this.ask();
  }

  /** A publication has come. */
  take(message: Message): void {
    // One of the subscription before: what comes behind the ack starts where it has to.
    if (this.phase !== Phase.Live) return;
    if (!this.isPattern) {
      this.place = message;
      for (const subscriber of this.subscribers) subscriber.take(message);
      return;
    }
    const place = this.places.get(message.topic);
    const missing = place === undefined ? undefined : missingBefore(place, message);
    if (missing === null) return;
    if (missing !== undefined) this.loseAll(missing);
    this.remember(message.topic, message);
    for (const subscriber of this.subscribers) subscriber.hand(message);
  }

  /** The server says that publications are not coming. */
  told({ topic, epoch, from, to, reason }: ToldGap): void {
    if (this.phase !== Phase.Live) return;
    const gap = { topic, epoch, from, to, reason };
    if (!this.isPattern) {
      if (this.place?.epoch !== epoch || this.place.offset < to) this.place = { epoch, offset: to };
      for (const subscriber of this.subscribers) subscriber.told(gap);
      return;
    }
    const place = this.places.get(topic);
    const told = { ...gap, pattern: this.name };
    const missing = place === undefined ? told : newPartOf(told, place);
    if (missing === undefined) return;
    this.remember(topic, { epoch, offset: to });
    this.loseAll(missing);
  }

  private loseAll(gap: Gap): void {
    for (const subscriber of this.subscribers) subscriber.lose(gap);
  }

  private remember(topic: string, place: Place): void {
    const { places } = this;
    places.delete(topic);
    places.set(topic, place);
    if (places.size <= MAX_PLACES) return;
    for (const oldest of places.keys()) return void places.delete(oldest);
  }

  private ask(): void {
    this.phase = Phase.Asked;
    this.mustAskAgain = false;
    const topic = this.name;
    const since = this.isPattern ? undefined : this.lowestPlace();
    const presence = [...this.subscribers].some(({ options }) => options.onPresence !== undefined);
    this.watches = presence;
    const command = { type: "subscribe", topic, ...since && { since }, ...presence && { presence } };
    this.forget = this.options.requests.control(
      command,
      (reply) => this.answered(reply, since),
      (error) => this.refused(error as MillraceError),
    );
  }

  /** Of those who are in the epoch of the topic, as far as that is known. */
  private lowestPlace(): Place | undefined {
    let lowest: Place | undefined;
    for (const { place } of this.subscribers) {
      if (place === undefined) continue;
      const isBetter = lowest === undefined ||
        (place.epoch === lowest.epoch ? place.offset < lowest.offset : place.epoch === this.place?.epoch);
      if (isBetter) lowest = place;
    }
    return lowest && { epoch: lowest.epoch, offset: lowest.offset };
  }

  private answered({ epoch, offset, recovered }: Reply, since: Place | undefined): void {
    this.phase = Phase.Live;
    this.options.backoff.reset();
    if (this.isPattern) {
      if (this.hasBeenLive) this.missedUnknown();
    } else this.settle({ epoch, offset }, since, recovered === true);
    this.hasBeenLive = true;
    for (const subscriber of this.subscribers) subscriber.subscribed();
    if (this.mustAskAgain && this.phase === Phase.Live) this.ask();
  }

  /** Patterns cannot be recovered. */
  private missedUnknown(): void {
    this.places.clear();
    this.loseAll({ topic: this.name, pattern: this.name, reason: GapReason.Disconnected });
  }

  /** The server is at a place; it sends what came between `since` and that if it has `recovered` it. */
  private settle(at: Place, since: Place | undefined, recovered: boolean): void {
    this.place = at;
    for (const subscriber of this.subscribers) {
      const { place } = subscriber;
      if (place === undefined) subscriber.place = at;
      else if (place.epoch !== at.epoch) {
        // What is kept of the new epoch can still be had.
        subscriber.startAfresh(at.epoch);
        this.mustAskAgain ||= at.offset > 0;
      } else if (recovered || place.offset >= at.offset) continue;
      else if (since?.epoch !== at.epoch || place.offset > since.offset) this.mustAskAgain = true;
      else subscriber.skipTo(at);
    }
  }

  private refused(error: MillraceError): void {
    this.phase = Phase.Off;
    if (passing.includes(error.code)) {
      const { clock, backoff } = this.options;
      this.cancel = clock.after(backoff.next(), () => this.ask());
      return;
    }
    for (const subscriber of [...this.subscribers]) subscriber.end(error);
  }
}

function ignore(): void {}
