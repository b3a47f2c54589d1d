/**
 * The broker `memory`: one node, nothing to install, synchronous throughout. A topic that nobody subscribes to is
 * remembered for a while, so that its offsets go on, but only so many of them: strangers can invent topics.
 */
import { randomBytes } from "node:crypto";
import type { Broker, Deliver, Position } from "./broker.ts";

const EPOCH_BYTES = 6;

interface Topic {
  readonly epoch: string;
  offset: number;
}

export interface MemoryBrokerOptions {
  /** How many topics without subscribers are remembered; beyond that the one unused for longest starts afresh. */
  readonly maxIdleTopics: number;
}

export class MemoryBroker implements Broker {
  readonly name = "memory";
  readonly isAvailable = true;
  private readonly deliver: Deliver;
  private readonly maxIdleTopics: number;
  private readonly subscribed = new Map<string, Topic>();
  /** In the order of their last use: a Map iterates in insertion order. */
  private readonly idle = new Map<string, Topic>();

  constructor(options: MemoryBrokerOptions, deliver: Deliver) {
    this.maxIdleTopics = options.maxIdleTopics;
    this.deliver = deliver;
  }

  publish(name: string, data: unknown): Position {
    const subscribed = this.subscribed.get(name);
    const topic = subscribed ?? this.takeIdle(name);
    const { epoch } = topic;
    const offset = ++topic.offset;
    if (subscribed === undefined) this.putIdle(name, topic);
    else this.deliver({ topic: name, data, epoch, offset });
    return { epoch, offset };
  }

  subscribe(name: string): Position {
    let topic = this.subscribed.get(name);
    if (topic === undefined) {
      topic = this.takeIdle(name);
      this.subscribed.set(name, topic);
    }
    return { epoch: topic.epoch, offset: topic.offset };
  }

  unsubscribe(name: string): void {
    const topic = this.subscribed.get(name);
    if (topic === undefined) return;
    this.subscribed.delete(name);
    this.putIdle(name, topic);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  private takeIdle(name: string): Topic {
    const topic = this.idle.get(name);
    if (topic === undefined) return { epoch: randomBytes(EPOCH_BYTES).toString("base64url"), offset: 0 };
    this.idle.delete(name);
    return topic;
  }

  private putIdle(name: string, topic: Topic): void {
    this.idle.set(name, topic);
    if (this.idle.size <= this.maxIdleTopics) return;
    for (const oldest of this.idle.keys()) {
      this.idle.delete(oldest);
      return;
    }
  }
}
