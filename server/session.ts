/**
 * One connection's life: from the handshake that was accepted, through authentication and its messages, to the close.
 * What commands do is the matter of commands.ts, how bytes travel the engine's, and who else is there the hub's.
 */
import { Buffer } from "node:buffer";
import { type Access, denialCloseCode, denialTexts } from "./access.ts";
import { Action, Permissions } from "./auth/permissions.ts";
import { BrokerUnavailable, PatternsOff } from "./broker/broker.ts";
import { CloseCode, closeReason } from "./close.ts";
import { type Commander, execute, withId } from "./commands.ts";
import type { Watching } from "./dashboard/watching.ts";
import type { Deadlined } from "./deadlines.ts";
import { type Message, SendStatus, type Socket } from "./engine.ts";
import { type HeartbeatPeer, Pulse } from "./heartbeat.ts";
import type { Place } from "./limits/connections.ts";
import { MessageGuard, Verdict } from "./limits/message_guard.ts";
import { idOf, toCommand } from "./protocol/command.ts";
import { type Command, CommandError, ErrorCode, type Format, type ServerEvent } from "./protocol/protocol.ts";
import type { Admission, SessionContext } from "./session_context.ts";
import { Subscriptions } from "./subscriptions.ts";
import { OwnTopic } from "./topic.ts";

type State =
  | { readonly kind: "accepted" }
  /** Upgraded to be told why it is not let in. */
  | { readonly kind: "rejected"; readonly code: CloseCode }
  /** Open, and nothing but `auth` and `ping` is taken until a token has been accepted. */
  | { readonly kind: "unauthenticated"; readonly socket: Socket<Session> }
  | { readonly kind: "open"; readonly socket: Socket<Session> }
  | { readonly kind: "closed" };

const CLOSED: State = { kind: "closed" };
const ACCEPTED: State = { kind: "accepted" };
const NOTHING = Permissions.of(
  { subscribe: [], publish: [], presence: [], history: [], broadcast: false },
  undefined,
);

/** Of a connection that has shown an API key: it hears of the nodes, and may do nothing else. */
const WATCHER: Access = { user: undefined, expiresAtMs: undefined, permissions: NOTHING, buckets: undefined };

export class Session implements HeartbeatPeer, Deadlined, Commander {
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
  private topics: Subscriptions | undefined = undefined;
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
    return this.socket?.bufferedAmount ?? 0;
  }

  /** Undefined for the anonymous and for those who have yet to say. */
  get user(): string | undefined {
    return this.access?.user;
  }

  /** What limits per address count it by. */
  get address(): string {
    return this.place?.address ?? "";
  }

  /** By the server's clock. */
  get openedSecond(): number {
    return this.place?.openedSecond ?? 0;
  }

  get subscriptionCount(): number {
    return this.topics?.count ?? 0;
  }

  /** Undefined when it is not open. */
  get socket(): Socket<Session> | undefined {
    return "socket" in this.state ? this.state.socket : undefined;
  }

  get permissions(): Permissions {
    return this.access?.permissions ?? NOTHING;
  }

  get subscriptions(): Subscriptions {
    return this.topics ??= new Subscriptions(this.context.subscriptions, this);
  }

  opened(socket: Socket<Session>): void {
    const { sessions, heartbeat, deadlines, counters, options } = this.context;
    if (this.state.kind === "rejected") return socket.close(this.state.code, closeReason(this.state.code));
    this.state = { kind: this.access === undefined ? "unauthenticated" : "open", socket };
    this.place?.opened();
    counters.handshakes.accepted++;
    sessions.add(this);
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
    const { sessions, heartbeat, deadlines, slow } = this.context;
    this.state = CLOSED;
    sessions.delete(this);
    heartbeat.remove(this);
    deadlines.clear(this);
    slow.remove(this);
    this.topics?.closeAll();
    this.abandoned();
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
      return this.invalid(error);
    }
    this.execute(command);
  }

  ponged(): void {
    this.context.heartbeat.answered(this);
  }

  /** Something was left out for this connection: a publication, or a reply of its own. */
  missed(): void {
    const { slow, hub } = this.context;
    slow.skipped(this);
    if (hub.delivering !== undefined) this.topics?.missed(hub.delivering);
  }

  drained(): void {
    this.topics?.drained();
  }

  ping(): void {
    this.socket?.ping();
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
    if (this.bufferedAmount > 0) this.terminate();
    else this.close(CloseCode.HeartbeatTimeout);
  }

  /** Tells the client that the node is going away, lets what was sent leave, and closes. */
  leave(reconnectAfterMs: number, deadlineMs: number): void {
    this.socket?.cork(() => {
      this.send({ type: "drain", reconnectAfterMs, deadlineMs });
      this.close(CloseCode.GoingAway);
    });
  }

  /** The API keys have been read again: who has shown one has to show it anew. */
  keysReloaded(): void {
    if (this.access === WATCHER) this.close(CloseCode.TokenExpired);
  }

  /** The operator wants it gone. */
  disconnect(): void {
    this.close(CloseCode.Disconnected);
  }

  terminate(): void {
    this.socket?.terminate();
  }

  private close(code: CloseCode): void {
    this.socket?.close(code, closeReason(code));
  }

  send(event: ServerEvent): SendStatus {
    const { socket } = this;
    if (socket === undefined) return SendStatus.Dropped;
    const { counters } = this.context;
    const message = this.format.encode(event);
    counters.messagesOut++;
    counters.bytesOut += message.length;
    return socket.send(message);
  }

  refuse(code: ErrorCode, text: string, id: Command["id"], retryAfterMs?: number): void {
    this.context.counters.commandErrors[code]++;
    const retry = retryAfterMs === undefined ? {} : { retryAfterMs };
    this.send({ type: "error", ...withId(id), code, message: text, ...retry });
  }

  failed(error: unknown, id: Command["id"]): void {
    if (error instanceof BrokerUnavailable) {
      return this.refuse(ErrorCode.BrokerUnavailable, "The broker cannot be reached now: try again.", id);
    }
    if (error instanceof PatternsOff) {
      return this.refuse(ErrorCode.InvalidTopic, "Patterns cannot be subscribed to on this server.", id);
    }
    const { counters, log } = this.context;
    counters.handlerErrors++;
    log.error({ err: error, session: this.id }, "a command failed");
    this.refuse(ErrorCode.Internal, "The command failed for a fault of the server.", id);
  }

  mayPublish(topic: string): boolean {
    if (topic === this.publishTopic) return true;
    const may = this.permissions.allows(Action.Publish, topic);
    if (may) this.publishTopic = topic;
    return may;
  }

  published(): void {
    this.context.counters.publications++;
  }

  /** A message that is no command. */
  private invalid(error: unknown): void {
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
      this.invalid(error);
    }
    return false;
  }

  private awaitExpiry({ expiresAtMs }: Access): void {
    const { deadlines, clock } = this.context;
    if (expiresAtMs === undefined) deadlines.clear(this);
    else deadlines.set(this, Math.max(0, expiresAtMs - clock.wallMs()) / 1000);
  }

  /** The first token of a connection that came without one, or a fresh one, or an API key. */
  private async authenticate(token: string, id: Command["id"]): Promise<void> {
    const { access: control, counters, log, watching } = this.context;
    if (this.isAuthenticating) {
      return this.refuse(ErrorCode.Unauthorized, "Another `auth` of this connection is being checked.", id);
    }
    const current = this.access;
    try {
      if (watching?.accepts(token)) return this.watch(watching, id);
      if (control.anonymous !== undefined) return this.refuseToken(id);
      this.isAuthenticating = true;
      const answer = await control.authenticate(token, current);
      this.isAuthenticating = false;
      if (typeof answer !== "string") return this.authenticated(answer, current, id);
      counters.authFailures[answer]++;
      this.refuse(ErrorCode.Unauthorized, denialTexts[answer], id);
      this.close(denialCloseCode(answer));
    } catch (error) {
      log.error({ err: error, session: this.id }, "authentication failed for a fault of ours");
      this.close(CloseCode.InternalError);
    }
  }

  /** Nobody needs a token here. Where a key could be meant, who goes on guessing is sent away as for other errors. */
  private refuseToken(id: Command["id"]): void {
    const { watching, options } = this.context;
    const text = "This server checks no tokens: there is no need to authenticate.";
    this.refuse(ErrorCode.Unauthorized, text, id);
    if (watching !== undefined && ++this.errorCount >= options.maxErrors) {
      this.close(CloseCode.PolicyViolation);
    }
  }

  private authenticated(access: Access, current: Access | undefined, id: Command["id"]): void {
    if (!("socket" in this.state)) {
      // The client has gone meanwhile. What a first token holds has nobody else to give it back.
      if (current === undefined) this.context.access.release(access);
      return;
    }
    this.take(access, this.state.socket);
    const { user, expiresAtMs } = access;
    if (id !== undefined && user !== undefined) {
      const { jwtClockToleranceSeconds } = this.context.options;
      const expiry = expiresAtMs === undefined
        ? {}
        : { expiresAt: Math.floor(expiresAtMs / 1000) - jwtClockToleranceSeconds };
      this.send({ type: "ack", id, user, ...expiry });
    }
    this.endForbidden(access);
  }

  /** The connection has shown an API key. */
  private watch(watching: Watching, id: Command["id"]): void {
    if (!("socket" in this.state)) return;
    if (this.access !== WATCHER) {
      this.endForbidden(WATCHER);
      if (this.access !== undefined) this.context.access.release(this.access);
      this.take(WATCHER, this.state.socket);
    }
    if (id !== undefined) this.send({ type: "ack", id });
    this.subscriptions.open({ topic: OwnTopic.Nodes, id: undefined, since: undefined, presence: false });
    watching.begin();
  }

  /** From now on the connection has this access. */
  private take(access: Access, socket: Socket<Session>): void {
    this.access = access;
    this.publishTopic = undefined;
    if (this.guard !== undefined) this.guard.user = access.buckets;
    if (this.state.kind === "unauthenticated") this.state = { kind: "open", socket };
    this.awaitExpiry(access);
  }

  /** Ends the subscriptions that a new access does not allow. */
  private endForbidden(access: Access): void {
    for (const topic of [...this.topics?.names() ?? []]) {
      if (access.permissions.allows(Action.Subscribe, topic)) continue;
      this.subscriptions.close(topic);
      const text = `The new token does not allow the subscription to ${topic}: it has ended.`;
      this.refuse(ErrorCode.Forbidden, text, undefined);
    }
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
      default:
        if (this.state.kind !== "unauthenticated") return execute(command, this, this.context.hub);
        this.refuse(ErrorCode.Unauthorized, "Authenticate first: send `auth` with a `token`.", id);
    }
  }

  /** Encoded once per format; those who have yet to authenticate hear nothing. */
  broadcast(data: unknown): number {
    const encoded = new Map<Format, Message>();
    let sent = 0;
    for (const { state, format } of this.context.sessions) {
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
}
