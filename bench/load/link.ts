/**
 * A TCP or TLS connection, reduced to what the load generator needs, on Bun.connect under Bun and on node:net elsewhere.
 * Bytes are lent: a reader must copy what it keeps. It must never know WebSocket.
 */
import { Buffer } from "node:buffer";
import { connect as connectSocket, isIP } from "node:net";
import { connect as connectTls } from "node:tls";

/** Reads above this size arrive in parts; Bun reads up to 512 KiB, so this gives Node the same. */
const READ_BUFFER_BYTES = 512 * 1024;

/** What a connection reports. */
export interface LinkEvents {
  /** The first `length` bytes of `bytes` arrived; they are overwritten after the call. */
  data(bytes: Uint8Array, length: number): void;
  /** The connection ended, whoever ended it. */
  closed(): void;
}

/** An open connection. `bytes` handed to `write` must not change later. */
export interface Link {
  write(bytes: Uint8Array): void;
  /** Bytes written that the system has not taken yet. */
  waitingBytes(): number;
  /** Reads nothing more. */
  pause(): void;
  /** Ends the connection at once. */
  end(): void;
}

/** Which certificates of a server are believed. */
export interface Trust {
  /** Certificates of authorities, as PEM, in place of the system's; empty for those. */
  ca: string;
  /** Believes any: what is measured is encryption, not trust. */
  insecure: boolean;
}

/** Where to connect to. */
export interface Address {
  host: string;
  port: number;
  /** Undefined for TCP without TLS. */
  tls: Trust | undefined;
}

function tlsOptions({ host, tls }: Address) {
  return {
    rejectUnauthorized: tls?.insecure !== true,
    ...(tls !== undefined && tls.ca !== "" && { ca: tls.ca }),
    // A name for a server that has several; an address is none (RFC 6066, section 3).
    ...(isIP(host) === 0 && { servername: host, serverName: host }),
  };
}

/** Connects; rejects when that is refused. */
export function openLink(address: Address, events: LinkEvents): Promise<Link> {
  return "Bun" in globalThis ? openOnBun(address, events) : openOnNode(address, events);
}

// One buffer for all connections: a read is handed over before the next one starts.
let readBuffer: Uint8Array | undefined;

function openOnNode(address: Address, events: LinkEvents): Promise<Link> {
  readBuffer ??= Buffer.allocUnsafeSlow(READ_BUFFER_BYTES);
  const buffer = readBuffer;
  const { host, port, tls } = address;
  return new Promise((resolve, reject) => {
    const onread = {
      buffer,
      callback(length: number, bytes: Uint8Array): boolean {
        events.data(bytes, length);
        return true;
      },
    };
    const socket = tls !== undefined
      ? connectTls({ host, port, ...tlsOptions(address) })
      : connectSocket({ host, port, noDelay: true, onread });
    const link: Link = {
      write: (bytes) => void socket.write(bytes),
      waitingBytes: () => socket.writableLength,
      pause: () => void socket.pause(),
      end: () => void socket.destroy(),
    };
    if (tls !== undefined) socket.on("data", (chunk: Uint8Array) => events.data(chunk, chunk.length));
    socket.once(tls !== undefined ? "secureConnect" : "connect", () => resolve(link));
    socket.once("close", () => events.closed());
    socket.on("error", reject);
  });
}

/** Keeps what the system did not take at once, in order, until the drain. */
class BunLink implements Link {
  readonly events: LinkEvents;
  /** Called once bytes may be written, for TLS after its handshake, or with what is wrong with that. */
  readonly opened: (error?: Error) => void;
  socket: Bun.Socket<BunLink> | undefined;
  #waiting: Uint8Array[] = [];

  constructor(events: LinkEvents, opened: (error?: Error) => void) {
    this.events = events;
    this.opened = opened;
  }

  write(bytes: Uint8Array): void {
    if (this.#waiting.length > 0) {
      this.#waiting.push(bytes);
      return;
    }
    // A closed socket answers -1; `closed` tells that story.
    const sent = Math.max(0, this.socket?.write(bytes) ?? 0);
    if (sent < bytes.length) this.#waiting.push(bytes.subarray(sent));
  }

  waitingBytes(): number {
    return this.#waiting.reduce((sum, { length }) => sum + length, 0);
  }

  pause(): void {
    this.socket?.pause();
  }

  end(): void {
    this.socket?.terminate();
  }

  flush(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const bytes of waiting) this.write(bytes);
  }
}

function openOnBun(address: Address, events: LinkEvents): Promise<Link> {
  return new Promise((resolve, reject) => {
    const link: BunLink = new BunLink(events, (error) => error === undefined ? resolve(link) : reject(error));
    const options = { hostname: address.host, port: address.port, data: link };
    const opening = address.tls !== undefined
      ? Bun.connect<BunLink>({ ...options, socket: secureHandlers, tls: tlsOptions(address) })
      : Bun.connect<BunLink>({ ...options, socket: plainHandlers });
    opening.catch(reject);
  });
}

const bunHandlers = {
  data: (socket: Bun.Socket<BunLink>, chunk: Uint8Array): void =>
    socket.data.events.data(chunk, chunk.length),
  drain: (socket: Bun.Socket<BunLink>): void => socket.data.flush(),
  close: (socket: Bun.Socket<BunLink>): void => socket.data.events.closed(),
};

function ready(socket: Bun.Socket<BunLink>): void {
  socket.data.socket = socket;
  socket.data.opened();
}

const plainHandlers = { ...bunHandlers, open: ready };
const secureHandlers = {
  ...bunHandlers,
  handshake(socket: Bun.Socket<BunLink>, success: boolean, error: Error | null): void {
    // Bun ends an untrusted connection only after this.
    if (success) ready(socket);
    else socket.data.opened(error ?? new Error("the TLS handshake failed"));
  },
};
