/**
 * One connection's life: from the handshake that was accepted, through commands and their replies, to the close. A
 * session knows its format and its topics; how bytes travel is the engine's matter, who else is there the hub's.
 */
import { Buffer } from "node:buffer";
import { type Access, type AccessControl, Denial, denialTexts } from "./access.ts";
import { Action } from "./auth/permissions.ts";
import type { Clock } from "./clock.ts";
import { CloseCode, closeReason } from "./close.ts";
import type { Deadlined, Deadlines } from "./deadlines.ts";
import { engineTopic, topicOf } from "./delivery.ts";
import { type Message, SendStatus, type Socket } from "./engine.ts";
import { type Heartbeat, type HeartbeatPeer, Pulse } from "./heartbeat.ts";
import type { Hub } from "./hub/hub.ts";
import type { Place } from "./limits/connections.ts";
import { MessageGuard, type MessageRates, Verdict } from "./limits/message_guard.ts";
import type { SlowConsumers } from "./limits/slow_consumers.ts";
import type { Counters } from "./observe/counters.ts";
import type { Log } from "./observe/log.ts";
import type { Options } from "./options.ts";
import { idOf, toCommand } from "./protocol/command.ts";
import { type Command, CommandError, ErrorCode, type Format, type ServerEvent } from "./protocol/protocol.ts";

/** What all sessions of a server share. */
export interface SessionContext {
  readonly options: Options;
  readonly hub: Hub<Session>;
  readonly heartbeat: Heartbeat;
  /** Of authentication: how long it may take, and when a token runs out. */
  readonly deadlines: Deadlines;
  readonly access: AccessControl;
  readonly messageRates: MessageRates;
  readonly slow: SlowConsumers<Session>;
  readonly counters: Counters;
  readonly clock: Clock;
  readonly log: Log;
}

/** What the gate has found out about a connection. */
export interface Admission {
  readonly id: string;
  readonly format: Format;
  /** Undefined for one that has yet to authenticate. */
  readonly access: Access | undefined;
  /** Counts the connection until it is released; undefined for one that is not let in. */
  readonly place: Place | undefined;
}

type State =
  | { readonly kind: "accepted" }
  /** Upgraded to be told why it is not let in. */
  | { readonly kind: "rejected"; readonly code: CloseCode }
  /** Open, and nothing but `auth` and `ping` is taken until a token has been accepted. */
  | { readonly kind: "unauthenticated"; readonly socket: Socket<Session> }
  | { readonly kind: "open"; readonly socket: Socket<Session> }
  | { readonly kind: "closed" };

/** Offsets of a topic that this connection missed: `from` to `to`, both included. */
interface Gap {
  readonly from: number;
  to: number;
}

const CLOSED: State = { kind: "closed" };
const ACCEPTED: State = { kind: "accepted" };

export class Session implements HeartbeatPeer, Deadlined {
  readonly id: string;
  readonly format: Format;
  // The heartbeat's.
  pulse: Pulse = Pulse.Resting;
  heartbeatSlot = -1;

  private readonly context: SessionContext;
  private readonly place: Place | undefined;
  private state: State = ACCEPTED;
  private access: Access | undefined;
  private isAuthenticating = false;
  private guard: MessageGuard | undefined = undefined;
  private topics: Set<string> | undefined = undefined;
  private gaps: Map<string, Gap> | undefined = undefined;
  private errorCount = 0;
  /** The topic that was published to last, with the present permissions: most clients have few. */
  private publishTopic: string | undefined = undefined;

  constructor(context: SessionContext, { id, format, access, place }: Admission) {
    this.context = context;
    this.id = id;
    this.format = format;
    this.access = access;
    this.place = place;
  }

  /** A session that does nothing but close with `code` once it is open. */
  static rejected(context: SessionContext, format: Format, code: CloseCode): Session {
    const session = new Session(context, { id: "", format, access: undefined, place: undefined });
    session.state = { kind: "rejected", code };
    return session;
  }

  /** Bytes that wait for this connection; 0 when it is not open. */
  get bufferedAmount(): number {
    return "socket" in this.state ? this.state.socket.bufferedAmount : 0;
  }

  /** Undefined for the anonymous and for those who have yet to say. */
  get user(): string | undefined {
    return this.access?.user;
  }

  opened(socket: Socket<Session>): void {
    const { hub, heartbeat, deadlines, counters, options } = this.context;
    if (this.state.kind === "rejected") return socket.close(this.state.code, closeReason(this.state.code));
    this.state = { kind: this.access === undefined ? "unauthenticated" : "open", socket };
    this.place?.opened();
    counters.handshakes.accepted++;
    hub.members.add(this);
    heartbeat.add(this);
    this.send({
      type: "welcome",
      session: this.id,
      node: options.node,
      format: this.format.name,
      heartbeatSeconds: options.heartbeatSeconds,
      maxMessageBytes: options.maxMessageBytes,
      authRequired: this.access === undefined,
    });
    if (this.access === undefined) deadlines.set(this, options.authTimeoutSeconds);
    else this.awaitExpiry(this.access);
  }

  closed(): void {
    const { hub, heartbeat, deadlines, slow } = this.context;
    this.state = CLOSED;
    hub.members.delete(this);
    heartbeat.remove(this);
    deadlines.clear(this);
    slow.remove(this);
    this.abandoned();
    for (const topic of this.topics ?? []) hub.unsubscribe(topic);
    this.topics = undefined;
    this.gaps = undefined;
  }

  /** What was held for the connection is given back: it has closed, or the client went before it was opened. */
  abandoned(): void {
    this.place?.release();
    if (this.access !== undefined) this.context.access.release(this.access);
    this.access = undefined;
  }

  received(message: Message): void {
    const { counters } = this.context;
    const bytes = typeof message === "string" ? Buffer.byteLength(message) : message.length;
    counters.messagesIn++;
    counters.bytesIn += bytes;
    if (!this.format.accepts(message)) return this.close(CloseCode.UnsupportedData);
    if (!this.admits(message, bytes)) return;
    let command: Command;
    try {
      command = toCommand(this.format.decode(message));
    } catch (error) {
      return this.failed(error);
    }
    this.execute(command);
  }

  ponged(): void {
    this.context.heartbeat.answered(this);
  }

  /** A publication to an engine topic, or something sent to this session alone, was left out. */
  missed(target: string | undefined): void {
    this.context.slow.skipped(this);
    if (target === undefined) return;
    const topic = topicOf(target);
    const offset = this.context.hub.position(topic)?.offset;
    if (offset === undefined) return;
    const gaps = this.gaps ??= new Map();
    const gap = gaps.get(topic);
    if (gap === undefined) gaps.set(topic, { from: offset, to: offset });
    else gap.to = offset;
  }

  /** There is room again: says what was missed, as long as the room lasts. */
  drained(): void {
    for (const [topic, { from, to }] of this.gaps ?? []) {
      if (this.send({ type: "gap", topic, from, to, reason: "slow" }) === SendStatus.Dropped) return;
      this.gaps?.delete(topic);
    }
    this.gaps = undefined;
  }

  ping(): void {
    if ("socket" in this.state) this.state.socket.ping();
  }

  /** A deadline of authentication has passed. */
  expire(): void {
    if (this.state.kind === "unauthenticated") {
      this.context.counters.authFailures.timeout++;
      this.close(CloseCode.AuthenticationTimeout);
    } else this.close(CloseCode.TokenExpired);
  }

  /** No pong came in time. A peer that has not read either gets no close frame: it would wait behind the backlog. */
  unanswered(): void {
    if (!("socket" in this.state)) return;
    if (this.state.socket.bufferedAmount > 0) this.state.socket.terminate();
    else this.close(CloseCode.HeartbeatTimeout);
  }

  /** Tells the client that the node is going away, lets what was sent leave, and closes. */
  leave(reconnectAfterMs: number, deadlineMs: number): void {
    if (!("socket" in this.state)) return;
    this.state.socket.cork(() => {
      this.send({ type: "drain", reconnectAfterMs, deadlineMs });
      this.close(CloseCode.GoingAway);
    });
  }

  terminate(): void {
    if ("socket" in this.state) this.state.socket.terminate();
  }

  private close(code: CloseCode): void {
    if ("socket" in this.state) this.state.socket.close(code, closeReason(code));
  }

  private send(event: ServerEvent): SendStatus {
    if (!("socket" in this.state)) return SendStatus.Dropped;
    const { counters } = this.context;
    const message = this.format.encode(event);
    counters.messagesOut++;
    counters.bytesOut += message.length;
    return this.state.socket.send(message);
  }

  private refuse(code: ErrorCode, text: string, id: Command["id"], retryAfterMs?: number): void {
    this.context.counters.commandErrors[code]++;
    const retry = retryAfterMs === undefined ? {} : { retryAfterMs };
    this.send({ type: "error", ...withId(id), code, message: text, ...retry });
  }

  /** An invalid message. */
  private failed(error: unknown): void {
    if (!(error instanceof CommandError)) throw error;
    this.refuse(error.code, error.message, error.id);
    if (++this.errorCount >= this.context.options.maxErrors) this.close(CloseCode.PolicyViolation);
  }

  /** Whether the message is within the rates of its connection and its user; if not, the client is told. */
  private admits(message: Message, bytes: number): boolean {
    const { messageRates, clock, counters } = this.context;
    const now = clock.now();
    const guard = this.guard ??= new MessageGuard(messageRates, this.access?.buckets, now);
    const verdict = guard.admit(bytes, now);
    if (verdict === Verdict.Admitted) return true;
    counters.rateLimited[guard.fits(bytes, now) ? "user" : "connection"]++;
    if (verdict === Verdict.Exhausted) {
      this.close(CloseCode.RateLimited);
      return false;
    }
    try {
      const id = idOf(this.format.decode(message));
      const retryAfterMs = guard.retryAfterMs(bytes, now);
      this.refuse(
        ErrorCode.RateLimited,
        "Too much at once: send this again after `retryAfterMs`.",
        id,
        retryAfterMs,
      );
    } catch (error) {
      this.failed(error);
    }
    return false;
  }

  private awaitExpiry({ expiresAtMs }: Access): void {
    const { deadlines, clock } = this.context;
    if (expiresAtMs === undefined) deadlines.clear(this);
    else deadlines.set(this, Math.max(0, expiresAtMs - clock.wallMs()) / 1000);
  }

  /** The first token of a connection that came without one, or a fresh one. */
  private async authenticate(token: string, id: Command["id"]): Promise<void> {
    const { access: control, counters, log } = this.context;
    if (control.anonymous !== undefined) {
      const text = "This server checks no tokens: there is no need to authenticate.";
      return this.refuse(ErrorCode.Unauthorized, text, id);
    }
    if (this.isAuthenticating) {
      return this.refuse(ErrorCode.Unauthorized, "Another `auth` of this connection is being checked.", id);
    }
    this.isAuthenticating = true;
    try {
      const answer = await control.authenticate(token, this.access);
      this.isAuthenticating = false;
      if (typeof answer !== "string") return this.authenticated(answer, id);
      counters.authFailures[answer]++;
      this.refuse(ErrorCode.Unauthorized, denialTexts[answer], id);
      this.close(denialCloseCode(answer));
    } catch (error) {
      log.error({ err: error, session: this.id }, "authentication failed for a fault of ours");
      this.close(CloseCode.InternalError);
    }
  }

  private authenticated(access: Access, id: Command["id"]): void {
    const before = this.access;
    if (!("socket" in this.state)) {
      // The client has gone meanwhile. What a first token holds has nobody else to give it back.
      if (before === undefined) this.context.access.release(access);
      return;
    }
    this.access = access;
    this.publishTopic = undefined;
    if (this.guard !== undefined) this.guard.user = access.buckets;
    if (this.state.kind === "unauthenticated") this.state = { kind: "open", socket: this.state.socket };
    this.awaitExpiry(access);
    const { user, expiresAtMs } = access;
    if (id !== undefined && user !== undefined) {
      const { jwtClockToleranceSeconds } = this.context.options;
      const expiry = expiresAtMs === undefined
        ? {}
        : { expiresAt: Math.floor(expiresAtMs / 1000) - jwtClockToleranceSeconds };
      this.send({ type: "ack", id, user, ...expiry });
    }
    for (const topic of this.topics ?? []) {
      if (access.permissions.allows(Action.Subscribe, topic)) continue;
      this.unsubscribe(topic, undefined);
      this.refuse(
        ErrorCode.Forbidden,
        `The new token does not allow the subscription to ${topic}: it has ended.`,
        undefined,
      );
    }
  }

  private allows(action: Action, topic: string, id: Command["id"]): boolean {
    if (this.access?.permissions.allows(action, topic)) return true;
    this.refuse(ErrorCode.Forbidden, `Nothing allows this connection to ${action} here.`, id);
    return false;
  }

  private execute(command: Command): void {
    const { id } = command;
    switch (command.type) {
      case "ping":
        this.send({ type: "pong", ...withId(id) });
        return;
      case "auth":
        void this.authenticate(command.token, id);
        return;
    }
    if (this.state.kind === "unauthenticated") {
      return this.refuse(ErrorCode.Unauthorized, "Authenticate first: send `auth` with a `token`.", id);
    }
    switch (command.type) {
      case "publish": {
        const { topic } = command;
        if (topic !== this.publishTopic) {
          if (!this.allows(Action.Publish, topic, id)) return;
          this.publishTopic = topic;
        }
        const { epoch, offset } = this.context.hub.publish(topic, command.data);
        this.context.counters.publications++;
        if (id !== undefined) this.send({ type: "ack", id, topic, epoch, offset });
        return;
      }
      case "subscribe":
        if (this.allows(Action.Subscribe, command.topic, id)) this.subscribe(command.topic, id);
        return;
      case "unsubscribe":
        return this.unsubscribe(command.topic, id);
      case "broadcast": {
        if (!this.access?.permissions.broadcast) {
          return this.refuse(ErrorCode.Forbidden, "Nothing allows this connection to broadcast.", id);
        }
        const sent = this.broadcast(command.data);
        if (id !== undefined) this.send({ type: "ack", id, sent });
        return;
      }
      case "echo":
        this.send({ type: "echo", ...withId(id), data: command.data });
        return;
    }
  }

  /** Sends to every connection of this node, encoded once per format. Returns to how many. */
  private broadcast(data: unknown): number {
    const encoded = new Map<Format, Message>();
    let sent = 0;
    for (const { state, format } of this.context.hub.members) {
      if (state.kind !== "open") continue;
      let message = encoded.get(format);
      if (message === undefined) {
        message = format.encode({ type: "broadcast", data });
        encoded.set(format, message);
      }
      if (state.socket.send(message) !== SendStatus.Dropped) sent++;
    }
    return sent;
  }

  private subscribe(topic: string, id: Command["id"]): void {
    if (this.state.kind !== "open") return;
    const { hub, options } = this.context;
    const topics = this.topics ??= new Set();
    if (!topics.has(topic)) {
      if (topics.size >= options.maxTopicsPerConnection) {
        const message = `A connection may subscribe to ${options.maxTopicsPerConnection} topics.`;
        return this.refuse(ErrorCode.TooManyTopics, message, id);
      }
      topics.add(topic);
      hub.subscribe(topic);
      this.state.socket.subscribe(engineTopic(this.format, topic));
    }
    const position = hub.position(topic);
    if (id !== undefined && position !== undefined) {
      this.send({ type: "ack", id, topic, epoch: position.epoch, offset: position.offset });
    }
  }

  private unsubscribe(topic: string, id: Command["id"]): void {
    if (this.state.kind !== "open") return;
    if (!this.topics?.delete(topic)) {
      return this.refuse(ErrorCode.NotSubscribed, "This connection is not subscribed to the topic.", id);
    }
    this.state.socket.unsubscribe(engineTopic(this.format, topic));
    this.context.hub.unsubscribe(topic);
    this.gaps?.delete(topic);
    if (id !== undefined) this.send({ type: "ack", id, topic });
  }
}

/** How a connection ends that did not authenticate. */
function denialCloseCode(denial: Denial): CloseCode {
  const isForNow = denial === Denial.KeysUnavailable || denial === Denial.UserLimit;
  return isForNow ? CloseCode.TryAgainLater : CloseCode.AuthenticationFailed;
}

function withId(id: Command["id"]): { id?: NonNullable<Command["id"]> } {
  return id === undefined ? {} : { id };
}
