/** TCP through Bun.listen: a write answers how many bytes the kernel took, and the rest is ours to keep. */
import { Buffer } from "node:buffer";
import type { TcpHandler, TcpListener, TcpOptions, TcpSocket } from "./tcp.ts";

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

  write(bytes: Uint8Array, mayReuse: boolean): void {
    let taken = 0;
    if (this.pendingBytes === 0) {
      taken = this.socket.write(bytes as Uint8Array<ArrayBuffer>);
      // Negative: the connection is gone, and `closed` is on its way.
      if (taken === bytes.length || taken < 0) return;
    }
    const rest = bytes.subarray(taken);
    (this.queue ??= []).push(mayReuse ? Buffer.from(rest) : rest);
    this.pendingBytes += rest.length;
  }

  end(): void {
    if (this.pendingBytes > 0) this.endWhenDrained = true;
    else this.socket.shutdown();
  }

  destroy(): void {
    this.socket.terminate();
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
  const server = Bun.listen<BunTcp>({
    hostname: options.host,
    port: options.port,
    allowHalfOpen: true,
    socket: {
      binaryType: "uint8array",
      open(socket) {
        socket.data = new BunTcp(socket, options.accept);
      },
      data(socket, chunk) {
        socket.data.handler.received(chunk);
      },
      drain(socket) {
        socket.data.handleDrain();
      },
      end(socket) {
        socket.data.handler.peerEnded();
      },
      close(socket) {
        socket.data.handler.closed();
      },
      error() {},
    },
  });
  return Promise.resolve({ port: server.port, close: () => void server.stop(false) });
}
