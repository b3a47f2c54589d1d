/**
 * Weighs a server's memory: asks for garbage collections and waits until the resident memory is stable.
 * It must never know what happened before.
 */
import { constants } from "node:os";
import process from "node:process";
import { handlesSignal, residentBytes } from "../proc.ts";
import type { Failures } from "./failures.ts";
import type { Job } from "./job.ts";

/** Memory counts as stable when it moved less than this over that many readings. */
const STABLE_BYTES = 64 * 1024;
const STABLE_READINGS = 6;
const READING_SECONDS = 0.1;
const MOST_READINGS = 120;
/** A second collection frees what the first one's finalizers have let go. */
const COLLECT_AT_READINGS: readonly number[] = [1, 3];

export class Scales {
  /** Whether the server has a handler for the signal that asks for a collection. */
  readonly canCollect: boolean;
  /** Collections asked for so far. */
  collections = 0;
  readonly #pid: number;
  readonly #failures: Failures;

  constructor({ collects, serverPid }: Pick<Job, "collects" | "serverPid">, failures: Failures) {
    this.#pid = serverPid;
    this.#failures = failures;
    this.canCollect = collects && handlesSignal(serverPid, constants.signals.SIGUSR2);
  }

  /** The resident memory, in bytes; a failure is added when it does not become stable. */
  async weigh(): Promise<number> {
    const readings: number[] = [];
    for (let i = 0; i < MOST_READINGS; i++) {
      await this.#failures.sleep(READING_SECONDS);
      if (COLLECT_AT_READINGS.includes(i) && this.canCollect) {
        process.kill(this.#pid, "SIGUSR2");
        this.collections++;
      }
      readings.push(residentBytes(this.#pid));
      const last = readings.slice(-STABLE_READINGS);
      const isAfterCollections = i >= STABLE_READINGS + Math.max(...COLLECT_AT_READINGS);
      if (isAfterCollections && Math.max(...last) - Math.min(...last) <= STABLE_BYTES) {
        return residentBytes(this.#pid);
      }
    }
    this.#failures.add(`the server's memory was not stable after ${MOST_READINGS * READING_SECONDS} s`);
    return residentBytes(this.#pid);
  }
}
