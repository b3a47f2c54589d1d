/**
 * Between the hub and the engine: a publication is encoded once per format that anybody here uses, and handed to the
 * engine's own publish. An engine topic is the format's name, a colon and the topic.
 */
import type { Publication } from "./broker/broker.ts";
import type { Listener } from "./engine.ts";
import { formats } from "./protocol/formats.ts";
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
export function deliver(listener: Listener, { topic, data, offset, epoch }: Publication): void {
  for (const format of formats) {
    const target = engineTopic(format, topic);
    if (listener.subscriberCount(target) === 0) continue;
    listener.publish(target, format.encode({ type: "message", topic, data, offset, epoch }));
  }
}
