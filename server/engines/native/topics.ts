/**
 * Who subscribes to what on a native engine, kept beside the engine's own tables for the two things that these do not
 * tell: which sockets have fallen behind, and which publications each of them misses. A native engine that drops in
 * its fan-out says so for some messages and not for others, so its own limit is switched off and kept from here.
 */
import type { Message } from "../../engine.ts";
import type { QueueBudget } from "../queue_budget.ts";
import type { NativeSocket } from "./socket.ts";

/**
 * A topic's subscribers are looked at once per this share of the backpressure limit published to it: a look costs a
 * call per subscriber, and thousands of deliveries lie between two looks.
 */
const SCANS_PER_LIMIT = 8;

/** Above this many topics on one socket the scans grow no denser; the bound on its backlog then grows instead. */
const MAX_WIDTH = 128;

/** What a frame of ours has besides its payload, at the most (RFC 6455 section 5.2; we do not mask). */
const MAX_FRAME_HEAD_BYTES = 10;

/** A UTF-16 unit takes at most so many bytes of UTF-8. */
const MAX_BYTES_PER_UNIT = 3;

interface Topic {
  readonly name: string;
  readonly members: Set<NativeSocket<unknown>>;
  /** Members that are being skipped; the engine does not have them as subscribers now. */
  readonly muted: Set<NativeSocket<unknown>>;
  /** Bytes published since the members' backlogs were last looked at. */
  unscannedBytes: number;
}

/** The length that limits and thresholds count by: bytes, or UTF-16 units for text. */
export function messageLength(message: Message): number {
  return message.length;
}

/** The bytes of a message's frame, at the most; counting those of a text would mean to go through it. */
function mostBytes(message: Message): number {
  const payloadBytes = typeof message === "string" ? message.length * MAX_BYTES_PER_UNIT : message.length;
  return MAX_FRAME_HEAD_BYTES + payloadBytes;
}

/**
 * The subscriptions of one listener. A socket's backlog stays below the limit plus an eighth of it, plus what is
 * published in one turn of the event loop, for a socket with up to {@link MAX_WIDTH} topics.
 */
export class TopicTable {
  private readonly topics = new Map<string, Topic>();
  private readonly scanBytes: number;
  private readonly budget: QueueBudget;
  /** The most topics that any one socket has had: its backlog can grow by each of them between two looks. */
  private width = 1;

  constructor(maxBackpressureBytes: number, budget: QueueBudget) {
    this.budget = budget;
    this.scanBytes = maxBackpressureBytes / SCANS_PER_LIMIT;
  }

  add(name: string, socket: NativeSocket<unknown>, width: number): void {
    let topic = this.topics.get(name);
    if (topic === undefined) {
      topic = { name, members: new Set(), muted: new Set(), unscannedBytes: 0 };
      this.topics.set(name, topic);
    }
    topic.members.add(socket);
    if (width > this.width) this.width = Math.min(width, MAX_WIDTH);
  }

  remove(name: string, socket: NativeSocket<unknown>): void {
    const topic = this.topics.get(name);
    if (topic === undefined) return;
    topic.members.delete(socket);
    topic.muted.delete(socket);
    if (topic.members.size === 0) this.topics.delete(name);
  }

  setMuted(name: string, socket: NativeSocket<unknown>, muted: boolean): void {
    const topic = this.topics.get(name);
    if (topic === undefined) return;
    if (muted) topic.muted.add(socket);
    else topic.muted.delete(socket);
  }

  count(name: string): number {
    return this.topics.get(name)?.members.size ?? 0;
  }

  /**
   * Takes note of a publication that is about to be handed to the engine: finds the members that have fallen behind
   * when it is time to look, reports the publication to those that will not get it, and announces to the budget what
   * it may leave waiting with the others.
   * @returns whether anybody is left to deliver to
   */
  admit(name: string, message: Message): boolean {
    const topic = this.topics.get(name);
    if (topic === undefined) return false;
    topic.unscannedBytes += messageLength(message);
    if (topic.unscannedBytes * this.width >= this.scanBytes) {
      topic.unscannedBytes = 0;
      for (const socket of topic.members) socket.checkBacklog(name);
    }
    if (topic.muted.size > 0) { for (const socket of topic.muted) socket.reportDropped(name); }
    const receivers = topic.members.size - topic.muted.size;
    this.budget.expect(receivers * mostBytes(message));
    return receivers > 0;
  }
}
