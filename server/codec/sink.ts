// What a decoder owes its owner: the calls that hand over messages, obligations and the end. Types only.

import type { ProtocolError } from "./errors.ts";

/**
 * Where a decoder hands over what it found; one object for all connections. `bytes[start, end)` is lent: it is
 * valid, and may be changed, until the call returns. `connection` is the decoder that was pushed to.
 */
export interface Sink<Connection> {
  /** A text message, valid UTF-8. */
  text(connection: Connection, text: string): void;
  /** A text message as its bytes, valid UTF-8, in place of `text` when the settings say `rawText`. */
  textBytes(connection: Connection, bytes: Uint8Array, start: number, end: number): void;
  /** A binary message. */
  binary(connection: Connection, bytes: Uint8Array, start: number, end: number): void;
  /** A ping: we owe a pong with the same payload (RFC 6455 section 5.5.2). */
  ping(connection: Connection, bytes: Uint8Array, start: number, end: number): void;
  /** A pong, asked for or not. */
  pong(connection: Connection, bytes: Uint8Array, start: number, end: number): void;
  /** The peer's close frame, `NO_STATUS` if it says no code. Nothing comes after it; we owe an echo. */
  close(connection: Connection, code: number, reason: string): void;
  /** The peer broke the protocol. Nothing comes after it; the connection is to be failed with `error.code`. */
  error(connection: Connection, error: ProtocolError): void;
}
