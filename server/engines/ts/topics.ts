/**
 * The topic index: who subscribes to what, in two tables in step (a topic's members here, a connection's topics
 * there), and the publications of this turn of the event loop, which leave in one write per connection at its end.
 */
import { Buffer } from "node:buffer";
import type { Message } from "../../engine.ts";
import type { Compression } from "./compression.ts";
import type { Connection } from "./connection.ts";
import { Publication } from "./publication.ts";

/** Publications that wait for the end of the turn are sent before it once they hold this much. */
const MAX_PENDING_BYTES = 1024 * 1024;

export class Topic {
  readonly name: string;
  /** Those who receive; one that is being skipped is in `muted` instead. */
  readonly members = new Set<Connection<unknown>>();
  readonly muted = new Set<Connection<unknown>>();
  /** Published in this turn and not written yet, in order. */
  pending: Publication[] = [];

  constructor(name: string) {
    this.name = name;
  }

  /** All that is pending, as one run of frames for every connection with this compression. */
  batch(compression: Compression | undefined): Uint8Array {
    const [first] = this.pending;
    if (first !== undefined && this.pending.length === 1) return first.frame(compression);
    return Buffer.concat(this.pending.map((publication) => publication.frame(compression)));
  }
}

export class TopicIndex {
  private readonly topics = new Map<string, Topic>();
  private sequence = 0;
  private dirty: Topic[] = [];
  private pendingBytes = 0;
  private scheduled = false;

  subscribe(name: string, connection: Connection<unknown>, muted: boolean): Topic {
    let topic = this.topics.get(name);
    if (topic === undefined) {
      topic = new Topic(name);
      this.topics.set(name, topic);
    }
    (muted ? topic.muted : topic.members).add(connection);
    return topic;
  }

  unsubscribe(topic: Topic, connection: Connection<unknown>): void {
    topic.members.delete(connection);
    topic.muted.delete(connection);
    if (topic.members.size === 0 && topic.muted.size === 0 && topic.pending.length === 0) {
      this.topics.delete(topic.name);
    }
  }

  count(name: string): number {
    const topic = this.topics.get(name);
    return topic === undefined ? 0 : topic.members.size + topic.muted.size;
  }

  /** The sequence of the last publication. */
  get last(): number {
    return this.sequence;
  }

  publish(name: string, message: Message): void {
    const topic = this.topics.get(name);
    if (topic === undefined) return;
    if (topic.muted.size > 0) { for (const connection of topic.muted) connection.reportDropped(name); }
    if (topic.members.size === 0) return;
    if (topic.pending.length === 0) this.dirty.push(topic);
    // The caller only lends bytes, and the end of the turn is after its return. A Buffer's own `slice` does not copy.
    const kept = typeof message === "string" ? message : Buffer.from(message);
    topic.pending.push(new Publication(++this.sequence, kept));
    this.pendingBytes += message.length;
    if (this.pendingBytes > MAX_PENDING_BYTES) this.flush();
    else if (!this.scheduled) {
      this.scheduled = true;
      setImmediate(() => {
        this.scheduled = false;
        this.flush();
      });
    }
  }

  /** Writes everything that is pending to everybody. */
  flush(): void {
    const { dirty } = this;
    if (dirty.length === 0) return;
    for (const topic of dirty) this.deliver(topic, dirty.length > 1);
    this.dirty = [];
    this.pendingBytes = 0;
    for (const topic of dirty) {
      topic.pending = [];
      if (topic.members.size === 0 && topic.muted.size === 0) this.topics.delete(topic.name);
    }
  }

  /** What is pending for one connection, over all of its topics, in the order of publication. */
  pendingFor(connection: Connection<unknown>): Publication[] {
    if (this.dirty.length === 0) return [];
    const pending: Publication[] = [];
    for (const topic of this.dirty) {
      if (!topic.members.has(connection)) continue;
      for (const publication of topic.pending) {
        if (publication.sequence > connection.seenSequence) pending.push(publication);
      }
    }
    return pending.sort((a, b) => a.sequence - b.sequence);
  }

  private deliver(topic: Topic, others: boolean): void {
    const first = topic.pending[0]?.sequence ?? 0;
    const last = topic.pending.at(-1)?.sequence ?? 0;
    const batches = new Map<Compression | undefined, Uint8Array>();
    for (const connection of topic.members) {
      const { compression, seenSequence } = connection;
      if (seenSequence >= last) continue;
      // Some of it has gone out before a send, or other topics of the connection have something in between.
      if (seenSequence >= first || (others && connection.topicCount > 1) || compression?.isShared === false) {
        connection.flushPublications();
        continue;
      }
      let batch = batches.get(compression);
      if (batch === undefined) {
        batch = topic.batch(compression);
        batches.set(compression, batch);
      }
      connection.seenSequence = last;
      connection.writeShared(batch);
    }
  }
}
