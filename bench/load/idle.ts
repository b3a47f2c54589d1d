/**
 * Idle: what a connection that does nothing (any more) costs the server in memory, between a few and many of them, and
 * what is left when all have gone. It must never know how a server frees memory, only how to ask for it.
 */
import { openConnections } from "./connection.ts";
import type { Connection, Owner } from "./connection.ts";
import { EchoTraffic } from "./echo.ts";
import type { Failures } from "./failures.ts";
import type { Idle, Job } from "./job.ts";
import { Scales } from "./scales.ts";
import { drain } from "./throughput.ts";

/** Memory is compared between this share of the connections and all of them. */
const FEW_SHARE = 1 / 5;

/** Opens the connections in two steps, weighs the server's memory after each, and once more after all have gone. */
export async function runIdle(job: Job, failures: Failures): Promise<Idle> {
  const scales = new Scales(job, failures);
  const few = Math.max(1, Math.round(job.connections * FEW_SHARE));
  const first = await openActive(job, failures, few, 0);
  const fewBytes = await scales.weigh();
  const fewCollections = scales.collections;
  const rest = await openActive(job, failures, job.connections - few, few);
  const manyBytes = await scales.weigh();
  const manyCollections = scales.collections;
  for (const connection of [...first, ...rest]) connection.end();
  const afterBytes = await scales.weigh();
  failures.end();
  return {
    fewConnections: few,
    manyConnections: job.connections,
    ...{ fewBytes, manyBytes, afterBytes },
    collected: scales.canCollect,
    collections: [fewCollections, manyCollections, scales.collections],
  };
}

/** Opens connections and lets each have its messages echoed, if it is to. */
async function openActive(job: Job, failures: Failures, count: number, from: number): Promise<Connection[]> {
  const still: Owner = {
    progressed: () => {},
    inspect: () => {},
    failed: (reason) => failures.add(reason),
  };
  const connections = await failures.unless(openConnections(job, still, { count, from }));
  if (job.activeMessages === 0) return connections;
  const traffic = new EchoTraffic(job, failures, job.activeMessages);
  for (const connection of connections) connection.owner = traffic;
  traffic.start(connections);
  await drain(traffic, failures);
  const complaint = traffic.complaint();
  if (complaint !== undefined) failures.add(complaint);
  for (const connection of connections) connection.owner = still;
  return connections;
}
