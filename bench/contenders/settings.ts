/**
 * What every built-in contender has in common: its flags, the limits it is given, the line it prints when it
 * listens, and the garbage collection it owes on SIGUSR2. It must never know an engine.
 */
import process from "node:process";
import { parseArgs } from "node:util";

/** Loopback only: a benchmark server is not meant to be reached from elsewhere. */
export const HOST = "127.0.0.1";

/** The topic that every connection of the fan-out workload is subscribed to. */
export const TOPIC = "t";

/** Largest message a contender accepts, and the most it may queue for one slow socket. */
export const MAX_MESSAGE_BYTES = 16 * 1024 * 1024;
export const MAX_BACKPRESSURE_BYTES = 16 * 1024 * 1024;

/** Connections waiting to be accepted, where a contender can be told. */
export const LISTEN_BACKLOG = 1024;

const { values } = parseArgs({
  options: { port: { type: "string", default: "0" }, publish: { type: "boolean", default: false } },
});

/** `--port N`; 0 lets the system choose. */
export const port: number = Number(values.port);

/** `--publish`: send each message to every connection, the sender included, instead of echoing it. */
export const publish: boolean = values.publish;

/** Tells the benchmark that connections are welcome at `url`. */
export function announce(url: string): void {
  console.log(`listening on ${url}`);
}

/** Runs `collect`, a full and synchronous garbage collection, whenever SIGUSR2 arrives. */
export function collectOnSignal(collect: () => void): void {
  process.on("SIGUSR2", collect);
}
