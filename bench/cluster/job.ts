/** What the cluster's load generator is told and what it answers; both travel as JSON. */

/** What a server is spoken to in. */
export type Dialect = "millrace" | "socketio";

export interface Phase {
  /** Publications a second. */
  readonly rate: number;
  /** Which node has the subscribers; publications go to the first. */
  readonly subscribersAt: 0 | 1;
}

export interface ClusterJob {
  readonly dialect: Dialect;
  /** The two nodes. */
  readonly urls: readonly [string, string];
  /** Whose CPU time is taken: the two nodes, then what joins them. */
  readonly pids: readonly number[];
  readonly phases: readonly Phase[];
  readonly warmupSeconds: number;
  readonly seconds: number;
  readonly topics: number;
  readonly publishers: number;
  readonly payloadBytes: number;
}

export interface PhaseOutcome extends Phase {
  /** From the moment at which a publication was due to its delivery, in milliseconds. */
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
  /** From that moment to its sending: what of the above is the load generator's own, at the 99th percentile. */
  readonly lateP99: number;
  readonly published: number;
  readonly delivered: number;
  /** CPU seconds of each of the job's processes per second. */
  readonly cpu: readonly number[];
}
