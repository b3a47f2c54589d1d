/**
 * TCP through node:net, on Node and Deno. Node writes synchronously as far as the kernel takes bytes and keeps the rest
 * by reference; Deno keeps everything by reference until later.
 */
import { Buffer } from "node:buffer";
import { createServer, type Socket } from "node:net";
import process from "node:process";
import type { TcpHandler, TcpListener, TcpOptions, TcpSocket } from "./tcp.ts";

const EMPTY = new Uint8Array(0);
const writesLater = process.versions["deno"] !== undefined;

/** Where a socket keeps its other half. */
const tcpOf = Symbol("tcp");
type Carrier = Socket & { [tcpOf]: NodeTcp };

class NodeTcp implements TcpSocket {
  handler: TcpHandler;
  private readonly socket: Socket;
  private watching = false;

  constructor(socket: Socket, accept: TcpOptions["accept"]) {
    this.socket = socket;
    this.handler = accept(this);
  }

  get pendingBytes(): number {
    return this.socket.writableLength;
  }

  get remoteAddress(): string {
    return this.socket.remoteAddress ?? "";
  }

  write(bytes: Uint8Array, mayReuse: boolean): void {
    const { socket } = this;
    if (mayReuse && (writesLater || socket.writableLength > 0)) bytes = Buffer.from(bytes);
    socket.write(bytes);
    if (socket.writableLength > 0) this.watch();
  }

  end(): void {
    this.socket.end();
  }

  destroy(): void {
    this.socket.destroy();
  }

  /** node:net's own `drain` comes only above its high-water mark; an empty write behind the others tells of any. */
  private watch(): void {
    if (this.watching || this.socket.destroyed) return;
    this.watching = true;
    this.socket.write(EMPTY, (error) => {
      this.watching = false;
      if (error) return;
      if (this.socket.writableLength > 0) this.watch();
      else this.handler.drained();
    });
  }
}

// Shared by all sockets: closures of its own would cost each idle connection more than the rest of it.
function onData(this: Socket, chunk: Buffer): void {
  (this as Carrier)[tcpOf].handler.received(chunk);
}

function onEnd(this: Socket): void {
  (this as Carrier)[tcpOf].handler.peerEnded();
}

function onClose(this: Socket): void {
  (this as Carrier)[tcpOf].handler.closed();
}

/** A peer that resets the connection is no fault of ours; `close` follows. */
function onError(): void {}

export function listenNode(options: TcpOptions): Promise<TcpListener> {
  return new Promise((resolve, reject) => {
    const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
      socket.on("data", onData).on("end", onEnd).on("close", onClose).on("error", onError);
      (socket as Carrier)[tcpOf] = new NodeTcp(socket, options.accept);
    });
    server.once("error", reject);
    server.listen({ host: options.host, port: options.port, backlog: LISTEN_BACKLOG }, () => {
      server.off("error", reject);
      const address = server.address();
      const port = typeof address === "object" && address !== null ? address.port : options.port;
      resolve({ port, close: () => void server.close() });
    });
  });
}

/** Connections that wait to be accepted; a storm of clients comes back all at once. */
const LISTEN_BACKLOG = 4096;
