/**
 * What the listeners of native engines share: the context that their sockets work in, running the handlers of requests
 * so that a fault costs only that request, and knowing when the last socket is really gone.
 */
import { systemClock } from "../../clock.ts";
import {
  DeflateMode,
  type Handlers,
  type HttpRequest,
  type HttpResponse,
  type Listener,
  type ListenOptions,
  type Message,
  type RequestHead,
  type UpgradeAnswer,
} from "../../engine.ts";
import { askHttp, asksForWebSocket, askUpgrade, handshakeRefusal } from "../request.ts";
import type { NativeContext } from "./socket.ts";
import { messageLength, TopicTable } from "./topics.ts";

/**
 * How long the last close frames of ours get to reach their peers. A native engine shows no more of a socket once it
 * has sent the close frame; if the process ended at once, bytes that the peer had sent meanwhile would make the kernel
 * answer with a reset, which can overtake them. That happens in the kernel's time, so no injected clock rules it.
 */
const LINGER_MS = 500;

/** The verbs of a native server that a listener needs. */
export interface NativeServer {
  readonly url: string;
  publish(topic: string, message: Message, compress: boolean): void;
  stopAccepting(): void;
  /** Frees what is left once every socket is gone. */
  dispose(): void;
}

export class NativeListener<Data> implements Listener, NativeContext<Data> {
  readonly options: ListenOptions;
  readonly handlers: Handlers<Data>;
  readonly topics: TopicTable;
  readonly compressFrom: number;
  private server: NativeServer | undefined = undefined;
  private open = 0;
  private lastEndedByUs = Number.NEGATIVE_INFINITY;
  private closing: PromiseWithResolvers<void> | undefined = undefined;

  constructor(options: ListenOptions, handlers: Handlers<Data>) {
    this.options = options;
    this.handlers = handlers;
    this.topics = new TopicTable(options.maxBackpressureBytes);
    this.compressFrom = options.deflate === DeflateMode.Off ? Infinity : options.deflateThresholdBytes;
  }

  /** Called once, as soon as the native server listens. */
  attach(server: NativeServer): this {
    this.server = server;
    return this;
  }

  get url(): string {
    return this.server?.url ?? "";
  }

  publish(topic: string, message: Message): void {
    if (!this.topics.admit(topic, message)) return;
    this.server?.publish(topic, message, messageLength(message) >= this.compressFrom);
  }

  subscriberCount(topic: string): number {
    return this.topics.count(topic);
  }

  close(): Promise<void> {
    if (this.closing === undefined) {
      this.closing = withResolvers();
      this.server?.stopAccepting();
      this.finishWhenEmpty();
    }
    return this.closing.promise;
  }

  opened(): void {
    this.open++;
  }

  closed(byUs: boolean): void {
    this.open--;
    if (byUs) this.lastEndedByUs = systemClock.now();
    this.finishWhenEmpty();
  }

  get isClosing(): boolean {
    return this.closing !== undefined;
  }

  /**
   * Asks the handlers about a handshake. The engine's own checks come first: a refusal never reaches a handler.
   * @returns the answer at once unless the handler takes its time
   */
  decideUpgrade(head: RequestHead): UpgradeAnswer<Data> | Promise<UpgradeAnswer<Data>> {
    const refusal = handshakeRefusal(head.method, head.headers);
    if (refusal !== undefined) return { accept: false, response: refusal };
    return askUpgrade(this.handlers, head);
  }

  /** Asks the handlers about a plain request. */
  async answerHttp(request: HttpRequest): Promise<HttpResponse> {
    if (asksForWebSocket(request.headers)) {
      const refusal = handshakeRefusal(request.method, request.headers);
      if (refusal !== undefined) return refusal;
    }
    return await askHttp(this.handlers, request);
  }

  private finishWhenEmpty(): void {
    if (this.closing === undefined || this.open > 0) return;
    const resolve = this.closing.resolve;
    const lingerMs = this.lastEndedByUs + LINGER_MS - systemClock.now();
    const finish = () => {
      this.server?.dispose();
      resolve();
    };
    if (lingerMs > 0) systemClock.after(lingerMs, finish);
    else finish();
  }
}

// Promise.withResolvers came with Node 22.
function withResolvers(): PromiseWithResolvers<void> {
  let resolve!: PromiseWithResolvers<void>["resolve"];
  let reject!: PromiseWithResolvers<void>["reject"];
  const promise = new Promise<void>((onResolve, onReject) => {
    resolve = onResolve;
    reject = onReject;
  });
  return { promise, resolve, reject };
}
