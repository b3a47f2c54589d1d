/** What an application is handed: messages, their places, and what is known of those that are not coming. */

/** A publication's place in its topic. An epoch is the life of the topic's offsets; they grow by one in it. */
export interface Place {
  readonly epoch: string;
  readonly offset: number;
}

/** A publication. */
export interface Message<Data = unknown> extends Place {
  readonly topic: string;
  readonly data: Data;
  /** The pattern that was subscribed to, if it was one. */
  readonly pattern?: string;
  /** It was missed, and is handed out now. */
  readonly replayed?: true;
}

/** Why messages are not coming. */
export type GapReason =
  /** The server: this connection did not read fast enough. */
  | "slow"
  /** The history no longer reaches back to what was missed. */
  | "expired"
  /** The topic's offsets have started afresh; what is missing of the old epoch's end is not known. */
  | "epoch"
  /** An offset was left out, and the server has not said why. */
  | "skipped"
  /** Patterns cannot be recovered: what came while the line was cut, if anything did. */
  | "disconnected"
  /** The application did not take messages from its iterator fast enough. */
  | "consumer";

/** Messages that are not coming, told in their place between those that are. */
export interface Gap {
  /** Or a pattern, when it is not known which of its topics are concerned. */
  readonly topic: string;
  readonly pattern?: string;
  readonly reason: GapReason;
  /** The offsets `from` to `to`, both included, of this epoch; without them it is not known which, or whether any. */
  readonly epoch?: string;
  readonly from?: number;
  /** Below `from` when nothing of a new epoch is missing. */
  readonly to?: number;
}

/** Somebody in a topic; `user` is null for an anonymous connection. */
export interface Member {
  readonly user: string | null;
  readonly session: string;
}

/** Somebody's first connection came to a topic, or the last one went. */
export interface PresenceChange extends Member {
  readonly type: "join" | "leave";
  readonly topic: string;
}

/** Who is in a topic. */
export interface Presence {
  readonly count: number;
  readonly members: readonly Member[];
}

/** A part of a topic's history, oldest first; `epoch` and `offset` are the place of the topic itself. */
export interface History<Data = unknown> extends Place {
  readonly messages: readonly { readonly offset: number; readonly data: Data }[];
  /** Whether nothing is missing between `since` and the first message. */
  readonly complete: boolean;
}
