/** A TCP relay between a program and a server, which keeps what the server says. */
import { Buffer } from "node:buffer";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { Events } from "./events.ts";

export class Tap {
  readonly heard = new Events<string>();
  private readonly server: Server;
  private readonly sockets = new Set<Socket>();

  private constructor(port: number) {
    this.server = createServer((near) => {
      const far = connect(port, "127.0.0.1");
      for (const [socket, other] of [[near, far], [far, near]] as const) {
        this.sockets.add(socket);
        socket.on("error", () => other.destroy());
        socket.on("close", () => other.destroy());
      }
      near.on("data", (chunk: Buffer) => far.write(chunk));
      far.on("data", (chunk: Buffer) => {
        this.heard.push(chunk.toString("latin1"));
        near.write(chunk);
      });
    });
  }

  /** Listens on a port of its own for those who want to speak to `port`. */
  static async open(port: number): Promise<Tap> {
    const tap = new Tap(port);
    tap.server.listen(0, "127.0.0.1");
    await once(tap.server, "listening");
    return tap;
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  /** Whether the server has said this. */
  hasHeard(text: string): boolean {
    return this.heard.all.join("").includes(text);
  }

  close(): void {
    this.server.close();
    for (const socket of this.sockets) socket.destroy();
  }
}
