/**
 * What the listeners of native engines share: one listener in front of one native server or, after a reload of the TLS
 * files, several; running the handlers of requests so that a fault costs only that request; and knowing when the last
 * socket is really gone.
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
import { QueueBudget } from "../queue_budget.ts";
import {
  askHttp,
  asksForWebSocket,
  askUpgrade,
  handshakeRefusal,
  listenUrl,
  NOBODY_ACCEPTED,
  OLD_STAYS,
  reloadError,
} from "../request.ts";
import { type BuildServer, Generation } from "./generation.ts";
import { messageLength, TopicTable } from "./topics.ts";

/**
 * How long the last close frames of ours get to reach their peers. A native engine shows no more of a socket once it
 * has sent the close frame; if the process ended at once, bytes that the peer had sent meanwhile would make the kernel
 * answer with a reset, which can overtake them. That happens in the kernel's time, so no injected clock rules it.
 */
const LINGER_MS = 500;

export class NativeListener<Data> implements Listener {
  readonly options: ListenOptions;
  readonly handlers: Handlers<Data>;
  readonly budget: QueueBudget;
  readonly topics: TopicTable;
  readonly compressFrom: number;
  private readonly build: BuildServer<Data>;
  private readonly generations: Generation<Data>[] = [];
  /** Those with sockets. */
  private readonly living: Generation<Data>[] = [];
  private readonly port: number;
  private lastEndedByUs = Number.NEGATIVE_INFINITY;
  private closing: PromiseWithResolvers<void> | undefined = undefined;

  /** Listens. Throws the engine's error when it cannot. */
  constructor(options: ListenOptions, handlers: Handlers<Data>, build: BuildServer<Data>) {
    this.options = options;
    this.handlers = handlers;
    this.budget = new QueueBudget(options.maxQueuedBytes, () => this.recount());
    this.topics = new TopicTable(options.maxBackpressureBytes, this.budget);
    this.compressFrom = options.deflate === DeflateMode.Off ? Infinity : options.deflateThresholdBytes;
    this.build = build;
    const first = new Generation(this, build);
    this.port = first.listen(options.port);
    this.generations.push(first);
  }

  get url(): string {
    return listenUrl(this.options, this.port);
  }

  get queuedBytes(): number {
    return this.budget.measure();
  }

  publish(topic: string, message: Message): void {
    if (!this.topics.admit(topic, message)) return;
    const compress = messageLength(message) >= this.compressFrom;
    // Backwards: one that loses its last socket over it leaves the list.
    for (let index = this.living.length - 1; index >= 0; index--) {
      this.living[index]?.publish(topic, message, compress);
    }
  }

  subscriberCount(topic: string): number {
    return this.topics.count(topic);
  }

  reloadTls(): void {
    if (this.options.tls === undefined || this.closing !== undefined) return;
    let next: Generation<Data>;
    try {
      next = new Generation(this, this.build);
    } catch (error) {
      throw reloadError(this.url, error, OLD_STAYS);
    }
    // Two servers could share the port, but then so could a stranger's.
    for (const generation of this.generations) generation.stopAccepting();
    try {
      next.listen(this.port);
    } catch (error) {
      throw reloadError(this.url, error, NOBODY_ACCEPTED);
    }
    this.generations.push(next);
  }

  close(): Promise<void> {
    if (this.closing === undefined) {
      this.closing = withResolvers();
      for (const generation of this.generations) generation.stopAccepting();
      this.finishWhenEmpty();
    }
    return this.closing.promise;
  }

  /** A generation has got a socket. */
  opened(generation: Generation<Data>): void {
    if (generation.sockets.size === 1) this.living.push(generation);
  }

  /** A generation has lost a socket; `byUs` when a close frame of ours may still be on its way out. */
  closed(generation: Generation<Data>, byUs: boolean): void {
    if (generation.sockets.size === 0) this.living.splice(this.living.indexOf(generation), 1);
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

  private recount(): void {
    for (const generation of this.living) {
      for (const socket of generation.sockets) socket.recount();
    }
  }

  private finishWhenEmpty(): void {
    if (this.closing === undefined || this.living.length > 0) return;
    const resolve = this.closing.resolve;
    const lingerMs = this.lastEndedByUs + LINGER_MS - systemClock.now();
    const finish = () => {
      for (const generation of this.generations) generation.dispose();
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
