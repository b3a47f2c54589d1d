/** What a promise of this client is rejected with, beside the caller's own bugs (TypeError) and abort reasons. */

/** Codes of this client's own; `code` may also be one of the server's, such as `forbidden` or `rate_limited`. */
export type ClientErrorCode =
  /** The client was closed before this was sent: it has not happened. */
  | "closed"
  /** The server said not to come back, before this was sent: it has not happened. `closeCode` says why. */
  | "stopped"
  /** The line was cut, or the client closed, between sending this and its reply: it may have happened or not. */
  | "unknown_outcome"
  /** Too much waits to be sent. It has not happened. */
  | "queue_full"
  /** Larger than the server takes. It has not happened. */
  | "message_too_large"
  /** The token callback failed; `cause` is its error. */
  | "token_failed"
  /** The server said something that this client does not understand. */
  | "bad_message"
  /** A listener of the application threw; `cause` is its error. */
  | "listener_failed"
  /** No WebSocket could be opened at all: a bad URL, or no constructor. `cause` is the reason. */
  | "cannot_connect";

/** A failure with a code to decide by, and a text for people. */
export class MillraceError extends Error {
  override readonly name = "MillraceError";
  /** One of {@link ClientErrorCode}, or an error code of the protocol. */
  declare readonly code: string;
  /** With which the connection was closed, for `stopped`. */
  declare readonly closeCode: number | undefined;

  constructor(
    code: string,
    message: string,
    { closeCode, ...options }: { readonly cause?: unknown; readonly closeCode?: number | undefined } = {},
  ) {
    super(message, options);
    this.code = code;
    this.closeCode = closeCode;
  }
}
