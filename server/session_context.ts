/** What a session is made of and works with: what all of a server share, and what the gate has found out about one. */
import type { Access, AccessControl } from "./access.ts";
import type { Clock } from "./clock.ts";
import type { Watching } from "./dashboard/watching.ts";
import type { Deadlines } from "./deadlines.ts";
import type { Heartbeat } from "./heartbeat.ts";
import type { Hub } from "./hub/hub.ts";
import type { Place } from "./limits/connections.ts";
import type { MessageRates } from "./limits/message_guard.ts";
import type { SlowConsumers } from "./limits/slow_consumers.ts";
import type { Counters } from "./observe/counters.ts";
import type { Log } from "./observe/log.ts";
import type { Options } from "./options.ts";
import type { Format } from "./protocol/protocol.ts";
import type { Session } from "./session.ts";
import type { SubscriptionSettings } from "./subscriptions.ts";

/** What all sessions of a server share. */
export interface SessionContext {
  readonly options: Options;
  readonly hub: Hub;
  /** Those that are open. */
  readonly sessions: Set<Session>;
  readonly heartbeat: Heartbeat;
  /** Of authentication: how long it may take, and when a token runs out. */
  readonly deadlines: Deadlines;
  readonly access: AccessControl;
  readonly messageRates: MessageRates;
  readonly subscriptions: SubscriptionSettings;
  /** For those with an API key; undefined where the dashboard is off. */
  readonly watching: Watching | undefined;
  readonly slow: SlowConsumers<Session>;
  readonly counters: Counters;
  readonly clock: Clock;
  readonly log: Log;
}

/** What the gate has found out about a connection. */
export interface Admission {
  readonly id: string;
  readonly format: Format;
  /** Undefined for one that has yet to authenticate. */
  readonly access: Access | undefined;
  /** Counts the connection until it is released; undefined for one that is not let in. */
  readonly place: Place | undefined;
}
