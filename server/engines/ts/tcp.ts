/**
 * What the engine needs of a runtime's TCP: a socket that takes bytes and says how many still wait, and a listener.
 * One implementation per runtime family; neither knows what the bytes mean.
 */

import type { TlsTexts } from "../tls_files.ts";

/** Who hears what happens on a socket; it changes once, when HTTP becomes WebSocket. */
export interface TcpHandler {
  /** The peer sent `bytes[0, length)`. They may be changed in place and are only lent, until the call returns. */
  received(bytes: Uint8Array, length: number): void;
  /** Nothing waits any more. */
  drained(): void;
  /** The peer sends no more; it may still read. */
  peerEnded(): void;
  /** The connection is gone; nothing is called after this. */
  closed(): void;
}

export interface TcpSocket {
  handler: TcpHandler;
  /** Bytes that were taken and have not reached the operating system; 0 once the connection is gone, whatever is written. */
  readonly pendingBytes: number;
  /** The peer's address; empty once the connection is gone. */
  readonly remoteAddress: string;
  /** Takes all of `bytes`, which must not change afterwards. */
  write(bytes: Uint8Array): void;
  /**
   * Takes `bytes[start, end)`. Answers whether the caller may write over them at once; if not, `bytes` are not the
   * caller's any more.
   */
  writeLent(bytes: Uint8Array, start: number, end: number): boolean;
  /** Sends a FIN once everything has left; reading goes on. */
  end(): void;
  /** Drops the connection now. */
  destroy(): void;
}

export interface TcpListener {
  readonly port: number;
  /** Stops accepting; sockets live on. */
  close(): void;
  /**
   * Connections from now on get this certificate. Only for a listener that began with TLS. Throws when the port could
   * not be taken again; nobody is accepted then.
   */
  reloadTls(tls: TlsTexts): void;
}

export interface TcpOptions {
  readonly host: string;
  readonly port: number;
  /** Undefined for plain TCP. */
  readonly tls: TlsTexts | undefined;
  /** Keep to what the runtime documents, where a shorter way is known: for tests, which hold the two against each other. */
  readonly documentedOnly: boolean;
  /** Called for each accepted connection; answers who handles it. */
  accept(socket: TcpSocket): TcpHandler;
}

/** How a runtime listens. Rejects with the runtime's own error when the address cannot be taken. */
export type TcpListen = (options: TcpOptions) => Promise<TcpListener>;
