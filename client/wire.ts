/** What the server says, as far as this client understands it: docs/protocol.md. Types only; nothing here is checked. */
import type { Member, Message, Place, PresenceChange } from "./message.ts";

/** First on every connection. */
export interface Welcome {
  readonly type: "welcome";
  readonly session: string;
  readonly node: string;
  readonly maxMessageBytes: number;
  readonly authRequired: boolean;
}

/** An answer to the command with this id. */
export interface Reply extends Place {
  readonly type: "ack" | "history" | "presence" | "pong";
  readonly id: number;
  readonly recovered?: boolean;
  readonly sent?: number;
  /** Seconds since 1970. */
  readonly expiresAt?: number;
  readonly messages?: readonly { readonly offset: number; readonly data: unknown }[];
  readonly complete?: boolean;
  readonly count?: number;
  readonly members?: readonly Member[];
}

export interface Refusal {
  readonly type: "error";
  readonly id?: number;
  readonly code: string;
  readonly message: string;
  readonly retryAfterMs?: number | null;
}

export interface ToldGap {
  readonly type: "gap";
  readonly topic: string;
  readonly pattern?: string;
  readonly epoch: string;
  readonly from: number;
  readonly to: number;
  readonly reason: "slow" | "expired";
}

export type ServerEvent =
  | Welcome
  | Reply
  | Refusal
  | ToldGap
  | Message & { readonly type: "message" }
  | PresenceChange
  | { readonly type: "broadcast"; readonly data: unknown }
  | { readonly type: "drain"; readonly reconnectAfterMs: number };
