/**
 * What the load generator of the guards is asked to do, and what it answers: one JSON argument in, one JSON line out.
 * Plain records only; it must never know how a server is started.
 */
import type { Job, Outcome } from "../load/job.ts";

/** What goes on beside the ordinary work. */
export type Trouble = "none" | "flood" | "sleeper";

export interface Task {
  readonly job: Job;
  /** Publish and be acknowledged, as fast as answers come or at a pace, or publish to all. */
  readonly work: "publish" | "paced" | "fanout";
  /** Messages per second of each connection, for `paced`. */
  readonly perSecond: number;
  readonly trouble: Trouble;
  /** Messages per second that the flood tries to send. */
  readonly floodPerSecond: number;
}

export interface TaskOutcome extends Outcome {
  /** From sending a command to its acknowledgement, for `paced`. */
  p99Ms?: number;
  /** Resident memory of the server at the end less that before the connections of this task came. */
  grownBytes?: number;
  /** The most that waited for a sleeper, as the server's metrics told. */
  queuedBytes?: number;
  /** Connections of the flood that the server closed, and messages that it sent. */
  floodCloses?: number;
  floodSent?: number;
}
