/**
 * How many messages and bytes a peer may send: one pair of buckets for its connection, one that it shares with the
 * other connections of its user, and the patience with a connection that goes on regardless.
 * It knows neither messages nor close codes: it is given sizes and times and answers with a verdict.
 */
import { assertRate, microseconds, type Rate, refilled, UNITS_PER_TOKEN, waitForMs } from "./token_bucket.ts";

/** The rates of a pair of buckets; undefined for no limit. One object is shared by all who keep to the same rates. */
export interface MessageRates {
  readonly messages: Rate | undefined;
  readonly bytes: Rate | undefined;
}

/** What {@link MessageGuard.admit} decides about a message. */
export const Verdict = {
  Admitted: 0,
  /** The message is not to be processed; the connection goes on. */
  Refused: 1,
  /** Neither, and there have been too many refusals: the connection is to be closed with 4009. */
  Exhausted: 2,
} as const;
export type Verdict = typeof Verdict[keyof typeof Verdict];

/**
 * A bucket for messages and one for bytes, exact as {@link TokenBucket} is: they are always refilled together and so
 * share the time of it. Full at first.
 */
export class MessageBuckets {
  readonly rates: MessageRates;
  // NaN for the same reason as in TokenBucket. A bucket without a rate holds Infinity.
  private messageUnits = NaN;
  private byteUnits = NaN;
  private filledUs = NaN;

  /** @throws {RangeError} when a rate is not within its bounds */
  constructor(rates: MessageRates, nowMs: number) {
    const { messages, bytes } = rates;
    assertRate(messages);
    assertRate(bytes);
    this.rates = rates;
    this.messageUnits = (messages?.burst ?? Infinity) * UNITS_PER_TOKEN;
    this.byteUnits = (bytes?.burst ?? Infinity) * UNITS_PER_TOKEN;
    // Without any rate it is never time to refill.
    this.filledUs = messages === undefined && bytes === undefined ? Infinity : microseconds(nowMs);
  }

  /** Whether a message of this many bytes may pass now. */
  fits(bytes: number, nowMs: number): boolean {
    this.refill(nowMs);
    return this.messageUnits >= UNITS_PER_TOKEN && this.byteUnits >= bytes * UNITS_PER_TOKEN;
  }

  /** Takes what {@link fits} has found to be there. */
  spend(bytes: number): void {
    this.messageUnits -= UNITS_PER_TOKEN;
    this.byteUnits -= bytes * UNITS_PER_TOKEN;
  }

  /** Whole milliseconds until a message of this many bytes fits: 0 if it does, Infinity if its size is above the burst. */
  waitMs(bytes: number, nowMs: number): number {
    this.refill(nowMs);
    const rates = this.rates;
    return Math.max(
      rates.messages === undefined ? 0 : waitForMs(rates.messages, this.messageUnits, 1),
      rates.bytes === undefined ? 0 : waitForMs(rates.bytes, this.byteUnits, bytes),
    );
  }

  /** Full buckets are as good as new ones, and need not be kept. */
  isFull(nowMs: number): boolean {
    this.refill(nowMs);
    const { messages, bytes } = this.rates;
    return (messages === undefined || waitForMs(messages, this.messageUnits, messages.burst) === 0) &&
      (bytes === undefined || waitForMs(bytes, this.byteUnits, bytes.burst) === 0);
  }

  private refill(nowMs: number): void {
    const nowUs = microseconds(nowMs);
    const elapsedUs = nowUs - this.filledUs;
    if (!(elapsedUs > 0)) return;
    this.filledUs = nowUs;
    const { messages, bytes } = this.rates;
    if (messages !== undefined) this.messageUnits = refilled(messages, this.messageUnits, elapsedUs);
    if (bytes !== undefined) this.byteUnits = refilled(bytes, this.byteUnits, elapsedUs);
  }
}

/**
 * What stands between a connection and its messages; made for its first one. A message passes when it fits into the
 * connection's buckets and into those of its user, and takes from all of them or from none.
 *
 * A refused message is taken from the patience with the connection, a pair of buckets with the same rates: who never
 * sends faster than these is never exhausted, however much the other connections of the user send.
 */
export class MessageGuard extends MessageBuckets {
  /** The buckets that the connections of a user share; set once the user is known. */
  user: MessageBuckets | undefined;
  private patience: MessageBuckets | undefined;

  /** @throws {RangeError} when a rate is not within its bounds */
  constructor(rates: MessageRates, user: MessageBuckets | undefined, nowMs: number) {
    super(rates, nowMs);
    this.user = user;
    this.patience = undefined;
  }

  /** Decides about a message of `bytes` bytes that has come at `nowMs`, monotonic milliseconds. */
  admit(bytes: number, nowMs: number): Verdict {
    const user = this.user;
    if (!this.fits(bytes, nowMs) || (user !== undefined && !user.fits(bytes, nowMs))) {
      return this.refuse(bytes, nowMs);
    }
    this.spend(bytes);
    if (user !== undefined) user.spend(bytes);
    return Verdict.Admitted;
  }

  /** After a refusal: whole milliseconds until the same message would pass if nothing else came; Infinity for never. */
  retryAfterMs(bytes: number, nowMs: number): number {
    return Math.max(this.waitMs(bytes, nowMs), this.user?.waitMs(bytes, nowMs) ?? 0);
  }

  private refuse(bytes: number, nowMs: number): Verdict {
    this.patience ??= new MessageBuckets(this.patienceRates(), nowMs);
    // A message that can never pass is refused like others at first: it costs all of the patience there can be.
    const bytesCharged = Math.min(bytes, this.patience.rates.bytes?.burst ?? bytes);
    if (!this.patience.fits(bytesCharged, nowMs)) return Verdict.Exhausted;
    this.patience.spend(bytesCharged);
    return Verdict.Refused;
  }

  /** A limit that only the user has bounds the patience too: there must be an end to it. */
  private patienceRates(): MessageRates {
    const { rates, user } = this;
    return { messages: rates.messages ?? user?.rates.messages, bytes: rates.bytes ?? user?.rates.bytes };
  }
}
