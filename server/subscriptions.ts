/**
 * The topics and patterns of one connection, from the command that asks for one to the end: what was missed is sent
 * before anything live, and offsets that the connection was too slow for are remembered until it can be told. What
 * comes into a topic, and who else is there, is the hub's matter.
 */
import type { Member, Position, Publication } from "./broker/broker.ts";
import { engineTopic, presenceTopic } from "./delivery.ts";
import { SendStatus, type Socket } from "./engine.ts";
import { type Hub, isWildcard, type Joined } from "./hub/hub.ts";
import { type CommandId, ErrorCode, type Format, type ServerEvent } from "./protocol/protocol.ts";

/** The connection, as its subscriptions need it. */
export interface Subscriber {
  readonly id: string;
  readonly user: string | undefined;
  readonly format: Format;
  /** Undefined once it has closed. */
  readonly socket: Socket<unknown> | undefined;
  send(event: ServerEvent): SendStatus;
  refuse(code: ErrorCode, text: string, id: CommandId | undefined): void;
  /** A command could not be carried out: the broker is away, or the fault is ours. */
  failed(error: unknown, id: CommandId | undefined): void;
}

/** What the subscriptions of all connections have in common. */
export interface SubscriptionSettings {
  readonly hub: Hub;
  readonly maxTopicsPerConnection: number;
  /** Whether it is kept who is in the topic. */
  keepsPresence(topic: string): boolean;
}

/** What a `subscribe` asks for. */
export interface SubscribeRequest {
  /** A topic or a pattern. */
  readonly topic: string;
  readonly id: CommandId | undefined;
  readonly since: Position | undefined;
  /** Whether to be told who comes and goes. */
  readonly presence: boolean;
}

/** Offsets of a topic that this connection missed: `from` to `to`, both included. */
interface Gap {
  readonly topic: string;
  readonly epoch: string;
  readonly from: number;
  to: number;
}

/** A subscription that is being opened, with all the commands that wait for it. */
class Opening {
  readonly requests: SubscribeRequest[] = [];
}

/** Where a subscription stands. The live ones of all connections are these few values. */
const Live = { Plain: 1, Watching: 2 } as const;
type Live = typeof Live[keyof typeof Live];

export class Subscriptions {
  private readonly settings: SubscriptionSettings;
  private readonly subscriber: Subscriber;
  private readonly topics = new Map<string, Opening | Live>();
  /** In the order in which they began. */
  private gaps: Gap[] | undefined = undefined;

  constructor(settings: SubscriptionSettings, subscriber: Subscriber) {
    this.settings = settings;
    this.subscriber = subscriber;
  }

  get count(): number {
    return this.topics.size;
  }

  /** Topics and patterns, those that are being opened too. */
  names(): IterableIterator<string> {
    return this.topics.keys();
  }

  open(request: SubscribeRequest): void {
    const { topic, id, presence } = request;
    const { subscriber, settings } = this;
    if (presence && !settings.keepsPresence(topic)) {
      return subscriber.refuse(ErrorCode.InvalidMessage, "It is not kept who is in this topic.", id);
    }
    const known = this.topics.get(topic);
    if (known instanceof Opening) {
      known.requests.push(request);
      return;
    }
    if (known === undefined && this.topics.size >= settings.maxTopicsPerConnection) {
      const text = `A connection may subscribe to ${settings.maxTopicsPerConnection} topics.`;
      return subscriber.refuse(ErrorCode.TooManyTopics, text, id);
    }
    // Asking again for a live one starts it anew: that is how a client gets what it has lost.
    if (known !== undefined) this.leave(topic, known);
    const opening = new Opening();
    opening.requests.push(request);
    this.topics.set(topic, opening);
    if (isWildcard(topic)) this.openPattern(topic, opening);
    else this.openTopic(topic, opening, request.since);
  }

  /** @returns false when there is no such subscription */
  close(topic: string): boolean {
    const known = this.topics.get(topic);
    if (known === undefined) return false;
    this.topics.delete(topic);
    this.leave(topic, known);
    return true;
  }

  /** The connection has gone. */
  closeAll(): void {
    for (const topic of [...this.topics.keys()]) this.close(topic);
  }

  /** A publication was left out for this connection. */
  missed({ topic, epoch, offset }: Position & { readonly topic: string }): void {
    const gaps = this.gaps ??= [];
    const last = gaps.findLast((gap) => gap.topic === topic);
    // Left out once for the topic and once for a pattern.
    if (last?.epoch === epoch && last.to === offset) return;
    if (last?.epoch === epoch && last.to === offset - 1) last.to = offset;
    else gaps.push({ topic, epoch, from: offset, to: offset });
  }

  /** There is room again: says what was missed, as long as the room lasts. */
  drained(): void {
    for (let gap = this.gaps?.shift(); gap !== undefined; gap = this.gaps?.shift()) {
      if (this.subscriber.send({ type: "gap", ...gap, reason: "slow" }) !== SendStatus.Dropped) continue;
      this.gaps?.unshift(gap);
      return;
    }
    this.gaps = undefined;
  }

  private openTopic(topic: string, opening: Opening, since: Position | undefined): void {
    this.settings.hub.subscribe(topic, {
      since,
      joined: (joined) => {
        if (this.topics.get(topic) === opening) this.joined(topic, opening, joined);
      },
      failed: (error) => {
        if (this.topics.get(topic) === opening) this.failed(topic, opening, error);
      },
    });
  }

  private joined(topic: string, opening: Opening, { epoch, offset, recovered, missed }: Joined): void {
    const { subscriber, settings } = this;
    const { socket } = subscriber;
    if (socket === undefined) return;
    const watches = opening.requests.some(({ presence }) => presence);
    this.topics.set(topic, watches ? Live.Watching : Live.Plain);
    socket.cork(() => {
      for (const { id } of opening.requests) {
        if (id === undefined) continue;
        const outcome = recovered === undefined ? {} : { recovered };
        subscriber.send({ type: "ack", id, topic, epoch, offset, ...outcome });
      }
      for (const publication of missed) this.replay(publication);
      socket.subscribe(engineTopic(subscriber.format, topic));
    });
    if (watches) this.watch(topic, socket);
    if (settings.keepsPresence(topic)) settings.hub.enter(topic, this.member());
  }

  private replay(publication: Publication): void {
    const { topic, data, offset, epoch } = publication;
    const status = this.subscriber.send({ type: "message", topic, data, offset, epoch, replayed: true });
    if (status === SendStatus.Dropped) this.missed(publication);
  }

  private openPattern(pattern: string, opening: Opening): void {
    const opened = () => {
      const { subscriber } = this;
      if (this.topics.get(pattern) !== opening) return;
      this.topics.set(pattern, Live.Plain);
      for (const { id } of opening.requests) {
        if (id !== undefined) subscriber.send({ type: "ack", id, topic: pattern });
      }
      subscriber.socket?.subscribe(engineTopic(subscriber.format, pattern));
    };
    const answer = this.settings.hub.subscribePattern(pattern);
    if (answer === undefined) return opened();
    void answer.then(opened).catch((error: unknown) => {
      if (this.topics.get(pattern) === opening) this.failed(pattern, opening, error);
    });
  }

  private failed(topic: string, opening: Opening, error: unknown): void {
    this.close(topic);
    for (const { id } of opening.requests) this.subscriber.failed(error, id);
  }

  private leave(topic: string, known: Opening | Live): void {
    const { subscriber, settings } = this;
    const { hub } = settings;
    const { socket, format } = subscriber;
    if (isWildcard(topic)) hub.unsubscribePattern(topic);
    else hub.unsubscribe(topic);
    if (known instanceof Opening) return;
    socket?.unsubscribe(engineTopic(format, topic));
    if (known === Live.Watching) {
      socket?.unsubscribe(presenceTopic(format, topic));
      hub.unwatch(topic);
    }
    if (!isWildcard(topic) && settings.keepsPresence(topic)) hub.exit(topic, this.member());
    this.gaps = this.gaps?.filter((gap) => gap.topic !== topic);
  }

  private watch(topic: string, socket: Socket<unknown>): void {
    socket.subscribe(presenceTopic(this.subscriber.format, topic));
    // While the broker is away nobody comes and goes; it catches up with what is watched when it is back.
    const watched = this.settings.hub.watch(topic);
    if (watched instanceof Promise) void watched.catch(() => undefined);
  }

  private member(): Member {
    return { user: this.subscriber.user, session: this.subscriber.id };
  }
}
