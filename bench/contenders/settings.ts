/**
 * What every measured server has in common: the limits it is given, the line it prints when it listens, and the
 * garbage collection it owes on SIGUSR2. It must never know an engine.
 */
import process from "node:process";

/** Loopback only: a benchmark server is not meant to be reached from elsewhere. */
export const HOST = "127.0.0.1";

/** The topic that every connection of the fan-out workload is subscribed to. */
export const TOPIC = "t";

/** Largest message a contender accepts, and the most it may queue for one slow socket. */
export const MAX_MESSAGE_BYTES = 16 * 1024 * 1024;
export const MAX_BACKPRESSURE_BYTES = 16 * 1024 * 1024;

/** Connections waiting to be accepted, where a contender can be told. */
export const LISTEN_BACKLOG = 1024;

/** Tells the benchmark that connections are welcome at `url`. */
export function announce(url: string): void {
  console.log(`listening on ${url}`);
}

/** Runs `collect`, a full and synchronous garbage collection, whenever SIGUSR2 arrives. */
export function collectOnSignal(collect: () => void): void {
  process.on("SIGUSR2", collect);
}
