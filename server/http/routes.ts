/** The plain HTTP side of the port: health for balancers, and clear answers to those who meant a WebSocket. */
import type { HttpRequest, HttpResponse } from "../engine.ts";

export interface Routes {
  /** Path of the WebSocket endpoint. */
  readonly webSocketPath: string;
  /** Whether new connections are welcome. */
  isReady(): boolean;
}

function json(status: number, body: unknown, headers: Record<string, string> = {}): HttpResponse {
  const type = { "content-type": "application/json", "cache-control": "no-store" };
  return { status, headers: { ...type, ...headers }, body: `${JSON.stringify(body)}\n` };
}

/** An error as the HTTP side tells it. */
export function httpError(
  status: number,
  message: string,
  headers: Record<string, string> = {},
): HttpResponse {
  return json(status, { error: message }, headers);
}

export function notFound(): HttpResponse {
  return httpError(404, "There is nothing at this path.");
}

/** Answers one request. */
export function route(request: HttpRequest, routes: Routes): HttpResponse {
  switch (request.path) {
    case "/health":
      return forReading(request, () => json(200, { status: "ok" }));
    case "/ready":
      return forReading(
        request,
        () =>
          routes.isReady()
            ? json(200, { status: "ready" })
            : json(503, { status: "draining" }, { "retry-after": "5" }),
      );
    case routes.webSocketPath:
      return httpError(426, "This is a WebSocket endpoint: connect with a WebSocket client (RFC 6455).", {
        upgrade: "websocket",
        connection: "Upgrade",
      });
    default:
      return notFound();
  }
}

function forReading(request: HttpRequest, answer: () => HttpResponse): HttpResponse {
  if (request.method === "GET" || request.method === "HEAD") return answer();
  return httpError(405, "This path answers GET and HEAD.", { allow: "GET, HEAD" });
}
