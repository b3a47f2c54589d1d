/**
 * How a server can end or refuse a connection, each as an Error that carries what was said on the wire.
 * It must never know whether that is a failure: the owner of the connection does.
 */

/** The server ended TCP without a close frame before, or TCP ended by itself. */
export class ConnectionLost extends Error {
  constructor() {
    super("the server closed it");
  }
}

/** The server sent a close frame (RFC 6455, section 5.5.1). */
export class PeerClosed extends Error {
  /** 1005 when the frame had none (RFC 6455, section 7.1.5). */
  readonly code: number;

  constructor(payload: Uint8Array) {
    const code = payload.length < 2 ? undefined : (payload[0] as number) * 256 + (payload[1] as number);
    super(`the server sent a close frame with ${code === undefined ? "no code" : `code ${code}`}`);
    this.code = code ?? NO_STATUS;
  }
}

/** The opening handshake was answered with another HTTP status than 101. */
export class UpgradeRefused extends Error {
  readonly status: number;

  constructor(statusLine: string) {
    super(`the upgrade was answered with ${statusLine}`);
    this.status = Number(statusLine.split(" ")[1]);
  }
}

const NO_STATUS = 1005;
