/**
 * What the server counts, as plain numbers: `counters.messagesIn++` is all that a hot path pays. Every set of reasons
 * is fixed here, so that nothing a peer does makes a new one; how the numbers are shown is the metrics' matter.
 */
import { CloseCode } from "../close.ts";
import { ErrorCode } from "../protocol/protocol.ts";

/** Why a message was left out for a connection. */
export const dropReasons = ["slow", "closing"] as const;
export type DropReason = typeof dropReasons[number];

/** How a handshake on the WebSocket path ended. */
export const handshakeOutcomes = [
  "accepted",
  "bad_subprotocol",
  "origin",
  "token",
  "full",
  "address",
  "user_limit",
  "handshake_rate",
  /** Too many handshakes were under way. */
  "pending",
  "draining",
] as const;
export type HandshakeOutcome = typeof handshakeOutcomes[number];

/** Whose buckets were empty. */
export const rateLimits = ["connection", "user"] as const;
export type RateLimit = typeof rateLimits[number];

/** Why a token, or its absence, did not let somebody in or stay. */
export const authFailureReasons = [
  "malformed",
  "algorithm",
  "signature",
  "expired",
  "not_yet_valid",
  "audience",
  "issuer",
  "missing_subject",
  "claims",
  "keys_unavailable",
  "user_limit",
  "other_user",
  /** No `auth` message came in time. */
  "timeout",
] as const;
export type AuthFailureReason = typeof authFailureReasons[number];

/** One number for each of a fixed set of keys. */
export type Tally<Key extends string | number> = Record<Key, number>;

function zeros<Key extends string | number>(keys: readonly Key[]): Tally<Key> {
  // Made of exactly these keys.
  return Object.fromEntries(keys.map((key) => [key, 0])) as Tally<Key>;
}

/** The counters of one server; all of them only grow. Bytes are those of payloads. */
export class Counters {
  // Messages between the server and single sockets: commands one way, replies and events the other.
  messagesIn = 0;
  bytesIn = 0;
  messagesOut = 0;
  bytesOut = 0;

  // Fan-out: a publication is one, however many receive it; a delivery is one publication for one subscriber.
  publications = 0;
  deliveries = 0;
  deliveredBytes = 0;

  readonly drops: Tally<DropReason> = zeros(dropReasons);
  /** Connections closed because all backlogs together were too much for the node. */
  evictions = 0;

  readonly handshakes: Tally<HandshakeOutcome> = zeros(handshakeOutcomes);
  readonly authFailures: Tally<AuthFailureReason> = zeros(authFailureReasons);
  readonly rateLimited: Tally<RateLimit> = zeros(rateLimits);
  /** Error replies by code. */
  readonly commandErrors: Tally<ErrorCode> = zeros(Object.values(ErrorCode));
  /** Handlers that threw: faults of ours. */
  handlerErrors = 0;

  /** Connections that ended, by the code in {@link CloseCode}. Use {@link countClose}. */
  readonly closes: Tally<CloseCode | "other"> = zeros([...Object.values(CloseCode), "other"]);

  /** Counts the end of a connection; a code that is not the server's, which a peer may send, counts as `other`. */
  countClose(code: number): void {
    // Integer keys of an object are its own or nobody's: the prototype has none.
    if (code in this.closes) this.closes[code as CloseCode]++;
    else this.closes.other++;
  }
}
