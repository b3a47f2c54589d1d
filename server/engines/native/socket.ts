/**
 * A socket of a native engine, as the contract wants it. The engine's own verbs come in through the abstract methods;
 * the life of the connection, its limits and its reports are the same for all native engines and are kept here.
 * It must not know which engine it runs on.
 */
import { CloseCode, closeReason } from "../../close.ts";
import {
  type Handlers,
  type ListenOptions,
  type Message,
  SendStatus,
  SlowPolicy,
  type Socket,
} from "../../engine.ts";
import type { Queue, QueueBudget } from "../queue_budget.ts";
import { messageLength, type TopicTable } from "./topics.ts";

/** A skipped socket receives again once its backlog is down to this share of the limit. */
const RESUME_SHARE = 0.5;

const Phase = { Open: 0, Closing: 1, Closed: 2 } as const;
type Phase = typeof Phase[keyof typeof Phase];

/** What the sockets of one listener share. */
export interface NativeContext<Data> {
  readonly options: ListenOptions;
  readonly handlers: Handlers<Data>;
  readonly topics: TopicTable;
  readonly budget: QueueBudget;
  /** Messages at least this long are compressed; Infinity when deflate is off. */
  readonly compressFrom: number;
  /** Called once for each socket, before its handler of `open`. */
  opened(socket: NativeSocket<Data>): void;
  /** Called once for each socket that has closed; `byUs` when a close frame of ours may still be on its way out. */
  closed(socket: NativeSocket<Data>, byUs: boolean): void;
}

export abstract class NativeSocket<Data> implements Socket<Data>, Queue {
  readonly data: Data;
  readonly remoteAddress: string;
  /** What was found to wait when it was last looked at: above 0 the backlog must be asked for before the next send. */
  countedBytes = 0;
  private readonly context: NativeContext<Data>;
  private phase: Phase = Phase.Open;
  private muted = false;
  private topics: Set<string> | undefined = undefined;
  private closeCode: number = CloseCode.Abnormal;
  private closeReason = "";
  private cancelDeadline: (() => void) | undefined = undefined;

  constructor(context: NativeContext<Data>, data: Data, remoteAddress: string) {
    this.context = context;
    this.data = data;
    this.remoteAddress = remoteAddress;
  }

  protected abstract nativeSend(message: Message, compress: boolean): SendStatus;
  protected abstract nativePing(): void;
  protected abstract nativeBuffered(): number;
  protected abstract nativeSubscribe(topic: string): void;
  protected abstract nativeUnsubscribe(topic: string): void;
  protected abstract nativeCork(write: () => void): void;
  /** Sends a close frame and ends the connection; {@link handleClose} may be called from inside. */
  protected abstract nativeEnd(code: number, reason: string): void;
  protected abstract nativeTerminate(): void;

  get bufferedAmount(): number {
    return this.phase === Phase.Closed ? 0 : this.nativeBuffered();
  }

  send(message: Message): SendStatus {
    if (this.phase !== Phase.Open) return SendStatus.Dropped;
    const length = messageLength(message);
    if (this.countedBytes > 0) {
      const backlog = this.nativeBuffered();
      if (backlog > 0 && backlog + length > this.context.options.maxBackpressureBytes) return this.overflow();
    }
    const status = this.nativeSend(message, length >= this.context.compressFrom);
    if (status === SendStatus.Queued) this.recount();
    return status;
  }

  subscribe(topic: string): void {
    if (this.phase !== Phase.Open) return;
    const topics = this.topics ??= new Set();
    if (topics.has(topic)) return;
    topics.add(topic);
    this.context.topics.add(topic, this as NativeSocket<unknown>, topics.size);
    if (this.muted) this.context.topics.setMuted(topic, this as NativeSocket<unknown>, true);
    else this.nativeSubscribe(topic);
  }

  unsubscribe(topic: string): void {
    if (this.phase !== Phase.Open || !this.topics?.delete(topic)) return;
    this.context.topics.remove(topic, this as NativeSocket<unknown>);
    if (!this.muted) this.nativeUnsubscribe(topic);
  }

  cork(write: () => void): void {
    if (this.phase === Phase.Open) this.nativeCork(write);
  }

  ping(): void {
    if (this.phase === Phase.Open) this.nativePing();
  }

  close(code: number, reason: string): void {
    if (this.phase !== Phase.Open) return;
    this.phase = Phase.Closing;
    this.closeCode = code;
    this.closeReason = reason;
    this.leaveTopics();
    // A native engine forgets the backlog of a socket that it has ended, and its handle with it: let it leave first.
    if (this.nativeBuffered() === 0) return this.nativeEnd(code, reason);
    const { clock, closeTimeoutSeconds } = this.context.options;
    this.cancelDeadline = clock.after(closeTimeoutSeconds * 1000, () => this.terminate());
  }

  terminate(): void {
    if (this.phase !== Phase.Closed) this.nativeTerminate();
  }

  /** A message has arrived, `bytes` long on the wire. */
  handleMessage(message: Message, bytes: number): void {
    if (this.phase !== Phase.Open) return;
    if (bytes > this.context.options.maxPayloadBytes) {
      return this.close(CloseCode.MessageTooBig, closeReason(CloseCode.MessageTooBig));
    }
    try {
      this.context.handlers.message(this, message);
    } catch (error) {
      this.fail(error);
    }
  }

  handleOpen(): void {
    this.context.opened(this);
    try {
      this.context.handlers.open(this);
    } catch (error) {
      this.fail(error);
    }
  }

  handlePong(): void {
    if (this.phase !== Phase.Open) return;
    try {
      this.context.handlers.pong(this);
    } catch (error) {
      this.fail(error);
    }
  }

  /** A ping has come, and its pong may have joined a backlog. */
  handlePing(): void {
    this.recount();
  }

  /** Bytes have left. */
  handleDrain(): void {
    const backlog = this.nativeBuffered();
    this.context.budget.count(this, backlog);
    if (this.phase === Phase.Closing) {
      if (backlog === 0) this.nativeEnd(this.closeCode, this.closeReason);
      return;
    }
    if (this.muted) {
      if (backlog > this.context.options.maxBackpressureBytes * RESUME_SHARE) return;
      this.setMuted(false);
    }
    try {
      this.context.handlers.drain(this);
    } catch (error) {
      this.fail(error);
    }
  }

  /** The connection has ended: by us with the code given to {@link close}, or as the peer or the network had it. */
  handleClose(code: number, reason: string): void {
    if (this.phase === Phase.Closed) return;
    const byUs = this.phase === Phase.Closing && code !== CloseCode.Abnormal;
    this.leaveTopics();
    this.phase = Phase.Closed;
    this.context.budget.count(this, 0);
    this.cancelDeadline?.();
    try {
      // With 1006 native engines give texts of their own as the reason; no peer has sent those.
      this.context.handlers.close(this, code, code === CloseCode.Abnormal ? "" : reason);
    } catch (error) {
      this.context.handlers.failed(error, this);
    }
    this.context.closed(this, byUs);
  }

  recount(): void {
    this.context.budget.count(this, this.bufferedAmount);
  }

  evict(): void {
    try {
      this.context.handlers.evicted(this);
    } catch (error) {
      this.context.handlers.failed(error, this);
    }
    this.terminate();
  }

  /** Called when it is time to look: a socket that has fallen behind is closed or skipped, as the options say. */
  checkBacklog(topic: string): void {
    if (this.phase !== Phase.Open || this.muted) return;
    this.recount();
    if (this.countedBytes <= this.context.options.maxBackpressureBytes) return;
    if (this.context.options.slowPolicy === SlowPolicy.Skip) return this.setMuted(true);
    this.reportDropped(topic);
    this.closeSlow();
  }

  reportDropped(topic: string | undefined): void {
    try {
      this.context.handlers.dropped(this, topic);
    } catch (error) {
      this.fail(error);
    }
  }

  private overflow(): SendStatus {
    this.reportDropped(undefined);
    if (this.context.options.slowPolicy === SlowPolicy.Close) this.closeSlow();
    return SendStatus.Dropped;
  }

  private closeSlow(): void {
    this.close(CloseCode.SlowConsumer, closeReason(CloseCode.SlowConsumer));
  }

  private fail(error: unknown): void {
    this.context.handlers.failed(error, this);
    this.close(CloseCode.InternalError, closeReason(CloseCode.InternalError));
  }

  private setMuted(muted: boolean): void {
    this.muted = muted;
    if (this.topics === undefined) return;
    for (const topic of this.topics) {
      this.context.topics.setMuted(topic, this as NativeSocket<unknown>, muted);
      if (muted) this.nativeUnsubscribe(topic);
      else this.nativeSubscribe(topic);
    }
  }

  private leaveTopics(): void {
    if (this.topics === undefined) return;
    for (const topic of this.topics) {
      this.context.topics.remove(topic, this as NativeSocket<unknown>);
      if (this.phase === Phase.Closing && !this.muted) this.nativeUnsubscribe(topic);
    }
    this.topics = undefined;
  }
}
