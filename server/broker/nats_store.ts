/**
 * Topics in JetStream. A topic is a subject of a stream; its last message there says where it is, and the next one is
 * stored only if that is still the last: so two nodes never give the same offset. While one is under way, what is
 * published meanwhile waits and is stored together. The first message of an epoch says so by coming with a new one.
 */
import { AckPolicy, DeliverPolicy, JetStreamApiError, ReplayPolicy } from "@nats-io/jetstream";
import { createInbox, type Msg } from "@nats-io/transport-node";
import type { Clock } from "../clock.ts";
import {
  BrokerUnavailable,
  type HistoryPage,
  type Position,
  type Publication,
  type RetentionOf,
} from "./broker.ts";
import { createEpoch } from "./epoch.ts";
import { pageOf } from "./history.ts";
import type { NatsLink } from "./nats_link.ts";
import { type Entry, type NatsNames, publicationsOf, readEntry, writeEntry } from "./nats_wire.ts";

/** Publications stored together at most. */
const MAX_BATCH = 128;

/** Publications of one topic that may wait; further ones fail. */
const MAX_WAITING = 10_000;

/** How many topics' retention and last place are remembered. */
const MAX_KNOWN = 10_000;

const WRONG_LAST_SEQUENCE = 10_071;
const NAME_IN_USE = 10_058;

const NS_PER_SECOND = 1e9;
const NS_PER_MS = 1e6;
const MS_PER_SECOND = 1_000;

/** Markers may stand between kept messages. */
const SPARE_MESSAGES = 2;

export interface NatsStoreSettings {
  readonly names: NatsNames;
  readonly link: NatsLink;
  readonly timeoutMs: number;
  readonly idleTopicSeconds: number;
  readonly replicas: number;
  readonly retentionOf: RetentionOf;
  readonly clock: Clock;
}

/** Topics that are kept alike share a stream. */
interface Kind {
  readonly name: string;
  readonly messages: number;
  readonly seconds: number;
  readonly maxAgeSeconds: number;
}

/** A topic's last message. */
interface Last extends Position {
  /** Its number in the stream; 0 when there is none. */
  readonly sequence: number;
  readonly storedMs: number;
}

interface Waiting {
  readonly data: unknown;
  readonly resolve: (position: Position) => void;
  readonly reject: (error: BrokerUnavailable) => void;
}

interface Writer {
  readonly waiting: Waiting[];
  isWriting: boolean;
}

export class NatsStore {
  private readonly settings: NatsStoreSettings;
  private readonly kinds = new Map<string, Kind>();
  private readonly lasts = new Map<string, Last>();
  private readonly writers = new Map<string, Writer>();
  /** Streams that are known to be there. */
  private readonly ready = new Map<string, Promise<void>>();

  constructor(settings: NatsStoreSettings) {
    this.settings = settings;
  }

  /** Forgets what may have changed while the server was away. */
  reset(): void {
    this.ready.clear();
    this.lasts.clear();
  }

  /** An entry has been stored, by whomever: the next one of this node can come after it at once. */
  learn(topic: string, { epoch, first, data }: Entry, sequence: number): void {
    const last = this.lasts.get(topic);
    if (last === undefined || last.sequence >= sequence) return;
    this.lasts.set(topic, { epoch, offset: first + data.length - 1, sequence, storedMs: last.storedMs });
  }

  publish(topic: string, data: unknown): Promise<Position> {
    let writer = this.writers.get(topic);
    if (writer === undefined) this.writers.set(topic, writer = { waiting: [], isWriting: false });
    const { waiting } = writer;
    if (waiting.length >= MAX_WAITING) {
      return Promise.reject(new BrokerUnavailable("too many publications wait"));
    }
    return new Promise((resolve, reject) => {
      waiting.push({ data, resolve, reject });
      if (!writer.isWriting) void this.write(topic, writer);
    });
  }

  async position(topic: string): Promise<Position | undefined> {
    await this.stream(this.kindOf(topic));
    const last = await this.readLast(topic);
    return last && { epoch: last.epoch, offset: last.offset };
  }

  /**
   * Where a topic is; it begins if it is nowhere yet, and begins anew if it is behind what was delivered. A place that
   * would be forgotten soon is renewed.
   */
  async place(topic: string, delivered: Position | undefined): Promise<Position> {
    const kind = this.kindOf(topic);
    await this.stream(kind);
    const endMs = this.deadline();
    for (;;) {
      const last = await this.readLast(topic);
      if (last === undefined) {
        const place = { epoch: createEpoch(), offset: 0 };
        if (await this.mark(topic, place, 0)) return place;
      } else if (
        delivered !== undefined && last.epoch === delivered.epoch && last.offset < delivered.offset
      ) {
        const place = { epoch: createEpoch(), offset: 0 };
        if (await this.mark(topic, place, last.sequence)) return place;
      } else {
        const ageMs = this.settings.clock.wallMs() - last.storedMs;
        if (ageMs > kind.maxAgeSeconds * MS_PER_SECOND / 2) await this.mark(topic, last, last.sequence);
        return { epoch: last.epoch, offset: last.offset };
      }
      this.assertBefore(endMs);
    }
  }

  async history(topic: string, since: Position | undefined, limit: number): Promise<HistoryPage> {
    const current = await this.place(topic, undefined);
    const { messages, seconds } = this.kindOf(topic);
    if (messages === 0) return pageOf(current, since, limit, current.offset + 1, () => []);
    const oldestMs = this.settings.clock.wallMs() - seconds * MS_PER_SECOND;
    let kept: { publication: Publication; storedMs: number }[] = [];
    let { epoch, offset } = current;
    for (const { entry, storedMs } of await this.readAll(topic)) {
      // What is newer than the place that was read is the place now.
      if (entry.epoch !== epoch && kept.length > 0) kept = [];
      ({ epoch } = entry);
      offset = entry.first + entry.data.length - 1;
      for (const publication of publicationsOf(topic, entry)) kept.push({ publication, storedMs });
    }
    kept = kept.filter(({ publication, storedMs }) =>
      publication.offset > offset - messages && storedMs > oldestMs && publication.epoch === epoch
    );
    const first = kept[0]?.publication.offset ?? offset + 1;
    return pageOf(
      { epoch, offset },
      since,
      limit,
      first,
      (from, to) => kept.slice(from - first, to - first + 1).map(({ publication }) => publication),
    );
  }

  /** Stores what waits, until nothing does. */
  private async write(topic: string, writer: Writer): Promise<void> {
    writer.isWriting = true;
    // What is published in the same turn is stored together.
    await Promise.resolve();
    while (writer.waiting.length > 0) {
      const batch = writer.waiting.splice(0, MAX_BATCH);
      try {
        const { epoch, offset } = await this.append(topic, batch.map(({ data }) => data));
        batch.forEach(({ resolve }, index) => resolve({ epoch, offset: offset - batch.length + 1 + index }));
      } catch (error) {
        this.lasts.delete(topic);
        const reason = error instanceof BrokerUnavailable
          ? error
          : new BrokerUnavailable("NATS did not store it", { cause: error });
        for (const { reject } of batch) reject(reason);
      }
    }
    writer.isWriting = false;
    this.writers.delete(topic);
  }

  /** Answers the place of the last of `data`. */
  private async append(topic: string, data: readonly unknown[]): Promise<Position> {
    const kind = this.kindOf(topic);
    await this.stream(kind);
    const endMs = this.deadline();
    for (;;) {
      const last = this.lasts.get(topic) ?? await this.readLast(topic) ??
        { epoch: createEpoch(), offset: 0, sequence: 0, storedMs: 0 };
      const entry = { epoch: last.epoch, first: last.offset + 1, data };
      const sequence = await this.put(topic, entry, last.sequence);
      if (sequence !== undefined) {
        const position = { epoch: last.epoch, offset: last.offset + data.length };
        if (this.lasts.size >= MAX_KNOWN) this.lasts.clear();
        this.lasts.set(topic, { ...position, sequence, storedMs: this.settings.clock.wallMs() });
        return position;
      }
      this.lasts.delete(topic);
      this.assertBefore(endMs);
    }
  }

  private async mark(topic: string, { epoch, offset }: Position, after: number): Promise<boolean> {
    return await this.put(topic, { epoch, first: offset + 1, data: [] }, after) !== undefined;
  }

  /** Stores an entry if `after` is still the topic's last message; answers undefined if it is not. */
  private async put(topic: string, entry: Entry, after: number): Promise<number | undefined> {
    const { names, link, timeoutMs } = this.settings;
    const subject = names.stored(this.kindOf(topic).name, topic);
    try {
      const { seq } = await link.session.publisher.publish(subject, writeEntry(entry), {
        expect: { lastSubjectSequence: after },
        timeout: timeoutMs,
      });
      return seq;
    } catch (error) {
      if (error instanceof JetStreamApiError && error.code === WRONG_LAST_SEQUENCE) return undefined;
      // The stream may have been taken away: the next publication makes it again.
      this.ready.delete(this.kindOf(topic).name);
      throw error;
    }
  }

  private async readLast(topic: string): Promise<Last | undefined> {
    const { names, link } = this.settings;
    const { name } = this.kindOf(topic);
    const message = await link.session.streams.direct.getMessage(names.stream(name), {
      last_by_subj: names.stored(name, topic),
    });
    const entry = message === null ? undefined : readEntry(message.data);
    if (message === null || entry === undefined) return undefined;
    const { epoch, first, data } = entry;
    return {
      epoch,
      offset: first + data.length - 1,
      sequence: message.seq,
      storedMs: message.time.getTime(),
    };
  }

  /** Every message of a topic that is still there, oldest first. */
  private async readAll(topic: string): Promise<{ entry: Entry; storedMs: number }[]> {
    const { names } = this.settings;
    const { name } = this.kindOf(topic);
    const messages = await readSubject(this.settings.link, names.stream(name), names.stored(name, topic));
    return messages.flatMap(({ data, storedMs }) => {
      const entry = readEntry(data);
      return entry === undefined ? [] : [{ entry, storedMs }];
    });
  }

  private kindOf(topic: string): Kind {
    let kind = this.kinds.get(topic);
    if (kind === undefined) {
      const { messages: given, seconds } = this.settings.retentionOf(topic);
      const messages = seconds > 0 ? given : 0;
      // Offsets outlive the history that they number.
      const maxAgeSeconds = Math.max(this.settings.idleTopicSeconds, 2 * seconds);
      kind = {
        name: `${messages}x${seconds}s${maxAgeSeconds}`.replaceAll(".", "_"),
        messages,
        seconds,
        maxAgeSeconds,
      };
      if (this.kinds.size >= MAX_KNOWN) this.kinds.clear();
      this.kinds.set(topic, kind);
    }
    return kind;
  }

  /** Makes the stream if it is not there. */
  private stream({ name, messages, maxAgeSeconds }: Kind): Promise<void> {
    let ready = this.ready.get(name);
    if (ready === undefined) {
      const { names, link, replicas } = this.settings;
      ready = addStream(link, {
        name: names.stream(name),
        subjects: [names.stored(name, ">")],
        max_msgs_per_subject: messages + SPARE_MESSAGES,
        max_age: maxAgeSeconds * NS_PER_SECOND,
        num_replicas: replicas,
        allow_direct: true,
        republish: { src: names.stored(name, ">"), dest: names.delivered(">") },
      });
      this.ready.set(name, ready);
      ready.catch(() => this.ready.delete(name));
    }
    return ready;
  }

  private deadline(): number {
    return this.settings.clock.now() + this.settings.timeoutMs;
  }

  private assertBefore(endMs: number): void {
    if (this.settings.clock.now() > endMs) throw new BrokerUnavailable("other nodes were always faster");
  }
}

type StreamConfig = Parameters<NatsLink["session"]["streams"]["streams"]["add"]>[0];

/** Makes a stream, unless it is there already. */
export async function addStream(link: NatsLink, config: StreamConfig): Promise<void> {
  try {
    await link.session.streams.streams.add(config);
  } catch (error) {
    if (!(error instanceof JetStreamApiError && error.code === NAME_IN_USE)) throw error;
  }
}

export interface Stored {
  readonly subject: string;
  readonly data: Uint8Array;
  readonly storedMs: number;
}

/** Reads every message of a subject, which may have wildcards, that is in a stream now. */
export async function readSubject(link: NatsLink, stream: string, subject: string): Promise<Stored[]> {
  const { connection, streams } = link.session;
  const stored: Stored[] = [];
  const inbox = createInbox();
  let finish: () => void;
  const isRead = new Promise<void>((resolve) => finish = resolve);
  const subscription = connection.subscribe(inbox, {
    callback: (error, message) => {
      if (error !== null) return finish();
      const { storedMs, pending } = readReply(message);
      stored.push({ subject: message.subject, data: message.data, storedMs });
      if (pending === 0) finish();
    },
  });
  try {
    const info = await streams.consumers.add(stream, {
      deliver_subject: inbox,
      deliver_policy: DeliverPolicy.All,
      ack_policy: AckPolicy.None,
      replay_policy: ReplayPolicy.Instant,
      filter_subject: subject,
      mem_storage: true,
      num_replicas: 1,
      inactive_threshold: 5 * NS_PER_SECOND,
    });
    const isEmpty = info.num_pending === 0 && info.delivered.consumer_seq === 0;
    if (!isEmpty) await link.answer(Promise.race([isRead, connection.closed()]));
  } finally {
    subscription.unsubscribe();
  }
  if (connection.isClosed()) throw new BrokerUnavailable("NATS has gone");
  return stored;
}

/** A message of a consumer says in its reply subject when it was stored and how many follow (NATS ADR-15). */
function readReply({ reply = "" }: Msg): { storedMs: number; pending: number } {
  const tokens = reply.split(".");
  // $JS ACK [domain account] stream consumer delivered sequence sequence nanoseconds pending [random]
  const at = tokens.length > 9 ? 9 : 7;
  return { storedMs: Number(tokens[at]) / NS_PER_MS, pending: Number(tokens[at + 1]) };
}
