/**
 * The load generator's process: one job as its only argument, one outcome as its only line of output. With a membership as its
 * argument it is one of several, and the leader gets the outcome.
 */
import { writeSync } from "node:fs";
import process from "node:process";
import type { Job } from "./job.ts";
import { follow, lead } from "./team.ts";
import type { Membership } from "./team.ts";

const STDOUT = 1;

const task = JSON.parse(process.argv[2] ?? "{}") as Job | Membership;
if ("part" in task) {
  await follow(task);
} else {
  writeSync(STDOUT, `${JSON.stringify(await lead(task))}\n`);
  process.exit(0);
}
