/**
 * The format `millrace.v1.json`: one JSON object per text frame. What other formats can carry and JSON cannot is
 * written as JSON users would expect: bytes as base64 text, large integers as decimal text.
 */
import { Buffer } from "node:buffer";
import type { Message } from "../engine.ts";
import { CommandError, ErrorCode, type Format, type ServerEvent } from "./protocol.ts";

/** Whether JSON.stringify alone writes a value as meant; a replacer would make it several times slower. */
function isPlain(value: unknown): boolean {
  if (typeof value === "bigint" || value instanceof Uint8Array) return false;
  if (typeof value !== "object" || value === null) return true;
  return Array.isArray(value) ? value.every(isPlain) : Object.values(value).every(isPlain);
}

function replacer(this: Record<string, unknown>, key: string, value: unknown): unknown {
  if (typeof value === "bigint") return value.toString();
  // The value itself, not what its toJSON has made of it.
  const original = this[key];
  return original instanceof Uint8Array ? Buffer.from(original).toString("base64") : value;
}

export const jsonFormat: Format = {
  name: "json",
  subprotocol: "millrace.v1.json",
  accepts: (message: Message) => typeof message === "string",
  decode(message: Message): unknown {
    try {
      return JSON.parse(message as string);
    } catch {
      throw new CommandError(ErrorCode.InvalidJson, "The message is not valid JSON.");
    }
  },
  encode(event: ServerEvent): Message {
    return "data" in event && !isPlain(event.data) ? JSON.stringify(event, replacer) : JSON.stringify(event);
  },
};
