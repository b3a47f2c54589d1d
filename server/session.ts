/**
 * One connection's life: from the handshake that was accepted, through commands and their replies, to the close. A
 * session knows its format and its topics; how bytes travel is the engine's matter, who else is there the hub's.
 */
import { CloseCode, closeReason } from "./close.ts";
import { engineTopic, topicOf } from "./delivery.ts";
import { type Message, SendStatus, type Socket } from "./engine.ts";
import { type Heartbeat, type HeartbeatPeer, Pulse } from "./heartbeat.ts";
import type { Hub } from "./hub/hub.ts";
import type { Log } from "./observe/log.ts";
import type { Options } from "./options.ts";
import { toCommand } from "./protocol/command.ts";
import { type Command, CommandError, ErrorCode, type Format, type ServerEvent } from "./protocol/protocol.ts";

/** What all sessions of a server share. */
export interface SessionContext {
  readonly options: Options;
  readonly hub: Hub<Session>;
  readonly heartbeat: Heartbeat;
  readonly log: Log;
}

type State =
  | { readonly kind: "accepted" }
  | { readonly kind: "open"; readonly socket: Socket<Session> }
  | { readonly kind: "closed" };

/** Offsets of a topic that this connection missed: `from` to `to`, both included. */
interface Gap {
  readonly from: number;
  to: number;
}

const CLOSED: State = { kind: "closed" };

export class Session implements HeartbeatPeer {
  readonly id: string;
  readonly format: Format;
  // The heartbeat's.
  pulse: Pulse = Pulse.Resting;
  heartbeatSlot = -1;

  private readonly context: SessionContext;
  private state: State = { kind: "accepted" };
  private topics: Set<string> | undefined = undefined;
  private gaps: Map<string, Gap> | undefined = undefined;
  private errorCount = 0;

  constructor(context: SessionContext, id: string, format: Format) {
    this.context = context;
    this.id = id;
    this.format = format;
  }

  opened(socket: Socket<Session>): void {
    const { hub, heartbeat, options } = this.context;
    this.state = { kind: "open", socket };
    hub.members.add(this);
    heartbeat.add(this);
    this.send({
      type: "welcome",
      session: this.id,
      node: options.node,
      format: this.format.name,
      heartbeatSeconds: options.heartbeatSeconds,
      maxMessageBytes: options.maxMessageBytes,
      authRequired: false,
    });
  }

  closed(): void {
    const { hub, heartbeat } = this.context;
    this.state = CLOSED;
    hub.members.delete(this);
    heartbeat.remove(this);
    for (const topic of this.topics ?? []) hub.unsubscribe(topic);
    this.topics = undefined;
    this.gaps = undefined;
  }

  received(message: Message): void {
    if (!this.format.accepts(message)) return this.close(CloseCode.UnsupportedData);
    let command: Command;
    try {
      command = toCommand(this.format.decode(message));
    } catch (error) {
      if (!(error instanceof CommandError)) throw error;
      this.refuse(error);
      if (++this.errorCount >= this.context.options.maxErrors) this.close(CloseCode.PolicyViolation);
      return;
    }
    this.execute(command);
  }

  ponged(): void {
    this.context.heartbeat.answered(this);
  }

  /** A publication to an engine topic, or something sent to this session alone, was left out. */
  missed(target: string | undefined): void {
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
    if (this.state.kind === "open") this.state.socket.ping();
  }

  /** No pong came in time. A peer that has not read either gets no close frame: it would wait behind the backlog. */
  expire(): void {
    if (this.state.kind !== "open") return;
    if (this.state.socket.bufferedAmount > 0) this.state.socket.terminate();
    else this.close(CloseCode.HeartbeatTimeout);
  }

  /** Tells the client that the node is going away, lets what was sent leave, and closes. */
  leave(reconnectAfterMs: number, deadlineMs: number): void {
    if (this.state.kind !== "open") return;
    this.state.socket.cork(() => {
      this.send({ type: "drain", reconnectAfterMs, deadlineMs });
      this.close(CloseCode.GoingAway);
    });
  }

  terminate(): void {
    if (this.state.kind === "open") this.state.socket.terminate();
  }

  private close(code: CloseCode): void {
    if (this.state.kind === "open") this.state.socket.close(code, closeReason(code));
  }

  private send(event: ServerEvent): SendStatus {
    if (this.state.kind !== "open") return SendStatus.Dropped;
    return this.state.socket.send(this.format.encode(event));
  }

  private refuse({ code, message, id }: CommandError): void {
    this.send(id === undefined ? { type: "error", code, message } : { type: "error", id, code, message });
  }

  private execute(command: Command): void {
    switch (command.type) {
      case "publish": {
        const { topic, id } = command;
        const { epoch, offset } = this.context.hub.publish(topic, command.data);
        if (id !== undefined) this.send({ type: "ack", id, topic, epoch, offset });
        return;
      }
      case "subscribe":
        return this.subscribe(command.topic, command.id);
      case "unsubscribe":
        return this.unsubscribe(command.topic, command.id);
      case "broadcast": {
        const sent = this.broadcast(command.data);
        if (command.id !== undefined) this.send({ type: "ack", id: command.id, sent });
        return;
      }
      case "echo":
        this.send({ type: "echo", ...withId(command.id), data: command.data });
        return;
      case "ping":
        this.send({ type: "pong", ...withId(command.id) });
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
        return this.refuse(new CommandError(ErrorCode.TooManyTopics, message, id));
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
      return this.refuse(
        new CommandError(ErrorCode.NotSubscribed, "This connection is not subscribed to the topic.", id),
      );
    }
    this.state.socket.unsubscribe(engineTopic(this.format, topic));
    this.context.hub.unsubscribe(topic);
    this.gaps?.delete(topic);
    if (id !== undefined) this.send({ type: "ack", id, topic });
  }
}

function withId(id: Command["id"]): { id?: NonNullable<Command["id"]> } {
  return id === undefined ? {} : { id };
}
