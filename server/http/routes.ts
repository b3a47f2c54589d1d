/** The plain HTTP side of the port: health for balancers, metrics, the API, and clear answers to those who meant a WebSocket. */
import type { ApiKeys } from "../auth/api_keys.ts";
import type { HttpRequest, HttpResponse } from "../engine.ts";
import { httpError, json, notFound } from "./answers.ts";

/** What is behind the routes. */
export interface Routes {
  /** Path of the WebSocket endpoint. */
  readonly webSocketPath: string;
  /** Whether new connections are welcome. */
  isReady(): boolean;
  /** Undefined where there are none to be had. */
  readonly metrics: MetricsRoute | undefined;
  /** Undefined where the API is off. */
  readonly apiKeys: ApiKeys | undefined;
  /** The connections that read too slowly, the worst first. */
  slow(): unknown;
}

export interface MetricsRoute {
  readonly needsKey: boolean;
  readonly contentType: string;
  text(): Promise<string>;
}

/** Answers one request. */
export function route(request: HttpRequest, routes: Routes): HttpResponse | Promise<HttpResponse> {
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
    case "/metrics":
      return forReading(request, () => metrics(request, routes));
    case "/api/slow":
      return forReading(request, () => withKey(request, routes, () => json(200, routes.slow())));
    case routes.webSocketPath:
      return httpError(426, "This is a WebSocket endpoint: connect with a WebSocket client (RFC 6455).", {
        upgrade: "websocket",
        connection: "Upgrade",
      });
    default:
      return notFound();
  }
}

type Answer = HttpResponse | Promise<HttpResponse>;

function forReading(request: HttpRequest, answer: () => Answer): Answer {
  if (request.method === "GET" || request.method === "HEAD") return answer();
  return httpError(405, "This path answers GET and HEAD.", { allow: "GET, HEAD" });
}

function withKey(request: HttpRequest, { apiKeys }: Routes, answer: () => Answer): Answer {
  if (apiKeys === undefined) {
    return httpError(403, "The HTTP API is off: the operator turns it on with --api-key-file.");
  }
  if (apiKeys.accepts(request.headers.get("authorization"))) return answer();
  return httpError(401, "This needs the header Authorization: Bearer with an API key.", {
    "www-authenticate": "Bearer",
  });
}

function metrics(request: HttpRequest, routes: Routes): Answer {
  const { metrics } = routes;
  if (metrics === undefined) return notFound();
  const answer = async () => ({
    status: 200,
    headers: { "content-type": metrics.contentType, "cache-control": "no-store" },
    body: await metrics.text(),
  });
  return metrics.needsKey ? withKey(request, routes, answer) : answer();
}
