/**
 * What the engines' HTTP sides have in common: asking the handlers so that a fault costs only the request, the refusal
 * of handshakes that RFC 6455 does not allow and native engines let through, and how addresses are written.
 */
import { Buffer } from "node:buffer";
import { ListenError, type ListenOptions } from "../engine.ts";
import type { Handlers, HttpRequest, HttpResponse, RequestHead, UpgradeAnswer } from "../engine.ts";
import { firstLine } from "./tls_files.ts";

const WEBSOCKET_VERSION = "13";
const KEY_BYTES = 16;

/** A plain-text answer. */
export function textAnswer(status: number, text: string, headers: Record<string, string> = {}): HttpResponse {
  return { status, headers: { "content-type": "text/plain; charset=utf-8", ...headers }, body: `${text}\n` };
}

export const payloadTooLarge: HttpResponse = textAnswer(413, "The request body is too large.");
const internalError: HttpResponse = textAnswer(500, "Internal error.");

/** Asks about a handshake; the answer comes at once unless the handler takes its time. A fault of ours is a 500. */
export function askUpgrade<Data>(
  handlers: Handlers<Data>,
  head: RequestHead,
): UpgradeAnswer<Data> | Promise<UpgradeAnswer<Data>> {
  const failed = (error: unknown): UpgradeAnswer<Data> => {
    handlers.failed(error, undefined);
    return { accept: false, response: internalError };
  };
  try {
    const answer = handlers.upgrade(head);
    return answer instanceof Promise ? answer.catch(failed) : answer;
  } catch (error) {
    return failed(error);
  }
}

/** Tells that an accepted handshake comes to nothing. */
export function abandon<Data>(handlers: Handlers<Data>, data: Data): void {
  try {
    handlers.abandoned(data);
  } catch (error) {
    handlers.failed(error, undefined);
  }
}

/** Asks for the answer to a plain request. A fault of ours is a 500. */
export async function askHttp<Data>(handlers: Handlers<Data>, request: HttpRequest): Promise<HttpResponse> {
  try {
    return await handlers.http(request);
  } catch (error) {
    handlers.failed(error, undefined);
    return internalError;
  }
}

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

/** Where a listener is reached. */
export function listenUrl({ host, tls }: ListenOptions, port: number): string {
  return `${tls === undefined ? "ws" : "wss"}://${authority(host, port)}`;
}

/** A runtime's error on listening as one line for people. */
export function listenError({ host, port }: ListenOptions, error: unknown): ListenError {
  const { code } = error as { code?: string };
  const why = code === "EADDRINUSE" ? "the port is in use" : firstLine(error);
  return new ListenError(`cannot listen on ${authority(host, port)}: ${why}`);
}

/** How a listener goes on without the new certificate. */
export const OLD_STAYS = "the old one stays in use";
export const NOBODY_ACCEPTED = "nobody is accepted until it is reloaded";

/** Why a certificate was not reloaded, as one line for people. `outcome` says how the listener goes on. */
export function reloadError(url: string, error: unknown, outcome: string): ListenError {
  return new ListenError(`cannot reload the TLS certificate of ${url}: ${firstLine(error)}; ${outcome}`);
}

/** `host:port` as it stands in a URL. */
export function authority(host: string, port: number): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}
