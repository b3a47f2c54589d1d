/**
 * The close-code table: every code this server sends, what it means and what the client should do next.
 * Codes below 3000 are those of RFC 6455 section 7.4.1 and the IANA registry; 4000 and up are the wire protocol's own.
 */

/** What a client should do about its lost connection. */
export const Reconnect = {
  No: "no",
  Yes: "yes",
  /** After a random wait, so that not all clients come back at once. */
  Jittered: "jittered",
  /** With waits that grow. */
  Backoff: "backoff",
  /** Once it has another token. */
  NewToken: "new-token",
} as const;
export type Reconnect = typeof Reconnect[keyof typeof Reconnect];

/** The codes by name. */
export const CloseCode = {
  Normal: 1000,
  GoingAway: 1001,
  ProtocolError: 1002,
  UnsupportedData: 1003,
  /** Never sent: what a close handler sees when the close frame carried no code. */
  NoStatus: 1005,
  /** Never sent: what a close handler sees when the connection just ended. */
  Abnormal: 1006,
  InvalidPayload: 1007,
  PolicyViolation: 1008,
  MessageTooBig: 1009,
  InternalError: 1011,
  TryAgainLater: 1013,
  InvalidToken: 4001,
  AuthenticationFailed: 4002,
  AuthenticationTimeout: 4003,
  OriginNotAllowed: 4004,
  TokenExpired: 4005,
  Disconnected: 4006,
  SlowConsumer: 4008,
  RateLimited: 4009,
  HeartbeatTimeout: 4010,
} as const;
export type CloseCode = typeof CloseCode[keyof typeof CloseCode];

/** One row of the table. */
export interface CloseAdvice {
  readonly reason: string;
  readonly reconnect: Reconnect;
}

/** The reason text that goes with each code the server sends, and the advice for the client. */
export const closeTable: Readonly<Record<number, CloseAdvice>> = {
  [CloseCode.Normal]: { reason: "normal", reconnect: Reconnect.No },
  [CloseCode.GoingAway]: { reason: "server is shutting down", reconnect: Reconnect.Jittered },
  [CloseCode.ProtocolError]: { reason: "protocol error", reconnect: Reconnect.No },
  [CloseCode.UnsupportedData]: { reason: "wrong frame kind for this format", reconnect: Reconnect.No },
  [CloseCode.InvalidPayload]: { reason: "text is not UTF-8", reconnect: Reconnect.No },
  [CloseCode.PolicyViolation]: { reason: "too many invalid messages", reconnect: Reconnect.No },
  [CloseCode.MessageTooBig]: { reason: "message too big", reconnect: Reconnect.No },
  [CloseCode.InternalError]: { reason: "internal error", reconnect: Reconnect.Yes },
  [CloseCode.TryAgainLater]: { reason: "try again later", reconnect: Reconnect.Backoff },
  [CloseCode.InvalidToken]: { reason: "invalid token", reconnect: Reconnect.No },
  [CloseCode.AuthenticationFailed]: { reason: "authentication failed", reconnect: Reconnect.No },
  [CloseCode.AuthenticationTimeout]: { reason: "authentication timeout", reconnect: Reconnect.No },
  [CloseCode.OriginNotAllowed]: { reason: "origin not allowed", reconnect: Reconnect.No },
  [CloseCode.TokenExpired]: { reason: "token expired", reconnect: Reconnect.NewToken },
  [CloseCode.Disconnected]: { reason: "disconnected by the operator", reconnect: Reconnect.No },
  [CloseCode.SlowConsumer]: { reason: "slow consumer", reconnect: Reconnect.Yes },
  [CloseCode.RateLimited]: { reason: "rate limited", reconnect: Reconnect.Backoff },
  [CloseCode.HeartbeatTimeout]: { reason: "heartbeat timeout", reconnect: Reconnect.Yes },
};

/** The reason text for a code of the table. */
export function closeReason(code: CloseCode): string {
  return closeTable[code]?.reason ?? "";
}
