/** Which cells stand for a workload in sentences, headline charts and goals. It must never know a contender. */
import type { Cell } from "../result.ts";
import type { Summary } from "./results.ts";

/** Small messages; where several sizes were measured, the first of these. */
const SMALL = [128, 64, 16];
const LARGE = [16_384];
const FEW = [64, 1];
const MANY = [8, 16, 64];

type Find = (summary: Summary) => Cell | undefined;

/** The cell, or undefined when it was not measured. */
export const headline: Readonly<Record<HeadlineName, Find>> = {
  echoPipelined: (summary) => summary.find("echo", { inFlight: 8, connections: FEW, payloadBytes: SMALL }),
  echoOneByOne: (summary) => summary.find("echo", { inFlight: 1, connections: FEW, payloadBytes: SMALL }),
  echoLarge: (summary) =>
    summary.find("echo", { payloadBytes: LARGE, connections: FEW, inFlight: [8, 1, 64] }),
  fanOut: (summary) => summary.find("fanout", { subscribers: 1000, inFlight: MANY, payloadBytes: SMALL }),
  fanOutSameSize: (summary) => summary.find("fanout", { wholeMessage: true, inFlight: MANY }),
  idle: (summary) => summary.find("idle", { connections: [5000, 10_000, 1000] }),
  storm: (summary) => summary.find("storm", {}),
  stormTls: (summary) => summary.find("storm", { tls: true }),
  latency: (summary) => summary.find("latency", { share: 0.5 }),
};

export type HeadlineName =
  | "echoPipelined"
  | "echoOneByOne"
  | "echoLarge"
  | "fanOut"
  | "fanOutSameSize"
  | "idle"
  | "storm"
  | "stormTls"
  | "latency";
