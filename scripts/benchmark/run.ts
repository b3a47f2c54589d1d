/**
 * Runs the benchmarks that were asked for, one after the other, against one server. It must never know how the report is
 * shown, nor what a good figure is.
 */
import { cpus } from "node:os";
import process from "node:process";
import { defaultJob, type Job } from "../../bench/load/job.ts";
import { VERSION } from "../../server/version.ts";
import { measureConnections, measureMemory } from "./connections.ts";
import type { Run } from "./context.ts";
import { Crowd } from "./crowd.ts";
import { findKnee, Verdict } from "./knee.ts";
import type { Pace } from "./load.ts";
import { measure, type Measurement, type Windows } from "./measurement.ts";
import type { Benchmark, Options } from "./options.ts";
import {
  findingsOf,
  type Judged,
  type KneeResult,
  type Report,
  type Results,
  troublesText,
} from "./report.ts";
import { Limit, type Saturation, saturationOf } from "./saturation.ts";
import { summaryOf } from "./summary.ts";
import { attempt, protocolOf, recognise, serverProcesses, shownUrl, Unreachable } from "./target.ts";
import { total, Troubles } from "./troubles.ts";

const WARMUP_SHARE = 0.2;
const MOST_WARMUP_SECONDS = 1;
const BURST_ROUNDS = 3;
/** A probe of a rate takes this share of a measurement's duration. */
const PROBE_SHARE = 0.4;
const KNEE_START_SHARE = 0.5;
const KNEE_PRECISION = 0.05;
const MOST_PROBES = 20;
const LEAST_RATE = 1;
const MOST_RATE = 1e7;
/** A knee that does not hold for the whole duration is lowered at least by this, so many times. */
const KNEE_STEP_BACK = 0.8;
const MOST_STEPS_BACK = 6;
/** And to less than this share of what got through: rates that were saved up carry a short probe beyond the limit. */
const KNEE_SHARE_OF_ARRIVED = 0.95;

/**
 * Measures. `progress` is told what is being done. Rejects with {@link Unreachable} when the server cannot be spoken to,
 * and with a RangeError when an option does not fit it.
 */
export async function runBenchmark(options: Options, progress: (text: string) => void): Promise<Report> {
  const startedAt = new Date().toISOString();
  const run = await prepare(options, progress);
  const results: Results = {};
  const findings: string[] = [];
  try {
    for (const benchmark of options.benchmarks) await runOne(benchmark, run, results);
  } catch (error) {
    if (!(error instanceof Unreachable)) throw error;
    findings.push(error.message); // what has been measured until then is reported
  } finally {
    run.crowd.end();
  }
  const { protocol } = run;
  return {
    tool: "millrace benchmark",
    version: VERSION,
    startedAt,
    url: shownUrl(options.url),
    protocol,
    ...(protocol === "millrace" && { format: options.format }),
    payloadBytes: options.payloadBytes,
    connections: options.connections,
    receivers: receiversOf(run),
    generator: { runtime: runtimeName(), cpus: cpus().length },
    server: run.server,
    results,
    summary: summaryOf(results, protocol),
    findings: [...findings, ...findingsOf(results, options)],
    warnings: warningsOf(results, run),
  };
}

async function runOne(benchmark: Benchmark, run: Run, results: Results): Promise<void> {
  switch (benchmark) {
    case "connections":
      results.connections = await measureConnections(run);
      break;
    case "memory":
      results.memory = await measureMemory(run);
      break;
    case "throughput":
      results.throughput = await measureThroughput(run, "throughput");
      break;
    case "latency":
      results.latency = await measureLatency(run, results);
      break;
    case "burst":
      results.burst = await measureBurst(run);
      break;
    case "knee":
      results.knee = await measureKnee(run, results);
  }
}

async function prepare(options: Options, progress: Run["progress"]): Promise<Run> {
  const job: Job = {
    ...defaultJob,
    workload: "echo",
    protocol: "bare",
    url: options.url.href,
    serverPid: 0,
    collects: false,
    payloadBytes: options.payloadBytes,
    headers: options.headers,
    trust: { ca: options.ca, insecure: options.insecure },
  };
  progress("connecting");
  const protocol = options.protocol === "auto" ? await recognise(job) : options.protocol;
  const spoken: Job = { ...job, protocol: protocolOf(protocol, options.format) };
  await attempt(spoken);
  const server = serverProcesses(options.url, options.pids);
  const name = `${options.topic}.${process.pid.toString(36)}${Date.now().toString(36)}`;
  const topicOf = (index: number): string | undefined =>
    protocol === "millrace" ? `${name}.${Math.floor(index / options.topicSize)}` : undefined;
  return {
    options,
    job: spoken,
    protocol,
    server,
    pids: "pids" in server ? server.pids : [],
    crowd: new Crowd(spoken, new Troubles(), topicOf),
    progress,
  };
}

function receiversOf({ protocol, options }: Run): number {
  return protocol === "millrace" ? Math.min(options.topicSize, options.connections) : 1;
}

function runtimeName(): string {
  const { bun, deno, node } = process.versions as Record<string, string | undefined>;
  return bun !== undefined ? `Bun ${bun}` : deno !== undefined ? `Deno ${deno}` : `Node ${node}`;
}

/** The windows of a measurement of so many seconds. */
function windowsOf(seconds: number): Windows {
  return { warmupSeconds: Math.min(MOST_WARMUP_SECONDS, seconds * WARMUP_SHARE), seconds };
}

/** Measures on all connections, after those that were lost have been opened anew. */
async function measureAll(run: Run, pace: Pace, windows: Windows): Promise<Measurement> {
  const { crowd, options, pids } = run;
  await crowd.fill(options.connections);
  if (crowd.connections.length === 0) {
    throw new Unreachable(`no connection can be opened any more: ${troublesText(crowd.troubles)}`);
  }
  return await measure(crowd, pace, windows, pids);
}

async function measureThroughput(run: Run, name: string): Promise<Judged> {
  const { inFlight, seconds, boundMs } = run.options;
  run.progress(`${name}: ${inFlight} messages of each sender under way`);
  const measurement = await measureAll(run, { kind: "closed", inFlight }, windowsOf(seconds));
  return { ...measurement, saturation: saturationOf(measurement, boundMs) };
}

/** What the server does in a closed loop, in messages sent per second: measured already, or now. */
async function capacityOf(run: Run, results: Results): Promise<number> {
  const { sentPerSecond } = results.throughput ?? await measureThroughput(run, "finding the capacity");
  return Math.max(LEAST_RATE, sentPerSecond);
}

async function measureOpen(run: Run, perSecond: number, seconds: number): Promise<Measurement> {
  const windows = windowsOf(seconds);
  return await measureAll(run, { kind: "open", perSecond, ...windows }, windows);
}

async function measureLatency(run: Run, results: Results): Promise<Judged[]> {
  const { rates, shares, seconds, boundMs } = run.options;
  const capacity = rates.length > 0 ? 0 : await capacityOf(run, results);
  const all = rates.length > 0 ? rates : shares.map((share) => Math.max(LEAST_RATE, share * capacity));
  const measurements: Judged[] = [];
  for (const rate of all) {
    run.progress(`latency at ${Math.round(rate)} messages/s`);
    measurements.push(judged(await measureOpen(run, rate, seconds), boundMs));
  }
  return measurements;
}

async function measureBurst(run: Run): Promise<Judged[]> {
  const { burst, seconds, boundMs } = run.options;
  const windows: Windows = { warmupSeconds: 0, seconds };
  const rounds: Judged[] = [];
  for (let round = 1; round <= BURST_ROUNDS; round++) {
    run.progress(`burst ${round} of ${BURST_ROUNDS}: ${burst} messages of each sender`);
    const measurement = await measureAll(run, { kind: "burst", messages: burst }, windows);
    rounds.push(holds(measurement, Infinity) ? measurement : judged(measurement, boundMs));
  }
  return rounds;
}

/** Whether everything arrived, and 99 % of it within the bound. */
function holds(measurement: Measurement, boundMs: number): boolean {
  const { latency, lost, refused, unsent, endedEarly, troubles } = measurement;
  return latency !== undefined && latency.p99Ms <= boundMs && !endedEarly &&
    lost + refused + unsent + total(troubles.closes) + total(troubles.gaps) + troubles.wrong.length === 0;
}

function judged(measurement: Measurement, boundMs: number): Judged {
  if (holds(measurement, boundMs)) return measurement;
  return { ...measurement, saturation: saturationOf(measurement, boundMs) };
}

async function measureKnee(run: Run, results: Results): Promise<KneeResult> {
  const { seconds, boundMs } = run.options;
  const probes: Judged[] = [];
  const start = await capacityOf(run, results) * KNEE_START_SHARE;
  const limits = { least: LEAST_RATE, most: MOST_RATE, precision: KNEE_PRECISION, mostProbes: MOST_PROBES };
  const search = await findKnee({ start, ...limits }, async (rate) => {
    run.progress(`knee: probe ${probes.length + 1}, ${Math.round(rate)} messages/s`);
    const probe = judged(await measureOpen(run, rate, seconds * PROBE_SHARE), boundMs);
    probes.push(probe);
    if (probe.saturation === undefined) return Verdict.Holds;
    return probe.saturation.limit === Limit.LoadGenerator ? Verdict.Unprobed : Verdict.Fails;
  });
  let rate = search.rate;
  let at: Measurement | undefined;
  for (let back = 0; rate !== undefined && at === undefined && back < MOST_STEPS_BACK; back++) {
    run.progress(`knee: ${Math.round(rate)} messages/s for the whole duration`);
    const whole = judged(await measureOpen(run, rate, seconds), boundMs);
    probes.push(whole);
    if (whole.saturation === undefined) at = whole;
    else {
      const arrived = whole.deliveredPerSecond / receiversOf(run) * KNEE_SHARE_OF_ARRIVED;
      rate = Math.max(LEAST_RATE, Math.min(rate * KNEE_STEP_BACK, arrived));
    }
  }
  return {
    boundMs,
    perSecond: at === undefined || rate === undefined ? null : rate,
    search,
    ...(at !== undefined && { at }),
    probes,
    saturation: firstSaturation(probes),
  };
}

/** What gave out at the lowest rate that did not hold. */
function firstSaturation(probes: readonly Judged[]): Saturation {
  const failed = probes.filter(({ saturation }) => saturation !== undefined)
    .sort((a, b) => (a.offeredPerSecond ?? 0) - (b.offeredPerSecond ?? 0));
  return failed[0]?.saturation ?? { limit: Limit.Nothing, evidence: [] };
}

/** Says where the figures are those of the load generator, or of a machine that it shares. */
function warningsOf({ throughput, latency = [], knee }: Results, { crowd, server }: Run): string[] {
  const warnings: string[] = [];
  const measured = [throughput, ...latency, knee].map((each) => each?.saturation?.limit);
  if (measured.includes(Limit.LoadGenerator)) {
    warnings.push(
      "THE LOAD GENERATOR WAS THE LIMIT, not the server: the server carries at least what is said here. Run it with " +
        "Bun (bun scripts/benchmark.ts), on another machine, or several at once",
    );
  }
  if (measured.includes(Limit.MachineCpu)) {
    warnings.push(
      "THE MACHINE'S CPUS WERE ALL BUSY: see with what, and measure again on a machine that is idle",
    );
  }
  if (measured.includes(Limit.RateLimit)) {
    warnings.push(
      "A RATE LIMIT THAT THE SERVER IS SET TO WAS THE LIMIT, not what it could carry (Millrace: --message-rate and " +
        "--byte-rate for each connection, --user-message-rate and --user-byte-rate): share the load among more " +
        "--connections, as it will be, or raise the limit",
    );
  }
  const reopening = troublesText(crowd.troubles);
  if (reopening !== "") warnings.push(`between measurements not all connections could be had: ${reopening}`);
  warnings.push(
    "omitted" in server
      ? `the server's CPU and memory are not known: ${server.omitted}`
      : "the load generator ran on the server's machine and took CPU time from it",
  );
  return warnings;
}
