/** What a promise of this client is rejected with, beside the caller's own bugs (TypeError) and abort reasons. */

/** Codes of this client's own; `code` may also be one of the server's, such as `forbidden` or `rate_limited`. */
export const ClientErrorCode = {
  /** The client was closed before this was sent: it has not happened. */
  Closed: "closed",
  /** The server said not to come back, before this was sent: it has not happened. `closeCode` says why. */
  Stopped: "stopped",
  /** The line was cut, or the client closed, between sending this and its reply: it may have happened or not. */
  UnknownOutcome: "unknown_outcome",
  /** Too much waits to be sent. It has not happened. */
  QueueFull: "queue_full",
  /** Larger than the server takes. It has not happened. */
  TooLarge: "message_too_large",
  /** The token callback failed; `cause` is its error. */
  TokenFailed: "token_failed",
  /** The server said something that this client does not understand. */
  BadMessage: "bad_message",
  /** A listener of the application threw; `cause` is its error. */
  ListenerFailed: "listener_failed",
  /** No WebSocket could be opened at all: a bad URL, or no constructor. `cause` is the reason. */
  CannotConnect: "cannot_connect",
} as const;

/** A failure with a code to decide by, and a text for people. */
export class MillraceError extends Error {
  override readonly name = "MillraceError";
  /** One of {@link ClientErrorCode}, or an error code of the protocol. */
  readonly code: string;
  /** When the server would take it, for `rate_limited`. */
  readonly retryAfterMs: number | undefined;
  /** With which the connection was closed, for `stopped`. */
  readonly closeCode: number | undefined;

  constructor(
    code: string,
    message: string,
    more: { cause?: unknown; retryAfterMs?: number | undefined; closeCode?: number } = {},
  ) {
    super(message, "cause" in more ? { cause: more.cause } : undefined);
    this.code = code;
    this.retryAfterMs = more.retryAfterMs;
    this.closeCode = more.closeCode;
  }
}
