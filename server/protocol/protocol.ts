/**
 * The wire protocol, version 1: what clients may ask, what the server says, and what a format has to do. It knows
 * nothing of sockets and topics' subscribers; bytes become a command here, and an event becomes bytes.
 */
import type { Message } from "../engine.ts";

/** What a client calls its command, so that it knows the reply: a string of up to 64 characters, or an integer. */
export type CommandId = string | number;

export const MAX_ID_LENGTH = 64;

/** A valid command. */
export type Command =
  | { readonly type: "auth"; readonly id: CommandId | undefined; readonly token: string }
  | { readonly type: "subscribe"; readonly id: CommandId | undefined; readonly topic: string }
  | { readonly type: "unsubscribe"; readonly id: CommandId | undefined; readonly topic: string }
  | {
    readonly type: "publish";
    readonly id: CommandId | undefined;
    readonly topic: string;
    readonly data: unknown;
  }
  | { readonly type: "broadcast"; readonly id: CommandId | undefined; readonly data: unknown }
  | { readonly type: "echo"; readonly id: CommandId | undefined; readonly data: unknown }
  | { readonly type: "ping"; readonly id: CommandId | undefined };

/** Why a command failed. */
export const ErrorCode = {
  InvalidJson: "invalid_json",
  InvalidMessage: "invalid_message",
  UnknownType: "unknown_type",
  Unauthorized: "unauthorized",
  Forbidden: "forbidden",
  RateLimited: "rate_limited",
  InvalidTopic: "invalid_topic",
  TooManyTopics: "too_many_topics",
  MessageTooLarge: "message_too_large",
  NotSubscribed: "not_subscribed",
  BrokerUnavailable: "broker_unavailable",
  Internal: "internal",
} as const;
export type ErrorCode = typeof ErrorCode[keyof typeof ErrorCode];

/** What the server says. Fields that are undefined are not sent. */
export type ServerEvent =
  | {
    readonly type: "welcome";
    readonly session: string;
    readonly node: string;
    readonly format: string;
    readonly heartbeatSeconds: number;
    readonly maxMessageBytes: number;
    readonly authRequired: boolean;
  }
  | {
    readonly type: "ack";
    readonly id: CommandId;
    readonly topic?: string;
    readonly epoch?: string;
    readonly offset?: number;
    readonly sent?: number;
    readonly user?: string;
    /** Seconds since 1970, as in the token. */
    readonly expiresAt?: number;
  }
  | {
    readonly type: "message";
    readonly topic: string;
    readonly data: unknown;
    readonly offset: number;
    readonly epoch: string;
  }
  | { readonly type: "broadcast"; readonly data: unknown }
  | {
    readonly type: "gap";
    readonly topic: string;
    readonly from: number;
    readonly to: number;
    readonly reason: "slow";
  }
  | { readonly type: "drain"; readonly reconnectAfterMs: number; readonly deadlineMs: number }
  | {
    readonly type: "error";
    readonly id?: CommandId;
    readonly code: ErrorCode;
    readonly message: string;
    /** When the command would be accepted. */
    readonly retryAfterMs?: number;
  }
  | { readonly type: "pong"; readonly id?: CommandId }
  | { readonly type: "echo"; readonly id?: CommandId; readonly data: unknown };

/** A message of a client that cannot be carried out; `message` says what was wrong and what would be right. */
export class CommandError extends Error {
  override readonly name = "CommandError";
  readonly code: ErrorCode;
  readonly id: CommandId | undefined;

  constructor(code: ErrorCode, message: string, id?: CommandId) {
    super(message);
    this.code = code;
    this.id = id;
  }
}

/** One way to write the same messages: a WebSocket subprotocol. */
export interface Format {
  readonly name: string;
  readonly subprotocol: string;
  /** Whether a message has the frame kind of this format. */
  accepts(message: Message): boolean;
  /**
   * The value that a client's message stands for, of any shape.
   * @throws {CommandError} when it stands for none
   */
  decode(message: Message): unknown;
  /** Encodes once; the same message serves every connection of this format. */
  encode(event: ServerEvent): Message;
}
