/**
 * Idle: what a connection that does nothing costs the server in memory, between a few and many of them.
 * It must never know how a server frees memory, only how to ask for it.
 */
import { constants } from "node:os";
import process from "node:process";
import { handlesSignal, residentBytes } from "../proc.ts";
import { openConnections } from "./connection.ts";
import type { Owner } from "./connection.ts";
import type { Failures } from "./failures.ts";
import type { Idle, Job } from "./job.ts";

/** Memory is compared between this share of the connections and all of them. */
const FEW_SHARE = 1 / 5;

/** Memory counts as stable when it moved less than this over that many readings. */
const STABLE_BYTES = 64 * 1024;
const STABLE_READINGS = 6;
const READING_SECONDS = 0.1;
const MOST_READINGS = 120;
/** A second collection frees what the first one's finalizers have let go. */
const COLLECT_AT_READINGS: readonly number[] = [1, 3];

/** Opens the connections in two steps and compares the server's memory. */
export async function runIdle(job: Job, failures: Failures): Promise<Idle> {
  const owner: Owner = {
    progressed: () => {},
    inspect: () => {},
    failed: (reason) => failures.add(reason),
  };
  const few = Math.max(1, Math.round(job.connections * FEW_SHARE));
  await failures.unless(openConnections(job, owner, few));
  const fewBytes = await settledBytes(job.serverPid, failures);
  await failures.unless(openConnections(job, owner, job.connections - few, few));
  const manyBytes = await settledBytes(job.serverPid, failures);
  failures.end();
  return {
    fewConnections: few,
    manyConnections: job.connections,
    fewBytes,
    manyBytes,
    collected: handlesSignal(job.serverPid, constants.signals.SIGUSR2),
  };
}

async function settledBytes(pid: number, failures: Failures): Promise<number> {
  const readings: number[] = [];
  for (let i = 0; i < MOST_READINGS; i++) {
    await failures.sleep(READING_SECONDS);
    if (COLLECT_AT_READINGS.includes(i) && handlesSignal(pid, constants.signals.SIGUSR2)) {
      process.kill(pid, "SIGUSR2");
    }
    readings.push(residentBytes(pid));
    const last = readings.slice(-STABLE_READINGS);
    const isAfterCollections = i >= STABLE_READINGS + Math.max(...COLLECT_AT_READINGS);
    if (isAfterCollections && Math.max(...last) - Math.min(...last) <= STABLE_BYTES) {
      return residentBytes(pid);
    }
  }
  failures.add(`the server's memory was not stable after ${MOST_READINGS * READING_SECONDS} s`);
  return residentBytes(pid);
}
