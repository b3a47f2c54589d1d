/**
 * The broker `nats`: several nodes share topics through NATS. JetStream gives places and keeps history (nats_store.ts),
 * and sends on what it has stored to the nodes that listen; `*` and `>` are NATS's own. Since core NATS may lose, a
 * sequencer repairs from the history. NATS 2.9 and newer, with JetStream.
 *
 * A topic that has not been used for `idleTopicSeconds` is forgotten: the next publication starts a new epoch. A pattern
 * can miss what the broker `redis` says it can. Each node's clock must agree with NATS's to well within a retention's
 * seconds.
 */
import type { Msg, Subscription } from "@nats-io/transport-node";
import { BrokerUnavailable } from "./broker.ts";
import type { Broker, HistoryPage, Member, Position, Receiver } from "./broker.ts";
import { NatsLink } from "./nats_link.ts";
import { NatsPresence } from "./nats_presence.ts";
import { NatsStore } from "./nats_store.ts";
import { NatsNames, publicationsOf, readEntry } from "./nats_wire.ts";
import { Subscriptions, type Way } from "./subscriptions.ts";
import type { RemoteBrokerSettings } from "./remote.ts";

/** Topics whose place is read at once. */
const PLACES_AT_ONCE = 128;

const SEQUENCE_HEADER = "Nats-Sequence";
const MS_PER_SECOND = 1_000;

/** The URLs are the servers of one NATS cluster; the prefix has letters, digits, - and _. A check is one request a topic. */
export interface NatsBrokerSettings extends RemoteBrokerSettings {
  /** On how many servers of the cluster everything is stored: 1, 3 or 5. */
  readonly replicas: number;
}

export class NatsBroker implements Broker, Way {
  readonly name = "nats";
  private readonly receiver: Receiver;
  private readonly names: NatsNames;
  private readonly link: NatsLink;
  private readonly store: NatsStore;
  private readonly presence: NatsPresence;
  private readonly subscriptions: Subscriptions;
  /** What is listened to on this connection, by topic or pattern. */
  private readonly listening = new Map<string, Subscription>();
  /** What was told last. */
  private wasAvailable = false;
  private isClosed = false;

  constructor(settings: NatsBrokerSettings, receiver: Receiver) {
    const { urls, prefix, clock, log, idleTopicSeconds, replicas, retentionOf } = settings;
    const timeoutMs = settings.timeoutSeconds * MS_PER_SECOND;
    this.receiver = receiver;
    const names = this.names = new NatsNames(prefix);
    const link = this.link = new NatsLink({ urls, timeoutMs, clock, log }, {
      restore: () => this.restore(),
      up: () => this.tell(true),
      down: () => this.down(),
    });
    this.store = new NatsStore({ names, link, timeoutMs, idleTopicSeconds, replicas, retentionOf, clock });
    const lifetimeMs = settings.presenceSeconds * MS_PER_SECOND;
    this.presence = new NatsPresence({ names, link, lifetimeMs, replicas, clock }, receiver);
    this.subscriptions = new Subscriptions(this, {
      checkMs: settings.checkSeconds * MS_PER_SECOND,
      maxPatternTopics: settings.maxIdleTopics,
      clock,
    }, receiver);
    link.start();
  }

  get isAvailable(): boolean {
    return this.link.isUp;
  }

  publish(topic: string, data: unknown): Promise<Position> {
    if (!this.link.isUp) return Promise.reject(new BrokerUnavailable("NATS is away"));
    return this.store.publish(topic, data);
  }

  subscribe(topic: string): Position | Promise<Position> {
    return this.subscriptions.subscribe(topic);
  }

  unsubscribe(topic: string): void {
    this.subscriptions.unsubscribe(topic);
  }

  subscribePattern(pattern: string): Promise<void> {
    return this.subscriptions.subscribePattern(pattern);
  }

  unsubscribePattern(pattern: string): void {
    this.subscriptions.unsubscribePattern(pattern);
  }

  position(topic: string): Promise<Position | undefined> {
    return this.link.answer(this.store.position(topic));
  }

  history(topic: string, since: Position | undefined, limit: number): Promise<HistoryPage> {
    return this.link.answer(this.store.history(topic, since, limit));
  }

  join(topic: string, member: Member): void {
    this.presence.join(topic, member);
  }

  leave(topic: string, member: Member): void {
    this.presence.leave(topic, member);
  }

  members(topic: string): Promise<readonly Member[]> {
    return this.link.answer(this.presence.members(topic));
  }

  watch(topic: string): Promise<readonly Member[]> {
    return this.link.answer(this.presence.watch(topic));
  }

  unwatch(topic: string): void {
    this.presence.unwatch(topic);
  }

  async close(): Promise<void> {
    if (this.isClosed) return;
    this.isClosed = true;
    this.subscriptions.close();
    await this.presence.close();
    await this.link.close();
  }

  isUp(): boolean {
    return this.link.isUp;
  }

  listen(topic: string): Promise<void> {
    const { connection } = this.link.session;
    this.unlisten(topic);
    const callback = (error: Error | null, message: Msg): void => {
      if (error === null) this.receive(message);
    };
    this.listening.set(topic, connection.subscribe(this.names.delivered(topic), { callback }));
    return this.link.answer(connection.flush());
  }

  unlisten(topic: string): void {
    this.listening.get(topic)?.unsubscribe();
    this.listening.delete(topic);
  }

  async listenPattern(pattern: string): Promise<void> {
    await this.listen(pattern);
  }

  unlistenPattern(pattern: string): void {
    this.unlisten(pattern);
  }

  async places(topics: readonly string[]): Promise<readonly Position[]> {
    const places: Position[] = [];
    for (let start = 0; start < topics.length; start += PLACES_AT_ONCE) {
      const part = topics.slice(start, start + PLACES_AT_ONCE);
      places.push(
        ...await this.link.answer(
          Promise.all(part.map((topic) => this.store.place(topic, this.subscriptions.position(topic)))),
        ),
      );
    }
    return places;
  }

  private receive(message: Msg): void {
    if (this.isClosed) return;
    const topic = this.names.topicOf(message.subject);
    if (!this.subscriptions.isWanted(topic)) return;
    const entry = readEntry(message.data);
    if (entry === undefined) return;
    this.store.learn(topic, entry, Number(message.headers?.get(SEQUENCE_HEADER)));
    for (const publication of publicationsOf(topic, entry)) this.subscriptions.receive(publication);
  }

  private down(): void {
    this.listening.clear();
    this.subscriptions.hold(this.subscriptions.topics());
    this.tell(false);
  }

  private tell(isAvailable: boolean): void {
    if (this.isClosed || isAvailable === this.wasAvailable) return;
    this.wasAvailable = isAvailable;
    this.receiver.availability(isAvailable);
  }

  /** Listens again to everything, then repairs what was missed. */
  private async restore(): Promise<void> {
    this.store.reset();
    await this.presence.restore();
    const wanted = [...this.subscriptions.subscribedTopics(), ...this.subscriptions.patterns];
    await Promise.all(wanted.map((topicOrPattern) => this.listen(topicOrPattern)));
    const topics = this.subscriptions.topics();
    this.subscriptions.compare(topics, await this.places(topics));
  }
}
