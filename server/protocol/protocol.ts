/**
 * The wire protocol, version 1: what clients may ask, what the server says, and what a format has to do. It knows
 * nothing of sockets and topics' subscribers; bytes become a command here, and an event becomes bytes.
 */
import type { Message } from "../engine.ts";

/** What a client calls its command, so that it knows the reply: a string of up to 64 characters, or an integer. */
export type CommandId = string | number;

export const MAX_ID_LENGTH = 64;

/** A publication's place in its topic, as clients and server tell each other. */
export interface Place {
  readonly epoch: string;
  readonly offset: number;
}

/** Somebody in a topic; nobody knows the user of an anonymous connection. */
export interface Presence {
  readonly user: string | null;
  readonly session: string;
}

/** A valid command. */
export type Command =
  | { readonly type: "auth"; readonly id: CommandId | undefined; readonly token: string }
  | {
    readonly type: "subscribe";
    readonly id: CommandId | undefined;
    /** Or a pattern. */
    readonly topic: string;
    readonly since: Place | undefined;
    readonly presence: boolean;
  }
  | { readonly type: "unsubscribe"; readonly id: CommandId | undefined; readonly topic: string }
  | {
    readonly type: "publish";
    readonly id: CommandId | undefined;
    readonly topic: string;
    readonly data: unknown;
  }
  | {
    readonly type: "history";
    readonly id: CommandId | undefined;
    readonly topic: string;
    readonly since: Place | undefined;
    /** The most messages to send. */
    readonly limit: number;
  }
  | { readonly type: "presence"; readonly id: CommandId | undefined; readonly topic: string }
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
    /** Whether nothing is missing since the place that `since` named. */
    readonly recovered?: boolean;
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
    /** The pattern whose subscribers this is for. */
    readonly pattern?: string;
    /** Missed, and sent now. */
    readonly replayed?: true;
  }
  | { readonly type: "broadcast"; readonly data: unknown }
  | {
    readonly type: "gap";
    readonly topic: string;
    readonly epoch: string;
    readonly from: number;
    readonly to: number;
    /** The connection was too slow, or the history no longer holds them. */
    readonly reason: "slow" | "expired";
    readonly pattern?: string;
  }
  | ({ readonly type: "join" | "leave"; readonly topic: string } & Presence)
  | ({
    readonly type: "history";
    readonly id: CommandId;
    readonly topic: string;
    readonly messages: readonly { readonly offset: number; readonly data: unknown }[];
    /** Whether nothing is missing between `since` and the first message. */
    readonly complete: boolean;
  } & Place)
  | {
    readonly type: "presence";
    readonly id: CommandId;
    readonly topic: string;
    readonly count: number;
    readonly members: readonly Presence[];
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
