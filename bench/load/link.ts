/**
 * A TCP connection, reduced to what the load generator needs, on Bun.connect under Bun and on node:net elsewhere.
 * Bytes are lent: a reader must copy what it keeps. It must never know WebSocket.
 */
import { Buffer } from "node:buffer";
import { connect as connectSocket } from "node:net";

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
}

/** Connects to `host`:`port`; rejects when that is refused. */
export function openLink(host: string, port: number, events: LinkEvents): Promise<Link> {
  return "Bun" in globalThis ? openOnBun(host, port, events) : openOnNode(host, port, events);
}

// One buffer for all connections: a read is handed over before the next one starts.
let readBuffer: Uint8Array | undefined;

function openOnNode(host: string, port: number, events: LinkEvents): Promise<Link> {
  readBuffer ??= Buffer.allocUnsafeSlow(READ_BUFFER_BYTES);
  const buffer = readBuffer;
  return new Promise((resolve, reject) => {
    const onread = {
      buffer,
      callback(length: number, bytes: Uint8Array): boolean {
        events.data(bytes, length);
        return true;
      },
    };
    const socket = connectSocket({ host, port, noDelay: true, onread });
    socket.once("connect", () => resolve(socket));
    socket.once("close", () => events.closed());
    socket.on("error", reject);
  });
}

/** Keeps what the system did not take at once, in order, until the drain. */
class BunLink implements Link {
  readonly events: LinkEvents;
  socket: Bun.Socket<BunLink> | undefined;
  #waiting: Uint8Array[] = [];

  constructor(events: LinkEvents) {
    this.events = events;
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

  flush(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const bytes of waiting) this.write(bytes);
  }
}

async function openOnBun(host: string, port: number, events: LinkEvents): Promise<Link> {
  const link = new BunLink(events);
  link.socket = await Bun.connect<BunLink>({ hostname: host, port, data: link, socket: bunHandlers });
  return link;
}

const bunHandlers = {
  data: (socket: Bun.Socket<BunLink>, chunk: Uint8Array): void =>
    socket.data.events.data(chunk, chunk.length),
  drain: (socket: Bun.Socket<BunLink>): void => socket.data.flush(),
  close: (socket: Bun.Socket<BunLink>): void => socket.data.events.closed(),
};
