/**
 * The broker `memory`: one node, nothing to install, synchronous throughout. A topic that nobody subscribes to is
 * remembered for a while with its history, so that its offsets go on, but only so many of them: strangers can invent
 * topics. A pattern misses nothing here.
 */
import type { Clock } from "../clock.ts";
import { BrokerUnavailable } from "./broker.ts";
import type { Broker, HistoryPage, Member, Position, Receiver, RetentionOf } from "./broker.ts";
import { createEpoch } from "./epoch.ts";
import { emptyPage, History } from "./history.ts";
import { Patterns } from "../patterns.ts";
import { Presence } from "./presence.ts";

/** How often a part of the topics is looked over for history that has expired, and how large that part is. */
const SWEEP_INTERVAL_MS = 1_000;
const SWEEP_TOPICS = 1_000;

interface Topic {
  readonly epoch: string;
  offset: number;
  /** Undefined when none is kept. */
  readonly history: History | undefined;
}

export interface MemoryBrokerSettings {
  /** How many topics without subscribers are remembered; beyond that the one unused for longest starts afresh. */
  readonly maxIdleTopics: number;
  readonly retentionOf: RetentionOf;
  readonly clock: Clock;
}

export class MemoryBroker implements Broker {
  readonly name = "memory";
  private readonly settings: MemoryBrokerSettings;
  private readonly receiver: Receiver;
  private readonly subscribed = new Map<string, Topic>();
  /** In the order of their last use: a Map iterates in insertion order. */
  private readonly idle = new Map<string, Topic>();
  private readonly patterns = new Patterns();
  private readonly presence = new Presence();
  private readonly watched = new Set<string>();
  private readonly stopSweeping: () => void;
  private sweeping: Iterator<Topic> | undefined = undefined;
  private isClosed = false;

  constructor(settings: MemoryBrokerSettings, receiver: Receiver) {
    this.settings = settings;
    this.receiver = receiver;
    this.stopSweeping = settings.clock.every(SWEEP_INTERVAL_MS, () => this.sweep());
  }

  get isAvailable(): boolean {
    return !this.isClosed;
  }

  publish(name: string, data: unknown): Position {
    if (this.isClosed) throw new BrokerUnavailable("the broker is closed");
    const subscribed = this.subscribed.get(name);
    const topic = subscribed ?? this.takeIdle(name);
    const { epoch, history } = topic;
    const offset = ++topic.offset;
    const isWanted = subscribed !== undefined || (this.patterns.size > 0 && this.patterns.matches(name));
    if (isWanted || history !== undefined) {
      const publication = { topic: name, data, epoch, offset };
      if (history !== undefined) history.add(publication, this.settings.clock.now());
      if (subscribed === undefined) this.putIdle(name, topic);
      if (isWanted) this.receiver.deliver(publication);
    } else {
      this.putIdle(name, topic);
    }
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

  subscribePattern(pattern: string): void {
    this.patterns.add(pattern);
  }

  unsubscribePattern(pattern: string): void {
    this.patterns.delete(pattern);
  }

  position(name: string): Position | undefined {
    const topic = this.subscribed.get(name) ?? this.idle.get(name);
    return topic && { epoch: topic.epoch, offset: topic.offset };
  }

  history(name: string, since: Position | undefined, limit: number): HistoryPage {
    const subscribed = this.subscribed.get(name);
    const topic = subscribed ?? this.takeIdle(name);
    if (subscribed === undefined) this.putIdle(name, topic);
    if (topic.history === undefined) return emptyPage(topic, since);
    return topic.history.page(topic, since, limit, this.settings.clock.now());
  }

  join(topic: string, member: Member): void {
    if (this.presence.join(topic, member) && this.watched.has(topic)) this.receiver.joined(topic, member);
  }

  leave(topic: string, member: Member): void {
    const gone = this.presence.leave(topic, member.session);
    if (gone !== undefined && this.watched.has(topic)) this.receiver.left(topic, gone);
  }

  members(topic: string): readonly Member[] {
    return this.presence.members(topic);
  }

  watch(topic: string): readonly Member[] {
    this.watched.add(topic);
    return this.presence.members(topic);
  }

  unwatch(topic: string): void {
    this.watched.delete(topic);
  }

  close(): Promise<void> {
    this.isClosed = true;
    this.stopSweeping();
    return Promise.resolve();
  }

  private takeIdle(name: string): Topic {
    const topic = this.idle.get(name);
    if (topic === undefined) return this.create(name);
    this.idle.delete(name);
    return topic;
  }

  private create(name: string): Topic {
    const retention = this.settings.retentionOf(name);
    return {
      epoch: createEpoch(),
      offset: 0,
      history: retention.messages > 0 && retention.seconds > 0 ? new History(retention) : undefined,
    };
  }

  private putIdle(name: string, topic: Topic): void {
    this.idle.set(name, topic);
    if (this.idle.size <= this.settings.maxIdleTopics) return;
    for (const oldest of this.idle.keys()) {
      this.idle.delete(oldest);
      return;
    }
  }

  /** Goes over all topics in turn, some at a time, so that no second costs much however many there are. */
  private sweep(): void {
    const now = this.settings.clock.now();
    this.sweeping ??= this.topics();
    for (let count = 0; count < SWEEP_TOPICS; count++) {
      const next = this.sweeping.next();
      if (next.done === true) {
        this.sweeping = undefined;
        return;
      }
      next.value.history?.expire(now);
    }
  }

  private *topics(): Generator<Topic> {
    yield* this.subscribed.values();
    yield* this.idle.values();
  }
}
