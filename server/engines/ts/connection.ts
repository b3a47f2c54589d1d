/**
 * One WebSocket connection on the engine `ts`: the codec's decoder with a socket under it. All that one read brings is
 * answered with one write; nothing is held while the connection is idle.
 */
import { CloseCode, closeReason } from "../../close.ts";
import { CloseState } from "../../codec/closing.ts";
import { Decoder } from "../../codec/decoder.ts";
import { Opcode } from "../../codec/opcode.ts";
import { type Message, SendStatus, SlowPolicy, type Socket } from "../../engine.ts";
import type { Queue } from "../queue_budget.ts";
import type { Agreement, Compression } from "./compression.ts";
import { closeFrame, controlFrame } from "./control_frames.ts";
import type { TsListener } from "./listener.ts";
import type { TcpHandler, TcpSocket } from "./tcp.ts";
import type { Topic } from "./topics.ts";

/** A skipped connection receives again once its backlog is down to this share of the limit. */
const RESUME_SHARE = 0.5;

const NOTHING = new Uint8Array(0);

export class Connection<Data> extends Decoder implements Socket<Data>, TcpHandler, Queue {
  readonly data: Data;
  readonly compression: Compression | undefined;
  /** The last publication that needs no delivery any more; 0 while the end of the turn decides. */
  seenSequence = 0;
  /** What waits, as of the last write or drain. */
  countedBytes = 0;
  private readonly listener: TsListener<Data>;
  private readonly tcp: TcpSocket;
  private closeState: CloseState = CloseState.Open;
  /** Whether the close event is still to come. */
  private alive = true;
  private isMuted = false;
  private topics: Map<string, Topic> | undefined = undefined;
  /** Our close code while its frame waits behind a backlog. */
  private closing: { readonly code: number; readonly reason: string } | undefined = undefined;
  /** The payload of a ping that could not be answered yet; only the last one counts (RFC 6455 section 5.5.3). */
  private owedPong: Uint8Array | undefined = undefined;

  constructor(listener: TsListener<Data>, tcp: TcpSocket, data: Data, agreement: Agreement | undefined) {
    super(listener.decoderSettings);
    this.listener = listener;
    this.tcp = tcp;
    this.data = data;
    this.compression = agreement?.compression;
    if (agreement !== undefined) this.inflater = agreement.inflater;
  }

  get remoteAddress(): string {
    return this.tcp.remoteAddress;
  }

  get bufferedAmount(): number {
    return this.alive ? this.tcp.pendingBytes : 0;
  }

  get topicCount(): number {
    return this.topics?.size ?? 0;
  }

  send(message: Message): SendStatus {
    if (this.closeState !== CloseState.Open) return SendStatus.Dropped;
    if (this.topics !== undefined) this.flushPublications();
    const { tcp, compression, listener } = this;
    const backlog = tcp.pendingBytes;
    if (backlog > 0 && backlog + message.length > listener.options.maxBackpressureBytes) {
      return this.overflow();
    }
    if (compression?.applies(message)) this.write(compression.frame(message));
    else listener.outbox.message(this, message);
    return this.countedBytes > 0 ? SendStatus.Queued : SendStatus.Sent;
  }

  subscribe(name: string): void {
    if (this.closeState !== CloseState.Open || this.topics?.has(name)) return;
    this.flushPublications();
    const { index } = this.listener;
    this.seenSequence = index.last;
    (this.topics ??= new Map()).set(name, index.subscribe(name, this as Connection<unknown>, this.isMuted));
  }

  unsubscribe(name: string): void {
    const topic = this.topics?.get(name);
    if (topic === undefined || this.closeState !== CloseState.Open) return;
    this.flushPublications();
    this.topics?.delete(name);
    this.listener.index.unsubscribe(topic, this as Connection<unknown>);
  }

  cork(write: () => void): void {
    if (this.closeState === CloseState.Open) this.listener.outbox.collect(this, write);
  }

  ping(): void {
    if (this.closeState === CloseState.Open) this.write(controlFrame(Opcode.Ping, NOTHING));
  }

  close(code: number, reason: string): void {
    if (this.closeState !== CloseState.Open) return;
    this.flushPublications();
    this.leaveTopics();
    this.write(closeFrame(code, reason));
    this.closeState = CloseState.ClosedByUs;
    this.listener.outbox.flushFor(this);
    this.listener.deadlines.set(this, this.listener.options.closeTimeoutSeconds);
    if (this.tcp.pendingBytes > 0) this.closing = { code, reason };
    else this.emitClose(code, reason);
  }

  terminate(): void {
    if (!this.alive) return;
    this.closeState = CloseState.DoneByUs;
    this.drop();
  }

  recount(): void {
    const bytes = this.tcp.pendingBytes;
    if (bytes !== this.countedBytes) this.listener.budget.count(this, bytes);
  }

  evict(): void {
    // One that has had its close event may still have bytes on their way out.
    if (!this.alive) return this.drop();
    try {
      this.listener.handlers.evicted(this);
    } catch (error) {
      this.listener.handlers.failed(error, this);
    }
    this.terminate();
  }

  /** The deadline of the close handshake has passed. */
  expire(): void {
    this.drop();
  }

  // What TCP tells.

  received(bytes: Uint8Array, length: number): void {
    if (this.isEnded) return;
    this.listener.receive(this, bytes, length);
  }

  drained(): void {
    this.recount();
    const { closing } = this;
    if (this.owedPong !== undefined) {
      const payload = this.owedPong;
      this.owedPong = undefined;
      if (this.closeState === CloseState.Open) this.write(controlFrame(Opcode.Pong, payload));
    }
    if (closing !== undefined) {
      this.closing = undefined;
      return this.emitClose(closing.code, closing.reason);
    }
    if (this.closeState !== CloseState.Open) return;
    if (this.isMuted) {
      if (this.tcp.pendingBytes > this.listener.options.maxBackpressureBytes * RESUME_SHARE) return;
      this.setMuted(false);
    }
    try {
      this.listener.handlers.drain(this);
    } catch (error) {
      this.faulted(error);
    }
  }

  /** The peer sends no more. Without a close frame before it, that is the end (RFC 6455 section 7.1.4). */
  peerEnded(): void {
    this.stop();
    // A peer that has said goodbye and still reads gets what it is owed; the deadline is set.
    if (this.closeState !== CloseState.Open && this.tcp.pendingBytes > 0) return this.tcp.end();
    this.drop();
  }

  closed(): void {
    this.stop();
    this.recount();
    this.emitClose(CloseCode.Abnormal, "");
    this.listener.deadlines.clear(this);
    this.listener.gone();
  }

  // What the codec tells.

  receive(message: Message): void {
    if (this.closeState !== CloseState.Open) return;
    try {
      this.listener.handlers.message(this, message);
    } catch (error) {
      this.faulted(error);
    }
  }

  /** Answers a ping. While the backlog is above its limit only the last one is remembered. */
  answerPing(payload: Uint8Array): void {
    if (this.closeState !== CloseState.Open) return;
    if (this.tcp.pendingBytes > this.listener.options.maxBackpressureBytes) {
      this.owedPong = payload.slice();
    } else {
      this.owedPong = undefined;
      this.write(controlFrame(Opcode.Pong, payload));
    }
  }

  ponged(): void {
    if (this.closeState !== CloseState.Open) return;
    try {
      this.listener.handlers.pong(this);
    } catch (error) {
      this.faulted(error);
    }
  }

  /** The peer's close frame: echoed if it was first, and then TCP may end (RFC 6455 section 5.5.1). */
  peerClosed(code: number, reason: string): void {
    const wasOpen = this.closeState === CloseState.Open;
    if (wasOpen) {
      this.flushPublications();
      this.leaveTopics();
      this.write(closeFrame(code, ""));
    }
    this.listener.outbox.flushFor(this);
    this.closeState = wasOpen ? CloseState.DoneByPeer : CloseState.DoneByUs;
    this.tcp.end();
    this.listener.deadlines.set(this, this.listener.options.closeTimeoutSeconds);
    if (wasOpen) this.emitClose(code, reason);
  }

  /** The peer broke the protocol: it is told, and nothing more of it is looked at (RFC 6455 section 7.1.7). */
  peerFailed(code: number): void {
    if (this.closeState === CloseState.Open) {
      this.leaveTopics();
      this.write(closeFrame(code, ""));
      this.closeState = CloseState.DoneByUs;
      this.listener.outbox.flushFor(this);
    }
    this.tcp.end();
    this.listener.deadlines.set(this, this.listener.options.closeTimeoutSeconds);
    this.emitClose(code, "");
  }

  /** A handler threw. */
  faulted(error: unknown): void {
    this.listener.handlers.failed(error, this);
    this.close(CloseCode.InternalError, closeReason(CloseCode.InternalError));
  }

  // What the topic index tells.

  reportDropped(topic: string | undefined): void {
    try {
      this.listener.handlers.dropped(this, topic);
    } catch (error) {
      this.faulted(error);
    }
  }

  /** Writes what this turn has published to this connection's topics so far, so that what follows stays behind it. */
  flushPublications(): void {
    const { index } = this.listener;
    if (this.topics === undefined || this.seenSequence === index.last) return;
    const pending = index.pendingFor(this as Connection<unknown>);
    this.seenSequence = index.last;
    if (pending.length === 0) return;
    const { outbox } = this.listener;
    // One write for all of them, unless another connection's read is being answered: that is not to be cut in two.
    const collects = pending.length > 1 && !outbox.isTaken;
    if (collects) outbox.begin(this);
    try {
      for (const publication of pending) this.write(publication.frame(this.compression));
    } finally {
      if (collects) outbox.finish(undefined);
    }
    this.checkBacklog();
  }

  /** Writes frames that many connections share. */
  writeShared(frames: Uint8Array): void {
    this.write(frames);
    if (this.countedBytes > 0) this.checkBacklog();
  }

  /** Frames to go out behind what is collected; they must not change afterwards. */
  write(frames: Uint8Array): void {
    if (!this.listener.outbox.append(this, frames)) this.writeDirectly(frames);
  }

  /** Past the outbox, and for it when a frame is too large to be collected. */
  writeDirectly(frames: Uint8Array): void {
    this.tcp.write(frames);
    this.recount();
  }

  /** For the outbox alone: bytes that it would like to write over. Answers whether it may. */
  writeCollected(bytes: Uint8Array, start: number, end: number): boolean {
    const mayWriteOver = this.tcp.writeLent(bytes, start, end);
    this.recount();
    return mayWriteOver;
  }

  private overflow(): SendStatus {
    this.reportDropped(undefined);
    if (this.listener.options.slowPolicy === SlowPolicy.Close) this.closeSlow();
    return SendStatus.Dropped;
  }

  private checkBacklog(): void {
    if (this.isMuted || this.closeState !== CloseState.Open) return;
    if (this.tcp.pendingBytes <= this.listener.options.maxBackpressureBytes) return;
    if (this.listener.options.slowPolicy === SlowPolicy.Skip) this.setMuted(true);
    else this.closeSlow();
  }

  private closeSlow(): void {
    this.close(CloseCode.SlowConsumer, closeReason(CloseCode.SlowConsumer));
  }

  private setMuted(muted: boolean): void {
    this.isMuted = muted;
    this.seenSequence = this.listener.index.last;
    for (const topic of this.topics?.values() ?? []) {
      (muted ? topic.members : topic.muted).delete(this as Connection<unknown>);
      (muted ? topic.muted : topic.members).add(this as Connection<unknown>);
    }
  }

  private leaveTopics(): void {
    for (const topic of this.topics?.values() ?? []) {
      this.listener.index.unsubscribe(topic, this as Connection<unknown>);
    }
    this.topics = undefined;
  }

  /** Ends TCP at once, and what waits is gone with it. */
  private drop(): void {
    this.stop();
    this.tcp.destroy();
    this.emitClose(CloseCode.Abnormal, "");
  }

  private emitClose(code: number, reason: string): void {
    if (!this.alive) return;
    this.alive = false;
    this.leaveTopics();
    this.compression?.release();
    try {
      this.listener.handlers.close(this, code, reason);
    } catch (error) {
      this.listener.handlers.failed(error, this);
    }
  }
}
