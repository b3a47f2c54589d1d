/**
 * One TCP connection to the server under test, octet by octet: what is written, what came back as events, and every
 * way in which the server's own frames break RFC 6455. Notes and never judges; it knows no case and imports no codec.
 */
import { Buffer } from "node:buffer";
import { connect as connectTcp, isIP, type Socket } from "node:net";
import { connect as connectTls, type ConnectionOptions, rootCertificates } from "node:tls";
import { setImmediate } from "node:timers/promises";
import { clearTimeout, setTimeout } from "node:timers";
import { closePayload, concat, frame, FrameReader, isControl, Opcode, type RawFrame, Rsv1 } from "./frame.ts";
import { type Deflate, parseResponse, type ResponseHead } from "./handshake.ts";
import { Inflater } from "./inflate.ts";
import type { Target } from "./target.ts";

const LONGEST_CONTROL_BYTES = 125;
const LOG_LINES = 40;
const LOGGED_PAYLOAD_BYTES = 24;
const HEAD_END = "\r\n\r\n";
const LONGEST_HEAD_BYTES = 65_536;

/** A whole message or a control frame from the server. A close frame is no event. */
export interface WireEvent {
  readonly kind: "text" | "binary" | "ping" | "pong";
  readonly payload: Uint8Array;
  /** Payload octets on the wire, before inflating. */
  readonly wireBytes: number;
}

/** Which certificates of the server are believed: by default those that the runtime believes. */
export interface Trust {
  /** PEM certificates of authorities that are believed besides. */
  readonly authorities?: readonly string[];
  /** Any certificate will do. */
  readonly insecure?: boolean;
}

/** How TCP ended: still open, the server's FIN, its reset, or our own giving up. */
export type TcpEnd = "open" | "fin" | "reset" | "given up";

/** The server's close frame; a code of `null` means that it was empty. */
export interface ServerClose {
  readonly code: number | null;
  readonly reason: string;
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The connection. Made by {@link Wire.connect}; everything it learnt is in its public fields. */
export class Wire {
  readonly events: WireEvent[] = [];
  /** What the server's frames had wrong, in words. */
  readonly violations: string[] = [];
  /** Frames in both directions, shortened; the first forty. */
  readonly log: string[] = [];
  head: ResponseHead | undefined;
  deflate: Deflate | undefined;
  serverClose: ServerClose | undefined;
  /** We sent our close frame before the server's arrived. */
  closedByUs = false;
  closeSent = false;
  tcpEnd: TcpEnd = "open";

  readonly #socket: Socket;
  readonly #reader = new FrameReader();
  #headText: string | undefined = "";
  #wake: () => void = () => {};
  #inflater: Inflater | undefined;
  #opcode = 0;
  #compressed = false;
  #parts: Uint8Array[] = [];

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.on("data", (chunk: Buffer) => this.#read(chunk));
    socket.on("end", () => this.#ended("fin"));
    socket.on("error", (error) => this.#ended("reset", error));
    socket.on("close", () => this.#ended("fin"));
    socket.on("drain", () => this.#wake());
  }

  /** Opens the TCP (or TLS) connection. Rejects with the runtime's error when that fails, or takes too long. */
  static connect(target: Target, timeoutMs: number, trust: Trust = {}): Promise<Wire> {
    return new Promise((resolve, reject) => {
      const { host, port } = target;
      const socket = target.secure
        ? connectTls({ host, port, ...tlsOptions(host, trust) })
        : connectTcp({ host, port });
      const timer = setTimeout(() => {
        reject(new Error(`no connection in ${timeoutMs} ms`));
        socket.destroy();
      }, timeoutMs);
      socket.once("close", () => clearTimeout(timer));
      socket.once("error", reject);
      socket.once(target.secure ? "secureConnect" : "connect", () => {
        clearTimeout(timer);
        socket.off("error", reject);
        resolve(new Wire(socket));
      });
    });
  }

  /** From now on frames are read with these parameters. */
  agreeOn(deflate: Deflate): void {
    this.deflate = deflate;
    this.#inflater = new Inflater(deflate.serverWindowBits, deflate.serverTakeover);
  }

  get ended(): boolean {
    return this.tcpEnd !== "open";
  }

  /** The server has ended the conversation in either way. */
  get over(): boolean {
    return this.ended || this.serverClose !== undefined;
  }

  /** Nothing more worth waiting for will come: the conversation is over, or the server's frames are broken. */
  get hopeless(): boolean {
    return this.over || this.violations.length > 0;
  }

  /** Waits until `done` holds, TCP is over or the time is up. True when `done` holds at the end. */
  async until(done: () => boolean, timeoutMs: number): Promise<boolean> {
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      this.#wake();
    }, timeoutMs);
    while (!done() && !this.ended && !late) await new Promise<void>((resolve) => this.#wake = resolve);
    clearTimeout(timer);
    return done();
  }

  /** Writes octets in one go and waits for room when the kernel has none. Harmless once TCP is over. */
  async write(bytes: Uint8Array): Promise<void> {
    if (this.ended || this.#socket.destroyed) return;
    if (this.#socket.write(bytes)) return;
    while (!this.ended && this.#socket.writableNeedDrain) {
      await new Promise<void>((wake) => this.#wake = wake);
    }
  }

  /** Writes octets in pieces of `chopBytes`, each handed to the kernel by itself. */
  async writeChopped(bytes: Uint8Array, chopBytes: number): Promise<void> {
    for (let offset = 0; offset < bytes.length && !this.ended; offset += chopBytes) {
      await this.write(bytes.subarray(offset, offset + chopBytes));
      await setImmediate();
    }
  }

  /** Notes frames that are about to be written and returns their octets as one string of bytes. */
  note(frames: readonly Uint8Array[]): Uint8Array {
    for (const each of frames) this.#log(`> ${shortHex(each)}`);
    return frames.length === 1 ? frames[0] ?? new Uint8Array(0) : concat(frames);
  }

  /** Writes frames back to back in one go. */
  send(...frames: Uint8Array[]): Promise<void> {
    return this.write(this.note(frames));
  }

  /** Sends a close frame; the first one decides who started the closing handshake. */
  sendClose(code: number | null): Promise<void> {
    return this.sendRawClose(
      frame({ opcode: Opcode.Close, payload: code === null ? "" : closePayload(code) }),
    );
  }

  /** As {@link sendClose}, with a frame built by hand. */
  sendRawClose(closeFrame: Uint8Array): Promise<void> {
    this.noteClose();
    return this.send(closeFrame);
  }

  /** Marks that what is written next holds our close frame. */
  noteClose(): void {
    if (this.serverClose === undefined && !this.ended) this.closedByUs = true;
    this.closeSent = true;
  }

  /** Ends our half of TCP without a close frame. */
  end(): void {
    this.#socket.end();
  }

  /** Gives up: tears TCP down from our side unless it is over already. */
  destroy(): void {
    if (!this.ended) this.tcpEnd = "given up";
    this.#socket.destroy();
  }

  #ended(how: TcpEnd, error?: Error): void {
    if (!this.ended) {
      this.tcpEnd = how;
      this.#log(`< ${how === "fin" ? "TCP FIN" : `TCP reset (${error?.message ?? ""})`}`);
      this.#socket.end();
    }
    this.#wake();
  }

  #read(chunk: Uint8Array): void {
    const body = this.#headText === undefined ? chunk : this.#readHead(chunk);
    if (body !== undefined && body.length > 0) {
      try {
        this.#reader.push(body, (each) => this.#onFrame(each));
      } catch (error) {
        this.#violate(String(error));
        this.destroy();
      }
    }
    this.#wake();
  }

  /** Collects the response head; returns what follows a 101 in the same chunk. */
  #readHead(chunk: Uint8Array): Uint8Array | undefined {
    const text = this.#headText +
      Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length).toString("latin1");
    const end = text.indexOf(HEAD_END);
    if (end === -1) {
      this.#headText = text.slice(0, LONGEST_HEAD_BYTES);
      return undefined;
    }
    if (this.head !== undefined) return undefined;
    this.head = parseResponse(text.slice(0, end)) ?? { status: 0, headers: new Map() };
    this.#log(`< ${text.slice(0, text.indexOf("\r\n"))}`);
    if (this.head.status !== 101) return undefined;
    this.#headText = undefined;
    return chunk.subarray(chunk.length - (text.length - end - HEAD_END.length));
  }

  #violate(what: string): void {
    if (!this.violations.includes(what)) this.violations.push(what);
  }

  #log(line: string): void {
    if (this.log.length < LOG_LINES) this.log.push(line);
    else if (this.log.length === LOG_LINES) this.log.push("…");
  }

  #onFrame(raw: RawFrame): void {
    const bits = `${raw.fin ? "FIN " : ""}${raw.rsv === 0 ? "" : `RSV=${raw.rsv} `}`;
    this.#log(`< ${bits}opcode ${raw.opcode}, ${raw.payload.length} bytes ${shortHex(raw.payload)}`);
    if (this.serverClose !== undefined) this.#violate("a frame after the close frame (section 5.5.1)");
    if (raw.masked) this.#violate("a masked frame from the server (section 5.1)");
    if (!raw.minimal) this.#violate("a length not in the fewest octets (section 5.2)");
    if (isControl(raw.opcode)) this.#onControl(raw);
    else this.#onData(raw);
  }

  #onControl(raw: RawFrame): void {
    const { payload } = raw;
    if (!raw.fin) this.#violate("a fragmented control frame (section 5.5)");
    if (payload.length > LONGEST_CONTROL_BYTES) this.#violate("a control frame over 125 bytes (section 5.5)");
    if (raw.rsv !== 0) this.#violate("a reserved bit on a control frame (section 5.2)");
    if (raw.opcode === Opcode.Ping || raw.opcode === Opcode.Pong) {
      this.events.push({
        kind: raw.opcode === Opcode.Ping ? "ping" : "pong",
        payload,
        wireBytes: payload.length,
      });
    } else if (raw.opcode === Opcode.Close) this.#onClose(payload);
    else this.#violate(`a reserved opcode, ${raw.opcode} (section 5.2)`);
  }

  #onClose(payload: Uint8Array): void {
    if (payload.length === 1) this.#violate("a close frame with a payload of one byte (section 5.5.1)");
    const code = payload.length < 2 ? null : ((payload[0] ?? 0) << 8) | (payload[1] ?? 0);
    this.serverClose = { code, reason: this.#decode(payload.subarray(2), "close reason") };
  }

  #onData(raw: RawFrame): void {
    const first = raw.opcode !== Opcode.Continuation;
    if (raw.opcode > Opcode.Binary) this.#violate(`a reserved opcode, ${raw.opcode} (section 5.2)`);
    if (first === (this.#opcode !== 0)) {
      this.#violate(
        first ? "a new message inside a fragmented one" : "a continuation of nothing (section 5.4)",
      );
    }
    if (first) {
      this.#opcode = raw.opcode;
      this.#parts = [];
      this.#compressed = raw.rsv === Rsv1 && this.#inflater !== undefined;
    }
    if (raw.rsv !== 0 && !(first && this.#compressed)) {
      this.#violate("a reserved bit that nothing gives a meaning");
    }
    this.#parts.push(raw.payload);
    if (raw.fin) this.#finishMessage();
  }

  #finishMessage(): void {
    const wire = this.#parts.length === 1 ? this.#parts[0] ?? new Uint8Array(0) : concat(this.#parts);
    const kind = this.#opcode === Opcode.Text ? "text" : "binary";
    this.#opcode = 0;
    this.#parts = [];
    let payload = wire;
    if (this.#compressed && this.#inflater !== undefined) {
      try {
        payload = this.#inflater.message(wire);
      } catch (error) {
        this.#violate(`a compressed message that cannot be inflated: ${String(error)}`);
        return;
      }
    }
    if (kind === "text") this.#decode(payload, "text message");
    this.events.push({ kind, payload, wireBytes: wire.length });
  }

  #decode(bytes: Uint8Array, what: string): string {
    try {
      return utf8.decode(bytes);
    } catch {
      this.#violate(`a ${what} that is not UTF-8 (section 8.1)`);
      return "";
    }
  }
}

/** What `node:tls` is told about a server's name and whom to believe. */
export function tlsOptions(host: string, { authorities, insecure }: Trust): ConnectionOptions {
  return {
    // A server name is never an address (RFC 6066 section 3).
    ...(isIP(host) === 0 ? { servername: host } : {}),
    ...(authorities === undefined ? {} : { ca: [...rootCertificates, ...authorities] }),
    rejectUnauthorized: insecure !== true,
  };
}

function shortHex(bytes: Uint8Array): string {
  const shown = Buffer.from(bytes.subarray(0, LOGGED_PAYLOAD_BYTES)).toString("hex");
  return bytes.length > LOGGED_PAYLOAD_BYTES ? `${shown}… (${bytes.length} bytes)` : shown;
}
