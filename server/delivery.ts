/**
 * Between the hub and the engine: a publication is encoded once per format that anybody here uses, and handed to the
 * engine's own publish. An engine topic is the format's name, a colon and the topic.
 */
import type { Publication } from "./broker/broker.ts";
import type { Listener } from "./engine.ts";
import { formats } from "./protocol/formats.ts";
import type { Counters } from "./observe/counters.ts";
import type { Format } from "./protocol/protocol.ts";

/** The engine's topic for the subscribers of `topic` who speak `format`. */
export function engineTopic(format: Format, topic: string): string {
  return `${format.name}:${topic}`;
}

/** The topic behind an engine's topic. */
export function topicOf(engineTopic: string): string {
  return engineTopic.slice(engineTopic.indexOf(":") + 1);
}

/** Hands a publication to all of its subscribers on `listener`. */
export function deliver(listener: Listener, publication: Publication, counters: Counters): void {
  const { topic, data, offset, epoch } = publication;
  for (const format of formats) {
    const target = engineTopic(format, topic);
    const subscribers = listener.subscriberCount(target);
    if (subscribers === 0) continue;
    const message = format.encode({ type: "message", topic, data, offset, epoch });
    counters.deliveries += subscribers;
    counters.deliveredBytes += subscribers * message.length;
    listener.publish(target, message);
  }
}
