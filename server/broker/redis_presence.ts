/**
 * Presence in Redis: each session is there with a deadline that its node keeps moving, so that a dead node's sessions
 * run out, and whichever node looks first tells everybody. Changes travel over a channel per topic, to the nodes that
 * watch it; a change that got lost on the way is found when the deadlines are moved. It asks Redis through a shard.
 */
import type { Clock } from "../clock.ts";
import { type Member, memberKey, type Receiver } from "./broker.ts";
import { distinct, Presence } from "./presence.ts";
import { joinScript, leaveScript } from "./redis_scripts.ts";
import type { RedisShard } from "./redis_shard.ts";
import { readMember, readPresence, type RedisNames, writeMember } from "./redis_wire.ts";
import type { Shards } from "./shards.ts";

/** Deadlines are moved this many times within a lifetime. */
const REFRESHES_PER_LIFETIME = 3;

/** Sessions of one call, and calls under way at once. */
const SESSIONS_PER_CALL = 500;
const CALLS_AT_ONCE = 64;

interface Watch {
  /** What has been told, by {@link memberKey}; undefined before the first answer. */
  members: Map<string, Member> | undefined;
  /** Grows with each change that came over the channel. */
  changes: number;
  /** Changes that came before the first answer. */
  early: string[];
}

export interface RedisPresenceSettings {
  readonly names: RedisNames;
  readonly shards: Shards<RedisShard>;
  /** How changes are told. */
  readonly command: "PUBLISH" | "SPUBLISH";
  /** How long a session stays that nobody says is still there. */
  readonly lifetimeMs: number;
  readonly clock: Clock;
}

export class RedisPresence {
  private readonly settings: RedisPresenceSettings;
  private readonly receiver: Receiver;
  /** The sessions of this node. */
  private readonly own = new Presence();
  private readonly watches = new Map<string, Watch>();
  private readonly stopRefreshing: () => void;

  constructor(settings: RedisPresenceSettings, receiver: Receiver) {
    this.settings = settings;
    this.receiver = receiver;
    const everyMs = settings.lifetimeMs / REFRESHES_PER_LIFETIME;
    this.stopRefreshing = settings.clock.every(everyMs, () => void this.refresh());
  }

  join(topic: string, member: Member): void {
    this.own.join(topic, member);
    this.say(topic, [member], false).catch(ignoreAbsence);
  }

  leave(topic: string, { session }: Member): void {
    this.own.leave(topic, session);
    this.sayGone(topic, [session]).catch(ignoreAbsence);
  }

  async members(topic: string): Promise<readonly Member[]> {
    return distinct(await this.say(topic, [], true));
  }

  /** Answers who is there; changes are told from then on. */
  async watch(topic: string): Promise<readonly Member[]> {
    let watch = this.watches.get(topic);
    if (watch === undefined) {
      watch = { members: undefined, changes: 0, early: [] };
      this.watches.set(topic, watch);
      try {
        await this.settings.shards.of(topic).subscribe([this.settings.names.presenceChannel(topic)]);
        this.settle(topic, watch, await this.say(topic, [], true));
      } catch (error) {
        if (this.watches.get(topic) === watch) this.unwatch(topic);
        throw error;
      }
    }
    return watch.members === undefined ? await this.members(topic) : [...watch.members.values()];
  }

  unwatch(topic: string): void {
    if (!this.watches.delete(topic)) return;
    this.settings.shards.of(topic).unsubscribe(this.settings.names.presenceChannel(topic));
  }

  /** A message has come over the topic's presence channel. */
  receive(topic: string, text: string): void {
    const watch = this.watches.get(topic);
    if (watch === undefined) return;
    watch.changes++;
    if (watch.members === undefined) watch.early.push(text);
    else this.apply(topic, watch.members, text);
  }

  /** The channels that a shard is to be listened to for. */
  channels(shard: RedisShard): string[] {
    const { shards, names } = this.settings;
    return [...this.watches.keys()].filter((topic) => shards.of(topic) === shard).map((topic) =>
      names.presenceChannel(topic)
    );
  }

  /** Says of all own sessions that they are there, and looks who else is, on one shard or on all that are up. */
  async refresh(only?: RedisShard): Promise<void> {
    const { shards } = this.settings;
    const topics = new Set([...this.own.names(), ...this.watches.keys()]);
    let calls: Promise<void>[] = [];
    for (const topic of topics) {
      const shard = shards.of(topic);
      if (only === undefined ? !shard.isUp : shard !== only) continue;
      calls.push(this.refreshTopic(topic));
      if (calls.length < CALLS_AT_ONCE) continue;
      await Promise.allSettled(calls);
      calls = [];
    }
    await Promise.allSettled(calls);
  }

  /** Takes this node's sessions out of all topics. */
  async close(): Promise<void> {
    this.stopRefreshing();
    this.watches.clear();
    const topics = this.own.names();
    await Promise.allSettled(
      topics.map((topic) => this.sayGone(topic, this.own.sessions(topic).map(({ session }) => session))),
    );
  }

  private async refreshTopic(topic: string): Promise<void> {
    const watch = this.watches.get(topic);
    const changes = watch?.changes;
    const sessions = await this.say(topic, this.own.sessions(topic), watch !== undefined);
    // What came meanwhile may be newer than the answer: the next time will do.
    if (watch !== undefined && watch.changes === changes) this.settle(topic, watch, sessions);
  }

  /** Makes the told members those that are there, and tells the difference. */
  private settle(topic: string, watch: Watch, sessions: readonly Member[]): void {
    if (this.watches.get(topic) !== watch) return;
    const now = new Map(distinct(sessions).map((member) => [memberKey(member), member]));
    if (watch.members === undefined) {
      watch.members = now;
      for (const text of watch.early) this.apply(topic, now, text);
      watch.early = [];
      return;
    }
    const before = watch.members;
    watch.members = now;
    for (const [key, member] of before) if (!now.has(key)) this.receiver.left(topic, member);
    for (const [key, member] of now) if (!before.has(key)) this.receiver.joined(topic, member);
  }

  private apply(topic: string, members: Map<string, Member>, text: string): void {
    const { isJoin, member } = readPresence(text);
    const key = memberKey(member);
    if (isJoin === members.has(key)) return;
    if (isJoin) {
      members.set(key, member);
      this.receiver.joined(topic, member);
    } else {
      members.delete(key);
      this.receiver.left(topic, member);
    }
  }

  /** Moves the deadlines of sessions; answers all that are there, if asked to. */
  private async say(
    topic: string,
    sessions: readonly Member[],
    answersAll: boolean,
  ): Promise<readonly Member[]> {
    const { names, lifetimeMs, shards, command } = this.settings;
    const shard = shards.of(topic);
    const rest = [command, names.presenceChannel(topic), String(lifetimeMs), answersAll ? "1" : "0"];
    let members: readonly Member[] = [];
    for (let start = 0; start === 0 || start < sessions.length; start += SESSIONS_PER_CALL) {
      const part = sessions.slice(start, start + SESSIONS_PER_CALL);
      const pairs = part.flatMap((member) => [member.session, writeMember(member)]);
      const answer = await shard.evaluate(joinScript, names.presence(topic), [...rest, ...pairs]);
      members = (answer as string[]).map(readMember); // the script's answer
    }
    return members;
  }

  private sayGone(topic: string, sessions: readonly string[]): Promise<unknown> {
    const { names, shards, command } = this.settings;
    const rest = [command, names.presenceChannel(topic)];
    return shards.of(topic).evaluate(leaveScript, names.presence(topic), [...rest, ...sessions]);
  }
}

/** The broker is away: on its return every session is said again, and those not said run out. */
function ignoreAbsence(): void {}
