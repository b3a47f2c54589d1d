// Heads of HTTP/1.1 messages (RFC 9112): found in bytes that come in any pieces, within limits and in linear time,
// and read strictly, because whatever two parties read differently is a way to smuggle a request past one of
// them. Knows nothing of upgrades; bodies are the engine's.

import { Buffer } from "node:buffer";
import { isToken } from "./extensions.ts";

/** Why a request gets no service: a status, headers that belong to it, and a reason for the log and the body. */
export interface Refusal {
  readonly refused: true;
  readonly status: number;
  readonly reason: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** A refusal with a status and a reason. */
export function refusal(status: number, reason: string, headers: Record<string, string> = {}): Refusal {
  return { refused: true, status, reason, headers };
}

/** Header fields by their lower-case names; fields that came more than once are joined as lists are. */
export type Headers = ReadonlyMap<string, string>;

/** A request without its body. */
export interface RequestHead {
  readonly refused: false;
  readonly method: string;
  /** As it stands in the request line. */
  readonly target: string;
  /** The target up to its question mark, without scheme and host. */
  readonly path: string;
  /** What follows the question mark, without it. */
  readonly query: string;
  /** 0 or 1, of HTTP/1.x. */
  readonly minorVersion: number;
  readonly headers: Headers;
  /** The length of the body that follows; 0 if there is none or it is chunked. */
  readonly bodyBytes: number;
  readonly chunked: boolean;
}

/** A response without its body. */
export interface ResponseHead {
  readonly refused: false;
  readonly status: number;
  readonly headers: Headers;
}

export interface HeadLimits {
  /** Of the whole head, with its last empty line. */
  readonly maxHeadBytes: number;
  readonly maxHeaders: number;
}

export const DEFAULT_HEAD_LIMITS: HeadLimits = { maxHeadBytes: 16_384, maxHeaders: 100 };

const TAB = 0x09;
const LF = 0x0a;
const CR = 0x0d;
const SPACE = 0x20;
const DELETE = 0x7f;

// Where the reader stands: in a line, after its CR, at the start of the next, after the CR of the empty line.
const IN_LINE = 0;
const AFTER_CR = 1;
const AT_LINE_START = 2;
const AFTER_LAST_CR = 3;

interface Latin1 {
  latin1Slice(this: Uint8Array, start: number, end: number): string;
}
/** Header values are bytes; each becomes one character (RFC 9110 section 5.5). The types do not know the method. */
const { latin1Slice } = Buffer.prototype as unknown as Latin1;

/** What `push` answers while the head is not complete. */
export const NEED_MORE = -1;
/** What `push` answers when `refusal` says why nothing more is read. */
export const REFUSED = -2;

/** Reads one head. Holds no more than the limit, and looks at every byte once however the head is cut. */
export class HeadReader {
  private readonly limits: HeadLimits;
  private state: number = AT_LINE_START;
  private lines = 0;
  private bytes = 0;
  /** The head as it has come so far, one character per byte. */
  text = "";
  refusal: Refusal | null = null;

  constructor(limits: HeadLimits = DEFAULT_HEAD_LIMITS) {
    this.limits = limits;
  }

  /**
   * Takes the next bytes. Answers how many of them belong to the head once it is complete (the rest is the body's or
   * the first frames'), else `NEED_MORE` or `REFUSED`. Not to be called again after a number of bytes or `REFUSED`.
   */
  push(chunk: Uint8Array): number {
    const allowed = Math.min(chunk.length, this.limits.maxHeadBytes - this.bytes);
    let state = this.state;
    for (let at = 0; at < allowed; at++) {
      const byte = chunk[at] as number; // below the chunk's length
      if (byte > SPACE && byte !== DELETE) {
        if (state === AFTER_CR || state === AFTER_LAST_CR) return this.refuse(400, "CR without LF");
        state = IN_LINE;
      } else if (byte === LF) {
        if (state === AFTER_LAST_CR) {
          this.text += latin1Slice.call(chunk, 0, at + 1);
          return at + 1;
        }
        if (state !== AFTER_CR) return this.refuse(400, "LF without CR");
        state = AT_LINE_START;
        // The request line, then the headers.
        if (++this.lines > this.limits.maxHeaders + 1) return this.refuse(431, "too many headers");
      } else if (byte === CR) {
        if (state === AFTER_CR || state === AFTER_LAST_CR) return this.refuse(400, "CR without LF");
        if (state === AT_LINE_START && this.lines === 0) return this.refuse(400, "an empty request line");
        state = state === AT_LINE_START ? AFTER_LAST_CR : AFTER_CR;
      } else if (byte === SPACE || byte === TAB) {
        if (state === AT_LINE_START) return this.refuse(400, "a folded header");
        if (state !== IN_LINE) return this.refuse(400, "CR without LF");
      } else {
        return this.refuse(400, "a control character");
      }
    }
    if (allowed < chunk.length || this.bytes + allowed === this.limits.maxHeadBytes) {
      return this.lines === 0 ? this.refuse(414, "a target too long") : this.refuse(431, "headers too large");
    }
    this.state = state;
    this.bytes += allowed;
    this.text += latin1Slice.call(chunk, 0, allowed);
    return NEED_MORE;
  }

  private refuse(status: number, reason: string): number {
    this.refusal = refusal(status, reason);
    this.text = "";
    return REFUSED;
  }
}

/** Fields that mean something only once: a second one is refused, not joined. */
const SINGLE = new Set([
  ...["host", "content-length", "transfer-encoding", "content-type", "authorization", "origin"],
  ...["sec-websocket-key", "sec-websocket-version", "sec-websocket-accept"],
]);

function parseHeaders(lines: string[]): Map<string, string> | Refusal {
  const headers = new Map<string, string>();
  // Lines after the first, up to the two empty ones that the last line breaks leave.
  for (let index = 1; index < lines.length - 2; index++) {
    const line = lines[index] as string; // below the length
    const colon = line.indexOf(":");
    const name = line.slice(0, Math.max(colon, 0)).toLowerCase();
    if (!isToken(name)) return refusal(400, "a header name is not a token");
    const value = trimBlanks(line, colon + 1);
    const before = headers.get(name);
    if (before !== undefined && SINGLE.has(name)) return refusal(400, `${name} came twice`);
    headers.set(name, before === undefined ? value : before + (name === "cookie" ? "; " : ", ") + value);
  }
  return headers;
}

/** The rest of a line without blanks around it; `trim` would also take what Latin-1 calls a space. */
function trimBlanks(line: string, start: number): string {
  let end = line.length;
  while (start < end && (line.charCodeAt(start) === SPACE || line.charCodeAt(start) === TAB)) start++;
  while (end > start && (line.charCodeAt(end - 1) === SPACE || line.charCodeAt(end - 1) === TAB)) end--;
  return line.slice(start, end);
}

/** Reads a complete request head, as `HeadReader` leaves it in `text`. */
export function parseRequest(text: string): RequestHead | Refusal {
  const lines = text.split("\r\n");
  const parts = (lines[0] as string).split(" "); // split gives at least one
  const [method, target, version] = parts;
  if (parts.length !== 3 || method === undefined || target === undefined || version === undefined) {
    return refusal(400, "not a request line");
  }
  if (!isToken(method)) return refusal(400, "the method is not a token");
  if (!/^HTTP\/[0-9]\.[0-9]$/.test(version)) return refusal(400, "not a version of HTTP");
  if (version !== "HTTP/1.1" && version !== "HTTP/1.0") return refusal(505, "only HTTP/1.1 and 1.0");
  const minorVersion = version === "HTTP/1.1" ? 1 : 0;
  const origin = originForm(target, method);
  if (origin === null) return refusal(400, "not a request target");
  const headers = parseHeaders(lines);
  if (!(headers instanceof Map)) return headers;
  const host = headers.get("host");
  if ((minorVersion === 1 && host === undefined) || (host !== undefined && !/^[!-~]*$/.test(host))) {
    return refusal(400, "no valid Host");
  }
  const body = parseBody(headers, minorVersion);
  if ("refused" in body) return body;
  const mark = origin.indexOf("?");
  const path = mark === -1 ? origin : origin.slice(0, mark);
  const query = mark === -1 ? "" : origin.slice(mark + 1);
  return { refused: false, method, target, path, query, minorVersion, headers, ...body };
}

/** Path and query of a target (RFC 9112 section 3.2), or null if it is none, or one only a proxy serves. */
function originForm(target: string, method: string): string | null {
  if (!/^[!-~]+$/.test(target) || target.includes("#")) return null;
  if (target.startsWith("/")) return target;
  if (target === "*") return method === "OPTIONS" ? target : null;
  const absolute = /^(?:https?|wss?):\/\/[^/?]+(.*)$/i.exec(target);
  if (absolute === null) return null;
  const rest = absolute[1] ?? "";
  return rest.startsWith("/") ? rest : `/${rest}`;
}

/** How long the body is (RFC 9112 section 6). Whatever leaves a doubt is refused. */
function parseBody(
  headers: Headers,
  minorVersion: number,
): { bodyBytes: number; chunked: boolean } | Refusal {
  const length = headers.get("content-length");
  const encoding = headers.get("transfer-encoding");
  if (encoding !== undefined) {
    if (length !== undefined) return refusal(400, "both Content-Length and Transfer-Encoding");
    if (minorVersion === 0) return refusal(400, "Transfer-Encoding in HTTP/1.0");
    if (encoding.toLowerCase() !== "chunked") return refusal(501, "a transfer coding other than chunked");
    return { bodyBytes: 0, chunked: true };
  }
  if (length === undefined) return { bodyBytes: 0, chunked: false };
  // Fifteen digits stay below 2^53.
  if (!/^[0-9]{1,15}$/.test(length)) return refusal(400, "Content-Length is not a number");
  return { bodyBytes: Number(length), chunked: false };
}

/** Reads a complete response head. What is wrong with it is in the refusal's reason; its status means nothing. */
export function parseResponse(text: string): ResponseHead | Refusal {
  const lines = text.split("\r\n");
  const status = /^HTTP\/1\.1 ([1-5][0-9]{2})(?: .*)?$/.exec(lines[0] as string)?.[1]; // split gives at least one
  if (status === undefined) return refusal(400, "not a status line of HTTP/1.1");
  const headers = parseHeaders(lines);
  if (!(headers instanceof Map)) return headers;
  return { refused: false, status: Number(status), headers };
}
