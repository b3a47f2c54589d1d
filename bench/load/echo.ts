/**
 * Echo: every connection keeps a fixed number of messages under way; when a read brings back some of them, as many
 * leave in one write. It must never know how the window is measured.
 */
import { Buffer } from "node:buffer";
import type { Connection } from "./connection.ts";
import type { Failures } from "./failures.ts";
import type { Job } from "./job.ts";
import type { MessageRing } from "./ring.ts";
import { INSPECT_EVERY, ringFor } from "./throughput.ts";
import type { Traffic } from "./throughput.ts";

export class EchoTraffic implements Traffic {
  delivered = 0;
  due = 0;
  inspected = 0;
  readonly #job: Job;
  readonly #failures: Failures;
  readonly #ring: MessageRing;
  #running = false;

  constructor(job: Job, failures: Failures) {
    this.#job = job;
    this.#failures = failures;
    this.#ring = ringFor(job, (data) => ({ type: "echo", data }));
  }

  start(connections: readonly Connection[]): void {
    const messageBytes = this.#job.protocol === "millrace" ? -1 : this.#job.payloadBytes;
    this.#running = true;
    for (const connection of connections) {
      connection.expect(messageBytes, INSPECT_EVERY);
      this.#send(connection, this.#job.inFlight);
    }
  }

  stop(): void {
    this.#running = false;
  }

  progressed(connection: Connection, count: number): void {
    this.delivered += count;
    if (connection.received > connection.sent) {
      this.failed(`connection ${connection.index}: more messages came back than were sent`);
    } else if (this.#running) {
      this.#send(connection, count);
    }
  }

  inspect(_connection: Connection, sequence: number, payload: Uint8Array): void {
    this.inspected++;
    const sent = this.#ring.dataOf(sequence);
    if (this.#job.protocol === "millrace") {
      const message = JSON.parse(Buffer.from(payload).toString()) as Record<string, unknown>;
      if (message["type"] === "echo" && message["data"] === sent.toString()) return;
    } else if (sent.equals(payload)) {
      return;
    }
    throw new Error(`message ${sequence} came back with other content`);
  }

  failed(reason: string): void {
    this.#failures.add(reason);
  }

  complaint(): string | undefined {
    return this.delivered === this.due ? undefined : `${this.delivered} of ${this.due} messages came back`;
  }

  /** `count` is at most the number in flight, which is the ring's longest batch. */
  #send(connection: Connection, count: number): void {
    connection.write(this.#ring.batch(connection.sent, count));
    connection.sent += count;
    this.due += count;
  }
}
