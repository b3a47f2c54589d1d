/**
 * The OpenAPI 3.1 document of the HTTP side, as data. `test/http/openapi.test.ts` holds it against the routes and their
 * real answers: every route, every status and every body.
 */
import { VERSION } from "../version.ts";
import { DEFAULT_PAGE_LIMIT, MAX_PAGE_LIMIT } from "./input.ts";
import { type SchemaName, schemas } from "./openapi_schemas.ts";

const PROBLEM = "application/problem+json";

function body(schema: SchemaName, type = "application/json") {
  return { content: { [type]: { schema: { $ref: `#/components/schemas/${schema}` } } } };
}

function ok(description: string, schema: SchemaName) {
  return { description, ...body(schema) };
}

function fault(description: string, schema: SchemaName = "Problem") {
  return { description, ...body(schema, PROBLEM) };
}

const retryAfter = {
  "Retry-After": { description: "Seconds", required: true, schema: { type: "integer", minimum: 1 } },
};

/** Answers of several routes. */
const badRequest = fault("Something in the request is wrong: `detail` says what, and what would be right");
const noBroker = {
  ...fault("The broker cannot be reached now", "BrokerUnavailable"),
  headers: retryAfter,
};
const keyRefusals = {
  "401": {
    ...fault("No API key, or one that is not among those of `--api-key-file`"),
    headers: { "WWW-Authenticate": { required: true, schema: { const: "Bearer" } } },
  },
  "403": fault("The API is off: there is no `--api-key-file`"),
};
const bodyRefusals = {
  "400": badRequest,
  "413": {
    description:
      "The body is above `--max-http-body-bytes`: the engine says so, in plain text or without a body",
  },
  "415": fault("The body is not said to be JSON"),
};

const withKey = { security: [{ apiKey: [] }] };

function query(name: string, schema: Readonly<Record<string, unknown>>, description: string) {
  return { name, in: "query", schema, description };
}

const page = [
  query(
    "limit",
    { type: "integer", minimum: 1, maximum: MAX_PAGE_LIMIT, default: DEFAULT_PAGE_LIMIT },
    "The most entries to answer",
  ),
  query("after", { type: "string" }, "`next` of the page before"),
];

function requestBody(schema: SchemaName) {
  return { requestBody: { required: true, ...body(schema) } };
}

const probes = {
  "/health": {
    get: {
      operationId: "health",
      summary: "Whether the process lives",
      responses: { "200": ok("It does", "Status") },
    },
  },
  "/ready": {
    get: {
      operationId: "ready",
      summary: "Whether this node takes new connections",
      responses: {
        "200": ok("It does", "Ready"),
        "503": {
          ...fault("It is going away, or its broker cannot be reached", "NotReady"),
          headers: retryAfter,
        },
      },
    },
  },
  "/metrics": {
    get: {
      operationId: "metrics",
      summary: "Figures for Prometheus; `--metrics` says for whom",
      security: [{}, { apiKey: [] }],
      responses: {
        "200": {
          description: "The figures",
          content: { "text/plain": { schema: { type: "string" } } },
        },
        "401": keyRefusals["401"],
        "404": fault("They are off (`--metrics off`)"),
      },
    },
  },
  "/api/openapi.json": {
    get: {
      operationId: "openApi",
      summary: "This document",
      responses: {
        "200": {
          description: "OpenAPI 3.1",
          content: { "application/json": { schema: { type: "object" } } },
        },
      },
    },
  },
};

const publishing = {
  "/api/publish": {
    post: {
      operationId: "publish",
      summary: "Publishes one message, or up to 1,000 in their order",
      description:
        "Nothing is published unless every item is valid. 200 says that all are stored; 503 names those that are.",
      ...withKey,
      ...requestBody("Publications"),
      responses: {
        "200": ok(
          "All are stored: one answer for one, an array in the same order for an array",
          "PublishedAll",
        ),
        ...bodyRefusals,
        ...keyRefusals,
        "503": {
          ...fault(
            "The broker cannot be reached: those in `stored` are, of the others it is not known",
            "NotStored",
          ),
          headers: retryAfter,
        },
      },
    },
  },
  "/api/topics": {
    get: {
      operationId: "listTopics",
      summary: "Topics with subscribers on this node, by name",
      ...withKey,
      parameters: [query("prefix", { type: "string" }, "Only topics that begin so"), ...page],
      responses: { "200": ok("One page", "Topics"), "400": badRequest, ...keyRefusals },
    },
  },
  "/api/topics/{topic}": {
    get: {
      operationId: "showTopic",
      summary: "A topic's place, its subscribers on this node, and who is in it",
      ...withKey,
      parameters: [{
        name: "topic",
        in: "path",
        required: true,
        schema: { type: "string" },
        description: "Percent-encoded; slashes may stay as they are",
      }],
      responses: {
        "200": ok("Also for a topic that nobody has used", "Topic"),
        "400": badRequest,
        ...keyRefusals,
        "503": noBroker,
      },
    },
  },
};

const operating = {
  "/api/connections": {
    get: {
      operationId: "listConnections",
      summary: "Connections of this node, by session",
      ...withKey,
      parameters: [query("user", { type: "string" }, "Only those of this user"), ...page],
      responses: { "200": ok("One page", "Connections"), "400": badRequest, ...keyRefusals },
    },
  },
  "/api/slow": {
    get: {
      operationId: "listSlow",
      summary: "Connections of this node that read too slowly, the worst 100 first",
      ...withKey,
      responses: { "200": ok("As they are now", "Slow"), "400": badRequest, ...keyRefusals },
    },
  },
  "/api/disconnect": {
    post: {
      operationId: "disconnect",
      summary: "Closes connections of this node with 4006",
      ...withKey,
      ...requestBody("Target"),
      responses: {
        "200": ok("Those that there were are closing", "Disconnected"),
        ...bodyRefusals,
        ...keyRefusals,
      },
    },
  },
  "/api/drain": {
    post: {
      operationId: "drain",
      summary: "Sends all clients away, as at shutdown; the process goes on",
      ...withKey,
      responses: { "202": ok("It has begun, now or before", "Draining"), ...keyRefusals },
    },
  },
};

const webSocket = {
  get: {
    operationId: "connect",
    summary: "The WebSocket handshake",
    responses: {
      "101": { description: "A WebSocket connection" },
      "400": fault("None of the offered subprotocols is known"),
      "401": keyRefusals["401"],
      "403": fault("The Origin may not connect"),
      "426": fault("The request is no WebSocket handshake"),
      "429": { ...fault("Too much from this address, or of this user"), headers: retryAfter },
      "503": {
        ...fault("The node is full or going away, or its broker cannot be reached", "NotReady"),
        headers: retryAfter,
      },
    },
  },
};

/** The document of a server whose WebSocket endpoint is at `webSocketPath`. */
export function openApi(webSocketPath: string) {
  return {
    openapi: "3.1.1",
    info: {
      title: "Millrace",
      version: VERSION,
      summary: "The HTTP side of a pub/sub server for WebSockets",
      license: { name: "MIT", identifier: "MIT" },
    },
    paths: { ...probes, [webSocketPath]: webSocket, ...publishing, ...operating },
    components: { schemas, securitySchemes: { apiKey: { type: "http", scheme: "bearer" } } },
  };
}
