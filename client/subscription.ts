/**
 * One listener's view of a topic or pattern: each message once and in order from its own place on, and gaps in between.
 * How messages come here is its feed's matter.
 */
import { onAbort } from "./abort.ts";
import { guarded } from "./emitter.ts";
import { MillraceError } from "./errors.ts";
import type { Gap, GapReason, Message, Place, PresenceChange } from "./message.ts";
import type { SubscribeOptions } from "./options.ts";
import { hasSeen, missing } from "./place.ts";

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
  /** A gap, for everybody who wants to know. */
  readonly lost: (gap: Gap) => void;
  /** A listener has thrown. */
  readonly failed: (error: unknown) => void;
  /** It has ended: the server does not allow it, or nobody wants it any more. */
  readonly ended: (error: MillraceError | undefined) => void;
}

export interface Subscriber extends Subscription {
  readonly options: SubscriberOptions;
  /** The last one that was seen, or told to be missing; undefined until the server has said where the topic is. */
  place: Place | undefined;
  /** Ends it, once. */
  end(error?: MillraceError): void;
  subscribed(): void;
  /** Hands it out; one of a topic only if it is new here. */
  take(message: Message): void;
  /** Of a topic: everything up to an offset of an epoch is lost, as far as it has not been seen. */
  skip(epoch: string, to: number, reason: GapReason): void;
  lose(gap: Gap): void;
  changed(change: PresenceChange): void;
}

export function createSubscriber(topic: string, options: SubscriberOptions): Subscriber {
  const { listener, lost, failed, ended, since, signal, onGap, onError, onPresence, onSubscribed } = options;
  let hasEnded = false;
  let isReady: () => void;
  let isNeverReady: (error: unknown) => void;
  const ready = new Promise<void>((resolve, reject) => {
    isReady = resolve;
    isNeverReady = reject;
  });
  // Nobody need look at it.
  ready.catch(() => {});

  const tell = <Event>(to: ((event: Event) => void) | undefined, event: Event): void => {
    if (!hasEnded) guarded(to, event, failed);
  };
  const unsubscribe = (): void => subscriber.end();
  const forget = onAbort(signal, unsubscribe);
  const subscriber: Subscriber = {
    topic,
    options,
    ready,
    place: since,
    unsubscribe,
    end(error) {
      if (hasEnded) return;
      if (error) tell(onError, error);
      hasEnded = true;
      forget();
      isNeverReady(error ?? new MillraceError("closed", "It has ended."));
      ended(error);
    },
    subscribed() {
      isReady();
      tell(onSubscribed, undefined);
    },
    take(message) {
      const { epoch, offset, pattern } = message;
      const { place } = subscriber;
      if (!pattern) {
        if (hasSeen(place, message)) return;
        if (place?.epoch !== epoch || offset !== place.offset + 1) {
          subscriber.skip(epoch, offset - 1, "skipped");
        }
        subscriber.place = message;
      }
      tell(listener, message);
    },
    skip(epoch, to, reason) {
      const gap = missing(subscriber.place, { topic, epoch }, to, reason);
      if (!gap) return;
      subscriber.place = { epoch, offset: to };
      subscriber.lose(gap);
    },
    lose(gap) {
      tell(onGap, gap);
      tell(lost, gap);
    },
    changed: (change) => tell(onPresence, change),
  };
  return subscriber;
}
