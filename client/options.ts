/** What a client can be told: every option, its unit and its default. */
import type { Clock } from "./clock.ts";
import type { MillraceError } from "./errors.ts";
import type { Format } from "./format.ts";
import type { Gap, Place, PresenceChange } from "./message.ts";
import type { WakeSource } from "./wake.ts";

/** The part of the WHATWG WebSocket that this client uses; `ws` on Node has it too. */
export interface WebSocketLike {
  binaryType: string;
  readonly readyState: number;
  onopen: ((event: never) => void) | null;
  onmessage: ((event: never) => void) | null;
  onclose: ((event: never) => void) | null;
  onerror: ((event: never) => void) | null;
  send(data: string | Uint8Array<ArrayBuffer>): void;
  close(code?: number, reason?: string): void;
}

/** A WebSocket class. */
export type WebSocketConstructor = new (url: string, protocols: string) => WebSocketLike;

/** What to do with a command when the queue is full. */
export type WhenFull =
  /** The new one is rejected with `queue_full`. */
  | "reject"
  /** The one that waits longest is, and the new one waits. */
  | "drop-oldest";

/** Why the token callback is called: for a connection, or because the present token runs out. */
export type TokenReason = "connect" | "refresh";

export interface ClientOptions {
  /** `ws:` or `wss:`. A function is asked before each attempt, for a node to be chosen or a fresh `?token=`. */
  readonly url: string | (() => string | Promise<string>);
  /**
   * The token for the `auth` message, asked for each connection whose handshake has brought none, and before the
   * present token runs out. When it fails, `error` says so and it is asked again, with growing waits.
   */
  readonly token?: (reason: TokenReason, signal: AbortSignal) => string | Promise<string>;
  /** JSON unless told otherwise; see `@millrace/client/msgpack`. */
  readonly format?: Format;
  /** The runtime's own unless told otherwise. Node 20 has none: give it that of `ws`. */
  readonly WebSocket?: WebSocketConstructor;
  /** Ends the client at once, without flushing. */
  readonly signal?: AbortSignal;
  /** Between attempts: a random wait up to `minMs`, doubled with each failure, to `maxMs`. 500 and 30 000. */
  readonly backoff?: { readonly minMs?: number; readonly maxMs?: number };
  /** From the attempt to the server's `welcome`, and to its answer to `auth`. 10 000. */
  readonly connectTimeoutMs?: number;
  /** A line silent for `idleMs` is asked; one that then says nothing for `timeoutMs` is dead. 25 000 and 10 000. */
  readonly heartbeat?: { readonly idleMs?: number; readonly timeoutMs?: number };
  /** How many commands may wait to be sent, and what happens to one more. 1 000 and `reject`. */
  readonly queue?: { readonly limit?: number; readonly whenFull?: WhenFull };
  /**
   * Whether publications whose reply was lost with the line are sent again. They may then be stored twice; without it
   * they are rejected with `unknown_outcome`. False.
   */
  readonly repeat?: boolean;
  /** For tests. */
  readonly clock?: Clock;
  /** For tests: a number from 0 up to 1. */
  readonly random?: () => number;
  /** Where to hear that the machine is online, the page visible or back; the page's own. `null` listens to nothing. */
  readonly wake?: WakeSource | null;
}

/** What may be said of a subscription. */
export interface SubscribeOptions {
  /** Ends the subscription. */
  readonly signal?: AbortSignal;
  /** Everything after this place, as far as the history reaches; else what comes from now on. Not with a pattern. */
  readonly since?: Place;
  /** Who comes and goes. Not with a pattern. */
  readonly onPresence?: (change: PresenceChange) => void;
  /** Messages that are not coming, in their order between those that are. */
  readonly onGap?: (gap: Gap) => void;
  /** The server has taken the subscription: at first, and again on each new connection. */
  readonly onSubscribed?: () => void;
  /** The server does not allow the subscription: it has ended. Without this, the client's `error` says so. */
  readonly onError?: (error: MillraceError) => void;
}

export interface MessagesOptions extends SubscribeOptions {
  /** How many messages wait for the consumer; of more the oldest are left out, with a gap. 1 000. */
  readonly bufferLimit?: number;
}

/** What may be said of a command. */
export interface CommandOptions {
  /** Takes it back if it has not been sent; else only its outcome is not waited for. */
  readonly signal?: AbortSignal;
}

export interface PublishOptions extends CommandOptions {
  /** As the client's option `repeat`, for this one. */
  readonly repeat?: boolean;
}

export interface HistoryOptions extends CommandOptions {
  /** Everything after this place. */
  readonly since?: Place;
  /** The most messages: 1 to 1000, else 100. */
  readonly limit?: number;
}

export interface CloseOptions {
  /** How long what has been asked for may take to be sent and answered. 5 000; 0 flushes nothing. */
  readonly flushMs?: number;
  /** Ends the flushing. */
  readonly signal?: AbortSignal;
}
