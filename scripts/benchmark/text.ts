/** The report as text for a terminal. It must never derive a figure that the report does not have. */
import type { Distribution } from "./distribution.ts";
import type { Usage } from "./meter.ts";
import type { ConnectionsResult, Judged, KneeResult, MemoryResult, Report } from "./report.ts";
import { troublesText } from "./report.ts";
import { percent, type Saturation } from "./saturation.ts";
import { limitText, number } from "./summary.ts";
import { total } from "./troubles.ts";

const MIB = 1024 * 1024;

/** The whole report. */
export function reportText(report: Report): string {
  const { results, summary, findings, warnings } = report;
  const { connections, memory, throughput, latency, burst, knee } = results;
  return [
    summary,
    ...warnings.map((warning) => `! ${warning}.`),
    ...findings.map((finding) => `FOUND ${finding}.`),
    "",
    circumstances(report),
    ...(connections === undefined ? [] : connectionsText(connections)),
    ...(memory === undefined ? [] : memoryText(memory)),
    ...(throughput === undefined ? [] : throughputText(throughput)),
    ...(latency === undefined ? [] : latencyText(latency)),
    ...(burst === undefined ? [] : burstText(burst)),
    ...(knee === undefined ? [] : kneeText(knee)),
  ].join("\n");
}

function circumstances(
  { url, protocol, format, payloadBytes, connections, receivers, ...more }: Report,
): string {
  const { server, generator } = more;
  const spoken = protocol === "echo" ? "echo" : `millrace, ${format}, ${receivers} subscribers to a topic`;
  const processes = "pids" in server
    ? `${server.command} (process ${server.pids.join(", ")})`
    : `processes not measured: ${server.omitted}`;
  return `${url}: ${spoken}; ${connections} connections, ${payloadBytes} bytes in a message\n` +
    `server: ${processes}; load generator: ${generator.runtime}, ${generator.cpus} CPUs in this machine`;
}

const TIMES = ["mean", "median", "p90", "p95", "p99", "p99.9", "max"] as const;

function times(latency: Distribution | undefined): string[] {
  if (latency === undefined) return TIMES.map(() => "-");
  const { meanMs, medianMs, p90Ms, p95Ms, p99Ms, p999Ms, maxMs } = latency;
  return [meanMs, medianMs, p90Ms, p95Ms, p99Ms, p999Ms, maxMs].map(short);
}

/** Milliseconds without the unit. */
function short(value: number): string {
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

/** CPU time is counted in steps of 10 ms: below this length a share says nothing. */
const LEAST_CPU_SECONDS = 0.2;
const SHARES = ["server cpu", "load busy", "machine"] as const;

function serverCpu({ server, seconds }: Usage): string {
  return server === undefined || seconds < LEAST_CPU_SECONDS ? "-" : percent(server.cpuShare);
}

function shares({ usage, generatorShare }: Judged): string[] {
  return [serverCpu(usage), percent(generatorShare), percent(usage.machineShare)];
}

function connectionsText({ steps, troubles, latency, wanted, open, perSecond }: ConnectionsResult): string[] {
  const rows = steps.map((step) => [
    number(step.open),
    number(step.perSecond),
    ...times(step.latency),
    serverCpu(step.usage),
  ]);
  return [
    "",
    `CONNECTIONS: ${number(open)} of ${number(wanted)} accepted; times from TCP to the first message, in ms`,
    table(["open", "per second", ...TIMES, "server cpu"], [
      ...rows,
      ["all", number(perSecond), ...times(latency), ""],
    ]),
    ...lines(troublesText(troubles)),
  ];
}

function memoryText(memory: MemoryResult | { readonly omitted: string }): string[] {
  if ("omitted" in memory) return ["", `MEMORY: not measured: ${memory.omitted}`];
  const { fewConnections, fewBytes, manyConnections, manyBytes, afterBytes, bytesPerConnection } = memory;
  const mib = (bytes: number): string => (bytes / MIB).toFixed(1);
  return [
    "",
    `MEMORY: ${number(bytesPerConnection)} bytes for each idle connection; resident memory, settled`,
    table(["connections", "MiB"], [
      [number(fewConnections), mib(fewBytes)],
      [number(manyConnections), mib(manyBytes)],
      ["0, after", mib(afterBytes)],
    ]),
  ];
}

function throughputText(throughput: Judged): string[] {
  const { sentPerSecond, deliveredPerSecond, refused, lost, saturation, usage } = throughput;
  const memory = usage.server === undefined ? "-" : (usage.server.residentBytes / MIB).toFixed(1);
  return [
    "",
    "THROUGHPUT: as fast as they go, a fixed number of messages under way",
    table(["sent/s", "delivered/s", "lost", "refused", ...SHARES, "server MiB"], [
      [
        number(sentPerSecond),
        number(deliveredPerSecond),
        number(lost),
        number(refused),
        ...shares(throughput),
        memory,
      ],
    ]),
    ...saturationText(saturation),
    ...lines(troublesText(throughput.troubles)),
  ];
}

const LATENCY_COLUMNS = [
  ...["sent/s", "delivered/s"],
  ...TIMES,
  ...["lost", "refused", "closed"],
  ...SHARES,
] as const;

function latencyRow(measurement: Judged): string[] {
  const { offeredPerSecond = 0, deliveredPerSecond, latency, lost, refused, troubles } = measurement;
  return [
    ...[number(offeredPerSecond), number(deliveredPerSecond), ...times(latency)],
    ...[number(lost), number(refused), number(total(troubles.closes))],
    ...shares(measurement),
  ];
}

function latencyText(measurements: readonly Judged[]): string[] {
  return [
    "",
    "LATENCY: from the intended time of sending to the arrival, in ms",
    table(LATENCY_COLUMNS, measurements.map(latencyRow)),
    ...measurements.flatMap(({ offeredPerSecond = 0, saturation }) =>
      saturationText(saturation, `at ${number(offeredPerSecond)}/s, `)
    ),
  ];
}

function burstText(rounds: readonly Judged[]): string[] {
  return [
    "",
    "BURST: from the start to the arrival, in ms",
    table(
      ["messages", "arrived", ...TIMES, "lost", "refused"],
      rounds.map(({ sent, delivered, latency, lost, refused }) => [
        ...[number(sent), number(delivered), ...times(latency), number(lost), number(refused)],
      ]),
    ),
    ...rounds.flatMap(({ saturation }, i) => saturationText(saturation, `in burst ${i + 1}, `)),
  ];
}

function kneeText({ boundMs, perSecond, probes, saturation }: KneeResult): string[] {
  const found = perSecond === null ? "none" : `${number(perSecond)} messages sent per second`;
  return [
    "",
    `KNEE: ${found}, 99 % within ${boundMs} ms, nothing lost or refused; every rate that was probed, in ms`,
    table(
      [...LATENCY_COLUMNS, "held"],
      probes.map((probe) => [...latencyRow(probe), probe.saturation === undefined ? "yes" : "no"]),
    ),
    ...saturationText(saturation),
  ];
}

function saturationText(saturation: Saturation | undefined, where = ""): string[] {
  if (saturation === undefined) return [];
  const evidence = saturation.evidence.length === 0 ? "" : `: ${saturation.evidence.join(", ")}`;
  return [`  ${where}${limitText(saturation)}${evidence}`];
}

function lines(text: string): string[] {
  return text === "" ? [] : [`  ${text}`];
}

/** Columns under headings, aligned to the right. */
function table(headings: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [headings, ...rows];
  const widths = headings.map((_, i) => Math.max(...all.map((row) => row[i]?.length ?? 0)));
  return all.map((row) => `  ${row.map((cell, i) => cell.padStart(widths[i] ?? 0)).join("  ")}`).join("\n");
}
