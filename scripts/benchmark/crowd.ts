/**
 * The clients: connections that stay over several measurements; those that were lost are opened anew before the next.
 * It must never know what is sent over them.
 */
import type { RecordableHistogram } from "node:perf_hooks";
import { Connection } from "../../bench/load/connection.ts";
import type { Owner } from "../../bench/load/connection.ts";
import type { Job } from "../../bench/load/job.ts";
import { recordMs, timesHistogram } from "../../bench/load/timetable.ts";
import type { Troubles } from "./troubles.ts";

/** Handshakes under way, well below a listen backlog. */
const OPENING_AT_ONCE = 64;
/** A connection that has not been greeted after this long never will be. */
const MOST_OPENING_MS = 10_000;
const MILLISECONDS = 1e3;

/** How a number of connections came about. */
export interface Opening {
  readonly wanted: number;
  readonly opened: number;
  readonly seconds: number;
  /** From the first packet to the moment when the first message might be sent; of those that opened. */
  readonly latencies: RecordableHistogram;
}

export class Crowd {
  readonly job: Job;
  readonly troubles: Troubles;
  /** The topic that connection `index` subscribes to; undefined for none. */
  readonly topicOf: (index: number) => string | undefined;
  #connections: Connection[] = [];

  constructor(job: Job, troubles: Troubles, topicOf: (index: number) => string | undefined) {
    this.job = job;
    this.troubles = troubles;
    this.topicOf = topicOf;
  }

  /** The open connections. Their indexes are below the greatest number ever asked for, with holes. */
  get connections(): readonly Connection[] {
    return this.#connections;
  }

  /**
   * Opens what is missing to `count` connections; `all` gets the times too. Never rejects: what did not open is among
   * the troubles.
   */
  async fill(count: number, all?: RecordableHistogram): Promise<Opening> {
    const open = new Map(
      this.#connections.filter((one) => one.isRunning).map((one) => [one.index, one]),
    );
    const missing = Array.from({ length: count }, (_, i) => i).filter((i) => !open.has(i));
    const latencies = timesHistogram();
    const start = performance.now();
    let opened = 0;
    let next = 0;
    const worker = async (): Promise<void> => {
      while (next < missing.length) {
        const begin = performance.now();
        const connection = await this.#open(missing[next++] as number); // below the length
        if (connection === undefined) continue;
        const ms = performance.now() - begin;
        recordMs(latencies, ms);
        if (all !== undefined) recordMs(all, ms);
        open.set(connection.index, connection);
        opened++;
      }
    };
    await Promise.all(Array.from({ length: Math.min(OPENING_AT_ONCE, missing.length) }, worker));
    this.#connections = [...open.values()].filter((one) => one.isRunning).sort((a, b) => a.index - b.index);
    const seconds = (performance.now() - start) / MILLISECONDS;
    return { wanted: missing.length, opened, seconds, latencies };
  }

  async #open(index: number): Promise<Connection | undefined> {
    const connection = new Connection(this.job, index, this.#idle, this.topicOf(index));
    let timer: ReturnType<typeof setTimeout> | undefined;
    try {
      const late = new Promise<never>((_, reject) => {
        timer = setTimeout(() => reject(new Error("no answer in time")), MOST_OPENING_MS);
      });
      await Promise.race([connection.open(), late]);
      return connection;
    } catch (error) {
      this.troubles.notOpened(error as Error);
      connection.end();
      return undefined;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Ends all connections. */
  end(): void {
    for (const connection of this.#connections) connection.end();
    this.#connections = [];
  }

  /** Owns connections between measurements, and while they open, when their failure is that of `open`. */
  readonly #idle: Owner = {
    progressed() {},
    inspect() {},
    failed: (reason, connection, error) => {
      if (connection.isRunning) this.troubles.ended(reason, error);
      connection.end();
    },
  };

  /** Takes connections back from whoever owned them. */
  rest(): void {
    for (const connection of this.#connections) connection.owner = this.#idle;
  }
}
