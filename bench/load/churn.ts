/**
 * Churn: a steady number of connections of which the oldest go and new ones come, all the time;
 * does the server's memory grow? It must never know why.
 */
import { openConnections } from "./connection.ts";
import type { Connection, Owner } from "./connection.ts";
import type { Failures } from "./failures.ts";
import type { Churn, Job } from "./job.ts";
import { Scales } from "./scales.ts";

/** The share of the connections that is replaced at a time. */
const REPLACED_SHARE = 1 / 20;
/** A breath between two replacements, so that the server is not busy all the time. */
const PAUSE_SECONDS = 0.02;
const MILLISECONDS = 1e3;

export async function runChurn(job: Job, failures: Failures): Promise<Churn> {
  const scales = new Scales(job, failures);
  const owner: Owner = { progressed() {}, inspect() {}, failed: (reason) => failures.add(reason) };
  const step = Math.max(1, Math.round(job.connections * REPLACED_SHARE));
  let connections: Connection[] = await failures.unless(
    openConnections(job, owner, { count: job.connections }),
  );
  let replaced = 0;
  const churn = async (seconds: number): Promise<void> => {
    const end = performance.now() + seconds * MILLISECONDS;
    while (performance.now() < end) {
      for (const connection of connections.slice(0, step)) connection.end();
      const fresh = await failures.unless(openConnections(job, owner, { count: step }));
      connections = [...connections.slice(step), ...fresh];
      replaced += step;
      await failures.sleep(PAUSE_SECONDS);
    }
  };
  await churn(job.warmupSeconds);
  const startBytes = await scales.weigh();
  replaced = 0;
  await churn(job.seconds);
  const endBytes = await scales.weigh();
  failures.end();
  for (const connection of connections) connection.end();
  return { seconds: job.seconds, connections: replaced, startBytes, endBytes };
}
