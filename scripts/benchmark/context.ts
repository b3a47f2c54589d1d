/** What the benchmarks of one run work with. It must never know which of them run. */
import type { Job } from "../../bench/load/job.ts";
import type { Crowd } from "./crowd.ts";
import type { Options } from "./options.ts";
import type { ServerProcesses } from "./target.ts";

/** One run. */
export interface Run {
  readonly options: Options;
  readonly job: Job;
  readonly protocol: "millrace" | "echo";
  readonly server: ServerProcesses;
  /** Those of `server`; none when they are not measured. */
  readonly pids: readonly number[];
  /** The clients that messages go over. */
  readonly crowd: Crowd;
  /** Told what is being done. */
  readonly progress: (text: string) => void;
}
