/**
 * Presence in NATS: each session is a message of a stream that forgets after a lifetime, and its node says it again in
 * time, so that a dead node's sessions run out. A node that watches a topic hears every such message and counts by
 * itself who has come and gone. It knows nothing of publications.
 */
import { StorageType } from "@nats-io/jetstream";
import type { Msg, Subscription } from "@nats-io/transport-node";
import type { Clock } from "../clock.ts";
import type { Member, Receiver } from "./broker.ts";
import type { NatsLink } from "./nats_link.ts";
import { addStream, readSubject } from "./nats_store.ts";
import type { NatsNames } from "./nats_wire.ts";
import { distinct, Presence } from "./presence.ts";

/** Sessions are said again this many times within a lifetime. */
const REFRESHES_PER_LIFETIME = 3;

const NS_PER_MS = 1e6;
const KIND = "presence";

interface Watch {
  /** The sessions that are there, by session. */
  readonly present: Presence;
  readonly seenMs: Map<string, number>;
  subscription: Subscription | undefined;
  /** Whether changes are told: from the first answer on. */
  isTelling: boolean;
}

export interface NatsPresenceSettings {
  readonly names: NatsNames;
  readonly link: NatsLink;
  /** How long a session stays that nobody says is still there. */
  readonly lifetimeMs: number;
  readonly replicas: number;
  readonly clock: Clock;
}

export class NatsPresence {
  private readonly settings: NatsPresenceSettings;
  private readonly receiver: Receiver;
  /** The sessions of this node. */
  private readonly own = new Presence();
  private readonly watches = new Map<string, Watch>();
  /** What is being said, so that who asks then gets it answered. */
  private readonly saying = new Set<Promise<unknown>>();
  private readonly stopRefreshing: () => void;

  constructor(settings: NatsPresenceSettings, receiver: Receiver) {
    this.settings = settings;
    this.receiver = receiver;
    this.stopRefreshing = settings.clock.every(
      settings.lifetimeMs / REFRESHES_PER_LIFETIME,
      () => this.refresh(),
    );
  }

  join(topic: string, member: Member): void {
    this.own.join(topic, member);
    this.say(topic, member.session, writeMember(member));
  }

  leave(topic: string, { session }: Member): void {
    this.own.leave(topic, session);
    this.say(topic, session, writeGone(session));
  }

  async members(topic: string): Promise<readonly Member[]> {
    return distinct(await this.read(topic));
  }

  async watch(topic: string): Promise<readonly Member[]> {
    let watch = this.watches.get(topic);
    if (watch === undefined) {
      watch = { present: new Presence(), seenMs: new Map(), subscription: undefined, isTelling: false };
      this.watches.set(topic, watch);
      try {
        await this.listen(topic, watch);
      } catch (error) {
        this.unwatch(topic);
        throw error;
      }
      watch.isTelling = true;
    }
    return watch.present.members(topic);
  }

  unwatch(topic: string): void {
    this.watches.get(topic)?.subscription?.unsubscribe();
    this.watches.delete(topic);
  }

  /** The server is back: listens to everything again, and says who is here. */
  async restore(): Promise<void> {
    const { link, names, lifetimeMs, replicas } = this.settings;
    await addStream(link, {
      name: names.stream(KIND),
      subjects: [names.presenceOfAll()],
      max_msgs_per_subject: 1,
      max_age: lifetimeMs * NS_PER_MS,
      duplicate_window: Math.min(lifetimeMs, 1_000) * NS_PER_MS,
      storage: StorageType.Memory,
      num_replicas: replicas,
    });
    this.refresh();
    await Promise.all([...this.watches].map(([topic, watch]) => this.listen(topic, watch)));
  }

  /** Takes this node's sessions out of all topics. */
  async close(): Promise<void> {
    this.stopRefreshing();
    for (const topic of [...this.watches.keys()]) this.unwatch(topic);
    for (const topic of this.own.names()) {
      for (const { session } of this.own.sessions(topic)) this.say(topic, session, writeGone(session));
    }
    await Promise.allSettled(this.saying);
  }

  /** Hears every change first, and reads who is there then. */
  private async listen(topic: string, watch: Watch): Promise<void> {
    const { link, names, clock } = this.settings;
    const beganMs = clock.now();
    watch.subscription = link.session.connection.subscribe(names.presence(topic, "*"), {
      callback: (error, message) => {
        if (error === null) this.hear(topic, watch, message);
      },
    });
    await link.session.connection.flush();
    const there = await this.read(topic);
    for (const member of there) if (!watch.seenMs.has(member.session)) this.came(topic, watch, member);
    const sessions = new Set(there.map(({ session }) => session));
    for (const [session, seenMs] of watch.seenMs) {
      if (seenMs < beganMs && !sessions.has(session)) this.went(topic, watch, session);
    }
  }

  private hear(topic: string, watch: Watch, message: Msg): void {
    const said = readSession(message.data);
    if (said === undefined || this.watches.get(topic) !== watch) return;
    if (said.isThere) this.came(topic, watch, said.member);
    else this.went(topic, watch, said.member.session);
  }

  private came(topic: string, watch: Watch, member: Member): void {
    watch.seenMs.set(member.session, this.settings.clock.now());
    if (watch.present.join(topic, member) && watch.isTelling) this.receiver.joined(topic, member);
  }

  private went(topic: string, watch: Watch, session: string): void {
    watch.seenMs.delete(session);
    const gone = watch.present.leave(topic, session);
    if (gone !== undefined && watch.isTelling) this.receiver.left(topic, gone);
  }

  /** Says of all own sessions that they are there, and lets those go that nobody has said so of. */
  private refresh(): void {
    if (this.settings.link.maybeSession === undefined) return;
    for (const topic of this.own.names()) {
      for (const member of this.own.sessions(topic)) this.say(topic, member.session, writeMember(member));
    }
    const oldestMs = this.settings.clock.now() - this.settings.lifetimeMs;
    for (const [topic, watch] of this.watches) {
      for (const [session, seenMs] of watch.seenMs) if (seenMs < oldestMs) this.went(topic, watch, session);
    }
  }

  private async read(topic: string): Promise<readonly Member[]> {
    const { link, names } = this.settings;
    await Promise.allSettled(this.saying);
    const stored = await readSubject(link, names.stream(KIND), names.presence(topic, "*"));
    return stored.flatMap(({ data }) => {
      const said = readSession(data);
      return said?.isThere === true ? [said.member] : [];
    });
  }

  private say(topic: string, session: string, text: string): void {
    const { link, names } = this.settings;
    const subject = names.presence(topic, session);
    const said = link.maybeSession?.publisher.publish(subject, text);
    if (said === undefined) return;
    // Away: on the return every session is said again, and those not said run out.
    const done = said.then(() => undefined, () => undefined).finally(() => this.saying.delete(done));
    this.saying.add(done);
  }
}

function writeMember({ user, session }: Member): string {
  return JSON.stringify(user === undefined ? [session] : [session, user]);
}

/** Says that a session has gone. */
function writeGone(session: string): string {
  return JSON.stringify({ session });
}

function readSession(data: Uint8Array): { readonly isThere: boolean; readonly member: Member } | undefined {
  try {
    const said = JSON.parse(new TextDecoder().decode(data)) as [string, string?] | { session: string }; // ours
    if (!Array.isArray(said)) return { isThere: false, member: { user: undefined, session: said.session } };
    return { isThere: true, member: { user: said[1], session: said[0] } };
  } catch {
    // Somebody else's message.
    return undefined;
  }
}
