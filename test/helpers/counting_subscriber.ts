/**
 * A subscriber of one topic that checks each publication's offset as it comes and keeps nothing, so that a test can
 * hold a thousand of them. It reads just enough of a frame to find the offset, and shares no code with the server.
 */
import { Buffer } from "node:buffer";
import { connect, type Socket } from "node:net";
import { encodeFrame, handshake, Opcode } from "./raw_client.ts";

const OFFSET_KEY = `"offset":`;

export class CountingSubscriber {
  /** Publications that have come, each one offset after the one before. */
  count = 0;
  /** What was wrong first: an offset that did not follow, a frame that should not be there, or the end. */
  fault: string | undefined = undefined;
  private readonly socket: Socket;
  private readonly subscribe: Uint8Array;
  private readonly expected: number;
  private readonly wake: () => void;
  private state: "handshake" | "joining" | "receiving" = "handshake";
  private pending: Buffer = Buffer.alloc(0);

  /** @param wake called once it is subscribed, once all `expected` publications are there, and on a fault */
  constructor(url: string, topic: string, expected: number, wake: () => void) {
    this.expected = expected;
    this.wake = wake;
    const { hostname, port } = new URL(url);
    this.socket = connect(Number(port), hostname);
    this.subscribe = encodeFrame(Opcode.Text, JSON.stringify({ type: "subscribe", id: 1, topic }));
    this.socket.write(handshake(url));
    this.socket.on("data", (chunk: Buffer) => this.receive(chunk));
    this.socket.on("error", (error) => this.fail(error.message));
    this.socket.on("close", () => this.fail("the connection has ended"));
  }

  get isSubscribed(): boolean {
    return this.state === "receiving";
  }

  destroy(): void {
    this.fault ??= "destroyed";
    this.socket.destroy();
  }

  private fail(fault: string): void {
    if (this.fault !== undefined) return;
    this.fault = fault;
    this.wake();
  }

  private receive(chunk: Buffer): void {
    let bytes = this.pending.length === 0 ? chunk : Buffer.concat([this.pending, chunk]);
    if (this.state === "handshake") {
      const end = bytes.indexOf("\r\n\r\n");
      if (end >= 0) {
        this.state = "joining";
        this.socket.write(this.subscribe);
        bytes = bytes.subarray(end + 4);
      }
    }
    this.pending = this.state === "handshake" ? bytes : bytes.subarray(this.readFrames(bytes));
  }

  /** @returns how many bytes were whole frames */
  private readFrames(bytes: Buffer): number {
    const text = bytes.toString("latin1");
    let start = 0;
    while (bytes.length - start >= 4) {
      const short = (bytes[start + 1] ?? 0) & 127;
      const headLength = short < 126 ? 2 : 4;
      const end = start + headLength + (short < 126 ? short : bytes.readUInt16BE(start + 2));
      if (end > bytes.length) break;
      if (bytes[start] === (0x80 | Opcode.Text)) this.readEvent(text, start + headLength, end);
      else this.fail(`a frame that starts with ${bytes[start]}`);
      start = end;
    }
    return start;
  }

  private readEvent(text: string, start: number, end: number): void {
    if (text.startsWith(`{"type":"message"`, start)) {
      const at = text.indexOf(OFFSET_KEY, start) + OFFSET_KEY.length;
      const offset = parseInt(text.slice(at, Math.min(at + 16, end)));
      if (offset !== this.count + 1) return this.fail(`offset ${offset} came after ${this.count}`);
      if (++this.count === this.expected) this.wake();
    } else if (text.startsWith(`{"type":"ack"`, start)) {
      this.state = "receiving";
      this.wake();
    } else if (!text.startsWith(`{"type":"welcome"`, start)) this.fail(text.slice(start, end));
  }
}
