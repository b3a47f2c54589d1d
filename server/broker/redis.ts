/**
 * The broker `redis`: several nodes share topics through one Redis, or through several that each own a part of the
 * topics. Redis gives places and keeps history in one step with the publication (redis_scripts.ts); pub/sub brings it to
 * the nodes that have subscribers, and since that may lose, a sequencer repairs from the history.
 *
 * A topic without history is forgotten once it has not been used for `idleTopicSeconds`: the next publication starts a
 * new epoch. A pattern brings every publication that reaches this node while it is connected, and topics that have been
 * seen through it are repaired like subscribed ones; but a topic whose first publications fall into an absence of Redis
 * is not known here: its story begins with the first publication after that.
 */
import type { Buffer } from "node:buffer";
import { BrokerUnavailable, PatternsOff } from "./broker.ts";
import type { Broker, HistoryPage, Member, Position, Publication, Receiver } from "./broker.ts";
import { createEpoch } from "./epoch.ts";
import { RedisPresence } from "./redis_presence.ts";
import { historyScript, placesScript, publishScript } from "./redis_scripts.ts";
import { RedisShard } from "./redis_shard.ts";
import { pack, readEntry, readPublication, RedisNames } from "./redis_wire.ts";
import { Shards } from "./shards.ts";
import { Subscriptions, type Way } from "./subscriptions.ts";
import type { RemoteBrokerSettings } from "./remote.ts";

/** Topics whose place is read with one call, and calls under way at once. */
const TOPICS_PER_CALL = 128;
const CALLS_AT_ONCE = 16;

/** How many topics' retention is remembered. */
const MAX_RETENTIONS = 10_000;

const MS_PER_SECOND = 1_000;

/** The URLs are one Redis, or several among which the topics are shared out: the same on every node. */
export interface RedisBrokerSettings extends RemoteBrokerSettings {
  /** Whether the URLs are servers of one Redis Cluster (Redis 7 and newer), which shares the topics out by itself. */
  readonly isCluster: boolean;
  /**
   * Whether patterns may be subscribed to on a cluster: each publication then goes to all of its servers. The same on
   * every node.
   */
  readonly hasClusterPatterns: boolean;
}

/** What a topic's retention is for Redis. */
interface Kept {
  readonly messages: string;
  readonly seconds: string;
  readonly placeSeconds: string;
}

export class RedisBroker implements Broker, Way {
  readonly name = "redis";
  isAvailable = false;
  private readonly settings: RedisBrokerSettings;
  private readonly receiver: Receiver;
  private readonly names: RedisNames;
  private readonly shards: Shards<RedisShard>;
  private readonly presence: RedisPresence;
  private readonly subscriptions: Subscriptions;
  private readonly command: "PUBLISH" | "SPUBLISH";
  private readonly retentions = new Map<string, Kept>();
  /** The run of the shard when its topics were last compared. */
  private readonly comparedRuns = new Map<RedisShard, string>();
  /** For the next topic that has no epoch yet. */
  private candidate = createEpoch();
  private isClosed = false;

  constructor(settings: RedisBrokerSettings, receiver: Receiver) {
    const { urls, clock, log, timeoutSeconds, presenceSeconds, checkSeconds } = settings;
    this.settings = settings;
    this.receiver = receiver;
    this.names = new RedisNames(settings.prefix);
    const { isCluster } = settings;
    this.command = isCluster ? "SPUBLISH" : "PUBLISH";
    const groups = isCluster ? [urls] : urls.map((url) => [url]);
    const shards = groups.map((group) =>
      new RedisShard({
        urls: group as [string, ...string[]], // there is one at least
        isCluster,
        timeoutMs: timeoutSeconds * MS_PER_SECOND,
        clock,
        log,
      }, {
        message: (message, channel) => this.receive(message, channel),
        restore: (shard) => this.restore(shard),
        up: () => this.updateAvailability(),
        down: (shard) => this.down(shard),
      })
    );
    this.shards = new Shards(shards, shards.map(({ name }) => name));
    this.subscriptions = new Subscriptions(this, {
      checkMs: checkSeconds * MS_PER_SECOND,
      maxPatternTopics: settings.maxIdleTopics,
      clock,
    }, receiver);
    const lifetimeMs = presenceSeconds * MS_PER_SECOND;
    const { names, command } = this;
    this.presence = new RedisPresence({ names, shards: this.shards, command, lifetimeMs, clock }, receiver);
    for (const shard of shards) shard.start();
  }

  publish(topic: string, data: unknown): Promise<Position> {
    const shard = this.shards.of(topic);
    if (!shard.takesMore) return Promise.reject(new BrokerUnavailable("Redis takes no publications now"));
    const { names } = this;
    const { messages, seconds, placeSeconds } = this.keptOf(topic);
    const args = [
      this.command,
      names.channel(topic),
      pack(data),
      this.candidate,
      shard.run,
      placeSeconds,
      messages,
      seconds,
      this.settings.hasClusterPatterns && this.settings.isCluster ? names.channel(topic) : "",
    ];
    return shard.evaluate(publishScript, [names.place(topic), names.history(topic)], args).then(
      this.toPosition,
    );
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

  async position(topic: string): Promise<Position | undefined> {
    const place = await this.shards.of(topic).get(this.names.place(topic));
    if (typeof place !== "string") return undefined;
    const [epoch = "", offset] = place.split(" ");
    return { epoch, offset: Number(offset) };
  }

  async history(topic: string, since: Position | undefined, limit: number): Promise<HistoryPage> {
    const shard = this.shards.of(topic);
    const { seconds, placeSeconds } = this.keptOf(topic);
    const after = since === undefined ? ["-", "-"] : [since.epoch, String(since.offset)];
    const args = [...after, String(limit), seconds, this.candidate, placeSeconds, shard.run];
    const keys = [this.names.place(topic), this.names.history(topic)];
    const reply = await shard.evaluate(historyScript, keys, args, true);
    const [epochBytes, offset, first, entries] = reply as [Buffer, number, number, Buffer[]]; // the script's answer
    const epoch = this.used(epochBytes.toString("latin1"));
    const messages: Publication[] = [];
    for (const entry of entries) {
      const publication = readEntry(topic, epoch, first + messages.length, entry);
      if (publication === undefined) break;
      messages.push(publication);
    }
    const isKnown = since === undefined || (since.epoch === epoch && since.offset <= offset);
    return {
      epoch,
      offset,
      messages,
      complete: isKnown && (since === undefined || first === since.offset + 1),
    };
  }

  join(topic: string, member: Member): void {
    this.presence.join(topic, member);
  }

  leave(topic: string, member: Member): void {
    this.presence.leave(topic, member);
  }

  members(topic: string): Promise<readonly Member[]> {
    return this.presence.members(topic);
  }

  watch(topic: string): Promise<readonly Member[]> {
    return this.presence.watch(topic);
  }

  unwatch(topic: string): void {
    this.presence.unwatch(topic);
  }

  async close(): Promise<void> {
    if (this.isClosed) return;
    this.isClosed = true;
    this.subscriptions.close();
    await this.presence.close();
    for (const shard of this.shards) shard.close();
    this.isAvailable = false;
  }

  isUp(topic: string): boolean {
    return this.shards.of(topic).isUp;
  }

  listen(topic: string): Promise<void> {
    return this.shards.of(topic).subscribe([this.names.channel(topic)]);
  }

  unlisten(topic: string): void {
    this.shards.of(topic).unsubscribe(this.names.channel(topic));
  }

  async listenPattern(pattern: string): Promise<void> {
    const { isCluster, hasClusterPatterns } = this.settings;
    if (isCluster && !hasClusterPatterns) throw new PatternsOff("patterns are off on this Redis Cluster");
    const glob = this.names.glob(pattern);
    await Promise.all([...this.shards].map((shard) => shard.subscribeGlobs([glob])));
  }

  unlistenPattern(pattern: string): void {
    const glob = this.names.glob(pattern);
    for (const other of this.subscriptions.patterns) if (this.names.glob(other) === glob) return;
    for (const shard of this.shards) shard.unsubscribeGlob(glob);
  }

  async places(topics: readonly string[]): Promise<readonly Position[]> {
    const places = new Map<string, Position>();
    await Promise.all([...this.shards].map(async (shard) => {
      const owned = topics.filter((topic) => this.shards.of(topic) === shard);
      const found = await this.placesOn(shard, owned);
      owned.forEach((topic, index) => places.set(topic, found[index] as Position)); // one for each
    }));
    return topics.map((topic) => places.get(topic) as Position); // every topic has a shard
  }

  private receive(message: Buffer, channelBytes: Buffer): void {
    if (this.isClosed) return;
    const channel = channelBytes.toString("latin1");
    const topic = this.names.topicOf(channel);
    if (topic === undefined) {
      const watched = this.names.presenceTopicOf(channel);
      if (watched !== undefined) this.presence.receive(watched, message.toString());
      return;
    }
    if (!this.subscriptions.isWanted(topic)) return;
    const publication = readPublication(topic, message);
    if (publication !== undefined) this.subscriptions.receive(publication);
  }

  /** The shard is gone: its topics wait until they have been compared with what comes back. */
  private down(shard: RedisShard): void {
    this.subscriptions.hold(this.topicsOf(shard));
    this.updateAvailability();
  }

  /** Listens again to everything, then repairs what was missed. */
  private async restore(shard: RedisShard): Promise<void> {
    // Of the last one it is not known whether it has been used.
    this.candidate = createEpoch();
    const subscribed = this.subscriptions.subscribedTopics().filter((topic) =>
      this.shards.of(topic) === shard
    );
    const globs = new Set([...this.subscriptions.patterns].map((pattern) => this.names.glob(pattern)));
    await Promise.all([
      shard.subscribe([
        ...subscribed.map((topic) => this.names.channel(topic)),
        ...this.presence.channels(shard),
      ]),
      shard.subscribeGlobs([...globs]),
    ]);
    const topics = this.topicsOf(shard);
    this.subscriptions.compare(topics, await this.placesOn(shard, topics));
    this.comparedRuns.set(shard, shard.run);
    await this.presence.refresh(shard);
  }

  /** Reads where topics are; those that are not anywhere yet begin, those that contradict what was delivered anew. */
  private async placesOn(shard: RedisShard, topics: readonly string[]): Promise<Position[]> {
    const places: Position[] = [];
    // On a cluster the keys of one call are those of one topic.
    const size = this.settings.isCluster ? 1 : TOPICS_PER_CALL;
    const atOnce = this.settings.isCluster ? TOPICS_PER_CALL : CALLS_AT_ONCE;
    for (let start = 0; start < topics.length; start += size * atOnce) {
      const calls: Promise<Position[]>[] = [];
      for (let at = start; at < topics.length && calls.length < atOnce; at += size) {
        calls.push(this.placesOnce(shard, topics.slice(at, at + size)));
      }
      for (const part of await Promise.all(calls)) places.push(...part);
    }
    return places;
  }

  private async placesOnce(shard: RedisShard, topics: readonly string[]): Promise<Position[]> {
    const knownRun = this.comparedRuns.get(shard) ?? shard.run;
    let placeSeconds = this.settings.idleTopicSeconds;
    const known: string[] = [];
    for (const topic of topics) {
      const here = this.subscriptions.position(topic);
      if (here === undefined) known.push("-", "-", "-");
      else known.push(here.epoch, String(here.offset), knownRun);
      placeSeconds = Math.max(placeSeconds, Number(this.keptOf(topic).placeSeconds));
    }
    const keys = topics.flatMap((topic) => [this.names.place(topic), this.names.history(topic)]);
    const args = [this.candidate, String(placeSeconds), shard.run, ...known];
    const reply = await shard.evaluate(placesScript, keys, args) as (string | number)[]; // the script's answer
    return topics.map((_, index) => ({
      epoch: this.used(String(reply[index * 2])),
      offset: Number(reply[index * 2 + 1]),
    }));
  }

  private topicsOf(shard: RedisShard): string[] {
    return this.subscriptions.topics().filter((topic) => this.shards.of(topic) === shard);
  }

  private keptOf(topic: string): Kept {
    let kept = this.retentions.get(topic);
    if (kept === undefined) {
      const { messages, seconds } = this.settings.retentionOf(topic);
      kept = {
        messages: String(seconds > 0 ? messages : 0),
        seconds: String(seconds),
        // Offsets outlive the history that they number.
        placeSeconds: String(Math.max(this.settings.idleTopicSeconds, 2 * seconds)),
      };
      if (this.retentions.size >= MAX_RETENTIONS) this.retentions.clear();
      this.retentions.set(topic, kept);
    }
    return kept;
  }

  /** A topic never gets the same epoch twice. */
  private used(epoch: string): string {
    if (epoch === this.candidate) this.candidate = createEpoch();
    return epoch;
  }

  private readonly toPosition = (reply: unknown): Position => {
    const [epoch, offset] = reply as [string, number]; // the script's answer
    return { epoch: this.used(epoch), offset };
  };

  private updateAvailability(): void {
    const isAvailable = !this.isClosed && [...this.shards].every((shard) => shard.isUp);
    if (isAvailable === this.isAvailable) return;
    this.isAvailable = isAvailable;
    if (!this.isClosed) this.receiver.availability(isAvailable);
  }
}
