/**
 * The load generator's process: one job as its only argument, one outcome as its only line of output.
 * It must never start or stop a server.
 */
import { writeSync } from "node:fs";
import process from "node:process";
import { EchoTraffic } from "./echo.ts";
import { Failures, RunBroken } from "./failures.ts";
import { FanoutTraffic } from "./fanout.ts";
import { runIdle } from "./idle.ts";
import type { Job, Outcome } from "./job.ts";
import { runThroughput } from "./throughput.ts";

const STDOUT = 1;

async function run(job: Job): Promise<Outcome> {
  const failures = new Failures();
  const outcome: Outcome = { failures: failures.reasons };
  try {
    if (job.workload === "idle") {
      outcome.idle = await runIdle(job, failures);
    } else {
      const traffic = job.workload === "echo"
        ? new EchoTraffic(job, failures)
        : new FanoutTraffic(job, failures);
      outcome.throughput = await runThroughput(job, traffic, failures);
    }
  } catch (error) {
    if (!(error instanceof RunBroken)) failures.add(`the load generator failed: ${(error as Error).message}`);
  }
  return outcome;
}

const outcome = await run(JSON.parse(process.argv[2] ?? "{}") as Job);
writeSync(STDOUT, `${JSON.stringify(outcome)}\n`);
process.exit(0);
