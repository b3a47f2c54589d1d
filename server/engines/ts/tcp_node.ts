/**
 * TCP through node:net, on Node and Deno, as it is documented. On Node plain connections take the shorter way of
 * node_handle.ts. Node writes synchronously as far as the kernel takes bytes and keeps the rest by reference; Deno
 * keeps everything by reference until later.
 */
import { Buffer } from "node:buffer";
import { createServer, type Socket } from "node:net";
import process from "node:process";
import { createServer as createTlsServer } from "node:tls";
import { acceptHandles } from "./node_handle.ts";
import type { TcpHandler, TcpListener, TcpOptions, TcpSocket } from "./tcp.ts";

const writesLater = process.versions["deno"] !== undefined;

/** Where a socket keeps its other half. */
const tcpOf = Symbol("tcp");
type Carrier = Socket & { [tcpOf]: StreamTcp };

class StreamTcp implements TcpSocket {
  handler: TcpHandler;
  private readonly socket: Socket;
  private waited = false;
  /** node:net's own `drain` comes only above its high-water mark; the end of each write tells of any. */
  private readonly onWritten = () => {
    if (!this.waited || this.socket.destroyed || this.socket.writableLength > 0) return;
    this.waited = false;
    this.handler.drained();
  };

  constructor(socket: Socket, accept: TcpOptions["accept"]) {
    this.socket = socket;
    this.handler = accept(this);
  }

  get pendingBytes(): number {
    return this.socket.destroyed ? 0 : this.socket.writableLength;
  }

  get remoteAddress(): string {
    return this.socket.remoteAddress ?? "";
  }

  write(bytes: Uint8Array): void {
    this.socket.write(bytes, this.onWritten);
    if (this.socket.writableLength > 0) this.waited = true;
  }

  writeLent(bytes: Uint8Array, start: number, end: number): boolean {
    const view = bytes.subarray(start, end);
    const copied = writesLater || this.pendingBytes > 0;
    this.write(copied ? Buffer.from(view) : view);
    return copied || this.pendingBytes === 0;
  }

  end(): void {
    this.socket.end();
  }

  destroy(): void {
    this.socket.destroy();
  }
}

// Shared by all sockets: closures of its own would cost each idle connection more than the rest of it.
function onData(this: Socket, chunk: Buffer): void {
  (this as Carrier)[tcpOf].handler.received(chunk, chunk.length);
}

function onEnd(this: Socket): void {
  (this as Carrier)[tcpOf].handler.peerEnded();
}

function onClose(this: Socket): void {
  (this as Carrier)[tcpOf].handler.closed();
}

/** A peer that resets the connection is no fault of ours; `close` follows. */
function onError(): void {}

/** Connections that wait to be accepted; a storm of clients comes back all at once. */
const LISTEN_BACKLOG = 4096;

/** A TLS handshake that takes longer is ended. */
const TLS_HANDSHAKE_MS = 10_000;

export function listenNode(options: TcpOptions): Promise<TcpListener> {
  const { host, port, tls, accept, documentedOnly } = options;
  return new Promise((resolve, reject) => {
    const acceptStream = (socket: Socket) => {
      (socket as Carrier)[tcpOf] = new StreamTcp(socket, accept);
      socket.on("data", onData).on("end", onEnd).on("close", onClose).on("error", onError);
    };
    const common = { allowHalfOpen: true, noDelay: true };
    const secured = tls &&
      createTlsServer({ ...common, ...tls, handshakeTimeout: TLS_HANDSHAKE_MS }, acceptStream);
    const server = secured ?? createServer(common, acceptStream);
    server.once("error", reject);
    server.listen({ host, port, backlog: LISTEN_BACKLOG }, () => {
      server.off("error", reject);
      if (!documentedOnly && tls === undefined) acceptHandles(server, accept);
      const address = server.address();
      const taken = typeof address === "object" && address !== null ? address.port : port;
      resolve({
        port: taken,
        close: () => void server.close(),
        reloadTls: (renewed) => secured?.setSecureContext({ ...renewed }),
      });
    });
  });
}
