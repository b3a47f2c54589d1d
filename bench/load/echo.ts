/**
 * Echo: every connection keeps a fixed number of messages under way; when a read brings back some of them, as many
 * leave in one write. It must never know how the window is measured.
 */
import type { Buffer } from "node:buffer";
import type { Connection } from "./connection.ts";
import type { Failures } from "./failures.ts";
import type { Job } from "./job.ts";
import type { MessageRing } from "./ring.ts";
import { arrivingBytes, checkArrival, INSPECT_EVERY, ringFor } from "./throughput.ts";
import type { Traffic } from "./throughput.ts";

export class EchoTraffic implements Traffic {
  delivered = 0;
  due = 0;
  inspected = 0;
  readonly #job: Job;
  readonly #failures: Failures;
  readonly #ring: MessageRing;
  /** Messages that a connection may send; Infinity for as long as the traffic runs. */
  readonly #most: number;
  #running = false;

  constructor(job: Job, failures: Failures, most = Infinity) {
    this.#job = job;
    this.#failures = failures;
    this.#ring = ringFor(job, undefined);
    this.#most = most;
  }

  start(connections: readonly Connection[]): void {
    this.#running = true;
    for (const connection of connections) {
      connection.expect(arrivingBytes(this.#job, this.#ring), INSPECT_EVERY);
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

  inspect(connection: Connection, sequence: number, payload: Buffer): void {
    this.inspected++;
    checkArrival(this.#job, this.#ring, connection, sequence, payload);
  }

  failed(reason: string): void {
    this.#failures.add(reason);
  }

  complaint(): string | undefined {
    return this.delivered === this.due ? undefined : `${this.delivered} of ${this.due} messages came back`;
  }

  /** `count` is at most the number in flight, which is the ring's longest batch. */
  #send(connection: Connection, count: number): void {
    const batch = Math.min(count, this.#most - connection.sent);
    if (batch <= 0) return;
    connection.write(this.#ring.batch(connection.sent, batch));
    connection.sent += batch;
    this.due += batch;
  }
}
