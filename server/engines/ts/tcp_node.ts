/**
 * TCP through node:net, on Node and Deno. Node writes synchronously as far as the kernel takes bytes and keeps the rest
 * by reference; Deno keeps everything by reference until later.
 */
import { Buffer } from "node:buffer";
import { createServer, type Server, Socket, type SocketConstructorOpts } from "node:net";
import process from "node:process";
import { createServer as createTlsServer } from "node:tls";
import { type DirectWriter, directWriter, type WriteOwner } from "./node_write.ts";
import type { TcpHandler, TcpListener, TcpOptions, TcpSocket } from "./tcp.ts";

const writesLater = process.versions["deno"] !== undefined;

/** Where a socket keeps its other half. */
const tcpOf = Symbol("tcp");
type Carrier = Socket & { [tcpOf]: NodeTcp };

abstract class NodeTcp implements TcpSocket {
  handler: TcpHandler;
  protected readonly socket: Socket;

  constructor(socket: Socket, accept: TcpOptions["accept"]) {
    this.socket = socket;
    this.handler = accept(this);
  }

  abstract readonly pendingBytes: number;
  abstract write(bytes: Uint8Array): void;
  abstract writeLent(bytes: Uint8Array, start: number, end: number): boolean;

  get remoteAddress(): string {
    return this.socket.remoteAddress ?? "";
  }

  end(): void {
    this.socket.end();
  }

  destroy(): void {
    this.socket.destroy();
  }
}

/** The documented way. */
class StreamTcp extends NodeTcp {
  private waited = false;
  /** node:net's own `drain` comes only above its high-water mark; the end of each write tells of any. */
  private readonly onWritten = () => {
    if (!this.waited || this.socket.destroyed || this.socket.writableLength > 0) return;
    this.waited = false;
    this.handler.drained();
  };

  get pendingBytes(): number {
    return this.socket.writableLength;
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
}

/** The short way, see node_write.ts. */
class DirectTcp extends NodeTcp implements WriteOwner {
  private readonly writer: DirectWriter;
  /** Writes that have not left yet. */
  private writes = 0;
  private endWhenDrained = false;

  constructor(socket: Socket, accept: TcpOptions["accept"], writer: DirectWriter) {
    super(socket, accept);
    this.writer = writer;
  }

  get pendingBytes(): number {
    return this.writes === 0 ? 0 : this.writer.waitingBytes(this.socket);
  }

  write(bytes: Uint8Array): void {
    const outcome = this.writer.write(this.socket, bytes, this);
    if (outcome > 0) this.writes++;
    // The read side may not notice a peer that is gone: `close` follows.
    else if (outcome < 0) this.socket.destroy();
  }

  writeLent(bytes: Uint8Array, start: number, end: number): boolean {
    const waited = this.writes > 0;
    const view = bytes.subarray(start, end);
    this.write(waited ? Buffer.from(view) : view);
    return waited || this.writes === 0;
  }

  override end(): void {
    if (this.writes > 0) this.endWhenDrained = true;
    else this.socket.end();
  }

  written(status: number): void {
    if (--this.writes > 0 || status !== 0 || this.socket.destroyed) return;
    if (this.endWhenDrained) this.socket.end();
    this.handler.drained();
  }
}

function adopt(socket: Socket, { accept, documentedOnly, tls }: TcpOptions): NodeTcp {
  if (!documentedOnly && tls === undefined && directWriter?.serves(socket)) {
    return new DirectTcp(socket, accept, directWriter);
  }
  return new StreamTcp(socket, accept);
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

/** What one read takes at the most. */
const READ_BYTES = 64 * 1024;

function onRead(this: unknown, length: number, buffer: Uint8Array): boolean {
  (this as Carrier)[tcpOf].handler.received(buffer, length);
  return true;
}

/** The part of node:net behind its documentation that `acceptIntoOneBuffer` needs. */
interface ServerInside {
  _handle?: { onconnection?: (error: number, handle: unknown) => void };
}

/**
 * Lets all connections read into one buffer. node:net allocates 64 KiB for every read otherwise, which costs a quarter of an
 * echo (`npm run measure -- --workload echo --in-flight 1`, with and without). Clients have the documented option
 * `onread` for it; a server's sockets are made where no option reaches, so they are made here. Where the inside of
 * node:net looks different, it does nothing.
 */
function acceptIntoOneBuffer(server: Server, accepted: (socket: Socket) => void): void {
  const inside = (server as unknown as ServerInside)._handle;
  if (writesLater || typeof inside?.onconnection !== "function") return;
  const buffer = Buffer.allocUnsafeSlow(READ_BYTES);
  inside.onconnection = (error, handle) => {
    if (error !== 0 && error !== undefined) return;
    // The types know neither `handle` nor that `onread` goes with it.
    const options = {
      handle,
      allowHalfOpen: true,
      onread: { buffer, callback: onRead },
    } as SocketConstructorOpts;
    const socket = new Socket(options);
    socket.setNoDelay(true);
    accepted(socket);
  };
}

export function listenNode(options: TcpOptions): Promise<TcpListener> {
  return new Promise((resolve, reject) => {
    const accepted = (socket: Socket) => {
      (socket as Carrier)[tcpOf] = adopt(socket, options);
      socket.on("end", onEnd).on("close", onClose).on("error", onError);
    };
    const acceptStream = (socket: Socket) => {
      accepted(socket);
      socket.on("data", onData);
    };
    const { tls } = options;
    const server = tls === undefined
      ? createServer({ allowHalfOpen: true, noDelay: true }, acceptStream)
      : createTlsServer(
        { ...tls, allowHalfOpen: true, noDelay: true, handshakeTimeout: TLS_HANDSHAKE_MS },
        acceptStream,
      );
    server.once("error", reject);
    const { host, port } = options;
    server.listen({ host, port, backlog: LISTEN_BACKLOG }, () => {
      server.off("error", reject);
      if (!options.documentedOnly && tls === undefined) acceptIntoOneBuffer(server, accepted);
      const address = server.address();
      const taken = typeof address === "object" && address !== null ? address.port : port;
      resolve({ port: taken, close: () => void server.close() });
    });
  });
}
