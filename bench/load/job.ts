/**
 * What the load generator is asked to do, and what it answers: one JSON argument in, one JSON line out.
 * Plain records only; it must never know how a server is started.
 */

/** What the clients do: ask and be answered, publish to all, or only stay. */
export type Workload = "echo" | "fanout" | "idle";
export const WORKLOADS: readonly Workload[] = ["echo", "fanout", "idle"];

/**
 * What is spoken: plain WebSocket messages (`bare`), Millrace's JSON commands (`millrace`), or messages of a fixed
 * size without any framing (`tcp`).
 */
export type Protocol = "bare" | "millrace" | "tcp";
export const PROTOCOLS: readonly Protocol[] = ["bare", "millrace", "tcp"];

/** One run of one workload against one server. */
export interface Job {
  workload: Workload;
  protocol: Protocol;
  /** `ws://host:port/path` or `tcp://host:port`. */
  url: string;
  /** The server's process, on this machine: its CPU time and memory are what is measured. */
  serverPid: number;
  warmupSeconds: number;
  /** Length of the measured window. */
  seconds: number;
  connections: number;
  /** Messages under way: per connection (echo), or publications not yet delivered to all (fan-out). */
  inFlight: number;
  /** Size of the data in a message, without framing and without the protocol's own fields. */
  payloadBytes: number;
  binary: boolean;
}

/** Figures of the measured window, for echo and fan-out. */
export interface Throughput {
  /** Messages that reached a client. */
  messages: number;
  seconds: number;
  /** User and system time of the server process, all threads, in steps of 10 ms. */
  serverCpuSeconds: number;
  loadCpuSeconds: number;
  /** Messages received over messages due, from the first to the last of the run. */
  deliveryRatio: number;
  /** Messages whose whole content was compared, from the first to the last of the run. */
  inspected: number;
}

/** Figures of the idle workload. */
export interface Idle {
  fewConnections: number;
  manyConnections: number;
  /** Resident memory of the server with few and with many connections, settled and after a garbage collection. */
  fewBytes: number;
  manyBytes: number;
  /** Whether the server has a handler for the signal that asks for a garbage collection. */
  collected: boolean;
}

/** The answer to a job. A run with failures has no valid figures. */
export interface Outcome {
  failures: string[];
  throughput?: Throughput;
  idle?: Idle;
}
