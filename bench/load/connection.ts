/**
 * One client connection: the opening handshake, Millrace's greeting where it is spoken, then a stream of messages that
 * are counted. It must never know when to send what: its owner, the workload, does.
 */
import { Buffer } from "node:buffer";
import { openLink } from "./link.ts";
import type { Link, LinkEvents } from "./link.ts";
import type { Job } from "./job.ts";
import { maskedFrame, seededBytes } from "./ring.ts";
import { BINARY, FrameScanner, RawScanner, TEXT } from "./scanner.ts";
import type { Scanner, ScannerSink } from "./scanner.ts";

/** The example key of RFC 6455, section 1.3, and the answer it must get. */
const KEY = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
const HEAD_END = "\r\n\r\n";
const MAX_HEAD_BYTES = 16 * 1024;

const CLOSE_OPCODE = 8;
const PING_OPCODE = 9;
const PONG_OPCODE = 10;
const MASK_SEED = 0xc0de;

const SUBSCRIBE_ID = 1;
/** The topic of the fan-out workload. */
export const TOPIC = "t";

/** Connections opened at the same time, well below a listen backlog. */
const OPENING_AT_ONCE = 64;

/** Where a subscriber's counting starts: the acknowledgement of its `subscribe`. */
export interface Subscription {
  epoch: unknown;
  offset: number;
}

/** The workload, as its connections see it. */
export interface Owner {
  /** `count` more messages are complete. */
  progressed(connection: Connection, count: number): void;
  /** Message number `sequence` of `connection` is to be inspected; throws an Error when it is wrong. */
  inspect(connection: Connection, sequence: number, payload: Uint8Array): void;
  failed(reason: string): void;
}

const Phase = { Upgrade: 0, Welcome: 1, Subscribe: 2, Running: 3 } as const;
type Phase = typeof Phase[keyof typeof Phase];

export class Connection implements LinkEvents, ScannerSink {
  readonly index: number;
  /** Messages sent so far; the workload's own count. */
  sent = 0;
  subscription: Subscription | undefined;

  readonly #job: Job;
  readonly #owner: Owner;
  #scanner: Scanner;
  #link: Link | undefined;
  #phase: Phase = Phase.Upgrade;
  #head = "";
  #opened: () => void = () => {};

  constructor(job: Job, index: number, owner: Owner) {
    this.#job = job;
    this.index = index;
    this.#owner = owner;
    this.#scanner = job.protocol === "tcp"
      ? new RawScanner(job.payloadBytes, 1, this)
      : new FrameScanner(job.binary ? BINARY : TEXT, this);
  }

  /** Messages received so far. */
  get received(): number {
    return this.#scanner.messages;
  }

  /** Connects and shakes hands; resolves when the first message may be sent. */
  async open(): Promise<void> {
    const url = new URL(this.#job.url);
    const opened = new Promise<void>((resolve) => this.#opened = resolve);
    this.#link = await openLink(url.hostname, Number(url.port), this);
    if (this.#job.protocol === "tcp") {
      this.#phase = Phase.Running;
      return;
    }
    this.write(Buffer.from(
      `GET ${url.pathname}${url.search} HTTP/1.1\r\nHost: ${url.host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
        `Sec-WebSocket-Key: ${KEY}\r\nSec-WebSocket-Version: 13${HEAD_END}`,
    ));
    await opened;
  }

  /**
   * Counts messages from 0 again: each has `messageBytes` (-1: any size), and every `inspectEvery`th is inspected.
   */
  expect(messageBytes: number, inspectEvery: number): void {
    if (this.#scanner instanceof FrameScanner) this.#scanner.expect(messageBytes, inspectEvery);
    else this.#scanner = new RawScanner(messageBytes, inspectEvery, this);
  }

  write(bytes: Uint8Array): void {
    this.#link?.write(bytes);
  }

  data(bytes: Uint8Array, length: number): void {
    try {
      if (this.#phase === Phase.Upgrade) {
        this.#answer(bytes, length);
        return;
      }
      const wasRunning = this.#phase === Phase.Running;
      const count = this.#scanner.push(bytes, 0, length);
      if (count > 0 && wasRunning) this.#owner.progressed(this, count);
    } catch (error) {
      this.#owner.failed(`connection ${this.index}: ${(error as Error).message}`);
    }
  }

  closed(): void {
    this.#owner.failed(`connection ${this.index}: the server closed it`);
  }

  message(sequence: number, payload: Uint8Array): void {
    if (this.#phase === Phase.Running) this.#owner.inspect(this, sequence, payload);
    else this.#greet(payload);
  }

  control(opcode: number, payload: Uint8Array): void {
    if (opcode === PING_OPCODE) this.write(maskedFrame(PONG_OPCODE, payload, seededBytes(MASK_SEED)));
    if (opcode !== CLOSE_OPCODE) return;
    const code = payload.length < 2
      ? "no code"
      : `code ${(payload[0] as number) * 256 + (payload[1] as number)}`;
    throw new Error(`the server sent a close frame with ${code}`);
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
      throw new Error(`the upgrade was answered with ${head.split("\r\n")[0]}`);
    }
    if (!head.includes(ACCEPT)) throw new Error("the upgrade was answered without the right accept hash");
    this.#head = "";
    if (this.#job.protocol === "millrace") this.#phase = Phase.Welcome;
    else this.#run();
    const frames = end + HEAD_END.length - before;
    if (frames < length) this.#scanner.push(bytes, frames, length);
  }

  /** Millrace's greeting: its `welcome`, then the `ack` of the subscription that the fan-out needs. */
  #greet(payload: Uint8Array): void {
    const message = JSON.parse(Buffer.from(payload).toString()) as Record<string, unknown>;
    if (this.#phase === Phase.Welcome) {
      if (message["type"] !== "welcome") throw new Error(`a ${message["type"]} came instead of the welcome`);
      if (this.#job.workload !== "fanout") return this.#run();
      this.#phase = Phase.Subscribe;
      const command = JSON.stringify({ type: "subscribe", topic: TOPIC, id: SUBSCRIBE_ID });
      this.write(maskedFrame(TEXT, Buffer.from(command), seededBytes(MASK_SEED)));
      return;
    }
    if (message["type"] !== "ack" || message["id"] !== SUBSCRIBE_ID) {
      throw new Error(`a ${message["type"]} came instead of the ack of the subscription`);
    }
    this.subscription = { epoch: message["epoch"], offset: Number(message["offset"]) };
    this.#run();
  }

  #run(): void {
    this.#phase = Phase.Running;
    this.#opened();
  }
}

/** Opens `count` connections, a bounded number at a time; the first has index `from`. */
export async function openConnections(
  job: Job,
  owner: Owner,
  count: number,
  from = 0,
): Promise<Connection[]> {
  const connections = Array.from({ length: count }, (_, i) => new Connection(job, from + i, owner));
  for (let i = 0; i < count; i += OPENING_AT_ONCE) {
    await Promise.all(connections.slice(i, i + OPENING_AT_ONCE).map((connection) => connection.open()));
  }
  return connections;
}
