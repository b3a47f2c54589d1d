/**
 * How a server is spoken to inside WebSocket messages: what is said after the upgrade, what a message looks like that
 * carries data, and what arrives for it. It must never know a connection's bytes nor when to send.
 */
import type { Buffer } from "node:buffer";

/** Where a subscriber's counting starts: the acknowledgement of its `subscribe`. */
export interface Subscription {
  epoch: unknown;
  offset: number;
}

/** A connection, as far as its greeting goes. */
export interface Greeter {
  /** What it is to be subscribed to; undefined for the workloads without topics. */
  readonly topic: string | undefined;
  subscription: Subscription | undefined;
}

/** What a server says among the messages that carry data. */
export type Remark =
  | { readonly kind: "data" }
  | { readonly kind: "refusal"; readonly code: string; readonly retryAfterMs: number | undefined }
  | { readonly kind: "gap"; readonly missed: number; readonly reason: string }
  | { readonly kind: "other"; readonly type: string };

export interface Dialect {
  /** Path and query of the WebSocket; `path` is that of the server's URL. */
  target(path: string, topic: string | undefined): string;
  readonly subprotocol: string | undefined;
  /** Whether messages are binary frames; undefined where the workload says so. */
  readonly binary: boolean | undefined;
  /**
   * Set where messages follow each other without regard to frames, all of one size: what the server may put between them
   * at any time.
   */
  readonly interjection: Uint8Array | undefined;
  /** Said after the upgrade, without waiting for anything. */
  hello(greeter: Greeter): Buffer | undefined;
  /**
   * Called for every message until it answers true: the first message may be sent. `step` counts from 0. Throws an Error
   * when the server says something else than it should.
   */
  greeted(step: number, payload: Buffer, greeter: Greeter, say: (message: Buffer) => void): boolean;
  /** Whether the server speaks before the first message may be sent. */
  isGreeted(greeter: Greeter): boolean;
  /** The message that publishes `data` to `topic`; without a topic, the one that asks for its echo. */
  sent(data: Buffer, topic: string | undefined): Buffer;
  /** The message that arrives for it; undefined when that is not always the same: `check` is asked. */
  readonly arriving: ((data: Buffer, topic: string | undefined) => Buffer) | undefined;
  /** What messages that carry data begin with, as far as is known; undefined where no others come. */
  prefix(topic: string | undefined): Uint8Array | undefined;
  /** What a message is that need not carry data. Throws an Error when it cannot be read. */
  remark(payload: Uint8Array, topic: string | undefined): Remark;
  /** Throws an Error when `payload` is not what has to arrive as number `sequence` for `data`. */
  check(payload: Buffer, data: Buffer, sequence: number, greeter: Greeter): void;
}

/** The members that most have in common. */
export const plain: Omit<Dialect, "sent" | "arriving"> = {
  target: (path) => path,
  subprotocol: undefined,
  binary: undefined,
  interjection: undefined,
  hello: () => undefined,
  greeted: () => true,
  isGreeted: () => false,
  prefix: () => undefined,
  remark: () => ({ kind: "data" }),
  check() {},
};
