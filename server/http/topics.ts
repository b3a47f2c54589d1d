/** `GET /api/topics` and `GET /api/topics/{topic}`: which topics have subscribers on this node, and where a topic is. */
import type { HttpRequest, HttpResponse } from "../engine.ts";
import type { Hub } from "../hub/hub.ts";
import { json } from "./answers.ts";
import { readQuery, toPageRequest, toTopic } from "./input.ts";
import { pageOf } from "./page.ts";

/** The most members that are listed; how many there are is told in any case. */
export const MAX_MEMBERS = 1_000;

export interface TopicsSettings {
  readonly hub: Pick<Hub, "subscribedTopics" | "subscriberCount" | "position" | "membersOf">;
  /** Whether it is kept who is in the topic. */
  keepsPresence(topic: string): boolean;
}

export function listTopics({ query }: HttpRequest, { hub }: TopicsSettings): HttpResponse {
  const parameters = readQuery(query, ["prefix", "limit", "after"]);
  const prefix = parameters.get("prefix") ?? "";
  const page = pageOf(
    beginning(hub.subscribedTopics(), prefix),
    ([topic]) => topic,
    toPageRequest(parameters),
  );
  const topics = page.items.map(([topic, subscribers]) => ({ topic, subscribers }));
  return json(200, { topics, next: page.next });
}

/** @param encoded the topic as it stands in the path */
export async function showTopic(
  { query }: HttpRequest,
  encoded: string,
  { hub, keepsPresence }: TopicsSettings,
): Promise<HttpResponse> {
  const topic = toTopic(encoded);
  readQuery(query, []);
  const [position, presence] = await Promise.all([
    hub.position(topic),
    keepsPresence(topic) ? presenceIn(topic, hub) : {},
  ]);
  const { epoch, offset } = position ?? { epoch: null, offset: null };
  return json(200, { topic, subscribers: hub.subscriberCount(topic), epoch, offset, ...presence });
}

async function presenceIn(topic: string, hub: TopicsSettings["hub"]) {
  const members = await hub.membersOf(topic);
  return {
    memberCount: members.length,
    members: members.slice(0, MAX_MEMBERS).map(({ user, session }) => ({ user: user ?? null, session })),
  };
}

function* beginning(topics: ReturnType<Hub["subscribedTopics"]>, prefix: string) {
  for (const entry of topics) if (entry[0].startsWith(prefix)) yield entry;
}
