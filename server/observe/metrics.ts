/**
 * The metrics: every number of the server in the Prometheus text format. prom-client writes the text, and only when
 * somebody asks: the numbers live in Counters and are read at a scrape. Labels have fixed sets of values, all of them
 * exported from the start; no user, topic or address ever becomes one.
 */
import process from "node:process";
import { Histogram, Registry } from "prom-client";
import type { Clock } from "../clock.ts";
import type { Counters } from "./counters.ts";
import { Families } from "./families.ts";
import { watchLoopLag } from "./loop_lag.ts";
import { maxFileDescriptors, readProcessFigures } from "./process_figures.ts";

/** What is true at the moment of a scrape. */
export interface Gauges {
  /** Open connections of each format, those with none too. */
  connections(): Iterable<readonly [format: string, count: number]>;
  /** Topics with a subscriber on this node. */
  topics(): number;
  subscriptions(): number;
  /** Bytes that wait for all connections together. */
  queuedBytes(): number;
  /** Connections with a backlog. */
  slowConsumers(): number;
  ready(): boolean;
  /** Whether the broker can be reached; always, where it is this process. */
  brokerAvailable(): boolean;
  /** When the TLS certificate in use expires, in seconds since 1970; undefined without TLS. */
  certificateExpirySeconds(): number | undefined;
}

/** What the gauges must not pass; undefined for no limit. */
export interface Limits {
  readonly connections: number | undefined;
  readonly queuedBytes: number;
}

export interface MetricsSettings {
  readonly counters: Counters;
  readonly gauges: Gauges;
  readonly limits: Limits;
  readonly engine: string;
  readonly runtime: string;
  readonly version: string;
  readonly clock: Clock;
}

/** The metrics of one server. */
export interface Metrics {
  /** The media type of {@link text}. */
  readonly contentType: string;
  /** All metrics as they are now. */
  text(): Promise<string>;
  /** Adds a connection's backlog to the histogram: for every connection that has one, once a second. */
  observeBackpressure(bytes: number): void;
  /** Stops watching the event loop. What was counted can still be read. */
  close(): void;
}

const KIB = 1024;
const MIB = 1024 * KIB;
const BACKPRESSURE_BUCKETS = [KIB, 4 * KIB, 16 * KIB, 64 * KIB, 256 * KIB, MIB, 4 * MIB, 16 * MIB];
/** Seconds. Timers count in milliseconds, so being 1 ms late means nothing. */
const LAG_BUCKETS = [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5];

/** Makes the metrics of a server, in a registry of their own: several servers may live in one process. */
export function createMetrics(settings: MetricsSettings): Metrics {
  const { counters, clock } = settings;
  const registry = new Registry();
  const families = new Families(registry);
  addState(families, settings);
  const backpressure = new Histogram({
    name: "millrace_backpressure_bytes",
    help: "Backlog of every connection that has one, observed once a second.",
    buckets: BACKPRESSURE_BUCKETS,
    registers: [registry],
  });
  addTraffic(families, counters);
  addRefusals(families, counters);
  const lag = new Histogram({
    name: "millrace_event_loop_lag_seconds",
    help: "How late the event loop was, observed ten times a second.",
    buckets: LAG_BUCKETS,
    registers: [registry],
  });
  const readProcess = addProcess(families, clock);
  return {
    contentType: registry.contentType,
    text() {
      readProcess();
      return registry.metrics();
    },
    observeBackpressure: (bytes) => backpressure.observe(bytes),
    close: watchLoopLag(clock, (seconds) => lag.observe(seconds)),
  };
}

function addState(families: Families, settings: MetricsSettings): void {
  const { gauges, limits, engine, runtime, version } = settings;
  families.gauges(
    "millrace_build_info",
    "Always 1; the labels say what runs.",
    ["version", "engine", "runtime"],
    () => [[{ version, engine, runtime }, 1]],
  );
  families.gauge(
    "millrace_ready",
    "1 while new connections are welcome, 0 while the server drains or has no broker.",
    () => Number(gauges.ready()),
  );
  families.gauge(
    "millrace_broker_available",
    "1 while the broker can be reached.",
    () => Number(gauges.brokerAvailable()),
  );
  families.gauges("millrace_connections", "Open connections.", ["engine", "format"], function* () {
    for (const [format, count] of gauges.connections()) yield [{ engine, format }, count];
  });
  families.gauge(
    "millrace_max_connections",
    "How many connections may be open; no sample where there is no limit.",
    () => limits.connections,
  );
  families.gauge("millrace_topics", "Topics with a subscriber on this node.", () => gauges.topics());
  families.gauge("millrace_subscriptions", "Subscriptions of all connections.", () => gauges.subscriptions());
  families.gauge("millrace_queued_bytes", "Bytes that wait for all connections.", () => gauges.queuedBytes());
  families.gauge(
    "millrace_max_queued_bytes",
    "How many bytes may wait before the slowest connections are cut.",
    () => limits.queuedBytes,
  );
  families.gauge("millrace_slow_consumers", "Connections with a backlog.", () => gauges.slowConsumers());
  families.gauge(
    "millrace_tls_certificate_expiry_timestamp_seconds",
    "When the TLS certificate in use expires, since 1970; no sample without TLS.",
    () => gauges.certificateExpirySeconds(),
  );
}

function addTraffic(families: Families, counters: Counters): void {
  families.counter(
    "millrace_messages_received_total",
    "Messages that clients sent.",
    () => counters.messagesIn,
  );
  families.counter(
    "millrace_received_bytes_total",
    "Payload bytes of these messages.",
    () => counters.bytesIn,
  );
  families.counter(
    "millrace_messages_sent_total",
    "Replies and events for single connections.",
    () => counters.messagesOut,
  );
  families.counter("millrace_sent_bytes_total", "Payload bytes of these messages.", () => counters.bytesOut);
  families.counter(
    "millrace_publications_total",
    "Publications that this node handed to its subscribers, however many those were.",
    () => counters.publications,
  );
  families.counter(
    "millrace_deliveries_total",
    "Publications times their subscribers.",
    () => counters.deliveries,
  );
  families.counter(
    "millrace_delivered_bytes_total",
    "Payload bytes of these deliveries.",
    () => counters.deliveredBytes,
  );
}

function addRefusals(families: Families, counters: Counters): void {
  families.counters(
    "millrace_drops_total",
    "Messages left out for a connection.",
    "reason",
    counters.drops,
  );
  families.counter(
    "millrace_evictions_total",
    "Slow consumers closed because all backlogs together were too much.",
    () => counters.evictions,
  );
  families.counters(
    "millrace_handshakes_total",
    "Handshakes by how they ended.",
    "outcome",
    counters.handshakes,
  );
  families.counters(
    "millrace_auth_failures_total",
    "Tokens that were not accepted or did not come.",
    "reason",
    counters.authFailures,
  );
  families.counters(
    "millrace_rate_limited_total",
    "Commands refused because a rate was exceeded.",
    "reason",
    counters.rateLimited,
  );
  families.counters(
    "millrace_command_errors_total",
    "Error replies by their code.",
    "code",
    counters.commandErrors,
  );
  families.counter("millrace_handler_errors_total", "Handlers that threw.", () => counters.handlerErrors);
  families.counters(
    "millrace_closes_total",
    "Connections that ended, by close code.",
    "code",
    counters.closes,
  );
}

/** The names are those that dashboards for Node know, on every runtime. Returns what reads the figures anew. */
function addProcess(families: Families, clock: Clock): () => void {
  let figures = readProcessFigures();
  const startedSeconds = Math.round(clock.wallMs() / 1000 - process.uptime());
  const maxFds = maxFileDescriptors();
  families.counter(
    "process_cpu_user_seconds_total",
    "CPU time spent in user mode.",
    () => figures.userCpuSeconds,
  );
  families.counter(
    "process_cpu_system_seconds_total",
    "CPU time spent in the kernel.",
    () => figures.systemCpuSeconds,
  );
  families.counter(
    "process_cpu_seconds_total",
    "CPU time spent.",
    () => figures.userCpuSeconds + figures.systemCpuSeconds,
  );
  families.gauge("process_start_time_seconds", "When the process started, since 1970.", () => startedSeconds);
  families.gauge("process_resident_memory_bytes", "Resident memory.", () => figures.memory?.residentBytes);
  families.gauge("process_open_fds", "Open file descriptors.", () => figures.openFileDescriptors);
  families.gauge("process_max_fds", "How many may be open.", () => maxFds);
  families.gauge("nodejs_heap_size_total_bytes", "Size of the heap.", () => figures.memory?.heapTotalBytes);
  families.gauge(
    "nodejs_heap_size_used_bytes",
    "Part of the heap in use.",
    () => figures.memory?.heapUsedBytes,
  );
  families.gauge(
    "nodejs_external_memory_bytes",
    "Memory outside the heap that its objects hold.",
    () => figures.memory?.externalBytes,
  );
  return () => {
    figures = readProcessFigures();
  };
}
