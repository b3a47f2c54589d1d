/** The report in one sentence. It must never know a table. */
import type { KneeResult, Results } from "./report.ts";
import { Limit, type Saturation } from "./saturation.ts";

/** What the results come to. */
export function summaryOf(
  { knee, throughput, latency, burst, connections, memory }: Results,
  protocol: string,
): string {
  const what = protocol === "millrace" ? "publications" : "messages";
  if (knee !== undefined) return kneeSentence(knee, what);
  if (throughput !== undefined) {
    const { sentPerSecond, deliveredPerSecond, saturation } = throughput;
    const deliveries = deliveriesText(sentPerSecond, deliveredPerSecond);
    return `Carries ${perSecond(sentPerSecond, what)}${deliveries} as fast as they go; ${
      limitText(saturation)
    }.`;
  }
  const last = latency?.at(-1);
  if (last !== undefined) {
    const { offeredPerSecond = 0, latency: times } = last;
    const within = times === undefined ? "none arrived" : `99 % arrived within ${times.p99Ms.toFixed(2)} ms`;
    return `At ${perSecond(offeredPerSecond, what)} ${within}.`;
  }
  if (burst !== undefined) {
    const slowest = Math.max(...burst.map(({ latency }) => latency?.maxMs ?? 0));
    const lost = burst.reduce((sum, round) => sum + round.lost + round.refused, 0);
    return `Bursts arrived within ${slowest.toFixed(1)} ms, ${number(lost)} messages lost or refused.`;
  }
  if (connections !== undefined) {
    const { open, wanted } = connections;
    return `Accepted ${number(open)} of ${number(wanted)} connections, ${number(connections.perSecond)}/s.`;
  }
  if (memory !== undefined && "bytesPerConnection" in memory) {
    return `A connection costs the server ${number(memory.bytesPerConnection)} bytes.`;
  }
  return "Nothing could be measured.";
}

function kneeSentence(
  { perSecond: rate, at, boundMs, saturation, search }: KneeResult,
  what: string,
): string {
  if (rate === null || at === undefined) {
    return `Carries no rate with 99 % within ${boundMs} ms; ${limitText(saturation)}.`;
  }
  const atLeast = search.ended === "unprobed" || search.ended === "most" ? "at least " : "";
  const deliveries = deliveriesText(at.sentPerSecond, at.deliveredPerSecond);
  return `Carries ${atLeast}${perSecond(rate, what)}${deliveries} with 99 % within ${boundMs} ms; ` +
    `${limitText(saturation)}.`;
}

function deliveriesText(sent: number, delivered: number): string {
  return delivered > sent * 1.5 ? ` (${number(delivered)} deliveries/s)` : "";
}

function perSecond(rate: number, what: string): string {
  return `${number(rate)} ${what}/s`;
}

/** What gave out first, as the end of a sentence. */
export function limitText(saturation: Saturation | undefined): string {
  switch (saturation?.limit) {
    case undefined:
    case Limit.Nothing:
      return "nothing gave out";
    case Limit.Unknown:
      return "what gave out first is not known";
    default:
      return `what gave out first: ${saturation?.limit}`;
  }
}

/** A number with thousands separated, and no more digits than it has meaning. */
export function number(value: number): string {
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return value.toLocaleString("en-US", { maximumFractionDigits: digits });
}
