/**
 * Makes a story without holes of what a lossy way brings. For each topic it knows the place of the last delivery: what
 * comes next is delivered, what was delivered is dropped, and at a jump everything waits until the history has been
 * asked for what is missing. What cannot be had is told as lost. It knows no network and no clock.
 */
import type { HistoryPage, Position, Publication, Receiver } from "./broker.ts";

/** How many publications of a topic may wait for a repair; later ones are dropped, and fetched after it. */
const MAX_HELD = 1_024;
const PAGE_MESSAGES = 512;
const MAX_REPAIRS_AT_ONCE = 32;

/** Where the missing is fetched: {@link Broker.history}, but always asked afresh. Rejects while it cannot be asked. */
export type Fetch = (topic: string, since: Position, limit: number) => Promise<HistoryPage>;

interface Topic {
  readonly name: string;
  epoch: string;
  /** Of the last delivery. */
  offset: number;
  /** What came while the topic waits; undefined while it is delivered as it comes. */
  held: Publication[] | undefined;
  /** Whether the history is being asked for it, or will be as soon as there is room. */
  isRepairing: boolean;
  /** Whether something came that could not be held. */
  hasDropped: boolean;
}

export class Sequencer {
  private readonly receiver: Receiver;
  private readonly fetch: Fetch;
  private readonly topics = new Map<string, Topic>();
  private readonly waiting: Topic[] = [];
  private repairs = 0;

  constructor(receiver: Receiver, fetch: Fetch) {
    this.receiver = receiver;
    this.fetch = fetch;
  }

  /** The place of the last delivery; its epoch is empty before the story has begun. */
  position(name: string): Position | undefined {
    const topic = this.topics.get(name);
    return topic && { epoch: topic.epoch, offset: topic.offset };
  }

  names(): IterableIterator<string> {
    return this.topics.keys();
  }

  has(name: string): boolean {
    return this.topics.has(name);
  }

  /** From now on the topic's publications are held; a story begins with {@link begin}. */
  expect(name: string): void {
    this.topics.set(name, {
      name,
      epoch: "",
      offset: 0,
      held: [],
      isRepairing: false,
      hasDropped: false,
    });
  }

  /** The story of an expected topic begins after `position`; nothing is delivered before {@link release}. */
  begin(name: string, { epoch, offset }: Position): void {
    const topic = this.topics.get(name);
    if (topic === undefined) return;
    topic.epoch = epoch;
    topic.offset = offset;
  }

  end(name: string): void {
    this.topics.delete(name);
  }

  endAll(): void {
    this.topics.clear();
    this.waiting.length = 0;
  }

  /** From now on the topic waits: what comes is only delivered once {@link compare} has said where the topic is. */
  hold(name: string): void {
    const topic = this.topics.get(name);
    if (topic !== undefined) topic.held ??= [];
  }

  /** Delivers what has been held since {@link expect}. */
  release(name: string): void {
    const topic = this.topics.get(name);
    if (topic !== undefined && !topic.isRepairing) this.drain(topic, topic.held?.length ?? 0);
  }

  /** A publication of a topic that has begun. */
  receive(publication: Publication): void {
    const topic = this.topics.get(publication.topic);
    if (topic === undefined) return;
    if (topic.held !== undefined) {
      if (topic.held.length < MAX_HELD) topic.held.push(publication);
      else topic.hasDropped = true;
      return;
    }
    const { epoch, offset } = publication;
    if (epoch === topic.epoch) {
      if (offset <= topic.offset) return;
      if (offset === topic.offset + 1) {
        topic.offset = offset;
        this.receiver.deliver(publication);
        return;
      }
    }
    topic.held = [publication];
    this.repair(topic);
  }

  /** Says where the topic was a moment ago: what has not been delivered by then is fetched. */
  compare(name: string, { epoch, offset }: Position): void {
    const topic = this.topics.get(name);
    if (topic === undefined || topic.isRepairing || topic.epoch === "") return;
    if (epoch !== topic.epoch || offset > topic.offset) {
      topic.held ??= [];
      this.repair(topic);
    } else {
      this.drain(topic, 0);
    }
  }

  private repair(topic: Topic): void {
    topic.isRepairing = true;
    this.waiting.push(topic);
    this.startRepairs();
  }

  private startRepairs(): void {
    while (this.repairs < MAX_REPAIRS_AT_ONCE) {
      const topic = this.waiting.shift();
      if (topic === undefined) return;
      this.repairs++;
      void this.fetchMissing(topic).finally(() => {
        this.repairs--;
        this.startRepairs();
      });
    }
  }

  private async fetchMissing(topic: Topic): Promise<void> {
    for (;;) {
      if (this.topics.get(topic.name) !== topic) return;
      const heldBefore = topic.held?.length ?? 0;
      topic.hasDropped = false;
      let page: HistoryPage;
      try {
        page = await this.fetch(topic.name, { epoch: topic.epoch, offset: topic.offset }, PAGE_MESSAGES);
      } catch {
        // The broker is away. The topic goes on waiting: on its return every topic is compared.
        topic.isRepairing = false;
        return;
      }
      if (this.topics.get(topic.name) !== topic) return;
      this.apply(topic, page);
      const isWhole = topic.epoch === page.epoch && topic.offset >= page.offset;
      if (!isWhole) continue;
      topic.isRepairing = false;
      this.drain(topic, heldBefore);
      return;
    }
  }

  /** Delivers a page, and between its messages what came in another way; tells what is in neither as lost. */
  private apply(topic: Topic, page: HistoryPage): void {
    const { epoch, messages } = page;
    const last = messages.at(-1)?.offset;
    const reached = last ?? page.offset;
    if (epoch !== topic.epoch) {
      const first = this.firstOf(topic, epoch, 0, messages[0]?.offset ?? page.offset + 1);
      topic.epoch = epoch;
      topic.offset = first - 1;
      this.receiver.lost(topic.name, epoch, 1, first - 1);
    }
    let index = 0;
    while (topic.offset < reached && this.topics.get(topic.name) === topic) {
      const next = topic.offset + 1;
      while (index < messages.length && (messages[index] as Publication).offset < next) index++;
      const message = messages[index];
      const publication = message?.offset === next ? message : this.heldAt(topic, epoch, next);
      if (publication === undefined) {
        topic.offset = this.firstOf(topic, epoch, topic.offset, message?.offset ?? reached + 1) - 1;
        this.receiver.lost(topic.name, epoch, next, topic.offset);
      } else {
        topic.offset = next;
        this.receiver.deliver(publication);
      }
    }
  }

  /** The smallest offset after `offset` that is held, if it comes before `otherwise`. */
  private firstOf(topic: Topic, epoch: string, offset: number, otherwise: number): number {
    let first = otherwise;
    for (const publication of topic.held ?? []) {
      if (publication.epoch === epoch && publication.offset > offset && publication.offset < first) {
        first = publication.offset;
      }
    }
    return first;
  }

  private heldAt(topic: Topic, epoch: string, offset: number): Publication | undefined {
    return topic.held?.find((held) => held.epoch === epoch && held.offset === offset);
  }

  /** Delivers what was held, in order. The first `stale` of it came before the topic's place was last asked for. */
  private drain(topic: Topic, stale: number): void {
    const { held } = topic;
    if (held === undefined) return;
    for (let index = 0; index < held.length; index++) {
      if (this.topics.get(topic.name) !== topic) return;
      const publication = held[index] as Publication; // index < length
      if (publication.epoch !== topic.epoch) {
        // Of an epoch that was over when the place was asked for, or of one that is newer than the answer.
        if (index < stale) continue;
      } else if (publication.offset <= topic.offset) {
        continue;
      } else if (publication.offset === topic.offset + 1) {
        topic.offset = publication.offset;
        this.receiver.deliver(publication);
        continue;
      }
      topic.held = held.slice(index);
      this.repair(topic);
      return;
    }
    if (topic.hasDropped) {
      topic.held = [];
      this.repair(topic);
    } else {
      topic.held = undefined;
    }
  }
}
