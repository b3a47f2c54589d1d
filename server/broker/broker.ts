/**
 * The broker contract: who owns a topic's order. A broker gives each publication its place (epoch and offset), keeps
 * as much history as it is told to, brings the publications of a topic to every node that has subscribed to it, and
 * knows who is present in a topic on all nodes. It knows nothing of connections.
 *
 * A method that can answer at once does; one that has to ask somebody answers with a promise. Callers treat both.
 */

/** A place in a topic: the publication `offset` of the history that `epoch` names; 0 before the first one. */
export interface Position {
  /** Random; new whenever the topic's history starts afresh. */
  readonly epoch: string;
  /** Grows by one with each publication. */
  readonly offset: number;
}

/** A publication in its place. Its data belongs to everybody: nobody changes it. */
export interface Publication extends Position {
  readonly topic: string;
  readonly data: unknown;
}

/** A part of a topic's history. */
export interface HistoryPage extends Position {
  /** Oldest first, without a hole between them, all of this page's epoch. */
  readonly messages: readonly Publication[];
  /** Whether the first message is the one right after the place that was asked for; true when none was. */
  readonly complete: boolean;
}

/** How much of a topic is kept: the last `messages` publications, each for `seconds`; 0 keeps none. */
export interface Retention {
  readonly messages: number;
  readonly seconds: number;
}

/** Asked once in a while per topic, not per publication; must always answer the same for a topic. */
export type RetentionOf = (topic: string) => Retention;

/** Somebody in a topic. A user who is there with several sessions is one member; without a user, each session is. */
export interface Member {
  readonly user: string | undefined;
  readonly session: string;
}

/**
 * What a broker tells its node. For a topic that is subscribed or matched by a subscribed pattern, `deliver` and `lost`
 * together tell a story without holes: each call goes on where the last one (or the answer of `subscribe`) ended.
 */
export interface Receiver {
  /** The publication after the last place, once. */
  deliver(publication: Publication): void;
  /**
   * The publications `from` to `to` cannot be had any more; delivery goes on after `to`. With an epoch that differs
   * from the last one the topic has started afresh: then `from` is 1, `to` is 0 if nothing of the new epoch is missing,
   * and how much of the old one was missed is not known. An epoch never changes without this call.
   */
  lost(topic: string, epoch: string, from: number, to: number): void;
  /** A watched topic has a new member: the first session of a user, on whichever node. */
  joined(topic: string, member: Member): void;
  /** A watched topic's member has gone with its last session. */
  left(topic: string, member: Member): void;
  /** {@link Broker.isAvailable} has changed. */
  availability(isAvailable: boolean): void;
}

export interface Broker {
  readonly name: string;
  /** Whether publications can be taken, and arrive, now. */
  readonly isAvailable: boolean;

  /**
   * Gives the publication its place, stores it as far as the topic's retention says, and brings it to the subscribed
   * nodes. Answers once that is done. Publications of one node to one topic keep the order of the calls.
   * @throws {BrokerUnavailable} (rejects) at once while the broker is known to be away, and after a bounded wait when it
   * does not answer. Whether the publication was stored is not known in the second case.
   */
  publish(topic: string, data: unknown): Position | Promise<Position>;

  /**
   * From now on this node receives the topic's publications, the first one being that after the answered place; none
   * comes before the answer has been seen. While subscribed, answers the place of the last delivery.
   * @throws {BrokerUnavailable} (rejects) as publish does; then the topic is not subscribed. A subscription that was
   * answered survives the broker's absence.
   */
  subscribe(topic: string): Position | Promise<Position>;
  /** Nothing of the topic is delivered after this, unless a pattern matches it. */
  unsubscribe(topic: string): void;

  /**
   * From the answer on this node receives the publications of all topics that match, each once however many patterns
   * match and whether or not the topic is subscribed too. A topic's story begins with its first publication seen here;
   * see the brokers for what a pattern can miss.
   */
  subscribePattern(pattern: string): void | Promise<void>;
  unsubscribePattern(pattern: string): void;

  /** Where the topic is, without subscribing; undefined when it has never been, or is forgotten. */
  position(topic: string): Position | undefined | Promise<Position | undefined>;

  /**
   * Up to `limit` of the kept publications after `since`, oldest first; without `since`, the last `limit`. When `since`
   * is of another epoch, or was never reached, the page begins with the oldest that is kept and is not complete.
   */
  history(topic: string, since: Position | undefined, limit: number): HistoryPage | Promise<HistoryPage>;

  /** Adds a session to the topic's members, until it leaves or this node is gone for the presence lifetime. */
  join(topic: string, member: Member): void;
  leave(topic: string, member: Member): void;
  /** The topic's members on all nodes, one for each user and one for each session without a user. */
  members(topic: string): readonly Member[] | Promise<readonly Member[]>;
  /** Answers the members; from then on `joined` and `left` tell every change. */
  watch(topic: string): readonly Member[] | Promise<readonly Member[]>;
  unwatch(topic: string): void;

  /** Ends everything; calls nobody any more. What is pending rejects with {@link BrokerUnavailable}. */
  close(): Promise<void>;
}

/** The broker cannot be asked, or did not answer in time. */
export class BrokerUnavailable extends Error {
  override readonly name = "BrokerUnavailable";
}

/** Patterns cannot be subscribed to with this broker as it is configured. */
export class PatternsOff extends Error {
  override readonly name = "PatternsOff";
}

/** One name for each member of a topic: a user's sessions share theirs. */
export function memberKey({ user, session }: Member): string {
  return user === undefined ? `s${session}` : `u${user}`;
}
