/**
 * What the load generator is asked to do, and what it answers: one JSON argument in, one JSON line out.
 * Plain records only; it must never know how a server is started.
 */

import type { Trust } from "./link.ts";

/**
 * What the clients do: ask and be answered, publish to all, publish each to a room of its own, ask at a steady rate,
 * stay and do nothing, come and go, or only shake hands.
 */
export const WORKLOADS = ["echo", "fanout", "rooms", "latency", "idle", "churn", "storm"] as const;
export type Workload = typeof WORKLOADS[number];

/**
 * What is spoken: plain WebSocket messages (`bare`), Millrace's commands in JSON (`millrace`) or MessagePack
 * (`millrace-msgpack`), what Socket.IO, MQTT, NATS and nchan speak over WebSocket, or messages of a fixed size
 * without any framing (`tcp`).
 */
export const PROTOCOLS = [
  "bare",
  "millrace",
  "millrace-msgpack",
  "socketio",
  "mqtt",
  "nats",
  "nchan",
  "tcp",
] as const;
export type Protocol = typeof PROTOCOLS[number];

/** One run of one workload against one server. */
export interface Job {
  workload: Workload;
  protocol: Protocol;
  /** `ws://host:port/path`, `wss://…` or `tcp://host:port`. */
  url: string;
  /** The server's process, on this machine: its CPU time and memory are what is measured. */
  serverPid: number;
  /** Whether SIGUSR2, if the server handles it, asks for a garbage collection; to others it may mean anything. */
  collects: boolean;
  /**
   * A process for each, which share the connections of echo, rooms and storm: more than one where one cannot keep the
   * server busy. The generator is on the first already.
   */
  cores: readonly number[];
  /** The index of the first connection: others have those before. */
  firstIndex: number;
  warmupSeconds: number;
  /** Length of the measured window. */
  seconds: number;
  connections: number;
  /** Messages under way: per connection (echo, storm: handshakes), or publications not yet delivered to all. */
  inFlight: number;
  /** Size of the data in a message, without framing and without the protocol's own fields. */
  payloadBytes: number;
  binary: boolean;
  /** Offers permessage-deflate without context takeover, and sends compressed messages. */
  deflate: boolean;
  /** What the data is: characters or bytes at random, or text as an API would send it. */
  content: "random" | "json";
  /** Rooms: connections in each. */
  roomSize: number;
  /** Fan-out: subscribers beside the others that never read. */
  slowConsumers: number;
  /** Latency: the rate, as a share of what this server was measured to do. */
  share: number;
  /** Latency: what is done at that rate. */
  traffic: "echo" | "fanout";
  /** Idle: messages echoed on each connection before memory is weighed. */
  activeMessages: number;
  /** Further lines of the opening handshake's head, as \`Name: value\`. */
  headers: readonly string[];
  /** With wss: which certificates are believed. */
  trust: Trust;
}

/** What a job knows of its server. */
export type JobServer = Pick<Job, "protocol" | "url" | "serverPid" | "collects">;

/** A job but for what a caller says: a little of everything. */
export const defaultJob: Omit<Job, "workload" | keyof JobServer> = {
  cores: [],
  firstIndex: 0,
  warmupSeconds: 1,
  seconds: 4,
  connections: 64,
  inFlight: 8,
  payloadBytes: 64,
  binary: false,
  deflate: false,
  content: "random",
  roomSize: 10,
  slowConsumers: 0,
  share: 0.5,
  traffic: "echo",
  activeMessages: 0,
  headers: [],
  // Contenders have the fixture's own certificate.
  trust: { ca: "", insecure: true },
};

/** What was counted in a window. */
export interface Window {
  seconds: number;
  /** User and system time of the server process, all threads, in steps of 10 ms. */
  serverCpuSeconds: number;
  /** Of all its processes together. */
  loadCpuSeconds: number;
  /** 1 unless said. */
  loadProcesses?: number;
}

/** Figures of the measured window, for echo, fan-out and rooms. */
export interface Throughput extends Window {
  /** Messages that reached a client. */
  messages: number;
  /** Messages received over messages due, from the first to the last of the run. */
  deliveryRatio: number;
  /** Messages whose whole content was compared, from the first to the last of the run. */
  inspected: number;
  /** Resident memory of the server at the end of the window. */
  rssBytes: number;
}

/** Figures of the latency workload, from the time a message should have left to its arrival. */
export interface Latency extends Window {
  /** What the server did in a closed loop of the same traffic, in messages sent per second. */
  capacityPerSecond: number;
  offeredPerSecond: number;
  p50Ms: number;
  p90Ms: number;
  p99Ms: number;
  p999Ms: number;
  maxMs: number;
  /** How late the load generator itself was in sending, at its 99th percentile. */
  lateP99Ms: number;
  deliveryRatio: number;
}

/** Figures of the idle workload. */
export interface Idle {
  fewConnections: number;
  manyConnections: number;
  /** Resident memory of the server with few and with many connections, settled and after a garbage collection. */
  fewBytes: number;
  manyBytes: number;
  /** The same after all connections have gone. */
  afterBytes: number;
  /** Whether the server has a handler for the signal that asks for a garbage collection. */
  collected: boolean;
  /** How many such signals had been sent when memory was read: with few, with many, with none. */
  collections: [few: number, many: number, after: number];
}

/** Figures of the churn workload: memory, settled, after the first and after the last connections came and went. */
export interface Churn {
  seconds: number;
  /** Connections opened and ended. */
  connections: number;
  startBytes: number;
  endBytes: number;
}

/** Figures of the storm workload. */
export interface Storm extends Window {
  handshakes: number;
}

/** The answer to a job. A run with failures has no valid figures. */
export interface Outcome {
  failures: string[];
  throughput?: Throughput;
  latency?: Latency;
  idle?: Idle;
  churn?: Churn;
  storm?: Storm;
}
