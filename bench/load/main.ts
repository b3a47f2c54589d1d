/**
 * The load generator's process: one job as its only argument, one outcome as its only line of output. Forked, it is one of
 * several, and its leader gets the outcome.
 */
import { writeSync } from "node:fs";
import process from "node:process";
import type { Job } from "./job.ts";
import { follow, lead } from "./team.ts";

const STDOUT = 1;

const job = JSON.parse(process.argv[2] ?? "{}") as Job;
if (process.send === undefined) {
  writeSync(STDOUT, `${JSON.stringify(await lead(job))}\n`);
  process.exit(0);
} else {
  await follow(job);
}
