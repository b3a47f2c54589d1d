/**
 * Who is in which topic, on one node: sessions counted per member, so that a user with three sessions comes once and
 * goes once. It tells nobody by itself; its answers say what is to be told.
 */
import { type Member, memberKey } from "./broker.ts";

interface Topic {
  /** By session. */
  readonly sessions: Map<string, Member>;
  /** How many sessions each member has, by {@link memberKey}. */
  readonly counts: Map<string, number>;
}

export class Presence {
  private readonly topics = new Map<string, Topic>();

  /** Whether the member was not there before. */
  join(name: string, member: Member): boolean {
    let topic = this.topics.get(name);
    if (topic === undefined) this.topics.set(name, topic = { sessions: new Map(), counts: new Map() });
    if (topic.sessions.has(member.session)) return false;
    topic.sessions.set(member.session, member);
    const key = memberKey(member);
    const count = topic.counts.get(key) ?? 0;
    topic.counts.set(key, count + 1);
    return count === 0;
  }

  /** Who has gone with this session, if it was the last one of a member. */
  leave(name: string, session: string): Member | undefined {
    const topic = this.topics.get(name);
    const member = topic?.sessions.get(session);
    if (topic === undefined || member === undefined) return undefined;
    topic.sessions.delete(session);
    if (topic.sessions.size === 0) this.topics.delete(name);
    const key = memberKey(member);
    const count = (topic.counts.get(key) ?? 1) - 1;
    if (count > 0) {
      topic.counts.set(key, count);
      return undefined;
    }
    topic.counts.delete(key);
    return member;
  }

  /** One for each user, and one for each session without a user. */
  members(name: string): readonly Member[] {
    return distinct(this.topics.get(name)?.sessions.values() ?? []);
  }

  /** Every session of a topic. */
  sessions(name: string): readonly Member[] {
    return [...this.topics.get(name)?.sessions.values() ?? []];
  }

  /** The topics that anybody is in. */
  names(): readonly string[] {
    return [...this.topics.keys()];
  }
}

/** The first session of each member. */
export function distinct(sessions: Iterable<Member>): readonly Member[] {
  const members = new Map<string, Member>();
  for (const member of sessions) {
    const key = memberKey(member);
    if (!members.has(key)) members.set(key, member);
  }
  return [...members.values()];
}
