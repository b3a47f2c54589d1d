/**
 * One subscription at the server, which serves all subscribers of its topic or pattern here. It asks for what they have
 * missed, lowest place first, and tells each what is not coming.
 */
import type { Backoff } from "./backoff.ts";
import type { Clock } from "./clock.ts";
import type { MillraceError } from "./errors.ts";
import type { Gap, Message, Place } from "./message.ts";
import { hasSeen, missing } from "./place.ts";
import type { Requests } from "./requests.ts";
import type { Subscriber } from "./subscription.ts";
import { isPattern, matches } from "./topics.ts";
import type { Reply, ToldGap } from "./wire.ts";

/** Of how many topics a pattern's last offset is known: a loss in others is seen when the server tells. */
const MAX_PLACES = 1_000;
/** What may work another time. */
const passing = ["broker_unavailable", "internal"];

export interface FeedOptions {
  readonly name: string;
  readonly requests: Requests;
  readonly clock: Clock;
  readonly backoff: Backoff;
}

export interface Feed {
  readonly subscribers: ReadonlySet<Subscriber>;
  add(subscriber: Subscriber): void;
  /** @returns whether it was the last */
  remove(subscriber: Subscriber): boolean;
  /** There is a line now, or none any more. */
  online(isOnline: boolean): void;
  /** Asks the server whether it still allows this; nothing is lost by it. */
  verify(): void;
  /** A publication has come. */
  take(message: Message): void;
  /** The server says that publications are not coming: those of other topics, too. */
  told(gap: ToldGap): void;
}

type Phase = "off" | "asked" | "live";

export function createFeed({ name, requests, clock, backoff }: FeedOptions): Feed {
  const isWild = isPattern(name);
  const subscribers = new Set<Subscriber>();
  let phase: Phase = "off";
  /** Whether there is a line to ask on. */
  let isOnline = false;
  /** Whether the present subscription is not what is needed any more. */
  let mustAskAgain = false;
  let watches = false;
  let hasBeenLive = false;
  /** Of the topic, as far as it has been heard here. */
  let here: Place | undefined;
  /** Of a pattern's topics, the one that was heard of last at the end. */
  const places = new Map<string, Place>();
  let forget: () => boolean;
  let cancel = (): void => {};

  const loseAll = (gap: Gap | undefined): void => {
    if (gap) { for (const subscriber of subscribers) subscriber.lose(gap); }
  };

  /** Of one of a pattern's topics. */
  const remember = (topic: string, place: Place): void => {
    places.delete(topic);
    places.set(topic, place);
    if (places.size > MAX_PLACES) places.delete(places.keys().next().value as string);
  };

  /** Of those who are in the epoch of the topic, as far as that is known. */
  const lowestPlace = (): Place | undefined => {
    let lowest: Place | undefined;
    for (const { place } of subscribers) {
      if (!place) continue;
      const isBetter = place.epoch === lowest?.epoch
        ? place.offset < lowest.offset
        : place.epoch === here?.epoch;
      if (!lowest || isBetter) lowest = place;
    }
    return lowest;
  };

  const ask = (): void => {
    phase = "asked";
    mustAskAgain = false;
    watches = [...subscribers].some(({ options }) => options.onPresence);
    const place = lowestPlace();
    const since = place && { epoch: place.epoch, offset: place.offset };
    forget = requests.control(
      { type: "subscribe", topic: name, ...since && { since }, ...watches && { presence: true } },
      (reply) => answered(reply, since),
      refused,
    );
  };

  const answered = (reply: Reply, since: Place | undefined): void => {
    phase = "live";
    backoff.reset();
    if (!isWild) settle(reply, since);
    else if (hasBeenLive) {
      // Patterns cannot be recovered.
      places.clear();
      loseAll({ topic: name, pattern: name, reason: "disconnected" });
    }
    hasBeenLive = true;
    for (const subscriber of subscribers) subscriber.subscribed();
    if (mustAskAgain && phase === "live") ask();
  };

  /** The server is at a place; it sends what came between `since` and that if it has `recovered` it. */
  const settle = ({ epoch, offset, recovered }: Reply, since: Place | undefined): void => {
    here = { epoch, offset };
    for (const subscriber of subscribers) {
      const { place } = subscriber;
      if (!place) subscriber.place = here;
      else if (place.epoch !== epoch) {
        // What is kept of the new epoch can still be had.
        subscriber.skip(epoch, 0, "epoch");
        mustAskAgain ||= offset > 0;
      } else if (recovered || place.offset >= offset) continue;
      // It was not asked for: another had a lower place.
      else if (since?.epoch !== epoch || place.offset > since.offset) mustAskAgain = true;
      else subscriber.skip(epoch, offset, "expired");
    }
  };

  const refused = (error: MillraceError): void => {
    phase = "off";
    if (passing.includes(error.code)) cancel = clock.after(backoff.next(), ask);
    else for (const subscriber of [...subscribers]) subscriber.end(error);
  };

  const online = (is: boolean): void => {
    isOnline = is;
    phase = "off";
    cancel();
    if (is) ask();
  };

  return {
    subscribers,
    add(subscriber) {
      subscribers.add(subscriber);
      const { since, onPresence } = subscriber.options;
      const needsMore = since !== undefined || (onPresence !== undefined && !watches);
      if (phase === "asked") mustAskAgain ||= needsMore;
      else if (phase === "live" && !needsMore) {
        subscriber.place = here;
        subscriber.subscribed();
      } else if (isOnline) {
        subscriber.place ??= here;
        cancel();
        ask();
      }
    },
    remove(subscriber) {
      if (!subscribers.delete(subscriber) || subscribers.size > 0) return false;
      const wasAsked = phase === "live" || (phase === "asked" && forget());
      online(false);
      if (wasAsked) requests.control({ type: "unsubscribe", topic: name }, () => {}, () => {});
      return true;
    },
    online,
    verify() {
      if (phase === "live") ask();
    },
    take(message) {
      // One of the subscription before: what comes behind the ack starts where it has to.
      if (phase !== "live") return;
      if (!isWild) here = message;
      else {
        const { topic, offset } = message;
        const place = places.get(topic);
        if (hasSeen(place, message)) return;
        loseAll(missing(place, message, offset - 1, "skipped"));
        remember(topic, message);
      }
      for (const subscriber of subscribers) subscriber.take(message);
    },
    told({ topic, epoch, from, to, reason, pattern }) {
      // Whoever was too slow is told once for the topic and all of its patterns.
      const isMeant = !pattern ? topic === name || (isWild && matches(name, topic)) : pattern === name;
      if (phase !== "live" || !isMeant) return;
      const at = { topic, epoch, offset: to };
      if (!isWild) {
        if (!hasSeen(here, at)) here = at;
        for (const subscriber of subscribers) subscriber.skip(epoch, to, reason);
        return;
      }
      const place = places.get(topic);
      if (hasSeen(place, at)) return;
      loseAll(missing(place ?? { epoch, offset: from - 1 }, { topic, epoch, pattern: name }, to, reason));
      remember(topic, at);
    },
  };
}
