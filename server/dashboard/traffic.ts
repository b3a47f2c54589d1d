/**
 * Which topics have how much traffic on this node: counted on the way from the hub to the engine, and only while
 * somebody watches; otherwise a publication pays for one look at a field. It knows no clock and no wire format.
 */
import type { Member, Publication } from "../broker/broker.ts";
import type { EngineDelivery } from "../delivery.ts";
import type { Delivery, Lost } from "../hub/hub.ts";
import type { Counters } from "../observe/counters.ts";
import { isOwnTopic, OwnTopic } from "../topic.ts";

/** The most topics that are counted one by one; what further ones have shows in the totals only. */
export const MAX_COUNTED_TOPICS = 10_000;

interface Count {
  publications: number;
  deliveries: number;
  deliveredBytes: number;
}

/** The traffic of one topic since the last {@link TopicTraffic.take}. */
export interface TopicCount extends Readonly<Count> {
  readonly topic: string;
}

/** What has been counted since the last look. */
export interface TrafficReport {
  /** Those with most deliveries first. */
  readonly topics: readonly TopicCount[];
  /** How many others had traffic, of those that are counted one by one. */
  readonly others: number;
}

export class TopicTraffic implements Delivery {
  /** Told of a publication to the topic on which nodes are asked for their figures. */
  asked: (data: unknown) => void = () => undefined;
  private readonly inner: EngineDelivery;
  private readonly counters: Counters;
  /** Undefined while nobody watches. */
  private counts: Map<string, Count> | undefined = undefined;
  /** It comes once for its topic and once for each pattern, one after the other. */
  private last: Publication | undefined = undefined;

  constructor(inner: EngineDelivery, counters: Counters) {
    this.inner = inner;
    this.counters = counters;
  }

  start(): void {
    this.counts ??= new Map();
  }

  stop(): void {
    this.counts = undefined;
    this.last = undefined;
  }

  deliver(publication: Publication, pattern: string | undefined): void {
    const { topic } = publication;
    if (isOwnTopic(topic)) return this.deliverOwn(publication);
    const { counts, counters } = this;
    if (counts === undefined) return this.inner.deliver(publication, pattern);
    const { deliveries, deliveredBytes } = counters;
    this.inner.deliver(publication, pattern);
    const count = counts.get(topic) ?? this.begin(topic, counts);
    if (count === undefined) return;
    if (publication !== this.last) count.publications++;
    this.last = publication;
    count.deliveries += counters.deliveries - deliveries;
    count.deliveredBytes += counters.deliveredBytes - deliveredBytes;
  }

  lost(gap: Lost, pattern: string | undefined): void {
    this.inner.lost(gap, pattern);
  }

  presence(change: "join" | "leave", topic: string, member: Member): void {
    this.inner.presence(change, topic, member);
  }

  /** The `limit` topics with most deliveries; counting begins anew. */
  take(limit: number): TrafficReport {
    const busiest: TopicCount[] = [];
    let active = 0;
    for (const [topic, count] of this.counts ?? []) {
      if (count.publications === 0) {
        this.counts?.delete(topic);
        continue;
      }
      active++;
      const least = busiest[limit - 1];
      if (least === undefined || isBusier(count, least)) {
        insert(busiest, { topic, ...count }, limit);
      }
      count.publications = count.deliveries = count.deliveredBytes = 0;
    }
    return { topics: busiest, others: active - busiest.length };
  }

  private begin(topic: string, counts: Map<string, Count>): Count | undefined {
    if (counts.size >= MAX_COUNTED_TOPICS) return undefined;
    const count = { publications: 0, deliveries: 0, deliveredBytes: 0 };
    counts.set(topic, count);
    return count;
  }

  private deliverOwn(publication: Publication): void {
    if (publication.topic === OwnTopic.Watch) this.asked(publication.data);
    else this.inner.deliverOwn(publication);
  }
}

function isBusier(a: Count, b: Count): boolean {
  return a.deliveries > b.deliveries || (a.deliveries === b.deliveries && a.publications > b.publications);
}

/** Keeps the order, and at most `limit`. */
function insert(busiest: TopicCount[], count: TopicCount, limit: number): void {
  let at = busiest.length;
  while (at > 0 && isBusier(count, busiest[at - 1] as TopicCount)) at--;
  busiest.splice(at, 0, count);
  if (busiest.length > limit) busiest.pop();
}
