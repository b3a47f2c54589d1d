/**
 * A subscription as an async iterator. Its buffer is bounded: the oldest of what a slow consumer leaves there are left
 * out, and told as a gap when the consumer comes to that place.
 */
import type { MillraceError } from "./errors.ts";
import type { Gap, Message } from "./message.ts";
import { missing } from "./place.ts";
import type { Subscription } from "./subscription.ts";

/** Messages one after the other. Leaving the loop ends the subscription, whose end ends the loop. */
export interface MessageStream<Data = unknown> extends AsyncIterableIterator<Message<Data>> {
  /** As that of {@link Subscription}. */
  readonly ready: Promise<void>;
  /** Ends the subscription; nothing more comes. */
  return(): Promise<IteratorResult<Message<Data>, undefined>>;
}

export interface StreamOptions {
  /** Subscribes: told each message, and the end. */
  readonly subscribe: (
    listener: (message: Message) => void,
    ended: (error: MillraceError | undefined) => void,
  ) => Subscription;
  /** How many messages wait for the consumer. */
  readonly limit: number;
  /** The consumer has come to a place where messages were left out. */
  readonly lost: (gap: Gap) => void;
}

const done: IteratorResult<Message, undefined> = { done: true, value: undefined };

export function createStream({ subscribe, limit, lost }: StreamOptions): MessageStream {
  const waiting: Message[] = [];
  const consumers: (() => void)[] = [];
  /** Left out before what waits. */
  let first: Message | undefined;
  let last: Message | undefined;
  let hasEnded = false;
  let error: MillraceError | undefined;

  const push = (message: Message): void => {
    if (waiting.push(message) > limit) {
      last = waiting.shift();
      first ??= last;
    }
    consumers.shift()?.();
  };
  const { ready, unsubscribe } = subscribe(push, (reason) => {
    hasEnded = true;
    error = reason;
    for (const wake of consumers.splice(0)) wake();
  });
  return {
    ready,
    [Symbol.asyncIterator]() {
      return this;
    },
    async next() {
      while (waiting.length === 0 && !hasEnded) await new Promise<void>((resolve) => consumers.push(resolve));
      if (first && last !== undefined) {
        const { epoch, offset, pattern } = first;
        // Of a pattern, several topics may be concerned.
        const gap = !pattern
          ? missing({ epoch, offset: offset - 1 }, last, last.offset, "consumer")
          : { topic: pattern, pattern, reason: "consumer" as const };
        if (gap) lost(gap);
      }
      first = undefined;
      const value = waiting.shift();
      if (value) return { value };
      const reason = error;
      error = undefined;
      if (reason) throw reason;
      return done;
    },
    return() {
      unsubscribe();
      waiting.length = 0;
      return Promise.resolve(done);
    },
  };
}
