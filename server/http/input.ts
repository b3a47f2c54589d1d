/** What a request brings, read and checked: its JSON body, its query, a name in its path. It knows no route. */
import type { HttpRequest } from "../engine.ts";
import { isTopic, TOPIC_RULE } from "../topic.ts";
import { RequestFault } from "./answers.ts";

/** How long a page is unless told otherwise, and at most. */
export const DEFAULT_PAGE_LIMIT = 100;
export const MAX_PAGE_LIMIT = 1_000;

export type Fields = Readonly<Record<string, unknown>>;

/** Which part of a list is asked for: at most `limit` things whose names come after `after`. */
export interface PageRequest {
  readonly limit: number;
  readonly after: string;
}

const utf8 = new TextDecoder("utf-8", { fatal: true });

/** @throws {RequestFault} for a body that is not JSON, or not said to be */
export function readJson({ headers, body }: HttpRequest): unknown {
  const [mediaType = ""] = (headers.get("content-type") ?? "").split(";");
  if (mediaType.trim().toLowerCase() !== "application/json") {
    throw new RequestFault(415, "The body must be JSON, and the header Content-Type: application/json.");
  }
  try {
    return JSON.parse(utf8.decode(body));
  } catch {
    throw new RequestFault(400, "The body is not valid JSON in UTF-8.");
  }
}

export function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * The parameters of a URL.
 * @throws {RequestFault} for one that is not among `known`, or there twice: it would be silently ignored
 */
export function readQuery(query: string, known: readonly string[]): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const [name, value] of new URLSearchParams(query)) {
    if (!known.includes(name)) {
      const right = known.length === 0 ? "none" : known.join(", ");
      throw new RequestFault(400, `The URL has an unknown parameter; this path knows ${right}.`);
    }
    if (found.has(name)) throw new RequestFault(400, `The parameter ${name} is there twice.`);
    found.set(name, value);
  }
  return found;
}

/** @throws {RequestFault} for a limit that is none */
export function toPageRequest(query: ReadonlyMap<string, string>): PageRequest {
  const text = query.get("limit") ?? String(DEFAULT_PAGE_LIMIT);
  const limit = Number(text);
  if (!/^\d{1,4}$/.test(text) || limit < 1 || limit > MAX_PAGE_LIMIT) {
    throw new RequestFault(400, `\`limit\` is a whole number from 1 to ${MAX_PAGE_LIMIT}.`);
  }
  return { limit, after: query.get("after") ?? "" };
}

/** @throws {RequestFault} for a part of a path that is no topic */
export function toTopic(encoded: string): string {
  const topic = decoded(encoded);
  if (isTopic(topic)) return topic;
  throw new RequestFault(400, `This path ends with no topic. ${TOPIC_RULE}, percent-encoded where needed.`);
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}
