/**
 * The file of evidence: for each contender what a message costs in system calls, and where its CPU time goes.
 * `npm run bench:profile` writes it, the report reads it. Plain records only.
 */

/** One function's own time. */
export interface SelfTime {
  readonly functionName: string;
  /** File and line, without the folders above the project. */
  readonly place: string;
  /** Of the time in which the process was not idle. */
  readonly share: number;
}

/** System calls of one second, by what they are for, for each message that was answered in it. */
export interface SystemCalls {
  readonly read: number;
  readonly write: number;
  /** Waiting for something to do: epoll. */
  readonly wait: number;
  readonly other: number;
}

/** Shares of a process' CPU time by whose code ran; together 1. */
export interface TimeShares {
  readonly kernel: number;
  /** What was compiled at run time: JavaScript, TypeScript. */
  readonly compiled: number;
  /** The runtime's own program with its interpreter and garbage collector, native modules, system libraries. */
  readonly native: number;
}

/** What was seen of one contender while it echoed. */
export interface Observation {
  readonly contender: string;
  /** Messages under way on each connection. */
  readonly inFlight: number;
  readonly messagesPerSecond: number;
  readonly systemCallsPerMessage: SystemCalls;
  readonly timeShares: TimeShares;
}

/** The functions with the most time of their own while a contender echoed. */
export interface FunctionTimes {
  readonly contender: string;
  readonly inFlight: number;
  /** The first one first. */
  readonly top: readonly SelfTime[];
}

/** The whole file. */
export interface Evidence {
  /** The command line that made it. */
  readonly command: string;
  readonly commit: string;
  readonly connections: number;
  readonly payloadBytes: number;
  readonly observations: readonly Observation[];
  readonly functions: readonly FunctionTimes[];
}
