/**
 * Between the hub and the engine: what the hub has for the subscribers of a topic or pattern is encoded once per format
 * that anybody here uses, and handed to the engine's own publish. An engine topic is the format's name, a sign and the
 * topic or pattern; a pattern has a wildcard, so that the two never meet.
 */
import type { Member, Publication } from "./broker/broker.ts";
import type { Listener } from "./engine.ts";
import type { Delivery, Lost } from "./hub/hub.ts";
import type { Counters } from "./observe/counters.ts";
import { formats } from "./protocol/formats.ts";
import type { Format, ServerEvent } from "./protocol/protocol.ts";

/** The engine's topic for the subscribers of a topic or pattern who speak `format`. */
export function engineTopic(format: Format, topic: string): string {
  return `${format.name}:${topic}`;
}

/** The engine's topic for those who watch the members of `topic` and speak `format`. */
export function presenceTopic(format: Format, topic: string): string {
  return `${format.name}!${topic}`;
}

export class EngineDelivery implements Delivery {
  /** Set once it listens; before that there are no subscribers. */
  listener: Listener | undefined = undefined;
  private readonly counters: Counters;

  constructor(counters: Counters) {
    this.counters = counters;
  }

  deliver({ topic, data, offset, epoch }: Publication, pattern: string | undefined): void {
    const event: ServerEvent = pattern === undefined
      ? { type: "message", topic, data, offset, epoch }
      : { type: "message", topic, data, offset, epoch, pattern };
    const { counters, listener } = this;
    if (listener === undefined) return;
    for (const format of formats) {
      const target = engineTopic(format, pattern ?? topic);
      const subscribers = listener.subscriberCount(target);
      if (subscribers === 0) continue;
      const message = format.encode(event);
      counters.deliveries += subscribers;
      counters.deliveredBytes += subscribers * message.length;
      listener.publish(target, message);
    }
  }

  /** To the subscribers of a topic of the server's own: that is nobody's traffic, and not counted. */
  deliverOwn({ topic, data, offset, epoch }: Publication): void {
    this.publish((format) => engineTopic(format, topic), { type: "message", topic, data, offset, epoch });
  }

  lost(gap: Lost, pattern: string | undefined): void {
    const event: ServerEvent = {
      type: "gap",
      ...gap,
      reason: "expired",
      ...(pattern === undefined ? {} : { pattern }),
    };
    this.publish((format) => engineTopic(format, pattern ?? gap.topic), event);
  }

  presence(change: "join" | "leave", topic: string, { user, session }: Member): void {
    const event: ServerEvent = { type: change, topic, user: user ?? null, session };
    this.publish((format) => presenceTopic(format, topic), event);
  }

  private publish(targetOf: (format: Format) => string, event: ServerEvent): void {
    for (const format of formats) {
      const target = targetOf(format);
      if (this.listener?.subscriberCount(target)) this.listener.publish(target, format.encode(event));
    }
  }
}
