/** Cells in words, for sentences, tables and rows of a chart. It must never know a figure. */
import type { Cell, WorkloadName } from "../result.ts";
import { formatBytes, formatWhole } from "./figures.ts";

const NAMES: Readonly<Record<WorkloadName, string>> = {
  codec: "codec",
  echo: "echo",
  fanout: "fan-out",
  rooms: "rooms",
  latency: "latency",
  idle: "idle",
  churn: "churn",
  storm: "connection storm",
  server: "whole server",
};

type Value = number | string | boolean;

/** Parameters whose meaning needs words; false ones and those that are off go without saying. */
const WORDS: Readonly<Record<string, (value: Value) => string>> = {
  payloadBytes: (value) => formatBytes(Number(value)),
  connections: (value) => plural(value, "connection"),
  subscribers: (value) => plural(value, "subscriber"),
  inFlight: (value) => `${value} in flight`,
  share: (value) => `at ${Math.round(Number(value) * 100)}\u00a0% of capacity`,
  binary: () => "binary",
  tls: () => "TLS",
  deflate: (value) => value === true ? "deflate" : `deflate ${value}`,
  content: (value) => value === "random" ? "" : `${value}-like`,
  slowConsumers: (value) => plural(value, "slow consumer"),
  activeMessages: (value) => `after ${value} messages each`,
  handshakes: (value) => `${value} at a time`,
  roomSize: (value) => `rooms of ${value}`,
  seconds: (value) => `${value} s`,
  traffic: (value) => value === "fanout" ? "fan-out" : String(value),
  name: String,
  format: String,
  runtime: (value) => `on ${value}`,
  broker: (value) => value === "memory" ? "" : `behind ${value}`,
  rates: () => "rate limits",
  wholeMessage: () => "the whole message",
  table: () => "",
};

function plural(value: Value, noun: string): string {
  return `${formatWhole(Number(value))} ${noun}${Number(value) === 1 ? "" : "s"}`;
}

function words(name: string, value: Value): string {
  if (value === false || value === "off" || value === 0) return "";
  const known = WORDS[name];
  if (known !== undefined) return known(value);
  return value === true
    ? name
    : typeof value === "string"
    ? `${name} ${value}`
    : `${name} ${formatNumeric(value)}`;
}

function formatNumeric(value: Value): string {
  return typeof value === "number" ? value.toLocaleString("en-US") : String(value);
}

/** As "echo, 128 B, 64 connections, 8 in flight". */
export function describeCell(cell: Cell): string {
  const parameters = Object.entries(cell.parameters).map(([name, value]) => words(name, value));
  return [NAMES[cell.workload], ...parameters.filter((text) => text !== "")].join(", ");
}
