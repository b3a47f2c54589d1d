/**
 * From any value that a format has decoded to a valid command, or to an error that says what would be right. Nothing
 * of the value is trusted before it has passed here.
 */
import { isTopic, TOPIC_RULE } from "../topic.ts";
import { type Command, CommandError, type CommandId, ErrorCode, MAX_ID_LENGTH } from "./protocol.ts";

/** How deep `data` may nest; encoders recurse, and no application nests deeper. */
export const MAX_DEPTH = 64;

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
      return { type: "subscribe", id, topic: toTopic(value, id) };
    case "unsubscribe":
      return { type: "unsubscribe", id, topic: toTopic(value, id) };
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
        const known = "auth, subscribe, unsubscribe, publish, broadcast, echo, ping";
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
