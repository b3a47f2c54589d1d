/**
 * What a client's commands do once its connection may give any: permissions are asked for, the hub is told, and each
 * command that has an id gets its one reply. How a connection lives and ends is the session's matter.
 */
import type { Position } from "./broker/broker.ts";
import { Action, type Permissions } from "./auth/permissions.ts";
import type { Hub } from "./hub/hub.ts";
import { type Command, type CommandId, ErrorCode, type ServerEvent } from "./protocol/protocol.ts";
import type { Subscriber, Subscriptions } from "./subscriptions.ts";

/** The connection that a command comes from. */
export interface Commander extends Subscriber {
  readonly permissions: Permissions;
  readonly subscriptions: Subscriptions;
  /** As {@link permissions} say; what was allowed last is known. */
  mayPublish(topic: string): boolean;
  /** Sends to every connection of this node that may hear it. Answers to how many. */
  broadcast(data: unknown): number;
  /** Counts a publication that was stored. */
  published(): void;
}

/** Carries out a command. `auth` and `ping` are the session's own. */
export function execute(
  command: Exclude<Command, { type: "auth" | "ping" }>,
  from: Commander,
  hub: Hub,
): void {
  const { id } = command;
  switch (command.type) {
    case "publish":
      if (!from.mayPublish(command.topic)) return from.refuse(ErrorCode.Forbidden, forbidden.publish, id);
      return publish(command, from, hub);
    case "subscribe":
      if (!allows(from, Action.Subscribe, command)) return;
      if (command.presence && !allows(from, Action.Presence, command)) return;
      return from.subscriptions.open(command);
    case "unsubscribe":
      if (!from.subscriptions.close(command.topic)) {
        return from.refuse(ErrorCode.NotSubscribed, "This connection is not subscribed to the topic.", id);
      }
      return acknowledge(from, id, { topic: command.topic });
    case "history":
      if (allows(from, Action.History, command)) history(command, from, hub);
      return;
    case "presence":
      if (allows(from, Action.Presence, command)) presence(command, from, hub);
      return;
    case "broadcast":
      if (!from.permissions.broadcast) {
        return from.refuse(ErrorCode.Forbidden, "Nothing allows this connection to broadcast.", id);
      }
      return acknowledge(from, id, { sent: from.broadcast(command.data) });
    case "echo":
      from.send({ type: "echo", ...withId(id), data: command.data });
      return;
  }
}

/** The id of a command, if it has one, as a field of its reply. */
export function withId(id: CommandId | undefined): { id?: CommandId } {
  return id === undefined ? {} : { id };
}

function allows(
  from: Commander,
  action: Action,
  { id, topic }: { id: CommandId | undefined; topic: string },
) {
  if (from.permissions.allows(action, topic)) return true;
  from.refuse(ErrorCode.Forbidden, forbidden[action], id);
  return false;
}

const forbidden: Readonly<Record<Action, string>> = {
  publish: "Nothing allows this connection to publish to the topic.",
  subscribe: "Nothing allows this connection to subscribe to the topic.",
  presence: "Nothing allows this connection to see who is in the topic.",
  history: "Nothing allows this connection to read the topic's history.",
};

type Ack = Omit<Extract<ServerEvent, { type: "ack" }>, "type" | "id">;

function acknowledge(from: Commander, id: CommandId | undefined, fields: Ack): void {
  if (id !== undefined) from.send({ type: "ack", id, ...fields });
}

type Of<Type> = Extract<Command, { type: Type }>;

function publish({ topic, data, id }: Of<"publish">, from: Commander, hub: Hub): void {
  whenAnswered(from, id, () => hub.publish(topic, data), ({ epoch, offset }: Position) => {
    from.published();
    acknowledge(from, id, { topic, epoch, offset });
  });
}

function history({ topic, since, limit, id }: Of<"history">, from: Commander, hub: Hub): void {
  if (id === undefined) return;
  whenAnswered(from, id, () => hub.history(topic, since, limit), ({ epoch, offset, messages, complete }) => {
    const sent = messages.map(({ offset, data }) => ({ offset, data }));
    from.send({ type: "history", id, topic, messages: sent, epoch, offset, complete });
  });
}

function presence({ topic, id }: Of<"presence">, from: Commander, hub: Hub): void {
  if (id === undefined) return;
  whenAnswered(from, id, () => hub.membersOf(topic), (members) => {
    const known = members.map(({ user, session }) => ({ user: user ?? null, session }));
    from.send({ type: "presence", id, topic, count: known.length, members: known });
  });
}

/** Goes on with what `ask` answers, at once if it answers at once; without an answer the command has failed. */
function whenAnswered<Answer>(
  from: Commander,
  id: CommandId | undefined,
  ask: () => Answer | Promise<Answer>,
  answered: (answer: Answer) => void,
): void {
  try {
    const answer = ask();
    if (answer instanceof Promise) {
      void answer.then(answered).catch((error: unknown) => from.failed(error, id));
    } else answered(answer);
  } catch (error) {
    from.failed(error, id);
  }
}
