/**
 * Every route of the port: probes for balancers, metrics, the API behind its key, and a clear answer to those who meant
 * a WebSocket. What a route does stands in the file of its noun; what it looks at comes in as an {@link Administration}.
 */
import type { HttpResponse } from "../engine.ts";
import { Readiness } from "../readiness.ts";
import { json, notFound, notReady, problem } from "./answers.ts";
import { type ConnectionsSettings, disconnect, listConnections, listSlow } from "./connections.ts";
import { openApi } from "./openapi.ts";
import { publish, type PublishSettings } from "./publish.ts";
import type { Answer, Route } from "./router.ts";
import { listTopics, showTopic, type TopicsSettings } from "./topics.ts";

/** What the HTTP side sees of the server, and what it can do with it. */
export interface Administration extends PublishSettings, TopicsSettings, ConnectionsSettings {
  readonly hub: PublishSettings["hub"] & TopicsSettings["hub"];
  /** Path of the WebSocket endpoint. */
  readonly webSocketPath: string;
  /** Whether new connections are welcome, and if not why. */
  readiness(): Readiness;
  /** Undefined where there are none to be had. */
  readonly metrics: MetricsRoute | undefined;
  /** Begins the drain, if nobody has. */
  drain(): void;
}

export interface MetricsRoute {
  readonly needsKey: boolean;
  readonly contentType: string;
  text(): Promise<string>;
}

export function createRoutes(server: Administration): readonly Route[] {
  const document = openApi(server.webSocketPath);
  const open = { method: "GET", needsKey: false } as const;
  const get = { method: "GET", needsKey: true } as const;
  const post = { method: "POST", needsKey: true } as const;
  return [
    { ...open, path: "/health", answer: () => json(200, { status: "ok" }) },
    { ...open, path: "/ready", answer: () => ready(server.readiness()) },
    { ...open, path: "/metrics", needsKey: server.metrics?.needsKey ?? false, answer: () => metrics(server) },
    { ...open, path: server.webSocketPath, answer: upgradeRequired },
    { ...open, path: "/api/openapi.json", answer: () => json(200, document) },
    { ...post, path: "/api/publish", answer: (request) => publish(request, server) },
    { ...get, path: "/api/topics", answer: (request) => listTopics(request, server) },
    { ...get, path: "/api/topics/{topic}", answer: (request, rest) => showTopic(request, rest, server) },
    { ...get, path: "/api/connections", answer: (request) => listConnections(request, server) },
    { ...get, path: "/api/slow", answer: (request) => listSlow(request, server) },
    { ...post, path: "/api/disconnect", answer: (request) => disconnect(request, server) },
    { ...post, path: "/api/drain", answer: () => drain(server) },
  ];
}

function ready(readiness: Readiness): HttpResponse {
  return readiness === Readiness.Ready ? json(200, { status: "ready" }) : notReady(readiness);
}

function metrics({ metrics }: Administration): Answer {
  if (metrics === undefined) return notFound();
  const headers = { "content-type": metrics.contentType, "cache-control": "no-store" };
  return metrics.text().then((body) => ({ status: 200, headers, body }));
}

function upgradeRequired(): HttpResponse {
  return problem(426, "This is a WebSocket endpoint: connect with a WebSocket client (RFC 6455).", {
    upgrade: "websocket",
    connection: "Upgrade",
  });
}

function drain(server: Administration): HttpResponse {
  const connections = server.connections.size;
  server.drain();
  return json(202, { status: Readiness.Draining, connections });
}
