/** The load generator's process: one job as its only argument, one outcome as its only line of output. */
import { writeSync } from "node:fs";
import process from "node:process";
import type { Job } from "./job.ts";
import { run } from "./work.ts";

const STDOUT = 1;

const outcome = await run(JSON.parse(process.argv[2] ?? "{}") as Job);
writeSync(STDOUT, `${JSON.stringify(outcome)}\n`);
process.exit(0);
