// The opening handshake (RFC 6455 section 4) on heads of HTTP messages, for both roles: what a client asks for, the
// answer that accepts or refuses it, and a client's check of that answer. Opens nothing and decides no policy:
// origins, tokens and paths are the engine's.

import { Buffer } from "node:buffer";
import { createHash, randomBytes } from "node:crypto";
import { type Headers, type Refusal, refusal, type RequestHead, type ResponseHead } from "./head.ts";
import {
  acceptDeflate,
  type DeflateClientOffer,
  deflateOffer,
  type DeflateParameters,
  deflateResponse,
  type Extension,
  isToken,
  parseExtensions,
  parseTokens,
} from "./extensions.ts";

const KEY_SALT = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const VERSION = "13";

/** 16 bytes in base64 (RFC 6455 section 4.1). */
const KEY = /^[A-Za-z0-9+/]{22}==$/;

/** What a client asks for in a valid opening handshake. */
export interface UpgradeOffer {
  readonly refused: false;
  readonly key: string;
  /** In the client's order of preference. */
  readonly subprotocols: readonly string[];
  readonly extensions: readonly Extension[];
}

/** The Sec-WebSocket-Accept of a key (RFC 6455 section 4.2.2). */
export function acceptHash(key: string): string {
  return createHash("sha1").update(key + KEY_SALT).digest("base64");
}

/** Whether a comma-separated header has a token, whatever its case. */
function hasToken(header: string | undefined, token: string): boolean {
  if (header === undefined) return false;
  return header.split(",").some((element) => element.trim().toLowerCase() === token);
}

/** Whether a request asks for an upgrade to WebSocket at all; others go to the engine's HTTP routes. */
export function asksForUpgrade(request: RequestHead): boolean {
  return hasToken(request.headers.get("upgrade"), "websocket");
}

/**
 * Reads an opening handshake (RFC 6455 section 4.2.1). A refusal has the status that tells the client why: 405, 426
 * (not an upgrade), or 400.
 */
export function readUpgrade(request: RequestHead): UpgradeOffer | Refusal {
  const { headers } = request;
  if (request.method !== "GET") return refusal(405, "a handshake is a GET", { Allow: "GET" });
  if (!asksForUpgrade(request) || !hasToken(headers.get("connection"), "upgrade")) {
    return refusal(426, "this is a WebSocket endpoint", { Upgrade: "websocket" });
  }
  if (request.minorVersion === 0) return refusal(400, "a handshake needs HTTP/1.1");
  if (request.chunked || request.bodyBytes > 0) return refusal(400, "a handshake has no body");
  if (headers.get("sec-websocket-version") !== VERSION) {
    return refusal(400, "a version other than 13", { "Sec-WebSocket-Version": VERSION });
  }
  const key = headers.get("sec-websocket-key");
  if (key === undefined || !KEY.test(key)) return refusal(400, "no valid Sec-WebSocket-Key");
  const subprotocols = readSubprotocols(headers);
  if (subprotocols === null) return refusal(400, "Sec-WebSocket-Protocol is not valid");
  const header = headers.get("sec-websocket-extensions");
  const extensions = header === undefined ? [] : parseExtensions(header);
  if (extensions === null) return refusal(400, "Sec-WebSocket-Extensions is not valid");
  return { refused: false, key, subprotocols, extensions };
}

/** The subprotocols a client offers, or null if one is no token or is there twice (RFC 6455 section 4.1). */
function readSubprotocols(headers: Headers): string[] | null {
  const header = headers.get("sec-websocket-protocol");
  if (header === undefined) return [];
  const tokens = parseTokens(header);
  return tokens === null || new Set(tokens).size < tokens.length ? null : tokens;
}

/** The first of the client's subprotocols that is supported, or null. */
export function chooseSubprotocol(offered: readonly string[], supported: ReadonlySet<string>): string | null {
  for (const subprotocol of offered) if (supported.has(subprotocol)) return subprotocol;
  return null;
}

/** What the answer to an accepted handshake says besides the hash. */
export interface Acceptance {
  readonly subprotocol?: string | null;
  readonly deflate?: DeflateParameters | null;
  /** Further headers. */
  readonly headers?: Readonly<Record<string, string>>;
}

/**
 * The response that switches protocols (RFC 6455 section 4.2.2), ready to be written. Throws TypeError for a
 * subprotocol that was not offered, or a header that would break out of its line.
 */
export function acceptResponse(offer: UpgradeOffer, acceptance: Acceptance = {}): Uint8Array {
  const { subprotocol = null, deflate = null, headers = {} } = acceptance;
  let head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
    `Sec-WebSocket-Accept: ${acceptHash(offer.key)}\r\n`;
  if (subprotocol !== null) {
    if (!offer.subprotocols.includes(subprotocol)) throw new TypeError("the subprotocol was not offered");
    head += `Sec-WebSocket-Protocol: ${subprotocol}\r\n`;
  }
  if (deflate !== null) head += `Sec-WebSocket-Extensions: ${deflateResponse(deflate)}\r\n`;
  return Buffer.from(head + headerLines(headers) + "\r\n", "latin1");
}

const REASONS: Readonly<Record<number, string>> = {
  400: "Bad Request",
  401: "Unauthorized",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  408: "Request Timeout",
  413: "Content Too Large",
  414: "URI Too Long",
  426: "Upgrade Required",
  429: "Too Many Requests",
  431: "Request Header Fields Too Large",
  501: "Not Implemented",
  503: "Service Unavailable",
  505: "HTTP Version Not Supported",
};

/** The whole response to a refused request, with the reason as its body; the connection ends after it. */
export function refusalResponse({ status, reason, headers }: Refusal): Uint8Array {
  const body = Buffer.from(`${reason}\n`);
  const connection = headers["Upgrade"] === undefined ? "close" : "close, Upgrade";
  const head = `HTTP/1.1 ${status} ${REASONS[status] ?? "Refused"}\r\nConnection: ${connection}\r\n` +
    `Content-Type: text/plain; charset=utf-8\r\nContent-Length: ${body.length}\r\n`;
  return Buffer.concat([Buffer.from(head + headerLines(headers) + "\r\n", "latin1"), body]);
}

/** Header lines. Throws TypeError for a name or a value that could begin a line of its own. */
function headerLines(headers: Readonly<Record<string, string>>): string {
  let lines = "";
  for (const [name, value] of Object.entries(headers)) {
    if (!isToken(name)) throw new TypeError(`header name ${JSON.stringify(name)} is not a token`);
    if (!/^[\t\x20-\x7e\x80-\xff]*$/.test(value)) {
      throw new TypeError(`header ${name} has a forbidden character`);
    }
    lines += `${name}: ${value}\r\n`;
  }
  return lines;
}

/** What a client wants. */
export interface UpgradeRequest {
  /** Host and port as they go into the Host header. */
  readonly host: string;
  /** Path and query. */
  readonly target: string;
  readonly subprotocols?: readonly string[];
  readonly deflate?: DeflateClientOffer | null;
  readonly headers?: Readonly<Record<string, string>>;
  /** 16 bytes in base64; drawn if it is not given. */
  readonly key?: string;
}

/** A client's request on its way: the bytes to write, and what the answer is held against. */
export interface UpgradeAttempt {
  readonly bytes: Uint8Array;
  readonly key: string;
  readonly subprotocols: readonly string[];
  readonly deflate: DeflateClientOffer | null;
}

/** Builds a client's opening handshake (RFC 6455 section 4.1). Throws TypeError for what may not stand in it. */
export function requestUpgrade(request: UpgradeRequest): UpgradeAttempt {
  const { host, target, subprotocols = [], deflate = null, headers = {} } = request;
  const key = request.key ?? randomBytes(16).toString("base64");
  if (!/^\/[!-~]*$/.test(target)) throw new TypeError("the target is a path");
  if (!KEY.test(key)) throw new TypeError("a key is 16 bytes in base64");
  if (!subprotocols.every(isToken) || new Set(subprotocols).size < subprotocols.length) {
    throw new TypeError("subprotocols are different tokens");
  }
  const own: Record<string, string> = { Host: host, Upgrade: "websocket", Connection: "Upgrade" };
  own["Sec-WebSocket-Key"] = key;
  own["Sec-WebSocket-Version"] = VERSION;
  if (subprotocols.length > 0) own["Sec-WebSocket-Protocol"] = subprotocols.join(", ");
  if (deflate !== null) own["Sec-WebSocket-Extensions"] = deflateOffer(deflate);
  const head = `GET ${target} HTTP/1.1\r\n${headerLines(own)}${headerLines(headers)}\r\n`;
  return { bytes: Buffer.from(head, "latin1"), key, subprotocols, deflate };
}

/** A handshake that succeeded, as the client sees it. */
export interface Upgraded {
  readonly subprotocol: string | null;
  readonly deflate: DeflateParameters | null;
}

/** Holds a server's answer against what was asked (RFC 6455 section 4.1): what it agreed to, or what is wrong. */
export function verifyUpgrade(attempt: UpgradeAttempt, response: ResponseHead): Upgraded | string {
  const { status, headers } = response;
  if (status !== 101) return `status ${status} in place of 101`;
  if (headers.get("upgrade")?.toLowerCase() !== "websocket") return "no upgrade to websocket";
  if (!hasToken(headers.get("connection"), "upgrade")) return "no Connection: Upgrade";
  if (headers.get("sec-websocket-accept") !== acceptHash(attempt.key)) return "a wrong Sec-WebSocket-Accept";
  const subprotocol = headers.get("sec-websocket-protocol") ?? null;
  if (subprotocol !== null && !attempt.subprotocols.includes(subprotocol)) {
    return "a subprotocol that was not offered";
  }
  const header = headers.get("sec-websocket-extensions");
  if (header === undefined) return { subprotocol, deflate: null };
  const answers = parseExtensions(header);
  if (answers === null) return "Sec-WebSocket-Extensions is not valid";
  if (attempt.deflate === null) return "an extension that was not offered";
  const deflate = acceptDeflate(answers, attempt.deflate);
  return typeof deflate === "string" ? deflate : { subprotocol, deflate };
}
