/**
 * From any value that a format has decoded to a valid command, or to an error that says what would be right. Nothing
 * of the value is trusted before it has passed here.
 */
import { isPattern, isTopic, PATTERN_RULE, TOPIC_RULE } from "../topic.ts";
import {
  type Command,
  CommandError,
  type CommandId,
  ErrorCode,
  MAX_ID_LENGTH,
  type Place,
} from "./protocol.ts";

/** How deep `data` may nest; encoders recurse, and no application nests deeper. */
export const MAX_DEPTH = 64;

/** How many messages `history` sends at most, and unless told otherwise. */
export const MAX_HISTORY_LIMIT = 1000;
export const DEFAULT_HISTORY_LIMIT = 100;

/** Longer ones are none of ours. */
const MAX_EPOCH_LENGTH = 64;

type Fields = Record<string, unknown>;

/** @throws {CommandError} with the command's id, if it has a valid one */
export function toCommand(value: unknown): Command {
  if (!isFields(value)) {
    throw new CommandError(ErrorCode.InvalidMessage, "A message is one object with a string `type`.");
  }
  const id = toId(value["id"]);
  const fault = findFault(value, 0);
  if (fault !== undefined) throw new CommandError(ErrorCode.InvalidMessage, fault, id);
  switch (value["type"]) {
    case "publish":
      return { type: "publish", id, topic: toTopic(value, id), data: toData(value, id) };
    case "subscribe":
      return toSubscribe(value, id);
    case "unsubscribe":
      return { type: "unsubscribe", id, topic: toPattern(value, id) };
    case "history":
      return {
        type: "history",
        id,
        topic: toTopic(value, id),
        since: toPlace(value, id),
        limit: toLimit(value, id),
      };
    case "presence":
      return { type: "presence", id, topic: toTopic(value, id) };
    case "broadcast":
      return { type: "broadcast", id, data: toData(value, id) };
    case "echo":
      return { type: "echo", id, data: toData(value, id) };
    case "ping":
      return { type: "ping", id };
    case "auth":
      if (typeof value["token"] === "string") return { type: "auth", id, token: value["token"] };
      throw new CommandError(ErrorCode.InvalidMessage, "`auth` needs a string `token`.", id);
    default:
      if (typeof value["type"] === "string") {
        const known = "auth, subscribe, unsubscribe, publish, history, presence, broadcast, echo, ping";
        throw new CommandError(
          ErrorCode.UnknownType,
          `This \`type\` is not known; the known ones are ${known}.`,
          id,
        );
      }
      throw new CommandError(ErrorCode.InvalidMessage, "A message needs a string `type`.", id);
  }
}

function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && isPlainObject(value);
}

function isPlainObject(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

/** The id of a command that is refused before it is looked at; undefined for a message that has none. */
export function idOf(value: unknown): CommandId | undefined {
  return isFields(value) ? toId(value["id"]) : undefined;
}

function toId(id: unknown): CommandId | undefined {
  if (id === undefined) return undefined;
  if (typeof id === "string" && id.length <= MAX_ID_LENGTH) return id;
  if (typeof id === "number" && Number.isSafeInteger(id)) return id;
  throw new CommandError(
    ErrorCode.InvalidMessage,
    `\`id\` is a string of up to ${MAX_ID_LENGTH} characters or an integer.`,
  );
}

function toTopic(value: Fields, id: CommandId | undefined): string {
  const topic = value["topic"];
  if (isTopic(topic)) return topic;
  throw new CommandError(ErrorCode.InvalidTopic, TOPIC_RULE, id);
}

function toPattern(value: Fields, id: CommandId | undefined): string {
  const pattern = value["topic"];
  if (isPattern(pattern)) return pattern;
  throw new CommandError(ErrorCode.InvalidTopic, `${TOPIC_RULE} ${PATTERN_RULE}.`, id);
}

function toSubscribe(value: Fields, id: CommandId | undefined): Command {
  const topic = toPattern(value, id);
  const since = toPlace(value, id);
  const { presence = false } = value;
  if (typeof presence !== "boolean") {
    throw new CommandError(ErrorCode.InvalidMessage, "`presence` is true or false.", id);
  }
  if ((since !== undefined || presence) && !isTopic(topic)) {
    throw new CommandError(
      ErrorCode.InvalidMessage,
      "`since` and `presence` are for topics, not for patterns.",
      id,
    );
  }
  return { type: "subscribe", id, topic, since, presence };
}

function toPlace(value: Fields, id: CommandId | undefined): Place | undefined {
  const { since } = value;
  if (since === undefined) return undefined;
  if (isFields(since)) {
    const { epoch, offset } = since;
    const isEpoch = typeof epoch === "string" && epoch.length <= MAX_EPOCH_LENGTH;
    if (isEpoch && typeof offset === "number" && Number.isSafeInteger(offset) && offset >= 0) {
      return { epoch, offset };
    }
  }
  const text = "`since` is an object with the `epoch` and the `offset` of the last message that was seen.";
  throw new CommandError(ErrorCode.InvalidMessage, text, id);
}

function toLimit({ limit = DEFAULT_HISTORY_LIMIT }: Fields, id: CommandId | undefined): number {
  if (typeof limit === "number" && Number.isInteger(limit) && limit >= 1 && limit <= MAX_HISTORY_LIMIT) {
    return limit;
  }
  throw new CommandError(
    ErrorCode.InvalidMessage,
    `\`limit\` is a whole number from 1 to ${MAX_HISTORY_LIMIT}.`,
    id,
  );
}

function toData(value: Fields, id: CommandId | undefined): unknown {
  const data = value["data"];
  if (data !== undefined) return data;
  throw new CommandError(ErrorCode.InvalidMessage, "This command needs `data`; it may be null.", id);
}

/** What is wrong with a decoded value as a whole: too deep, a dangerous key, or something that is not data. */
function findFault(value: unknown, depth: number): string | undefined {
  if (typeof value !== "object" || value === null || value instanceof Uint8Array || value instanceof Date) {
    return undefined;
  }
  if (depth > MAX_DEPTH) return `A message may nest ${MAX_DEPTH} levels deep.`;
  if (Array.isArray(value)) {
    for (const item of value) {
      const fault = findFault(item, depth + 1);
      if (fault !== undefined) return fault;
    }
    return undefined;
  }
  if (!isPlainObject(value)) {
    return "A message holds maps, arrays, text, numbers, booleans, bytes, times and null.";
  }
  for (const key of Object.keys(value)) {
    // msgpackr renames the key so that it can do no harm.
    if (key === "__proto__" || key === "__proto_") return "A message may not have the key `__proto__`.";
    const fault = findFault((value as Fields)[key], depth + 1);
    if (fault !== undefined) return fault;
  }
  return undefined;
}
