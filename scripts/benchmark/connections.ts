/** The benchmarks of connections that send nothing: how they come about, and what they cost in memory. */
import { Failures } from "../../bench/load/failures.ts";
import { Scales } from "../../bench/load/scales.ts";
import { timesHistogram } from "../../bench/load/timetable.ts";
import type { Run } from "./context.ts";
import { Crowd } from "./crowd.ts";
import { distributionOf } from "./distribution.ts";
import type { Measurement } from "./measurement.ts";
import { readMeter, usageBetween } from "./meter.ts";
import type { ConnectionsResult, MemoryResult } from "./report.ts";
import { saturationOf } from "./saturation.ts";
import { Troubles } from "./troubles.ts";

const CONNECTION_STEPS = 4;
/** Memory is compared between this share of the connections and all of them. */
const FEW_SHARE = 0.2;

/** Opens all connections in steps, and says how fast that went and what was refused. */
export async function measureConnections(run: Run): Promise<ConnectionsResult> {
  const { options, job, pids, progress } = run;
  const troubles = new Troubles();
  const crowd = new Crowd(job, troubles, () => undefined);
  const all = timesHistogram();
  const steps: ConnectionsResult["steps"][number][] = [];
  let seconds = 0;
  let opened = 0;
  const start = readMeter(pids);
  try {
    for (let step = 1; step <= CONNECTION_STEPS; step++) {
      const wanted = Math.ceil(options.connections * step / CONNECTION_STEPS);
      progress(`connections: ${wanted} of ${options.connections}`);
      const before = readMeter(pids);
      const opening = await crowd.fill(wanted, all);
      seconds += opening.seconds;
      opened += opening.opened;
      const latency = distributionOf(opening.latencies);
      steps.push({
        open: crowd.connections.length,
        perSecond: opening.opened / opening.seconds,
        ...(latency !== undefined && { latency }),
        usage: usageBetween(before, readMeter(pids)),
      });
      if (opening.opened < opening.wanted) break;
    }
    const latency = distributionOf(all);
    const usage = usageBetween(start, readMeter(pids));
    const open = crowd.connections.length;
    const asMeasurement = { ...nothing(usage), troubles };
    return {
      wanted: options.connections,
      open,
      perSecond: opened / seconds,
      ...(latency !== undefined && { latency }),
      steps,
      troubles,
      ...(open < options.connections && { saturation: saturationOf(asMeasurement, Infinity) }),
    };
  } finally {
    crowd.end();
  }
}

/** A measurement without messages. */
function nothing(usage: Measurement["usage"]): Omit<Measurement, "troubles"> {
  return {
    ...{
      sentPerSecond: 0,
      deliveredPerSecond: 0,
      connections: 0,
      sent: 0,
      delivered: 0,
      lost: 0,
      refused: 0,
    },
    ...{ unsent: 0, inspected: 0, waitingBytes: 0, endedEarly: false },
    generatorShare: usage.loadShare,
    usage,
  };
}

/** Weighs the server with few connections, with many, and with none again; says why it did not if it cannot. */
export async function measureMemory(run: Run): Promise<MemoryResult | { omitted: string }> {
  const { options, job, server, pids, progress } = run;
  if ("omitted" in server) return server;
  const few = Math.max(1, Math.round(options.connections * FEW_SHARE));
  if (few === options.connections) return { omitted: "one connection alone has nothing to be compared with" };
  const failures = new Failures();
  // A signal that asks for a garbage collection may mean anything to a server that is not ours.
  const scales = pids.map((serverPid) => new Scales({ serverPid, collects: false }, failures));
  const weigh = async (): Promise<number> =>
    (await Promise.all(scales.map((one) => one.weigh()))).reduce((sum, bytes) => sum + bytes, 0);
  const crowd = new Crowd(job, new Troubles(), () => undefined);
  try {
    progress(`memory: ${few} connections`);
    await crowd.fill(few);
    const fewConnections = crowd.connections.length;
    const fewBytes = await weigh();
    progress(`memory: ${options.connections} connections`);
    await crowd.fill(options.connections);
    const manyConnections = crowd.connections.length;
    const manyBytes = await weigh();
    crowd.end();
    progress("memory: all connections closed");
    const afterBytes = await weigh();
    if (manyConnections <= fewConnections) return { omitted: "the connections could not be opened" };
    const bytesPerConnection = (manyBytes - fewBytes) / (manyConnections - fewConnections);
    return { fewConnections, fewBytes, manyConnections, manyBytes, afterBytes, bytesPerConnection };
  } catch (error) {
    return { omitted: (error as Error).message };
  } finally {
    crowd.end();
  }
}
