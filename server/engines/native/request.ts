/**
 * What the native engines' HTTP sides have in common: the refusal of handshakes that RFC 6455 does not allow, which
 * they let through in part, and answers to requests that go wrong before a handler has seen them.
 */
import { Buffer } from "node:buffer";
import type { HttpResponse } from "../../engine.ts";

const WEBSOCKET_VERSION = "13";
const KEY_BYTES = 16;

/** A plain-text answer. */
export function textAnswer(status: number, text: string, headers: Record<string, string> = {}): HttpResponse {
  return { status, headers: { "content-type": "text/plain; charset=utf-8", ...headers }, body: `${text}\n` };
}

export const payloadTooLarge: HttpResponse = textAnswer(413, "The request body is too large.");
export const internalError: HttpResponse = textAnswer(500, "Internal error.");

/** Whether a request asks for a WebSocket at all. */
export function asksForWebSocket(headers: ReadonlyMap<string, string>): boolean {
  return headers.get("upgrade")?.toLowerCase().split(",").some((token) => token.trim() === "websocket") ??
    false;
}

/** The answer to a handshake that RFC 6455 section 4.2.1 does not allow; undefined for one that it does. */
export function handshakeRefusal(
  method: string,
  headers: ReadonlyMap<string, string>,
): HttpResponse | undefined {
  if (method !== "GET") {
    return textAnswer(405, "A WebSocket handshake is a GET request.", { allow: "GET" });
  }
  const connection = headers.get("connection")?.toLowerCase().split(",") ?? [];
  if (!connection.some((token) => token.trim() === "upgrade")) {
    return textAnswer(400, "A WebSocket handshake needs the header Connection: Upgrade.");
  }
  const version = headers.get("sec-websocket-version");
  if (version !== WEBSOCKET_VERSION) {
    return textAnswer(
      400,
      `This server speaks WebSocket version ${WEBSOCKET_VERSION} (RFC 6455); the request names ${
        version === undefined ? "none" : "another one"
      }.`,
      { "sec-websocket-version": WEBSOCKET_VERSION },
    );
  }
  if (!isHandshakeKey(headers.get("sec-websocket-key") ?? "")) {
    return textAnswer(400, "Sec-WebSocket-Key is missing or not 16 bytes of base64.");
  }
  return undefined;
}

function isHandshakeKey(key: string): boolean {
  return /^[A-Za-z0-9+/]{22}==$/.test(key) && Buffer.from(key, "base64").length === KEY_BYTES;
}

/** `::ffff:127.0.0.1` as `127.0.0.1`, other addresses as they are. */
export function plainAddress(address: string): string {
  const mapped = /^(?:::|0000:0000:0000:0000:0000:)ffff:(.+)$/i.exec(address)?.[1];
  if (mapped === undefined) return address;
  if (mapped.includes(".")) return mapped;
  const words = mapped.split(":").map((word) => parseInt(word, 16));
  const [high = 0, low = 0] = words;
  return `${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`;
}

/** `host:port` as it stands in a URL. */
export function authority(host: string, port: number): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}
