/**
 * What this node has subscribed to at a broker that others share: topics and patterns, and for each topic a story kept
 * by the sequencer. It asks the broker's own way for listening, places and history; how that travels is not known here.
 */
import type { Clock } from "../clock.ts";
import {
  BrokerUnavailable,
  type HistoryPage,
  type Position,
  type Publication,
  type Receiver,
} from "./broker.ts";
import { Patterns } from "../patterns.ts";
import { Sequencer } from "./sequencer.ts";

/** How long a publication that has a place may still be on its way to here. */
const UNDER_WAY_MS = 500;

/** What a broker does for its subscriptions. Everything that is asked rejects while the broker is away. */
export interface Way {
  isUp(topic: string): boolean;
  /** Resolves once every publication of the topic comes. */
  listen(topic: string): Promise<unknown>;
  unlisten(topic: string): void;
  listenPattern(pattern: string): Promise<unknown>;
  unlistenPattern(pattern: string): void;
  /** Where topics are, in their order; a topic that is nowhere yet begins. */
  places(topics: readonly string[]): Promise<readonly Position[]>;
  history(topic: string, since: Position, limit: number): Promise<HistoryPage>;
}

export interface SubscriptionsSettings {
  /** How often topics are checked for a publication that got lost with none after it to show it. */
  readonly checkMs: number;
  /** How many topics seen through patterns are known, and so repaired. */
  readonly maxPatternTopics: number;
  readonly clock: Clock;
}

interface Subscription {
  /** What {@link Subscriptions.subscribe} has answered with. */
  answer: Promise<Position> | undefined;
  isAnswered: boolean;
}

export class Subscriptions {
  readonly patterns = new Patterns();
  private readonly way: Way;
  private readonly settings: SubscriptionsSettings;
  private readonly sequencer: Sequencer;
  private readonly subscribed = new Map<string, Subscription>();
  /** Topics that only a pattern brings here, the one known for longest first. */
  private readonly patternTopics = new Set<string>();
  private readonly stopChecking: () => void;
  private stopComparing: () => void = () => undefined;
  private isChecking = false;
  private isClosed = false;

  constructor(way: Way, settings: SubscriptionsSettings, receiver: Receiver) {
    this.way = way;
    this.settings = settings;
    this.sequencer = new Sequencer(receiver, (topic, since, limit) => way.history(topic, since, limit));
    this.stopChecking = settings.clock.every(settings.checkMs, () => {
      if (this.isChecking) return;
      this.isChecking = true;
      this.check().catch(ignoreAbsence).finally(() => this.isChecking = false);
    });
  }

  /** As {@link Broker.subscribe}. */
  subscribe(topic: string): Position | Promise<Position> {
    const known = this.subscribed.get(topic);
    if (known?.isAnswered === true) return this.sequencer.position(topic) as Position; // its story has begun
    if (known?.answer !== undefined) return known.answer;
    const subscription: Subscription = { answer: undefined, isAnswered: false };
    this.subscribed.set(topic, subscription);
    return subscription.answer = this.open(topic, subscription);
  }

  unsubscribe(topic: string): void {
    if (!this.subscribed.delete(topic)) return;
    this.way.unlisten(topic);
    if (!this.sequencer.has(topic)) return;
    if (this.patterns.matches(topic)) this.adopt(topic);
    else this.sequencer.end(topic);
  }

  async subscribePattern(pattern: string): Promise<void> {
    this.patterns.add(pattern);
    try {
      await this.way.listenPattern(pattern);
    } catch (error) {
      this.unsubscribePattern(pattern);
      throw error;
    }
  }

  unsubscribePattern(pattern: string): void {
    if (!this.patterns.delete(pattern)) return;
    this.way.unlistenPattern(pattern);
    for (const topic of this.patternTopics) {
      if (this.patterns.matches(topic)) continue;
      this.patternTopics.delete(topic);
      this.sequencer.end(topic);
    }
  }

  /** Whether a publication of the topic is of interest here. */
  isWanted(topic: string): boolean {
    return !this.isClosed && (this.sequencer.has(topic) || this.patterns.matches(topic));
  }

  /** A publication of a wanted topic has come, for the first time or again. */
  receive(publication: Publication): void {
    const { topic, epoch, offset } = publication;
    if (!this.sequencer.has(topic)) {
      this.sequencer.expect(topic);
      this.sequencer.begin(topic, { epoch, offset: offset - 1 });
      this.sequencer.release(topic);
      this.adopt(topic);
    }
    this.sequencer.receive(publication);
  }

  /** The place of the last delivery; undefined before a topic's story has begun. */
  position(topic: string): Position | undefined {
    const position = this.sequencer.position(topic);
    return position === undefined || position.epoch === "" ? undefined : position;
  }

  /** All topics with a story, those that only patterns bring too. */
  topics(): string[] {
    return [...this.sequencer.names()];
  }

  subscribedTopics(): string[] {
    return [...this.subscribed.keys()];
  }

  /** The broker is gone for these topics: they wait for {@link compare}. */
  hold(topics: readonly string[]): void {
    for (const topic of topics) this.sequencer.hold(topic);
  }

  /** The broker is back, and the topics are at these places. */
  compare(topics: readonly string[], places: readonly Position[]): void {
    topics.forEach((topic, index) => this.sequencer.compare(topic, places[index] as Position)); // one for each
  }

  close(): void {
    this.isClosed = true;
    this.stopChecking();
    this.stopComparing();
    this.sequencer.endAll();
    this.subscribed.clear();
  }

  /** Listens first and asks for the place then: nothing can fall between. */
  private async open(topic: string, subscription: Subscription): Promise<Position> {
    const isKnown = this.patternTopics.delete(topic);
    if (!isKnown) this.sequencer.expect(topic);
    try {
      if (!this.way.isUp(topic)) throw new BrokerUnavailable("the broker is away");
      await this.way.listen(topic);
      if (!isKnown) {
        const [place] = await this.way.places([topic]);
        if (this.subscribed.get(topic) !== subscription) return place as Position; // one for each
        this.sequencer.begin(topic, place as Position);
      }
    } catch (error) {
      if (this.subscribed.get(topic) === subscription) this.unsubscribe(topic);
      throw error;
    }
    subscription.isAnswered = true;
    // The caller has to see the place before anything that comes after it.
    setImmediate(() => {
      if (this.subscribed.get(topic) === subscription) this.sequencer.release(topic);
    });
    return this.sequencer.position(topic) as Position; // it has begun
  }

  /** From now on only patterns bring the topic here. */
  private adopt(topic: string): void {
    this.patternTopics.add(topic);
    if (this.patternTopics.size <= this.settings.maxPatternTopics) return;
    for (const oldest of this.patternTopics) {
      this.patternTopics.delete(oldest);
      this.sequencer.end(oldest);
      return;
    }
  }

  /** Looks whether something got lost that nothing after it has shown. */
  private async check(): Promise<void> {
    const topics = this.topics().filter((topic) => this.way.isUp(topic));
    const places = await this.way.places(topics);
    const behind = topics.map((topic, index) => ({ topic, place: places[index] as Position })) // one for each
      .filter(({ topic, place }) => this.isBehind(topic, place));
    if (behind.length === 0 || this.isClosed) return;
    // It may just be on its way.
    this.stopComparing = this.settings.clock.after(UNDER_WAY_MS, () => {
      for (const { topic, place } of behind) {
        if (this.way.isUp(topic) && this.isBehind(topic, place)) this.sequencer.compare(topic, place);
      }
    });
  }

  private isBehind(topic: string, place: Position): boolean {
    const here = this.position(topic);
    return here !== undefined && (here.epoch !== place.epoch || here.offset < place.offset);
  }
}

/** The broker has gone meanwhile: on its return every topic is compared. */
function ignoreAbsence(error: unknown): void {
  if (!(error instanceof BrokerUnavailable)) throw error;
}
