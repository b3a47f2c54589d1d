/**
 * A client that speaks JSON over a socket of its own and keeps nothing: each event goes to its owner, so that a test can
 * hold thousands, and cut one off as a network does.
 */
import { Buffer } from "node:buffer";
import { connect, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import type { Received } from "./peer.ts";
import { closePayload, encodeFrame, FrameReader, handshake, Opcode } from "./raw_client.ts";

const HEAD_END = "\r\n\r\n";

/** Who is told what comes. */
export interface JsonClientOwner {
  /** The first one is the welcome. */
  received(event: Received, client: JsonClient): void;
  /** Called once; also when it was never let in. */
  ended(client: JsonClient): void;
}

export class JsonClient {
  private readonly owner: JsonClientOwner;
  private readonly socket: Socket;
  private readonly reader = new FrameReader();
  private head: string | undefined = "";
  private hasEnded = false;

  /** @param localAddress where it connects from, if that matters */
  constructor(url: string, owner: JsonClientOwner, localAddress?: string) {
    this.owner = owner;
    const { hostname: host, port, protocol } = new URL(url);
    const address = { host, port: Number(port), noDelay: true, ...(localAddress && { localAddress }) };
    this.socket = protocol === "wss:"
      ? connectTls({ ...address, rejectUnauthorized: false })
      : connect(address);
    this.socket.write(handshake(url));
    this.socket.on("data", (chunk: Buffer) => this.read(chunk));
    for (const event of ["error", "end", "close"]) this.socket.on(event, () => this.end());
  }

  send(command: Record<string, unknown>): void {
    this.socket.write(encodeFrame(Opcode.Text, JSON.stringify(command)));
  }

  /** Ends with a close frame; nothing that comes after that is told. */
  close(): void {
    if (this.hasEnded) return;
    this.hasEnded = true;
    this.socket.end(encodeFrame(Opcode.Close, closePayload(1000)));
    this.owner.ended(this);
  }

  /** The network dies. */
  destroy(): void {
    this.end();
  }

  private end(): void {
    this.socket.destroy();
    if (this.hasEnded) return;
    this.hasEnded = true;
    this.owner.ended(this);
  }

  private read(chunk: Buffer): void {
    if (this.head !== undefined) {
      this.head += chunk.toString("latin1");
      const end = this.head.indexOf(HEAD_END);
      if (end < 0) return;
      if (!this.head.startsWith("HTTP/1.1 101")) return this.end();
      chunk = Buffer.from(this.head.slice(end + HEAD_END.length), "latin1");
      this.head = undefined;
    }
    for (const { opcode, payload } of this.reader.push(chunk)) {
      if (this.hasEnded) return;
      if (opcode === Opcode.Text) this.owner.received(JSON.parse(payload.toString()), this);
      else if (opcode === Opcode.Ping) this.socket.write(encodeFrame(Opcode.Pong, payload));
      else if (opcode === Opcode.Close) return this.end();
    }
  }
}
