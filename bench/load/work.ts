/** From a job to its outcome, whatever the workload. It must never start or stop a server. */
import { runChurn } from "./churn.ts";
import { EchoTraffic } from "./echo.ts";
import { Failures, RunBroken } from "./failures.ts";
import { FanoutTraffic, roomTopic, TOPIC } from "./fanout.ts";
import { runIdle } from "./idle.ts";
import type { Job, Outcome } from "./job.ts";
import { runLatency } from "./latency.ts";
import { runStorm } from "./storm.ts";
import { runThroughput } from "./throughput.ts";
import { alone, type Together } from "./together.ts";

async function work(job: Job, failures: Failures, together: Together): Promise<Partial<Outcome>> {
  switch (job.workload) {
    case "echo":
      return {
        throughput: await runThroughput(job, new EchoTraffic(job, failures), undefined, failures, together),
      };
    case "fanout": {
      const traffic = new FanoutTraffic(job, failures);
      return { throughput: await runThroughput(job, traffic, () => TOPIC, failures) };
    }
    case "rooms": {
      const topicOf = (index: number) => roomTopic(index, job);
      const traffic = new FanoutTraffic(job, failures);
      return { throughput: await runThroughput(job, traffic, topicOf, failures, together) };
    }
    case "latency":
      return { latency: await runLatency(job, failures) };
    case "idle":
      return { idle: await runIdle(job, failures) };
    case "churn":
      return { churn: await runChurn(job, failures) };
    case "storm":
      return { storm: await runStorm(job, failures, together) };
  }
}

/** Does a job, or a share of one. Never rejects: what went wrong is in the outcome. */
export async function run(job: Job, together: Together = alone): Promise<Outcome> {
  const failures = new Failures();
  try {
    return { failures: failures.reasons, ...await work(job, failures, together) };
  } catch (error) {
    if (!(error instanceof RunBroken)) failures.add(`the load generator failed: ${(error as Error).message}`);
    return { failures: failures.reasons };
  }
}
