/**
 * The opening handshake of RFC 6455 section 4, spelled out: a request as an editable list of lines, a response as it
 * came, and what the two agreed about permessage-deflate (RFC 7692). Never decides whether a case passed.
 */
import { createHash } from "node:crypto";
import type { Target } from "./target.ts";

const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/** The key every lawful request of the runner carries: sixteen bytes in base64 (section 4.1). */
export const KEY = "bWlsbHJhY2UtMTIzNDU2Nw==";

/** What is said differently from the plain request: headers added, replaced, or with `null` left out. */
export interface RequestOptions {
  readonly method?: string;
  readonly httpVersion?: string;
  readonly headers?: Readonly<Record<string, string | readonly string[] | null>>;
  /** The value of Sec-WebSocket-Extensions. */
  readonly offer?: string;
}

/** A response head. Header names are in lower case; repeated headers are joined by a comma. */
export interface ResponseHead {
  readonly status: number;
  readonly headers: ReadonlyMap<string, string>;
}

/** The agreed parameters of permessage-deflate, each for the direction it binds. */
export interface Deflate {
  readonly serverTakeover: boolean;
  readonly serverWindowBits: number;
  readonly clientTakeover: boolean;
  readonly clientWindowBits: number;
}

/** The octets of an opening request. */
export function request(target: Target, options: RequestOptions = {}): Uint8Array {
  const headers = new Map<string, string | readonly string[] | null>([
    ["Host", target.authority],
    ["Upgrade", "websocket"],
    ["Connection", "Upgrade"],
    ["Sec-WebSocket-Key", KEY],
    ["Sec-WebSocket-Version", "13"],
  ]);
  if (options.offer !== undefined) headers.set("Sec-WebSocket-Extensions", options.offer);
  for (const [name, value] of Object.entries(options.headers ?? {})) headers.set(name, value);
  const lines = [`${options.method ?? "GET"} ${target.resource} HTTP/${options.httpVersion ?? "1.1"}`];
  for (const [name, value] of headers) {
    if (value === null) continue;
    for (const each of typeof value === "string" ? [value] : value) lines.push(`${name}: ${each}`);
  }
  return new TextEncoder().encode(`${lines.join("\r\n")}\r\n\r\n`);
}

/** Parses a head up to its empty line. Undefined when it is not HTTP/1.1. */
export function parseResponse(text: string): ResponseHead | undefined {
  const [statusLine = "", ...lines] = text.split("\r\n");
  const status = /^HTTP\/1\.[01] (\d{3})(?: |$)/.exec(statusLine)?.[1];
  if (status === undefined) return undefined;
  const headers = new Map<string, string>();
  for (const line of lines) {
    const colon = line.indexOf(":");
    if (colon < 1) continue;
    const name = line.slice(0, colon).trim().toLowerCase();
    const value = line.slice(colon + 1).trim();
    const before = headers.get(name);
    headers.set(name, before === undefined ? value : `${before}, ${value}`);
  }
  return { status: Number(status), headers };
}

/** What is wrong with a 101 response as an answer to `request` (section 4.2.2), or undefined. */
export function faultOf(head: ResponseHead, key = KEY): string | undefined {
  if (head.status !== 101) return `status ${head.status} instead of 101`;
  if (head.headers.get("upgrade")?.toLowerCase() !== "websocket") return "no Upgrade: websocket";
  const connection = head.headers.get("connection")?.toLowerCase() ?? "";
  if (!connection.split(",").some((token) => token.trim() === "upgrade")) return "no Connection: Upgrade";
  const accept = createHash("sha1").update(key + GUID).digest("base64");
  if (head.headers.get("sec-websocket-accept") !== accept) return "a wrong Sec-WebSocket-Accept";
  return undefined;
}

/**
 * Reads the answer to an offer. Undefined: no extension agreed; a string: what makes the answer unlawful (RFC 7692
 * section 7.1): a parameter that was not offered, given twice, out of range or looser than asked for.
 */
export function readAnswer(answer: string | undefined, offer: string): Deflate | string | undefined {
  if (answer === undefined || answer.trim() === "") return undefined;
  const [name = "", ...parts] = answer.split(";").map((part) => part.trim());
  if (offer === "" || name !== "permessage-deflate") {
    return `the server answers with an extension that was not offered: ${answer}`;
  }
  if (answer.includes(",")) return `the server answers with more than one extension: ${answer}`;
  const given = new Map<string, string | undefined>();
  for (const part of parts) {
    const [parameter = "", value] = part.split("=").map((piece) => piece.trim());
    if (given.has(parameter)) return `the answer has ${parameter} twice`;
    given.set(parameter, value?.replace(/^"(.*)"$/, "$1"));
  }
  const elements = offer.split(",").map((element) =>
    element.split(/[;=]/).map((piece) => piece.trim().replace(/^"(.*)"$/, "$1"))
  );
  return checkAnswer(given, elements);
}

function checkAnswer(given: Map<string, string | undefined>, offered: string[][]): Deflate | string {
  const bits = { server_max_window_bits: 15, client_max_window_bits: 15 };
  for (const [parameter, value] of given) {
    if (parameter === "server_max_window_bits" || parameter === "client_max_window_bits") {
      if (!/^(8|9|1[0-5])$/.test(value ?? "")) return `the answer has ${parameter}=${value ?? ""}`;
      bits[parameter] = Number(value);
    } else if (parameter === "server_no_context_takeover" || parameter === "client_no_context_takeover") {
      if (value !== undefined) return `the answer gives ${parameter} a value`;
    } else return `the answer has an unknown parameter: ${parameter}`;
  }
  if (
    given.has("client_max_window_bits") && !offered.some((offer) => offer.includes("client_max_window_bits"))
  ) {
    return "the answer has client_max_window_bits, which was not offered (RFC 7692 section 7.1.2.2)";
  }
  const deflate: Deflate = {
    serverTakeover: !given.has("server_no_context_takeover"),
    serverWindowBits: bits.server_max_window_bits,
    clientTakeover: !given.has("client_no_context_takeover"),
    clientWindowBits: bits.client_max_window_bits,
  };
  if (!offered.some((offer) => satisfies(deflate, offer))) {
    return "the answer does not grant what any element of the offer demands (RFC 7692 sections 7.1.1.1 and 7.1.2.1)";
  }
  return deflate;
}

/** An answer that does not name the server's window means 15, which satisfies who asked for at most 15. */
function satisfies(deflate: Deflate, offer: string[]): boolean {
  if (offer.includes("server_no_context_takeover") && deflate.serverTakeover) return false;
  const at = offer.indexOf("server_max_window_bits");
  return at === -1 || deflate.serverWindowBits <= Number(offer[at + 1]);
}
