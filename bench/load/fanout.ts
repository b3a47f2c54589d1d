/**
 * Fan-out: the first connection publishes, every connection (the first one too) receives every publication. A fixed
 * number of publications is under way; one that has reached all makes room for the next.
 * It must never know how the window is measured.
 */
import { Buffer } from "node:buffer";
import { TOPIC } from "./connection.ts";
import type { Connection } from "./connection.ts";
import type { Failures } from "./failures.ts";
import type { Job } from "./job.ts";
import type { MessageRing } from "./ring.ts";
import { INSPECT_EVERY, ringFor } from "./throughput.ts";
import type { Traffic } from "./throughput.ts";

/** Subscribers of which every single message is inspected, where messages carry offsets. */
const CLOSELY_WATCHED = 4;

export class FanoutTraffic implements Traffic {
  delivered = 0;
  inspected = 0;
  readonly #job: Job;
  readonly #failures: Failures;
  readonly #ring: MessageRing;
  #subscribers: readonly Connection[] = [];
  #published = 0;
  /** Deliveries at which there is room for another publication. */
  #roomAt = 0;
  #running = false;

  constructor(job: Job, failures: Failures) {
    this.#job = job;
    this.#failures = failures;
    this.#ring = ringFor(job, (data) => ({ type: "publish", topic: TOPIC, data }));
  }

  get due(): number {
    return this.#published * this.#subscribers.length;
  }

  start(connections: readonly Connection[]): void {
    this.#subscribers = connections;
    this.#running = true;
    const millrace = this.#job.protocol === "millrace";
    const watchedStep = Math.ceil(connections.length / CLOSELY_WATCHED);
    for (const connection of connections) {
      const isWatched = millrace && connection.index % watchedStep === 0;
      connection.expect(millrace ? -1 : this.#job.payloadBytes, isWatched ? 1 : INSPECT_EVERY);
    }
    this.#publish();
  }

  stop(): void {
    this.#running = false;
  }

  progressed(_connection: Connection, count: number): void {
    this.delivered += count;
    if (this.delivered >= this.#roomAt && this.#running) this.#publish();
  }

  inspect(connection: Connection, sequence: number, payload: Uint8Array): void {
    this.inspected++;
    const sent = this.#ring.dataOf(sequence);
    if (this.#job.protocol === "millrace") this.#inspectEvent(connection, sequence, payload, sent.toString());
    else if (!sent.equals(payload)) throw new Error(`publication ${sequence} arrived with other content`);
  }

  failed(reason: string): void {
    this.#failures.add(reason);
  }

  complaint(): string | undefined {
    const wrong = this.#subscribers.filter((subscriber) => subscriber.received !== this.#published);
    const [first] = wrong;
    if (first === undefined) return undefined;
    return `${wrong.length} of ${this.#subscribers.length} subscribers did not get exactly ${this.#published} ` +
      `publications; number ${first.index} got ${first.received}`;
  }

  /** Offsets grow by one from the one that the subscription was acknowledged with. */
  #inspectEvent(connection: Connection, sequence: number, payload: Uint8Array, data: string): void {
    const event = JSON.parse(Buffer.from(payload).toString()) as Record<string, unknown>;
    const { epoch, offset } = connection.subscription ?? { epoch: undefined, offset: 0 };
    if (event["type"] !== "message" || event["topic"] !== TOPIC || event["data"] !== data) {
      throw new Error(`publication ${sequence} arrived with other content`);
    }
    if (event["epoch"] !== epoch || event["offset"] !== offset + 1 + sequence) {
      throw new Error(`publication ${sequence} has offset ${event["offset"]}, ${offset} was subscribed at`);
    }
  }

  #publish(): void {
    const count = this.#subscribers.length;
    const room = Math.floor(this.delivered / count) + this.#job.inFlight - this.#published;
    // More deliveries than publications: the complaint at the end tells whose.
    const batch = Math.min(room, this.#job.inFlight);
    this.#subscribers[0]?.write(this.#ring.batch(this.#published, batch));
    this.#published += batch;
    this.#roomAt = (this.#published - this.#job.inFlight + 1) * count;
  }
}
