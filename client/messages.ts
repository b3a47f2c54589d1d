/**
 * A subscription as an async iterator. Its buffer is bounded: what a slow consumer leaves there too long is left out,
 * and told as a gap when the consumer comes to that place.
 */
import { type Gap, GapReason, type Message } from "./message.ts";
import { Overflow } from "./options.ts";
import type { Subscription } from "./subscription.ts";

/** A message out of an iterator. */
export interface StreamedMessage<Data = unknown> extends Message<Data> {
  /** What is missing just before this one. */
  readonly gap?: Gap;
}

/** Messages one after the other. Leaving the loop ends the subscription, whose end ends the loop. */
export interface MessageStream<Data = unknown> extends AsyncIterableIterator<StreamedMessage<Data>> {
  /** As that of {@link Subscription}. */
  readonly ready: Promise<void>;
  /** Ends the subscription; nothing more comes. */
  return(): Promise<IteratorResult<StreamedMessage<Data>, undefined>>;
}

export interface StreamOptions {
  readonly limit: number;
  readonly overflow: Overflow;
  /** The consumer has come to a place where messages were left out. */
  readonly lost: (gap: Gap) => void;
}

type Result = IteratorResult<StreamedMessage, undefined>;

interface Waiter {
  readonly resolve: (result: Result) => void;
  readonly reject: (error: unknown) => void;
}

const done: Result = { done: true, value: undefined };

export class Stream implements MessageStream {
  /** Set at once by who makes it. */
  subscription!: Subscription;
  private readonly options: StreamOptions;
  private readonly waiting: StreamedMessage[] = [];
  private readonly consumers: Waiter[] = [];
  /** Left out before the first that waits, and behind the last. */
  private headGap: Gap | undefined = undefined;
  private tailGap: Gap | undefined = undefined;
  private hasEnded = false;
  private error: unknown = undefined;

  constructor(options: StreamOptions) {
    this.options = options;
  }

  get ready(): Promise<void> {
    return this.subscription.ready;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<Result> {
    return new Promise((resolve, reject) => {
      const message = this.waiting.shift();
      if (message !== undefined) resolve({ value: this.taken(message) });
      else if (!this.hasEnded) this.consumers.push({ resolve, reject });
      else if (this.error === undefined) resolve(done);
      else {
        reject(this.error);
        this.error = undefined;
      }
    });
  }

  return(): Promise<Result> {
    this.waiting.length = 0;
    this.subscription.unsubscribe();
    return Promise.resolve(done);
  }

  push(message: Message): void {
    const { limit, overflow } = this.options;
    const isFull = this.waiting.length >= limit;
    if (isFull && overflow === Overflow.DropNewest) return this.missing(leftOut(message));
    if (isFull) {
      const oldest = this.waiting.shift() as StreamedMessage;
      this.headGap = together(this.headGap, together(oldest.gap, leftOut(oldest)));
    }
    const streamed = this.tailGap === undefined ? message : { ...message, gap: this.tailGap };
    this.tailGap = undefined;
    const consumer = this.consumers.shift();
    if (consumer === undefined) this.waiting.push(streamed);
    else consumer.resolve({ value: this.taken(streamed) });
  }

  /** Something is missing behind the last one. */
  missing(gap: Gap): void {
    this.tailGap = together(this.tailGap, gap);
  }

  /** The subscription has. What waits can still be taken. */
  end(error: unknown): void {
    this.hasEnded = true;
    this.error = error;
    const [first, ...others] = this.consumers.splice(0);
    if (error === undefined) first?.resolve(done);
    else if (first !== undefined) {
      this.error = undefined;
      first.reject(error);
    }
    for (const { resolve } of others) resolve(done);
  }

  private taken(message: StreamedMessage): StreamedMessage {
    const gap = together(this.headGap, message.gap);
    this.headGap = undefined;
    if (gap === undefined) return message;
    if (gap.reason === GapReason.Consumer) this.options.lost(gap);
    return { ...message, gap };
  }
}

function leftOut({ topic, pattern, epoch, offset }: Message): Gap {
  return {
    ...{ topic, reason: GapReason.Consumer, epoch, from: offset, to: offset },
    ...pattern !== undefined && { pattern },
  };
}

/** Two gaps with nothing between them as one; without offsets when those do not go together. */
function together(first: Gap | undefined, second: Gap | undefined): Gap | undefined {
  if (first === undefined || second === undefined) return first ?? second;
  const reason = first.reason === GapReason.Consumer ? first.reason : second.reason;
  if (first.topic === second.topic && first.epoch === second.epoch && first.from !== undefined) {
    return { ...second, reason, from: first.from };
  }
  const { topic, pattern } = second;
  return { topic: pattern ?? topic, ...pattern !== undefined && { pattern }, reason };
}
