/**
 * What every measured server has in common: the limits it is given, the line it prints when it listens, and the
 * garbage collection it owes on SIGUSR2. It must never know an engine.
 */
import process from "node:process";
import { fileURLToPath } from "node:url";

/** Loopback only: a benchmark server is not meant to be reached from elsewhere. */
export const HOST = "127.0.0.1";

/** The topic of a connection to a server that publishes: the path it connected to; native engines want one character. */
export function topicOf(path: string): string {
  return path.slice(1) || "/";
}

/** Largest message a contender accepts, and the most it may queue for one slow socket. */
export const MAX_MESSAGE_BYTES = 16 * 1024 * 1024;
export const MAX_BACKPRESSURE_BYTES = 16 * 1024 * 1024;

/** Connections waiting to be accepted, where a contender can be told. */
export const LISTEN_BACKLOG = 1024;

/** Tells the benchmark that connections are welcome at `url`. */
export function announce(url: string): void {
  console.log(`listening on ${url}`);
}

/** Certificate and key of a server on TLS: PEM files. */
export const CERT_FILE: string = fileURLToPath(
  new URL("../../test/fixtures/localhost.cert.pem", import.meta.url),
);
export const KEY_FILE: string = fileURLToPath(
  new URL("../../test/fixtures/localhost.key.pem", import.meta.url),
);

/**
 * Runs a full and synchronous garbage collection whenever SIGUSR2 arrives, and prints what is left: `memory` and the
 * runtime's own account in JSON. Node and Deno need --expose-gc.
 */
export function collectOnSignal(): void {
  const { gc } = globalThis as { gc?: () => void };
  const collect = process.versions["bun"] !== undefined ? () => Bun.gc(true) : gc;
  if (collect === undefined) return;
  process.on("SIGUSR2", () => {
    collect();
    console.log(`memory ${JSON.stringify(process.memoryUsage())}`);
  });
}
