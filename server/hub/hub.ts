/**
 * The hub: which sessions there are and which topics they are in. It puts publications in order through the broker
 * and hands them on to be delivered. It never sees opcodes, engine names or wire formats.
 */
import type { Broker, Position, Publication, Receiver } from "../broker/broker.ts";

interface Topic {
  subscribers: number;
  epoch: string;
  /** Of the last publication that was delivered here. */
  offset: number;
}

export interface HubOptions {
  /** Makes the broker; it tells the receiver each publication of a subscribed topic. */
  readonly createBroker: (receiver: Receiver) => Broker;
  /** Brings a publication to this node's subscribers. */
  readonly deliver: (publication: Publication) => void;
}

export class Hub<Member> {
  readonly members = new Set<Member>();
  private readonly topics = new Map<string, Topic>();
  private readonly broker: Broker;
  private readonly deliver: HubOptions["deliver"];

  constructor(options: HubOptions) {
    this.deliver = options.deliver;
    this.broker = options.createBroker({
      deliver: (publication) => this.receive(publication),
      lost: () => undefined,
      joined: () => undefined,
      left: () => undefined,
      availability: () => undefined,
    });
  }

  /** Whether publications can be taken now. */
  get isAvailable(): boolean {
    return this.broker.isAvailable;
  }

  publish(topic: string, data: unknown): Position {
    return this.broker.publish(topic, data) as Position; // the memory broker answers at once
  }

  /** Counts one more subscriber of `name`, who receives everything after {@link position}. */
  subscribe(name: string): void {
    let topic = this.topics.get(name);
    if (topic === undefined) {
      topic = { subscribers: 0, ...this.broker.subscribe(name) as Position };
      this.topics.set(name, topic);
    }
    topic.subscribers++;
  }

  unsubscribe(name: string): void {
    const topic = this.topics.get(name);
    if (topic === undefined || --topic.subscribers > 0) return;
    this.topics.delete(name);
    this.broker.unsubscribe(name);
  }

  /** The place of the last publication that was delivered here; undefined for a topic without subscribers. */
  position(name: string): Position | undefined {
    return this.topics.get(name);
  }

  close(): Promise<void> {
    return this.broker.close();
  }

  private receive(publication: Publication): void {
    const topic = this.topics.get(publication.topic);
    if (topic === undefined) return;
    topic.epoch = publication.epoch;
    topic.offset = publication.offset;
    this.deliver(publication);
  }
}
