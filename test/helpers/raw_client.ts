/**
 * A WebSocket client that speaks bytes: it can break every rule, stop reading, and see exactly what comes back. It
 * shares no code with the server, because it judges it.
 */
import { Buffer } from "node:buffer";
import { connect, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { Events } from "./events.ts";

/** RFC 6455 section 11.8. */
export const Opcode = { Continuation: 0, Text: 1, Binary: 2, Close: 8, Ping: 9, Pong: 10 } as const;

export interface Frame {
  readonly fin: boolean;
  readonly rsv: number;
  readonly opcode: number;
  readonly payload: Buffer;
}

export interface FrameOptions {
  readonly fin?: boolean;
  readonly rsv?: number;
  readonly masked?: boolean;
}

/** One client frame, masked with a fixed key unless told otherwise. */
export function encodeFrame(
  opcode: number,
  payload: string | Uint8Array,
  options: FrameOptions = {},
): Buffer {
  const { fin = true, rsv = 0, masked = true } = options;
  const body = Buffer.from(typeof payload === "string" ? Buffer.from(payload) : payload);
  const head = [(fin ? 0x80 : 0) | (rsv << 4) | opcode];
  const maskBit = masked ? 0x80 : 0;
  if (body.length < 126) head.push(maskBit | body.length);
  else if (body.length < 65_536) head.push(maskBit | 126, body.length >> 8, body.length & 255);
  else {
    const length = Buffer.alloc(8);
    length.writeBigUInt64BE(BigInt(body.length));
    head.push(maskBit | 127, ...length);
  }
  if (!masked) return Buffer.concat([Buffer.from(head), body]);
  const key = [0x12, 0x34, 0x56, 0x78];
  for (let i = 0; i < body.length; i++) body[i] = (body[i] ?? 0) ^ (key[i & 3] ?? 0);
  return Buffer.concat([Buffer.from(head), Buffer.from(key), body]);
}

/** The payload of a close frame. */
export function closePayload(code: number, reason = ""): Buffer {
  const payload = Buffer.alloc(2 + Buffer.byteLength(reason));
  payload.writeUInt16BE(code);
  payload.write(reason, 2);
  return payload;
}

/** Cuts what a server sends into frames. */
export class FrameReader {
  private pending: Buffer = Buffer.alloc(0);

  /** The frames that are whole with this chunk. */
  *push(chunk: Buffer): Iterable<Frame> {
    this.pending = this.pending.length === 0 ? chunk : Buffer.concat([this.pending, chunk]);
    for (let frame = this.take(); frame !== undefined; frame = this.take()) yield frame;
  }

  private take(): Frame | undefined {
    const bytes = this.pending;
    if (bytes.length < 2) return undefined;
    const [first = 0, second = 0] = bytes;
    let length = second & 127;
    let offset = 2;
    if (length === 126) {
      if (bytes.length < 4) return undefined;
      length = bytes.readUInt16BE(2);
      offset = 4;
    } else if (length === 127) {
      if (bytes.length < 10) return undefined;
      length = Number(bytes.readBigUInt64BE(2));
      offset = 10;
    }
    if (bytes.length < offset + length) return undefined;
    this.pending = bytes.subarray(offset + length);
    const payload = bytes.subarray(offset, offset + length);
    return { fin: (first & 0x80) !== 0, rsv: (first >> 4) & 7, opcode: first & 15, payload };
  }
}

export class RawClient {
  readonly frames = new Events<Frame>();
  /** The response head of the handshake, or everything that came when it was refused. */
  head = "";
  ended = false;
  textCount = 0;
  /** The client that connected last, for those whose handshake is never answered. */
  static last: RawClient | undefined = undefined;
  private static readonly connected = new Set<RawClient>();
  private readonly socket: Socket;
  private readonly reader = new FrameReader();
  private upgraded = false;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on("data", (chunk: Buffer) => this.receive(chunk));
    socket.on("error", () => this.end());
    socket.on("end", () => this.end());
    socket.on("close", () => this.end());
  }

  /** A connection on which nothing has been said; it is being established. */
  static connect(url: string): RawClient {
    const { hostname: host, port, protocol } = new URL(url);
    const address = { host, port: Number(port), noDelay: true };
    const client = new RawClient(
      protocol === "wss:" ? connectTls({ ...address, rejectUnauthorized: false }) : connect(address),
    );
    RawClient.last = client;
    RawClient.connected.add(client);
    return client;
  }

  /** Sends `request` as it stands and resolves once a whole response head is there, or the connection has ended. */
  static async request(url: string, request: string | Uint8Array): Promise<RawClient> {
    const client = RawClient.connect(url);
    client.write(typeof request === "string" ? Buffer.from(request, "latin1") : request);
    await client.frames.until(
      () => client.upgraded || client.ended || client.head.includes("\r\n\r\n"),
      "a response",
    );
    return client;
  }

  /** Cuts every connection that is still there, so that a server under test has nobody to wait for. */
  static destroyAll(): void {
    for (const client of RawClient.connected) client.destroy();
  }

  /** Connects and upgrades. `headers` are added to the handshake. */
  static async open(url: string, headers: Record<string, string> = {}): Promise<RawClient> {
    const client = await RawClient.request(url, handshake(url, headers));
    if (!client.upgraded) throw new Error(`the handshake was refused: ${client.head}`);
    return client;
  }

  send(opcode: number, payload: string | Uint8Array, options?: FrameOptions): void {
    this.socket.write(encodeFrame(opcode, payload, options));
  }

  write(bytes: string | Uint8Array): void {
    this.socket.write(bytes);
  }

  /** Sends nothing more, and still reads (a FIN). */
  halfClose(): void {
    this.socket.end();
  }

  /** Stops reading: what the server sends fills the kernel's buffers, then the server's. */
  pause(): void {
    this.socket.pause();
  }

  resume(): void {
    this.socket.resume();
  }

  /** Ends with a close frame and waits for the server to end the connection. */
  async close(code = 1000): Promise<void> {
    if (!this.ended) this.send(Opcode.Close, closePayload(code));
    this.resume();
    await this.frames.until(() => this.ended, "the end of the connection");
  }

  /** The network dies: no close frame, a reset if possible. */
  destroy(): void {
    this.socket.destroy();
  }

  texts(): string[] {
    return this.frames.all.filter((frame) => frame.opcode === Opcode.Text).map((frame) =>
      frame.payload.toString()
    );
  }

  /** Resolves once `count` text frames have come. */
  async receiveTexts(count: number): Promise<string[]> {
    await this.frames.until(() => this.textCount >= count, `${count} text frames`);
    return this.texts();
  }

  /** Resolves with the code and reason of the server's close frame, or undefined if the connection just ended. */
  async closed(): Promise<{ code: number; reason: string } | undefined> {
    const isClose = (frame: Frame) => frame.opcode === Opcode.Close;
    await this.frames.until((all) => all.some(isClose) || this.ended, "a close frame or the end");
    const payload = this.frames.all.find(isClose)?.payload;
    if (payload === undefined) return undefined;
    return { code: payload.length < 2 ? 1005 : payload.readUInt16BE(0), reason: payload.toString("utf8", 2) };
  }

  /** Resolves once what has come before a handshake was accepted `matches`. */
  async said(matches: RegExp): Promise<void> {
    await this.frames.until(() => matches.test(this.head) || this.ended, String(matches));
    if (!matches.test(this.head)) throw new Error(`ended before ${matches}: ${this.head}`);
  }

  async gone(): Promise<void> {
    await this.frames.until(() => this.ended, "the end of the connection");
  }

  private end(): void {
    this.ended = true;
    RawClient.connected.delete(this);
    this.frames.wake();
  }

  private receive(chunk: Buffer): void {
    if (!this.upgraded) {
      this.head += chunk.toString("latin1");
      const end = this.head.indexOf("\r\n\r\n");
      if (!this.head.startsWith("HTTP/1.1 101") || end < 0) return this.frames.wake();
      this.upgraded = true;
      chunk = Buffer.from(this.head.slice(end + 4), "latin1");
      this.head = this.head.slice(0, end + 4);
      this.frames.wake();
    }
    for (const frame of this.reader.push(chunk)) {
      if (frame.opcode === Opcode.Text) this.textCount++;
      this.frames.push(frame);
    }
  }
}

/** A correct handshake request for `url`. */
export function handshake(url: string, headers: Record<string, string> = {}): string {
  const { host, pathname, search } = new URL(url);
  const lines = [
    `GET ${pathname}${search} HTTP/1.1`,
    `Host: ${host}`,
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version: 13",
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
  ];
  return `${lines.join("\r\n")}\r\n\r\n`;
}
