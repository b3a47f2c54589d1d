/**
 * The hub: which topics and patterns have subscribers here. It puts publications in order through the broker and hands
 * them on to be delivered, and it sees to it that whoever comes back gets what was missed, in order, before anything
 * live. It never sees sessions, opcodes, engine names or wire formats.
 */
import type { Broker, HistoryPage, Member, Position, Publication, Receiver } from "../broker/broker.ts";
import { Patterns } from "../patterns.ts";
import { isOwnTopic, isTopic, OwnTopic } from "../topic.ts";

/** The most publications that a recovery asks the broker for; retention is far below it. */
const MAX_RECOVERED = 1_000_000;
const ownTopics = Object.values(OwnTopic);

/** What a new subscriber of a topic is told. */
export interface Joined extends Position {
  /** Whether nothing was missed since the place that was asked for, beside {@link missed}; undefined when none was. */
  readonly recovered: boolean | undefined;
  /** What came after that place and up to this one, oldest first. */
  readonly missed: readonly Publication[];
}

/** Somebody who wants to subscribe. Exactly one of the two is called, possibly before `subscribe` returns. */
export interface Joining {
  /** The place from which to go on. */
  readonly since: Position | undefined;
  /** Everything after `joined.offset` is delivered from the moment of this call on: the callee joins in it, not later. */
  joined(joined: Joined): void;
  /** The broker cannot tell. */
  failed(error: unknown): void;
}

/** How the hub reaches its node's subscribers. */
export interface Delivery {
  /** Of the topic, or of the pattern. */
  deliver(publication: Publication, pattern: string | undefined): void;
  /** The publications `from` to `to` of a topic cannot be had any more. */
  lost(gap: Lost, pattern: string | undefined): void;
  /** For those who watch the topic's members. */
  presence(change: "join" | "leave", topic: string, member: Member): void;
}

/** Offsets that are lost; see {@link Receiver.lost}. */
export interface Lost {
  readonly topic: string;
  readonly epoch: string;
  readonly from: number;
  readonly to: number;
}

interface Topic {
  subscribers: number;
  /** Whether the broker has answered; the place is that of the last delivery then. */
  isLive: boolean;
  epoch: string;
  offset: number;
  /** Who waits for the broker, or for this node to get as far as they have been elsewhere. */
  waiting: Joining[];
  /** How many recoveries are reading the history. */
  recoveries: number;
  /** What has been delivered since the first of them began. */
  recent: Publication[];
}

export interface HubOptions {
  readonly createBroker: (receiver: Receiver) => Broker;
  readonly delivery: Delivery;
  /** Told what somebody who joined has thrown: a fault of ours. */
  readonly failed: (error: unknown) => void;
}

export class Hub {
  /** What is being delivered: a message that is left out for somebody in this moment is this one. */
  delivering: Position & { readonly topic: string } | undefined = undefined;
  private readonly topics = new Map<string, Topic>();
  private readonly patterns = new Patterns();
  private readonly patternSubscribers = new Map<string, number>();
  private readonly watchers = new Map<string, number>();
  private readonly broker: Broker;
  private readonly delivery: Delivery;
  private readonly fault: (error: unknown) => void;

  constructor({ createBroker, delivery, failed }: HubOptions) {
    this.delivery = delivery;
    this.fault = failed;
    this.broker = createBroker({
      deliver: (publication) => this.receive(publication),
      lost: (topic, epoch, from, to) => this.lost({ topic, epoch, from, to }),
      joined: (topic, member) => delivery.presence("join", topic, member),
      left: (topic, member) => delivery.presence("leave", topic, member),
      // Who wants to know asks isAvailable; the log has it from the broker.
      availability() {},
    });
  }

  /** Whether publications can be taken now. */
  get isAvailable(): boolean {
    return this.broker.isAvailable;
  }

  /** The topics with subscribers here, and how many each has; without those of the server's own. */
  *subscribedTopics(): Iterable<readonly [topic: string, subscribers: number]> {
    for (const [name, { subscribers }] of this.topics) if (!isOwnTopic(name)) yield [name, subscribers];
  }

  /** How many {@link subscribedTopics} has. */
  get topicCount(): number {
    let count = this.topics.size;
    for (const own of ownTopics) if (this.topics.has(own)) count--;
    return count;
  }

  /** Of all topics, patterns and sessions; without those to topics of the server's own. */
  get subscriptionCount(): number {
    let count = 0;
    for (const { subscribers } of this.topics.values()) count += subscribers;
    for (const own of ownTopics) count -= this.subscriberCount(own);
    for (const subscribers of this.patternSubscribers.values()) count += subscribers;
    return count;
  }

  /** Of this node. */
  subscriberCount(topic: string): number {
    return this.topics.get(topic)?.subscribers ?? 0;
  }

  /** Answers once the publication is stored; rejects or throws BrokerUnavailable. */
  publish(topic: string, data: unknown): Position | Promise<Position> {
    return this.broker.publish(topic, data);
  }

  /** Counts one more subscriber of a topic, who is to be given back with {@link unsubscribe} even when it fails. */
  subscribe(name: string, joining: Joining): void {
    let topic = this.topics.get(name);
    if (topic === undefined) {
      topic = {
        ...{ subscribers: 0, isLive: false, epoch: "", offset: 0 },
        ...{ waiting: [], recoveries: 0, recent: [] },
      };
      this.topics.set(name, topic);
    }
    topic.subscribers++;
    if (topic.isLive) return this.join(name, topic, joining);
    topic.waiting.push(joining);
    if (topic.waiting.length === 1) this.open(name, topic);
  }

  unsubscribe(name: string): void {
    const topic = this.topics.get(name);
    if (topic === undefined || --topic.subscribers > 0) return;
    this.topics.delete(name);
    this.broker.unsubscribe(name);
  }

  /** Counts one more subscriber of a pattern. Answers once the publications of matching topics are delivered. */
  subscribePattern(pattern: string): void | Promise<void> {
    const count = this.patternSubscribers.get(pattern) ?? 0;
    this.patternSubscribers.set(pattern, count + 1);
    this.patterns.add(pattern);
    return this.broker.subscribePattern(pattern);
  }

  unsubscribePattern(pattern: string): void {
    const count = (this.patternSubscribers.get(pattern) ?? 1) - 1;
    if (count > 0) {
      this.patternSubscribers.set(pattern, count);
      return;
    }
    this.patternSubscribers.delete(pattern);
    this.patterns.delete(pattern);
    this.broker.unsubscribePattern(pattern);
  }

  history(topic: string, since: Position | undefined, limit: number): HistoryPage | Promise<HistoryPage> {
    return this.broker.history(topic, since, limit);
  }

  /** Where a topic is; undefined for one that has never been, or is forgotten. */
  position(topic: string): Position | undefined | Promise<Position | undefined> {
    return this.broker.position(topic);
  }

  enter(topic: string, member: Member): void {
    this.broker.join(topic, member);
  }

  exit(topic: string, member: Member): void {
    this.broker.leave(topic, member);
  }

  membersOf(topic: string): readonly Member[] | Promise<readonly Member[]> {
    return this.broker.members(topic);
  }

  /** Counts one more who is told who comes and goes. */
  watch(topic: string): void | Promise<unknown> {
    const count = this.watchers.get(topic) ?? 0;
    this.watchers.set(topic, count + 1);
    const answer = count === 0 ? this.broker.watch(topic) : undefined;
    if (answer instanceof Promise) return answer;
  }

  unwatch(topic: string): void {
    const count = (this.watchers.get(topic) ?? 1) - 1;
    if (count > 0) {
      this.watchers.set(topic, count);
      return;
    }
    this.watchers.delete(topic);
    this.broker.unwatch(topic);
  }

  close(): Promise<void> {
    return this.broker.close();
  }

  private open(name: string, topic: Topic): void {
    const failed = (error: unknown) => {
      if (this.topics.get(name) === topic) this.topics.delete(name);
      for (const joining of topic.waiting.splice(0)) joining.failed(error);
    };
    const opened = ({ epoch, offset }: Position) => {
      topic.epoch = epoch;
      topic.offset = offset;
      topic.isLive = true;
      this.admitWaiting(name, topic);
    };
    this.whenAnswered(() => this.broker.subscribe(name), opened, failed);
  }

  private admitWaiting(name: string, topic: Topic): void {
    for (const joining of topic.waiting.splice(0)) this.join(name, topic, joining);
  }

  /** Lets somebody into a live topic, as soon as what was missed is known. */
  private join(name: string, topic: Topic, joining: Joining): void {
    const { since } = joining;
    const { epoch, offset } = topic;
    if (since === undefined) return joining.joined({ epoch, offset, recovered: undefined, missed: [] });
    if (since.epoch === epoch && since.offset === offset) {
      return joining.joined({ epoch, offset, recovered: true, missed: [] });
    }
    topic.recoveries++;
    const done = () => {
      if (--topic.recoveries === 0) topic.recent = [];
    };
    this.whenAnswered(() => this.broker.history(name, since, MAX_RECOVERED), (page) => {
      if (page.epoch === topic.epoch) this.recover(topic, joining, since, page);
      // The topic has started afresh: here already, or elsewhere, which will be heard of.
      else if (topic.epoch !== epoch) this.join(name, topic, joining);
      else topic.waiting.push(joining);
      done();
    }, (error) => {
      done();
      joining.failed(error);
    });
  }

  /** Puts together what the history holds and what was delivered while it was read. */
  private recover(topic: Topic, joining: Joining, since: Position, page: HistoryPage): void {
    const { epoch, offset } = topic;
    const lost = { epoch, offset, recovered: false, missed: [] };
    if (!page.complete) return joining.joined(lost);
    // The client has seen more elsewhere than has come here yet: that is not delivered to it once more.
    if (since.offset > offset) return void topic.waiting.push(joining);
    const missed = page.messages.filter((publication) => publication.offset <= offset);
    for (const publication of topic.recent) {
      if (publication.epoch === epoch && publication.offset > page.offset) missed.push(publication);
    }
    const recovered = (missed.at(-1)?.offset ?? since.offset) === offset &&
      missed.length === offset - since.offset;
    joining.joined(recovered ? { epoch, offset, recovered, missed } : lost);
  }

  private receive(publication: Publication): void {
    const { topic: name, epoch, offset } = publication;
    this.delivering = publication;
    const topic = this.topics.get(name);
    if (topic?.isLive) {
      topic.epoch = epoch;
      topic.offset = offset;
      if (topic.recoveries > 0) topic.recent.push(publication);
      this.delivery.deliver(publication, undefined);
      if (topic.waiting.length > 0) this.admitWaiting(name, topic);
    }
    if (this.patterns.size > 0) {
      for (const pattern of this.patterns.matching(name)) this.delivery.deliver(publication, pattern);
    }
    this.delivering = undefined;
  }

  private lost(gap: Lost): void {
    const topic = this.topics.get(gap.topic);
    if (topic?.isLive) {
      topic.epoch = gap.epoch;
      topic.offset = gap.to;
      this.delivery.lost(gap, undefined);
      this.admitWaiting(gap.topic, topic);
    }
    for (const pattern of this.patterns.matching(gap.topic)) this.delivery.lost(gap, pattern);
  }

  /** Calls one of two with what `ask` answers, at once if it answers at once. */
  private whenAnswered<Answer>(
    ask: () => Answer | Promise<Answer>,
    answered: (answer: Answer) => void,
    failed: (error: unknown) => void,
  ): void {
    let answer;
    try {
      answer = ask();
    } catch (error) {
      return failed(error);
    }
    if (answer instanceof Promise) void answer.then(answered, failed).catch(this.fault);
    else answered(answer);
  }
}

/** Whether a name stands for several topics. */
export function isWildcard(name: string): boolean {
  return !isTopic(name) && !isOwnTopic(name);
}
