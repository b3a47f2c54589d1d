/**
 * A small WebSocket echo server on node:net with faults to switch on, so that the conformance runner can prove that it
 * finds each of them. Written apart from both the server's codec and the runner's frames: it must share no code with
 * what it judges or is judged by.
 */
import { Buffer } from "node:buffer";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { constants, createDeflateRaw, deflateRawSync, inflateRawSync } from "node:zlib";
import { answerHandshake, type Fault } from "./faulty_handshake.ts";
import { Utf8Watch } from "./utf8_watch.ts";

export type { Fault };

/** A running server. */
export interface FaultyEcho {
  readonly url: string;
  close(): Promise<void>;
}

/** Starts the server on a free port of 127.0.0.1, with these faults and no others. */
export async function startFaultyEcho(...faults: Fault[]): Promise<FaultyEcho> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => socket.destroy());
    new Connection(socket, new Set(faults));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}

const TAIL = Buffer.from("0000ffff", "hex");
const FLUSHED = { finishFlush: constants.Z_SYNC_FLUSH };
const LIMIT_BYTES = 64 * 1024 * 1024;

/** The peer broke the protocol; carries the close code. */
class Refusal extends Error {
  readonly code: number;
  constructor(code: number) {
    super(`refused with ${code}`);
    this.code = code;
  }
}

/** A frame whose payload is still coming in. */
interface Incoming {
  readonly fin: boolean;
  readonly rsv: number;
  readonly opcode: number;
  readonly key: Buffer | undefined;
  readonly length: number;
  got: number;
  readonly parts: Buffer[];
}

class Connection {
  readonly #socket: Socket;
  readonly #faults: ReadonlySet<Fault>;
  #unread: Buffer = Buffer.alloc(0);
  #open = false;
  #done = false;
  #frame: Incoming | undefined;
  #opcode = 0;
  #compressed = false;
  #parts: Buffer[] = [];
  #utf8 = new Utf8Watch();
  #latePongs: Buffer[] = [];
  #deflate: { windowBits: number } | undefined;
  #kept: ReturnType<typeof createDeflateRaw> | undefined;
  #sending = Promise.resolve();
  #count = 0;
  #held: Buffer | undefined;

  constructor(socket: Socket, faults: ReadonlySet<Fault>) {
    this.#socket = socket;
    this.#faults = faults;
    socket.setNoDelay(true);
    socket.on("data", (chunk: Buffer) => {
      if (this.#done) return;
      this.#unread = this.#unread.length === 0 ? chunk : Buffer.concat([this.#unread, chunk]);
      try {
        if (!this.#open) this.#handshake();
        if (this.#open) { while (!this.#done && this.#step()); }
      } catch (error) {
        if (!(error instanceof Refusal)) throw error;
        this.#fail(error.code);
      }
    });
  }

  #has(fault: Fault): boolean {
    return this.#faults.has(fault);
  }

  #handshake(): void {
    const end = this.#unread.indexOf("\r\n\r\n");
    if (end === -1) return;
    const answer = answerHandshake(this.#unread.subarray(0, end).toString("latin1"), this.#faults);
    this.#unread = this.#unread.subarray(end + 4);
    this.#socket.write(answer.response);
    this.#open = answer.opens;
    this.#done = !answer.opens;
    if (!answer.opens) this.#socket.end();
    if (answer.windowBits !== undefined) this.#deflate = { windowBits: answer.windowBits };
  }

  /** Reads a header or a piece of payload; false when more bytes are needed. */
  #step(): boolean {
    if (this.#frame === undefined && !this.#header()) return false;
    const frame = this.#frame;
    if (frame === undefined) return false;
    const piece = this.#unread.subarray(0, frame.length - frame.got);
    this.#unread = this.#unread.subarray(piece.length);
    const plain = Buffer.from(piece);
    if (frame.key !== undefined) {
      for (let at = 0; at < plain.length; at++) {
        plain[at] = (plain[at] ?? 0) ^ (frame.key[(frame.got + at) & 3] ?? 0);
      }
    }
    frame.got += plain.length;
    frame.parts.push(plain);
    if (
      frame.opcode < 8 && this.#opcode === 1 && !this.#compressed && !this.#has("UTF-8 checked at the end")
    ) {
      this.#watch(plain);
    }
    if (frame.got < frame.length) return false;
    this.#frame = undefined;
    this.#whole(frame, Buffer.concat(frame.parts));
    return true;
  }

  #watch(bytes: Buffer): void {
    if (!this.#has("no UTF-8 check") && !this.#utf8.feed(bytes)) throw new Refusal(1007);
  }

  #header(): boolean {
    const bytes = this.#unread;
    if (bytes.length < 2) return false;
    const [first = 0, second = 0] = bytes;
    const short = second & 127;
    const extra = short === 127 ? 8 : short === 126 ? 2 : 0;
    const keyAt = 2 + extra;
    const end = keyAt + (second & 128 ? 4 : 0);
    if (bytes.length < end) return false;
    let length = extra === 8 ? Number(bytes.readBigUInt64BE(2)) : extra === 2 ? bytes.readUInt16BE(2) : short;
    const opcode = first & 15;
    if (extra === 8 && length >= 2 ** 63) {
      if (!this.#has("high bit of length ignored")) throw new Refusal(1002);
      length = Number.MAX_SAFE_INTEGER;
    } else if (length > LIMIT_BYTES) throw new Refusal(1009);
    const shortest = extra === 8 ? 65_536 : extra === 2 ? 126 : 0;
    if (length < shortest && !this.#has("long lengths accepted")) throw new Refusal(1002);
    if (opcode >= 8 && length > 125 && !this.#has("long control frames accepted")) throw new Refusal(1002);
    if ((second & 128) === 0 && !this.#has("no mask check")) throw new Refusal(1002);
    const fin = (first & 128) !== 0;
    this.#checkStart(fin, (first >> 4) & 7, opcode);
    this.#unread = bytes.subarray(end);
    const key = second & 128 ? bytes.subarray(keyAt, end) : undefined;
    this.#frame = { fin, rsv: (first >> 4) & 7, opcode, key, length, got: 0, parts: [] };
    return true;
  }

  #checkStart(fin: boolean, rsv: number, opcode: number): void {
    if (opcode >= 8) {
      if (!fin && !this.#has("control frames fragmented")) throw new Refusal(1002);
      if (rsv !== 0 && !this.#has("RSV ignored")) throw new Refusal(1002);
      return;
    }
    if (opcode === 0) {
      if (this.#opcode === 0 && !this.#has("continuation of nothing accepted")) throw new Refusal(1002);
      if (rsv !== 0 && !this.#has("RSV of continuations ignored")) throw new Refusal(1002);
      return;
    }
    const compressed = this.#deflate !== undefined && rsv === 4;
    if (rsv !== 0 && !compressed && !this.#has("RSV ignored")) throw new Refusal(1002);
    if (opcode > 2) return;
    if (this.#opcode !== 0) {
      if (!this.#has("fragments mixed")) throw new Refusal(1002);
      return;
    }
    this.#opcode = opcode;
    this.#compressed = compressed;
    this.#parts = [];
    this.#utf8 = new Utf8Watch();
  }

  #whole(frame: Incoming, payload: Buffer): void {
    const { opcode } = frame;
    if (opcode === 8) return this.#closing(payload);
    if (opcode === 9) return this.#ping(payload);
    if (opcode === 10) return;
    if (opcode > 2) {
      if (!this.#has("reserved opcodes ignored")) throw new Refusal(1002);
      return;
    }
    if (this.#opcode === 0) return;
    this.#parts.push(payload);
    if (!frame.fin) return;
    let message: Buffer = Buffer.concat(this.#parts);
    if (this.#compressed) message = this.#inflate(message);
    const text = this.#opcode === 1;
    this.#opcode = 0;
    if (text && (this.#compressed || this.#has("UTF-8 checked at the end"))) this.#watch(message);
    if (text && !this.#has("no UTF-8 check") && !this.#utf8.whole) throw new Refusal(1007);
    const spoiled = this.#spoil(text ? 1 : 2, message);
    if (spoiled === undefined) return;
    this.#echo(text && !this.#has("text comes back as binary") ? 1 : 2, spoiled);
    if (this.#has("echoes twice")) this.#echo(text ? 1 : 2, spoiled);
    for (const late of this.#latePongs.splice(0)) this.#send(10, late);
  }

  #inflate(message: Buffer): Buffer {
    try {
      return inflateRawSync(Buffer.concat([message, TAIL]), FLUSHED);
    } catch {
      throw new Refusal(1007);
    }
  }

  #ping(payload: Buffer): void {
    if (this.#has("ping not answered")) return;
    if (this.#has("pong after the message") && this.#opcode !== 0) this.#latePongs.push(payload);
    else if (this.#has("pong with another payload")) this.#send(10, Buffer.from("pong"));
    else this.#send(10, this.#has("pong without payload") ? Buffer.alloc(0) : payload);
  }

  #closing(payload: Buffer): void {
    const code = payload.length < 2 ? 1000 : payload.readUInt16BE(0);
    const lawful = (code >= 1000 && code <= 1014 && code !== 1004 && code !== 1005 && code !== 1006) ||
      (code >= 3000 && code < 5000);
    if (payload.length === 1 && !this.#has("close of one byte accepted")) throw new Refusal(1002);
    if (!lawful && !this.#has("close codes not checked")) throw new Refusal(1002);
    const reason = new Utf8Watch();
    if (!this.#has("close reason not checked") && !(reason.feed(payload.subarray(2)) && reason.whole)) {
      throw new Refusal(1007);
    }
    const bad = this.#has("close reason sent not UTF-8") ? [0xff] : [];
    const echo = Buffer.from([...payload.subarray(0, 2), ...bad]);
    if (this.#has("close code changed")) echo.writeUInt16BE(3999);
    if (!this.#has("close not echoed")) this.#send(8, echo);
    if (this.#has("close answered twice")) this.#send(8, echo);
    if (this.#has("close answered late by a message")) this.#send(1, Buffer.from("late"));
    this.#finish();
  }

  #fail(code: number): void {
    if (this.#has("fails by dropping TCP")) {
      this.#done = true;
      this.#socket.destroy();
      return;
    }
    const sent = this.#has("fails with 1000") ? 1000 : code;
    this.#send(8, Buffer.from([sent >> 8, sent & 255]));
    this.#finish();
  }

  #finish(): void {
    this.#done = true;
    this.#kept?.close();
    if (!this.#has("TCP left open")) this.#sending.then(() => this.#socket.end());
  }

  /** What becomes of whole messages before they are echoed; undefined when there is nothing to echo now. */
  #spoil(opcode: number, message: Buffer): Buffer | undefined {
    this.#count++;
    if (this.#has("drops every tenth message") && this.#count % 10 === 0) return undefined;
    if (this.#has("messages answered with another")) return Buffer.from("something else");
    if (this.#has("large messages drop the connection") && message.length > 65_535) {
      this.#done = true;
      this.#socket.destroy();
      return undefined;
    }
    if (this.#has("binary corrupted") && opcode === 2 && message.length > 200) message[200] = 0x3f;
    if (!this.#has("swaps neighbours") || this.#count <= 10) return message;
    const held = this.#held;
    this.#held = held === undefined ? message : undefined;
    if (held !== undefined) this.#echo(opcode, message);
    return held;
  }

  #echo(opcode: number, message: Buffer): void {
    if (this.#has("last byte wrong")) message[message.length - 1] = (message.at(-1) ?? 0) ^ 1;
    if (this.#has("answers in fragments")) {
      const half = message.length >> 1;
      this.#write(opcode, message.subarray(0, half), 0, false);
      return this.#write(0, message.subarray(half), 0);
    }
    if (this.#deflate === undefined) return this.#send(opcode, message, this.#has("RSV sent") ? 4 : 0);
    if (this.#has("garbage for compressed")) return this.#send(opcode, Buffer.alloc(8, 0xff), 4);
    if (!this.#has("context kept")) {
      const options = { ...FLUSHED, windowBits: this.#deflate.windowBits };
      return this.#send(opcode, deflateRawSync(message, options).subarray(0, -TAIL.length), 4);
    }
    const kept = this.#kept ??= createDeflateRaw();
    this.#sending = this.#sending.then(() =>
      new Promise((resolve) => {
        const parts: Buffer[] = [];
        const collect = (part: Buffer) => parts.push(part);
        kept.on("data", collect);
        kept.write(message);
        kept.flush(constants.Z_SYNC_FLUSH, () => {
          kept.off("data", collect);
          this.#write(opcode, Buffer.concat(parts).subarray(0, -TAIL.length), 4);
          resolve();
        });
      })
    );
  }

  #send(opcode: number, payload: Buffer, rsv = 0): void {
    if (this.#kept === undefined) this.#write(opcode, payload, rsv);
    else this.#sending = this.#sending.then(() => this.#write(opcode, payload, rsv));
  }

  #write(opcode: number, payload: Buffer, rsv: number, fin = true): void {
    const length = this.#has("length cut to 16 bits") && payload.length > 65_535
      ? payload.length & 65_535
      : payload.length;
    const long = this.#has("long lengths sent");
    const extra = length > 65_535 ? 8 : length > 125 || long ? 2 : 0;
    const header = Buffer.alloc(2 + extra);
    header[0] = (fin ? 128 : 0) | (rsv << 4) | opcode;
    header[1] = extra === 8 ? 127 : extra === 2 ? 126 : length;
    if (extra === 2) header.writeUInt16BE(length, 2);
    if (extra === 8) header.writeBigUInt64BE(BigInt(length), 2);
    if (this.#has("masks its frames")) {
      header[1] = (header[1] ?? 0) | 128;
      // A key of zeros leaves the payload as it is.
      this.#socket.write(Buffer.concat([header, Buffer.alloc(4), payload]));
    } else this.#socket.write(Buffer.concat([header, payload]));
  }
}
