/**
 * One client connection: the opening handshake, the server's greeting where it has one, then a stream of messages that
 * are counted. It must never know when to send what: its owner, the workload, does.
 */
import { Buffer } from "node:buffer";
import { constants, inflateRawSync } from "node:zlib";
import type { Dialect, Greeter, Subscription } from "./dialects/dialect.ts";
import { dialects } from "./dialects/pick.ts";
import { ConnectionLost, PeerClosed, UpgradeRefused } from "./faults.ts";
import { openLink } from "./link.ts";
import type { Link, LinkEvents } from "./link.ts";
import type { Job } from "./job.ts";
import { maskedFrame, seededBytes } from "./ring.ts";
import { BINARY, FrameScanner, RawScanner, StreamScanner, TEXT } from "./scanner.ts";
import type { Scanner, ScannerSink, Sorting } from "./scanner.ts";

/** The example key of RFC 6455, section 1.3, and the answer it must get. */
const KEY = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
const HEAD_END = "\r\n\r\n";
const MAX_HEAD_BYTES = 16 * 1024;
const DEFLATE = "permessage-deflate";
const DEFLATE_OFFER = `${DEFLATE}; server_no_context_takeover; client_no_context_takeover`;
/** What was left off a compressed message (RFC 7692, section 7.2.2). */
const DEFLATE_TAIL = Buffer.from([0, 0, 0xff, 0xff]);

const CLOSE_OPCODE = 8;
const PING_OPCODE = 9;
const PONG_OPCODE = 10;
const MASK_SEED = 0xc0de;

const DEFAULT_PORT = 80;
const DEFAULT_TLS_PORT = 443;

/** Connections opened at the same time, well below a listen backlog. */
const OPENING_AT_ONCE = 64;

/** The workload, as its connections see it. */
export interface Owner {
  /** `count` more messages are complete. */
  progressed(connection: Connection, count: number): void;
  /** Message number `sequence` of `connection` is to be inspected; throws an Error when it is wrong. */
  inspect(connection: Connection, sequence: number, payload: Buffer): void;
  /** `error` says the same as `reason` to a program: see faults.ts. Not called after `end`. */
  failed(reason: string, connection: Connection, error: Error): void;
}

const Phase = { Upgrade: 0, Greeting: 1, Running: 2, Ended: 3 } as const;
type Phase = typeof Phase[keyof typeof Phase];

/** The opcode that messages of a job have. */
export function opcodeOf({ binary, protocol }: Pick<Job, "binary" | "protocol">): number {
  return dialects[protocol].binary ?? binary ? BINARY : TEXT;
}

export class Connection implements LinkEvents, ScannerSink, Greeter {
  readonly index: number;
  readonly topic: string | undefined;
  /** Messages sent so far; the workload's own count. */
  sent = 0;
  subscription: Subscription | undefined;
  owner: Owner;

  readonly #job: Job;
  readonly #dialect: Dialect;
  #scanner: Scanner;
  #link: Link | undefined;
  #phase: Phase = Phase.Upgrade;
  /** Whether the owner waits for messages. */
  #isExpecting = false;
  #step = 0;
  #head = "";
  #opened: () => void = () => {};
  #notOpened: (error: Error) => void = () => {};

  constructor(job: Job, index: number, owner: Owner, topic?: string) {
    this.#job = job;
    this.#dialect = dialects[job.protocol];
    this.index = index;
    this.topic = topic;
    this.owner = owner;
    this.#scanner = job.protocol === "tcp"
      ? new RawScanner(job.payloadBytes, 1, this)
      : new FrameScanner(opcodeOf(job), this, job.deflate);
  }

  /** Messages received so far. */
  get received(): number {
    return this.#scanner.messages;
  }

  /** Bytes that the system has not taken yet. */
  get waitingBytes(): number {
    return this.#link?.waitingBytes() ?? 0;
  }

  /** Whether messages may be sent: it is open, and has not ended. */
  get isRunning(): boolean {
    return this.#phase === Phase.Running;
  }

  /** Connects and shakes hands; resolves when the first message may be sent, rejects when the server will not have it. */
  async open(): Promise<void> {
    const url = new URL(this.#job.url);
    const opened = new Promise<void>((resolve, reject) => {
      this.#opened = resolve;
      this.#notOpened = reject;
    });
    opened.catch(() => {}); // it is awaited once TCP is connected, which may be too late or never
    const tls = url.protocol === "wss:";
    const port = url.port === "" ? (tls ? DEFAULT_TLS_PORT : DEFAULT_PORT) : Number(url.port);
    const host = url.hostname.replace(/^\[(.*)\]$/, "$1");
    const link = await openLink({ host, port, tls: tls ? this.#job.trust : undefined }, this);
    this.#link = link;
    if (this.#phase === Phase.Ended) { // given up meanwhile
      link.end();
      return;
    }
    if (this.#job.protocol === "tcp") {
      this.#phase = Phase.Running;
      return;
    }
    const { subprotocol } = this.#dialect;
    this.write(Buffer.from(
      `GET ${this.#dialect.target(url.pathname + url.search, this.topic)} HTTP/1.1\r\nHost: ${url.host}\r\n` +
        `Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: ${KEY}\r\nSec-WebSocket-Version: 13` +
        (subprotocol === undefined ? "" : `\r\nSec-WebSocket-Protocol: ${subprotocol}`) +
        (this.#job.deflate ? `\r\nSec-WebSocket-Extensions: ${DEFLATE_OFFER}` : "") +
        this.#job.headers.map((header) => `\r\n${header}`).join("") + HEAD_END,
    ));
    await opened;
  }

  /**
   * Counts messages from 0 again: each has `messageBytes` (-1: any size), and every `inspectEvery`th is inspected. With
   * `sorting`, which sorts frames only, what it does not let pass is not counted.
   */
  expect(messageBytes: number, inspectEvery: number, sorting?: Sorting): void {
    // The offsets go on where the messages counted so far ended.
    if (this.#isExpecting && this.subscription !== undefined) this.subscription.offset += this.received;
    this.sent = 0;
    this.#isExpecting = true;
    if (this.#job.protocol === "tcp") this.#scanner = new RawScanner(messageBytes, inspectEvery, this);
    else if (this.#dialect.interjection !== undefined) {
      this.#scanner = new StreamScanner(messageBytes, inspectEvery, this, this.#dialect.interjection);
    } else if (this.#scanner instanceof FrameScanner) {
      this.#scanner.expect(messageBytes, inspectEvery, sorting);
    }
  }

  write(bytes: Uint8Array): void {
    this.#link?.write(bytes);
  }

  /** Reads nothing from now on. */
  pause(): void {
    this.#link?.pause();
  }

  /** Ends the connection at once; that it ended is no failure then. */
  end(): void {
    this.#phase = Phase.Ended;
    this.#link?.end();
  }

  data(bytes: Uint8Array, length: number): void {
    const before = this.#scanner.messages;
    try {
      if (this.#phase === Phase.Upgrade) {
        this.#answer(bytes, length);
        return;
      }
      if (this.#phase === Phase.Ended) return;
      const count = this.#scanner.push(bytes, 0, length);
      if (count > 0 && this.#isExpecting) this.owner.progressed(this, count);
    } catch (error) {
      // What was complete before the fault, or before a close frame, has arrived.
      const count = this.#scanner.messages - before;
      if (count > 0 && this.#isExpecting) this.owner.progressed(this, count);
      this.#fail(error as Error);
    }
  }

  closed(): void {
    if (this.#phase !== Phase.Ended) this.#fail(new ConnectionLost());
  }

  #fail(error: Error): void {
    this.owner.failed(`connection ${this.index}: ${error.message}`, this, error);
    this.#notOpened(error);
  }

  message(sequence: number, payload: Uint8Array, compressed: boolean): void {
    const whole = compressed
      ? inflateRawSync(Buffer.concat([payload, DEFLATE_TAIL]), { finishFlush: constants.Z_SYNC_FLUSH })
      : Buffer.from(payload.buffer, payload.byteOffset, payload.length);
    if (this.#isExpecting) this.owner.inspect(this, sequence, whole);
    else if (this.#phase === Phase.Running) this.#interject(whole);
    else if (this.#dialect.greeted(this.#step++, whole, this, (message) => this.#say(message))) this.#run();
  }

  #interject(payload: Buffer): void {
    const { interjection } = this.#dialect;
    if (interjection === undefined || !payload.equals(interjection)) {
      throw new Error("a message came before any was sent");
    }
  }

  control(opcode: number, payload: Uint8Array): void {
    if (opcode === PING_OPCODE) this.write(maskedFrame(PONG_OPCODE, payload, seededBytes(MASK_SEED)));
    if (opcode === CLOSE_OPCODE) throw new PeerClosed(payload);
  }

  /** Reads the answer to the upgrade (RFC 6455, section 4.1); what follows it is frames. */
  #answer(bytes: Uint8Array, length: number): void {
    const before = this.#head.length;
    this.#head += Buffer.from(bytes.subarray(0, length)).toString("latin1");
    const end = this.#head.indexOf(HEAD_END);
    if (end < 0) {
      if (this.#head.length > MAX_HEAD_BYTES) throw new Error("the answer to the upgrade does not end");
      return;
    }
    const head = this.#head.slice(0, end);
    if (!head.startsWith("HTTP/1.1 101")) {
      throw new UpgradeRefused(head.split("\r\n")[0] ?? "");
    }
    if (!head.includes(ACCEPT)) throw new Error("the upgrade was answered without the right accept hash");
    if (head.includes(DEFLATE) !== this.#job.deflate) {
      throw new Error(`${DEFLATE} was ${this.#job.deflate ? "not agreed to" : "agreed to without an offer"}`);
    }
    this.#head = "";
    if (this.#dialect.isGreeted(this)) this.#phase = Phase.Greeting;
    else this.#run();
    const hello = this.#dialect.hello(this);
    if (hello !== undefined) this.#say(hello);
    const frames = end + HEAD_END.length - before;
    if (frames < length) this.#scanner.push(bytes, frames, length);
  }

  #say(message: Buffer): void {
    this.write(maskedFrame(opcodeOf(this.#job), message, seededBytes(MASK_SEED)));
  }

  #run(): void {
    this.#phase = Phase.Running;
    this.#opened();
  }
}

/** Which connections to open. */
export interface Opening {
  readonly count: number;
  /** The index of the first. */
  readonly from?: number;
  readonly topicOf?: (index: number) => string;
}

/** Opens connections, a bounded number at a time. */
export async function openConnections(job: Job, owner: Owner, opening: Opening): Promise<Connection[]> {
  const { count, from = 0, topicOf } = opening;
  const connections = Array.from(
    { length: count },
    (_, i) => new Connection(job, from + i, owner, topicOf?.(from + i)),
  );
  for (let i = 0; i < count; i += OPENING_AT_ONCE) {
    await Promise.all(connections.slice(i, i + OPENING_AT_ONCE).map((connection) => connection.open()));
  }
  return connections;
}
