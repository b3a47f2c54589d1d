/** TCP through Bun.listen: a write answers how many bytes the kernel took, and the rest is ours to keep. */
import { Buffer } from "node:buffer";
import type { TcpHandler, TcpListener, TcpOptions, TcpSocket } from "./tcp.ts";

/**
 * Where small reads are copied to: the codec looks at bytes as words too, and the first such look at an array of Bun's
 * costs more than the copy.
 */
const READ_BYTES = 16 * 1024;
const readBuffer = Buffer.allocUnsafeSlow(READ_BYTES);

class BunTcp implements TcpSocket {
  handler: TcpHandler;
  pendingBytes = 0;
  private readonly socket: Bun.Socket<BunTcp>;
  /** What the kernel did not take, in order. */
  private queue: Uint8Array[] | undefined = undefined;
  private endWhenDrained = false;

  constructor(socket: Bun.Socket<BunTcp>, accept: TcpOptions["accept"]) {
    this.socket = socket;
    this.handler = accept(this);
  }

  get remoteAddress(): string {
    return this.socket.remoteAddress ?? "";
  }

  write(bytes: Uint8Array): void {
    const taken = this.offer(bytes, 0, bytes.length);
    if (taken < bytes.length) this.keep(taken === 0 ? bytes : bytes.subarray(taken));
  }

  writeLent(bytes: Uint8Array, start: number, end: number): boolean {
    const taken = this.offer(bytes, start, end);
    if (start + taken < end) this.keep(Buffer.from(bytes.subarray(start + taken, end)));
    return true;
  }

  end(): void {
    if (this.pendingBytes > 0) this.endWhenDrained = true;
    else this.socket.shutdown();
  }

  destroy(): void {
    this.forget();
    this.socket.terminate();
  }

  /** The connection is gone, and what waits for it with it. */
  forget(): void {
    this.queue = undefined;
    this.pendingBytes = 0;
  }

  /** How much of `bytes[start, end)` is dealt with: nothing while earlier bytes wait, all when the connection is gone. */
  private offer(bytes: Uint8Array, start: number, end: number): number {
    if (this.pendingBytes > 0) return 0;
    const taken = this.socket.write(bytes as Uint8Array<ArrayBuffer>, start, end - start);
    return taken < 0 ? end - start : taken;
  }

  private keep(bytes: Uint8Array): void {
    (this.queue ??= []).push(bytes);
    this.pendingBytes += bytes.length;
  }

  handleDrain(): void {
    const { queue } = this;
    if (queue === undefined) return;
    let index = 0;
    for (; index < queue.length; index++) {
      const bytes = queue[index] as Uint8Array; // below the length
      const taken = Math.max(0, this.socket.write(bytes as Uint8Array<ArrayBuffer>));
      this.pendingBytes -= taken;
      if (taken < bytes.length) {
        queue[index] = bytes.subarray(taken);
        break;
      }
    }
    queue.splice(0, index);
    if (this.pendingBytes > 0) return;
    this.queue = undefined;
    if (this.endWhenDrained) this.socket.shutdown();
    this.handler.drained();
  }
}

export function listenBun(options: TcpOptions): Promise<TcpListener> {
  let server = listen(options);
  const { port } = server;
  return Promise.resolve({
    port,
    close: () => void server.stop(false),
    reloadTls(tls) {
      // Bun's own `reload` takes a new certificate without a word and goes on with the old one.
      server.stop(false);
      server = listen({ ...options, port, tls });
    },
  });
}

function listen(options: TcpOptions): Bun.TCPSocketListener<BunTcp> {
  return Bun.listen<BunTcp>({
    hostname: options.host,
    port: options.port,
    allowHalfOpen: true,
    ...(options.tls === undefined ? {} : { tls: options.tls }),
    socket: {
      binaryType: "uint8array",
      open(socket) {
        socket.data = new BunTcp(socket, options.accept);
      },
      data(socket, chunk) {
        const { length } = chunk;
        if (length > READ_BYTES) return socket.data.handler.received(chunk, length);
        readBuffer.set(chunk);
        socket.data.handler.received(readBuffer, length);
      },
      drain(socket) {
        socket.data.handleDrain();
      },
      end(socket) {
        socket.data.handler.peerEnded();
      },
      close(socket) {
        socket.data.forget();
        socket.data.handler.closed();
      },
      error() {},
    },
  });
}
