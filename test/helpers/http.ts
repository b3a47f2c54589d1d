/** HTTP requests to a server under test, and what came back. */
import { RawClient } from "./raw_client.ts";

export interface HttpAnswer {
  readonly status: number;
  /** Of lower-case names. */
  readonly headers: ReadonlyMap<string, string>;
  /** The media type without its parameters. */
  readonly type: string;
  readonly text: string;
  /** What the text stands for, if it is JSON. */
  readonly json: unknown;
}

export interface HttpQuestion {
  readonly key?: string;
  /** Sent as JSON, unless it is bytes. */
  readonly body?: unknown;
  readonly type?: string;
}

/** Asks a server, whose `url` is that of its WebSocket endpoint. */
export async function askHttp(
  { url }: { readonly url: string },
  method: string,
  path: string,
  { key, body, type = "application/json" }: HttpQuestion = {},
): Promise<HttpAnswer> {
  const response = await fetch(new URL(path, url.replace(/^ws/, "http")), {
    method,
    headers: {
      ...(key === undefined ? {} : { authorization: `Bearer ${key}` }),
      ...(body === undefined ? {} : { "content-type": type }),
    },
    // The types know bytes that are backed by an ArrayBuffer only.
    ...(body === undefined
      ? {}
      : { body: body instanceof Uint8Array ? body as Uint8Array<ArrayBuffer> : JSON.stringify(body) }),
  });
  return toAnswer(response.status, new Map(response.headers), await response.text());
}

/** Resolves once a server takes connections: its broker is there. */
export async function untilReady(server: { readonly url: string }): Promise<void> {
  while ((await askHttp(server, "GET", "/ready")).status !== 200);
}

/** Sends `request` byte for byte and reads one answer; what comes behind it is part of its text. */
export async function askRaw(url: string, request: string): Promise<HttpAnswer> {
  const client = await RawClient.request(url, request);
  await client.said(/^HTTP\/1\.1 101|\r\n\r\n[^]*\n$/);
  const [head = "", ...rest] = client.head.split("\r\n\r\n");
  const headers = new Map(
    head.split("\r\n").slice(1).map((line) => [
      line.slice(0, line.indexOf(":")).toLowerCase(),
      line.slice(line.indexOf(":") + 1).trim(),
    ]),
  );
  client.destroy();
  return toAnswer(Number(head.split(" ")[1]), headers, rest.join("\r\n\r\n"));
}

function toAnswer(status: number, headers: ReadonlyMap<string, string>, text: string): HttpAnswer {
  const type = (headers.get("content-type") ?? "").split(";")[0] ?? "";
  return { status, headers, type, text, json: type.endsWith("json") ? JSON.parse(text) : undefined };
}
