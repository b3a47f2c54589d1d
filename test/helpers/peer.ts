/**
 * A client by someone else: the npm package `ws` on Node, the runtime's own WebSocket on Bun and Deno. It speaks both
 * formats through the ordinary libraries.
 */
import { pack, unpack } from "msgpackr";
import { WebSocket as NodeWebSocket } from "ws";
import { Events } from "./events.ts";
import { runtime } from "./runtime.ts";

export type Received = Record<string, unknown> & { type: string };

const Implementation =
  (runtime === "node" ? NodeWebSocket : globalThis.WebSocket) as typeof globalThis.WebSocket;

export type FormatName = "json" | "msgpack";

export class Peer {
  readonly received = new Events<Received>();
  closed: { code: number; reason: string } | undefined = undefined;
  readonly socket: WebSocket;
  private readonly format: FormatName;
  private lastId = 0;

  private constructor(url: string, format: FormatName) {
    this.format = format;
    this.socket = new Implementation(url, `millrace.v1.${format}`);
    this.socket.binaryType = "arraybuffer";
    this.socket.onmessage = ({ data }) => this.received.push(decode(data));
    this.socket.onclose = ({ code, reason }) => {
      this.closed = { code, reason };
      this.received.wake();
    };
    this.socket.onerror = () => this.received.wake();
  }

  /** Connects and waits for the welcome. */
  static async open(url: string, format: FormatName = "json"): Promise<Peer> {
    const peer = new Peer(url, format);
    await peer.received.until((all) => all.length > 0 || peer.closed !== undefined, "the welcome");
    if (peer.closed !== undefined) {
      throw new Error(`closed before the welcome: ${JSON.stringify(peer.closed)}`);
    }
    return peer;
  }

  send(command: Record<string, unknown>): void {
    this.socket.send(this.format === "json" ? JSON.stringify(command) : new Uint8Array(pack(command)));
  }

  /** Sends a command with an id and waits for its one reply. */
  async ask(command: Record<string, unknown>): Promise<Received> {
    const id = ++this.lastId;
    this.send({ ...command, id });
    return await this.received.find((event) => event["id"] === id, `a reply to ${String(command["type"])}`);
  }

  of(type: string): Received[] {
    return this.received.all.filter((event) => event.type === type);
  }

  /** Resolves once `count` publications have come. */
  async messages(count: number): Promise<Received[]> {
    await this.received.until(() => this.of("message").length >= count, `${count} messages`);
    return this.of("message");
  }

  async close(): Promise<void> {
    this.socket.close();
    await this.end();
  }

  async end(): Promise<{ code: number; reason: string }> {
    await this.received.until(() => this.closed !== undefined, "the close");
    return this.closed as { code: number; reason: string };
  }
}

function decode(data: unknown): Received {
  return typeof data === "string" ? JSON.parse(data) : unpack(new Uint8Array(data as ArrayBuffer));
}
