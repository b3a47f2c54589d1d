/** The shapes of the HTTP API's bodies, as the OpenAPI document names them: JSON Schema 2020-12, which 3.1 builds on. */
import { TOPIC_PATTERN } from "../topic.ts";
import { ProblemType } from "./answers.ts";
import { MAX_SLOW_REPORTED } from "./connections.ts";
import { MAX_PAGE_LIMIT } from "./input.ts";
import { MAX_BATCH } from "./publish.ts";
import { MAX_MEMBERS } from "./topics.ts";

const string = { type: "string" } as const;
const count = { type: "integer", minimum: 0 } as const;

function ref(name: string) {
  return { $ref: `#/components/schemas/${name}` };
}

/** An object that has all of `properties`, except those that are `optional`, and nothing else. */
function object(properties: Readonly<Record<string, unknown>>, optional: readonly string[] = []) {
  const required = Object.keys(properties).filter((name) => !optional.includes(name));
  return { type: "object", properties, required, additionalProperties: false };
}

function list(items: unknown, more: Readonly<Record<string, unknown>> = {}) {
  return { type: "array", items, ...more };
}

function oneOf(...names: readonly string[]) {
  return { enum: names };
}

const user = { type: ["string", "null"], description: "`sub` of the token; null for the anonymous" };
const session = { ...string, description: "As in the `welcome` of the connection" };
const subscribers = {
  ...count,
  description: "Subscriptions to the topic on this node; those to patterns that match it are not counted",
};
const queuedBytes = { ...count, description: "Bytes that wait because the client reads too slowly" };
const next = {
  type: ["string", "null"],
  description: "`after` for the next page; null when this is the last one",
};

const topic = { ...string, pattern: TOPIC_PATTERN };

/** What every problem has. */
const problem = {
  type: { const: ProblemType.Blank, description: "No more than the status says" },
  title: { ...string, description: "The HTTP status in words" },
  status: { type: "integer", minimum: 400, maximum: 599 },
  detail: { ...string, description: "What is wrong, and what would be right" },
};
const brokerUnavailable = { ...problem, type: { const: ProblemType.BrokerUnavailable } };

const place = {
  epoch: { ...string, description: "New whenever the topic's offsets start afresh" },
  offset: { ...count, description: "Grows by one with each publication of the topic" },
};
const published = { topic, ...place, subscribers };

export const schemas = {
  Status: object({ status: oneOf("ok") }),
  Ready: object({ status: oneOf("ready") }),
  Problem: object(problem),
  BrokerUnavailable: object(brokerUnavailable),
  NotReady: { oneOf: [ref("Problem"), ref("BrokerUnavailable")] },
  NotStored: object({
    ...brokerUnavailable,
    stored: list(object({ index: { ...count, description: "Place in the request, from 0" }, ...published })),
  }),
  Publication: {
    type: "object",
    properties: { topic, data: { description: "Any JSON, null too, nested up to 64 levels deep" } },
    required: ["topic", "data"],
  },
  Publications: {
    oneOf: [ref("Publication"), list(ref("Publication"), { minItems: 1, maxItems: MAX_BATCH })],
  },
  Published: object(published),
  PublishedAll: { oneOf: [ref("Published"), list(ref("Published"), { minItems: 1, maxItems: MAX_BATCH })] },
  Topics: object({ topics: list(object({ topic, subscribers }), { maxItems: MAX_PAGE_LIMIT }), next }),
  Topic: object({
    topic,
    subscribers,
    epoch: { type: ["string", "null"], description: "Null when the topic has never been, or is forgotten" },
    offset: { type: ["integer", "null"], minimum: 0 },
    memberCount: { ...count, description: "Only where it is kept who is in the topic, on all nodes" },
    members: list(object({ user, session }), { maxItems: MAX_MEMBERS }),
  }, ["memberCount", "members"]),
  Connections: object({
    connections: list(
      object({
        session,
        user,
        format: oneOf("json", "msgpack"),
        address: { ...string, description: "As the limits per address count it: of IPv6 its /64 network" },
        connectedSeconds: count,
        subscriptions: { ...count, description: "To topics and patterns" },
        queuedBytes,
      }),
      { maxItems: MAX_PAGE_LIMIT },
    ),
    next,
  }),
  Slow: object({
    count: {
      ...count,
      description: "Connections with a backlog, or with messages that were left out lately",
    },
    queuedBytes,
    connections: list(
      object({
        session,
        user,
        queuedBytes,
        sinceMs: { type: "number", minimum: 0, description: "For how long it has had a backlog" },
        skipped: { ...count, description: "Messages left out for it since" },
      }),
      { maxItems: MAX_SLOW_REPORTED },
    ),
  }),
  Target: { oneOf: [object({ user: string }), object({ session: string })] },
  Disconnected: object({ disconnected: { ...count, description: "Connections that were closed" } }),
  Draining: object({
    status: oneOf("draining"),
    connections: { ...count, description: "Those that are sent away" },
  }),
} as const;

export type SchemaName = keyof typeof schemas;
