/**
 * One measurement: warm up, a window, let the last messages arrive, and what was counted. It ends early when the server
 * is hopelessly behind or has closed every connection. It must never judge what it counted.
 */
import { Failures } from "../../bench/load/failures.ts";
import { drain } from "../../bench/load/throughput.ts";
import { NANOSECONDS_PER_MS } from "../../bench/load/timetable.ts";
import type { Crowd } from "./crowd.ts";
import { type Distribution, distributionOf } from "./distribution.ts";
import { Load, type Pace } from "./load.ts";
import { readMeter, type Usage, usageBetween } from "./meter.ts";
import { type TroubleCounts, Troubles } from "./troubles.ts";

/** How often it is looked whether there is any sense in going on. */
const LOOK_SECONDS = 0.1;
/** More than this under way in an open loop: the server is hopelessly behind. In seconds' worth of messages. */
const HOPELESS_SECONDS = 1;

/** What was counted. Rates are those of the window, numbers those from the first to the last message. */
export interface Measurement {
  /** The open loop's rate, in messages sent per second. */
  readonly offeredPerSecond?: number;
  readonly sentPerSecond: number;
  /** Arrivals: a publication counts once for each subscriber. */
  readonly deliveredPerSecond: number;
  readonly connections: number;
  readonly sent: number;
  readonly delivered: number;
  /** Due and never arrived, those included that were under way to a connection when the server ended it. */
  readonly lost: number;
  readonly refused: number;
  /** Left out of the timetable as the sender's connection had ended. */
  readonly unsent: number;
  /** Compared as a whole with what was sent. */
  readonly inspected: number;
  /** From the intended time of sending (open loop) or from the start (burst) to the arrival; absent in a closed loop. */
  readonly latency?: Distribution;
  /** How late the load generator sent, at its 99th percentile. */
  readonly lateP99Ms?: number;
  /** Share of the time in which the load generator was busy. */
  readonly generatorShare: number;
  readonly usage: Usage;
  /** Bytes that the server, or the network, had not taken from the load generator at the end of the window. */
  readonly waitingBytes: number;
  readonly endedEarly: boolean;
  readonly troubles: TroubleCounts;
}

/** How long a measurement takes. */
export interface Windows {
  readonly warmupSeconds: number;
  readonly seconds: number;
}

/** Measures on the open connections of `crowd`, with `pids` as the server. */
export async function measure(
  crowd: Crowd,
  pace: Pace,
  windows: Windows,
  pids: readonly number[],
): Promise<Measurement> {
  const troubles = new Troubles();
  const load = new Load(crowd.job, crowd.connections, pace, troubles);
  const connections = crowd.connections.length;
  const isHopeless = (): boolean =>
    load.isDead ||
    (pace.kind === "open" &&
      load.due - load.delivered > HOPELESS_SECONDS * pace.perSecond * load.due / Math.max(1, load.sent));
  const snapshot = () => ({
    reading: readMeter(pids),
    sent: load.sent,
    delivered: load.delivered,
    idleMs: load.timetable?.idleMs ?? 0,
  });
  load.start();
  await wait(windows.warmupSeconds, isHopeless);
  const start = snapshot();
  await wait(windows.seconds, () => pace.kind === "burst" ? load.delivered >= load.due : isHopeless());
  const end = snapshot();
  const { waitingBytes } = load;
  const endedEarly = isHopeless();
  load.stop();
  await drain(load, new Failures());
  load.endUnsettled();
  crowd.rest();
  const usage = usageBetween(start.reading, end.reading);
  const { seconds } = usage;
  const latency = distributionOf(load.latencies);
  const lateness = load.timetable?.lateness;
  return {
    ...(pace.kind === "open" && { offeredPerSecond: pace.perSecond }),
    sentPerSecond: (end.sent - start.sent) / seconds,
    deliveredPerSecond: (end.delivered - start.delivered) / seconds,
    connections,
    ...{ sent: load.sent, delivered: load.delivered, lost: load.lost, refused: load.refused },
    ...{ unsent: load.unsent, inspected: load.inspected },
    ...(latency !== undefined && { latency }),
    ...(lateness !== undefined && lateness.count > 0 &&
      { lateP99Ms: lateness.percentile(99) / NANOSECONDS_PER_MS }),
    generatorShare: pace.kind === "open" ? 1 - (end.idleMs - start.idleMs) / 1000 / seconds : usage.loadShare,
    usage,
    waitingBytes,
    endedEarly,
    troubles,
  };
}

/** Waits, but not once `isOver`. */
async function wait(seconds: number, isOver: () => boolean): Promise<void> {
  const end = performance.now() + seconds * 1000;
  for (let left = seconds; left > 0 && !isOver(); left = (end - performance.now()) / 1000) {
    await new Promise((resolve) => setTimeout(resolve, Math.min(LOOK_SECONDS, left) * 1000));
  }
}
