/**
 * Publishing with acknowledgement, to topics without subscribers: a closed loop with a number under way on each
 * connection, or at a pace that is kept whatever comes back. It must never know how the window is measured.
 */
import { Buffer } from "node:buffer";
import type { Connection } from "../load/connection.ts";
import type { Failures } from "../load/failures.ts";
import type { Job } from "../load/job.ts";
import { maskedFrame, seededBytes } from "../load/ring.ts";
import { TEXT } from "../load/scanner.ts";
import { INSPECT_EVERY } from "../load/throughput.ts";
import type { Traffic } from "../load/throughput.ts";

const COMMAND_ID = 1;
const MASK_SEED = 0xbea7;
const TICK_MS = 5;
const PERCENTILE = 0.99;

export class PublishTraffic implements Traffic {
  delivered = 0;
  due = 0;
  inspected = 0;
  readonly #job: Job;
  readonly #failures: Failures;
  /** 0 for a closed loop. */
  readonly #perSecond: number;
  readonly #batches: Uint8Array[];
  readonly #lastOffset = new Map<Connection, number>();
  /** When what is under way was sent, connection by connection, and what it took in the end. */
  readonly #sentAt = new Map<Connection, number[]>();
  readonly #tookMs: number[] = [];
  #running = false;

  constructor(job: Job, perSecond: number, failures: Failures) {
    this.#job = job;
    this.#failures = failures;
    this.#perSecond = perSecond;
    const data = "d".repeat(job.payloadBytes);
    const command = Buffer.from(
      JSON.stringify({ type: "publish", id: COMMAND_ID, topic: "acknowledged", data }),
    );
    const frame = maskedFrame(TEXT, command, seededBytes(MASK_SEED));
    const most = Math.max(job.inFlight, perSecond);
    const all = Buffer.concat(Array.from({ length: most }, () => frame));
    this.#batches = Array.from({ length: most + 1 }, (_, count) => all.subarray(0, count * frame.length));
  }

  /** Of all acknowledgements so far, in milliseconds; undefined in a closed loop. */
  get p99Ms(): number | undefined {
    const sorted = this.#tookMs.sort((a, b) => a - b);
    return sorted[Math.floor(sorted.length * PERCENTILE)];
  }

  start(connections: readonly Connection[]): void {
    this.#running = true;
    const isPaced = this.#perSecond > 0;
    for (const connection of connections) {
      connection.expect(-1, INSPECT_EVERY);
      if (isPaced) this.#sentAt.set(connection, []);
      else this.#send(connection, this.#job.inFlight);
    }
    if (isPaced) this.#pace(connections);
  }

  stop(): void {
    this.#running = false;
  }

  progressed(connection: Connection, count: number): void {
    this.delivered += count;
    const sentAt = this.#sentAt.get(connection);
    if (sentAt !== undefined) {
      const now = performance.now();
      for (const at of sentAt.splice(0, count)) this.#tookMs.push(now - at);
    } else if (this.#running) this.#send(connection, count);
  }

  inspect(connection: Connection, sequence: number, payload: Uint8Array): void {
    this.inspected++;
    const reply = JSON.parse(Buffer.from(payload).toString()) as Record<string, unknown>;
    const offset = Number(reply["offset"]);
    if (reply["type"] !== "ack" || !(offset > (this.#lastOffset.get(connection) ?? 0))) {
      throw new Error(`publication ${sequence} was answered with ${JSON.stringify(reply)}`);
    }
    this.#lastOffset.set(connection, offset);
  }

  failed(reason: string): void {
    this.#failures.add(reason);
  }

  complaint(): string | undefined {
    return this.delivered === this.due ? undefined : `${this.delivered} of ${this.due} were acknowledged`;
  }

  #pace(connections: readonly Connection[]): void {
    const startMs = performance.now();
    const timer = setInterval(() => {
      if (!this.#running) return clearInterval(timer);
      const due = Math.floor((performance.now() - startMs) * this.#perSecond / 1000);
      for (const connection of connections) {
        const count = Math.min(due - connection.sent, this.#perSecond);
        if (count > 0) this.#send(connection, count);
      }
    }, TICK_MS);
  }

  #send(connection: Connection, count: number): void {
    connection.write(this.#batches[count] as Uint8Array);
    connection.sent += count;
    this.due += count;
    const sentAt = this.#sentAt.get(connection);
    if (sentAt === undefined) return;
    const now = performance.now();
    for (let i = 0; i < count; i++) sentAt.push(now);
  }
}
