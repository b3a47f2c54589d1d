/**
 * The brokers by name. Only this file knows them all; a broker's client library is loaded when the broker is picked.
 */
import type { Broker, Receiver } from "./broker.ts";
import type { MemoryBrokerSettings } from "./memory.ts";
import type { NatsBrokerSettings } from "./nats.ts";
import type { RedisBrokerSettings } from "./redis.ts";

export const brokerNames = ["memory", "redis", "nats"] as const;
export type BrokerName = typeof brokerNames[number];

export type BrokerSettings =
  | { readonly kind: "memory" } & MemoryBrokerSettings
  | { readonly kind: "redis" } & RedisBrokerSettings
  | { readonly kind: "nats" } & NatsBrokerSettings;

/** Answers what makes the broker. It may still have to connect then: see {@link Broker.isAvailable}. */
export async function pickBroker(settings: BrokerSettings): Promise<(receiver: Receiver) => Broker> {
  switch (settings.kind) {
    case "memory": {
      const { MemoryBroker } = await import("./memory.ts");
      return (receiver) => new MemoryBroker(settings, receiver);
    }
    case "redis": {
      const { RedisBroker } = await import("./redis.ts");
      return (receiver) => new RedisBroker(settings, receiver);
    }
    case "nats": {
      const { NatsBroker } = await import("./nats.ts");
      return (receiver) => new NatsBroker(settings, receiver);
    }
  }
}
