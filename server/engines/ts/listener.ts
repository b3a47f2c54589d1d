/**
 * The listener of the engine `ts`: what its connections share, and the way from the codec's findings to the handlers.
 * It must not know which runtime the sockets come from.
 */
import { type DecoderSettings, decoderSettings } from "../../codec/header.ts";
import type { ProtocolError } from "../../codec/errors.ts";
import type { Sink } from "../../codec/sink.ts";
import type { Handlers, Listener, ListenOptions, Message } from "../../engine.ts";
import { QueueBudget } from "../queue_budget.ts";
import { listenUrl, NOBODY_ACCEPTED, OLD_STAYS, reloadError } from "../request.ts";
import { readTls, type TlsTexts } from "../tls_files.ts";
import { type Agreement, CompressionPool } from "./compression.ts";
import { Connection } from "./connection.ts";
import { Deadlines } from "../../deadlines.ts";
import { Exchange } from "./exchange.ts";
import { Outbox } from "./outbox.ts";
import type { TcpHandler, TcpListener, TcpSocket } from "./tcp.ts";
import { TopicIndex } from "./topics.ts";

/** More frames than this in one message serve nobody but an attacker. */
const MAX_FRAGMENTS = 65_536;

export class TsListener<Data> implements Listener {
  readonly options: ListenOptions;
  readonly handlers: Handlers<Data>;
  readonly decoderSettings: DecoderSettings;
  readonly compressions: CompressionPool;
  readonly deadlines: Deadlines;
  readonly index = new TopicIndex();
  readonly outbox = new Outbox();
  readonly budget: QueueBudget;
  /** Connections that still speak HTTP. */
  private readonly exchanges = new Set<Exchange<Data>>();
  private readonly sink: Sink<Connection<Data>> = createSink();
  private tcp: TcpListener | undefined = undefined;
  private count = 0;
  private whenEmpty: (() => void) | undefined = undefined;
  private closing: Promise<void> | undefined = undefined;

  constructor(options: ListenOptions, handlers: Handlers<Data>) {
    this.options = options;
    this.handlers = handlers;
    this.decoderSettings = decoderSettings({
      role: "server",
      maxPayloadBytes: options.maxPayloadBytes,
      maxFragments: MAX_FRAGMENTS,
    });
    this.compressions = new CompressionPool(options.deflate, options.deflateThresholdBytes);
    this.deadlines = new Deadlines(options.clock);
    // Every write of a connection says what it leaves behind.
    this.budget = new QueueBudget(options.maxQueuedBytes, () => {});
  }

  attach(tcp: TcpListener): this {
    this.tcp = tcp;
    return this;
  }

  get url(): string {
    return listenUrl(this.options, this.tcp?.port ?? this.options.port);
  }

  get isClosing(): boolean {
    return this.closing !== undefined;
  }

  publish(topic: string, message: Message): void {
    this.index.publish(topic, message);
  }

  subscriberCount(topic: string): number {
    return this.index.count(topic);
  }

  get queuedBytes(): number {
    return this.budget.measure();
  }

  reloadTls(): void {
    const { tls } = this.options;
    if (tls === undefined || this.isClosing) return;
    let renewed: TlsTexts;
    try {
      renewed = readTls(tls);
    } catch (error) {
      throw reloadError(this.url, error, OLD_STAYS);
    }
    try {
      this.tcp?.reloadTls(renewed);
    } catch (error) {
      throw reloadError(this.url, error, NOBODY_ACCEPTED);
    }
  }

  close(): Promise<void> {
    if (this.closing === undefined) {
      this.closing = new Promise((resolve) => this.whenEmpty = resolve);
      this.tcp?.close();
      this.settle();
    }
    return this.closing;
  }

  /** A TCP connection has come. */
  accept(socket: TcpSocket): TcpHandler {
    this.count++;
    const exchange = new Exchange(this, socket);
    this.exchanges.add(exchange);
    return exchange;
  }

  /** A TCP connection has gone. */
  gone(): void {
    this.count--;
    this.settle();
  }

  /** A connection speaks HTTP no more. */
  exchanged(exchange: Exchange<Data>): void {
    this.exchanges.delete(exchange);
  }

  /** A handshake has been accepted: the answer goes out before anything else, and what came early is read. */
  opened(
    tcp: TcpSocket,
    data: Data,
    agreement: Agreement | undefined,
    response: Uint8Array,
    early: Uint8Array,
  ): void {
    const connection = new Connection(this, tcp, data, agreement);
    tcp.handler = connection;
    tcp.write(response);
    try {
      this.handlers.open(connection);
    } catch (error) {
      connection.faulted(error);
    }
    if (early.length > 0) connection.received(early, early.length);
  }

  /** One read of a connection: every frame in it is handled, and answered with one write. */
  receive(connection: Connection<Data>, bytes: Uint8Array, length: number): void {
    const previous = this.outbox.begin(connection as Connection<unknown>);
    try {
      connection.push(bytes, this.sink, length);
    } catch (error) {
      // Handlers are guarded one by one; this is a fault of the engine or the runtime. It costs this connection only.
      connection.faulted(error);
    } finally {
      this.outbox.finish(previous);
    }
  }

  /** Whether the listener is closing and no WebSocket is left. */
  get isLastHttp(): boolean {
    return this.closing !== undefined && this.count === this.exchanges.size;
  }

  /** Once the last WebSocket has gone, a closing listener waits only for requests under way. */
  settle(): void {
    if (this.closing === undefined) return;
    if (this.count === 0) return this.whenEmpty?.();
    if (!this.isLastHttp) return;
    for (const exchange of this.exchanges) exchange.dropIfIdle();
  }
}

function createSink<Data>(): Sink<Connection<Data>> {
  const view = (bytes: Uint8Array, start: number, end: number) =>
    new Uint8Array(bytes.buffer, bytes.byteOffset + start, end - start);
  return {
    text: (connection, text) => connection.receive(text),
    textBytes() {},
    binary: (connection, bytes, start, end) => connection.receive(view(bytes, start, end)),
    ping: (connection, bytes, start, end) => connection.answerPing(view(bytes, start, end)),
    pong: (connection) => connection.ponged(),
    close: (connection, code, reason) => connection.peerClosed(code, reason),
    error: (connection, error: ProtocolError) => connection.peerFailed(error.code),
  };
}
