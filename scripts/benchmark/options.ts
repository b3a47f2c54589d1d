/**
 * The command line of `benchmark`: what it means, and what is wrong with it. It must never open a connection.
 */
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { isLoopback } from "./target.ts";

/** In the order in which they run. */
export const BENCHMARKS = ["connections", "memory", "throughput", "latency", "burst", "knee"] as const;
export type Benchmark = typeof BENCHMARKS[number];

const DEFAULTS = {
  connections: 200,
  duration: 5,
  "payload-bytes": 64,
  "in-flight": 8,
  "topic-size": 10,
  topic: "benchmark",
  "bound-ms": 50,
  burst: 100,
} as const;
const LATENCY_SHARES = [0.25, 0.5, 0.75] as const;

export const HELP = `benchmark URL [options]

Measures what a WebSocket deployment carries: connections, messages per second, latency, bursts, memory, and the knee:
the highest rate at which 99 % of the messages arrive within a bound. Says what gave out first, and what shows it.
It produces as much load as it can. Point it only at servers of your own.

Which server
  URL                    as in ws://127.0.0.1:9001/ws, or wss:. A host that is not loopback needs --i-own-this-server
  --protocol NAME        millrace (messages are published to topics and delivered to subscribers), echo (a server that
                         sends back what it gets), auto (default): millrace if the server greets like one
  --format NAME          json (default) or msgpack: how Millrace is spoken to
  --token TOKEN          sent as "Authorization: Bearer TOKEN"; needs subscribe and publish for TOPIC.>
  --header 'NAME: VALUE' a further header of the handshake; repeatable
  --ca FILE              PEM certificates to trust with wss:; --insecure trusts any
  --pid PID              the server's process on this machine, for its CPU time and memory; repeatable. By default
                         whatever listens on the port, if the host is loopback

What to measure
  --benchmark NAME       all (default), ${BENCHMARKS.join(", ")}; repeatable
  --connections N        ${DEFAULTS.connections}; clients, in every benchmark
  --duration SECONDS     ${DEFAULTS.duration}; length of each measurement
  --payload-bytes N      ${DEFAULTS["payload-bytes"]}; data in a message, without what the protocol adds
  --topic-size N         ${DEFAULTS["topic-size"]}; Millrace: subscribers of each topic, one of whom publishes
  --topic NAME           ${DEFAULTS.topic}; Millrace: topics are called NAME.….0, NAME.….1 and so on
  --in-flight N          ${DEFAULTS["in-flight"]}; throughput: messages that each sender has under way
  --rate N               latency: messages sent per second, all senders together; repeatable. By default
                         ${
  LATENCY_SHARES.map((share) => `${share * 100} %`).join(", ")
} of the measured throughput
  --burst N              ${DEFAULTS.burst}; burst: messages that every sender sends at once
  --bound-ms N           ${
  DEFAULTS["bound-ms"]
}; knee: 99 % have to arrive within this, and nothing may be lost or refused

What is expected (exit code 1 if it does not hold)
  --expect-p99-ms N      99 % arrive within N ms at each --rate
  --expect-rate N        the knee, or the throughput when no knee is measured, is at least N messages sent per second

Output
  --json                 the report as JSON on standard output, in place of the text
  --out FILE             also writes the report as JSON to FILE
  --help                 this text

Exit code: 0 when all is well; 1 when messages were lost, connections refused or closed, or an expectation was missed;
2 for wrong use, or a server that cannot be reached.`;

/** What was asked for. */
export interface Options {
  readonly url: URL;
  readonly protocol: "millrace" | "echo" | "auto";
  readonly format: "json" | "msgpack";
  readonly headers: readonly string[];
  readonly ca: string;
  readonly insecure: boolean;
  readonly pids: readonly number[];
  readonly benchmarks: readonly Benchmark[];
  readonly connections: number;
  readonly seconds: number;
  readonly payloadBytes: number;
  readonly topicSize: number;
  readonly topic: string;
  readonly inFlight: number;
  readonly rates: readonly number[];
  /** Of the measured throughput, when there are no rates. */
  readonly shares: readonly number[];
  readonly burst: number;
  readonly boundMs: number;
  readonly expectP99Ms: number | undefined;
  readonly expectRate: number | undefined;
  readonly json: boolean;
  readonly out: string | undefined;
}

/** Reads the command line. Throws a TypeError or RangeError that says what is wrong with it. */
export function readOptions(args: readonly string[]): Options | "help" {
  const text = { type: "string" } as const;
  const list = { type: "string", multiple: true, default: [] as string[] } as const;
  const toggle = { type: "boolean", default: false } as const;
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      ...{ protocol: text, format: text, token: text, header: list, ca: text, insecure: toggle },
      ...{ pid: list, "i-own-this-server": toggle, benchmark: list, connections: text, duration: text },
      ...{ "payload-bytes": text, "topic-size": text, topic: text },
      ...{ "in-flight": text, rate: list, burst: text, "bound-ms": text, "expect-p99-ms": text },
      ...{ "expect-rate": text, json: toggle, out: text, help: toggle },
    },
  });
  if (values.help) return "help";
  const count = (name: Exclude<keyof typeof DEFAULTS, "topic">, least = 1): number =>
    whole(name, values[name], DEFAULTS[name], least);
  const url = readUrl(positionals, values["i-own-this-server"]);
  const benchmarks = readBenchmarks(values.benchmark);
  const rates = values.rate.map((rate) => positive("rate", rate));
  const expectP99Ms = optional("expect-p99-ms", values["expect-p99-ms"]);
  const expectRate = optional("expect-rate", values["expect-rate"]);
  if (expectP99Ms !== undefined && (rates.length === 0 || !benchmarks.includes("latency"))) {
    throw new RangeError("--expect-p99-ms needs a --rate to hold at, and the benchmark latency");
  }
  if (expectRate !== undefined && !benchmarks.includes("knee") && !benchmarks.includes("throughput")) {
    throw new RangeError("--expect-rate needs the benchmark knee or throughput");
  }
  return {
    url,
    protocol: oneOf("protocol", values.protocol ?? "auto", ["auto", "millrace", "echo"]),
    format: oneOf("format", values.format ?? "json", ["json", "msgpack"]),
    headers: readHeaders(values.header, values.token),
    ca: values.ca === undefined ? "" : readCa(values.ca),
    insecure: values.insecure,
    pids: values.pid.map((pid) => whole("pid", pid, 0)),
    benchmarks,
    connections: count("connections"),
    seconds: positive("duration", values.duration ?? String(DEFAULTS.duration)),
    payloadBytes: count("payload-bytes"),
    topicSize: count("topic-size"),
    topic: readTopic(values.topic ?? DEFAULTS.topic),
    inFlight: count("in-flight"),
    rates,
    shares: rates.length === 0 ? LATENCY_SHARES : [],
    burst: count("burst"),
    boundMs: positive("bound-ms", values["bound-ms"] ?? String(DEFAULTS["bound-ms"])),
    expectP99Ms,
    expectRate,
    json: values.json,
    out: values.out,
  };
}

function readUrl([text, ...others]: readonly string[], isOwn: boolean): URL {
  if (text === undefined || others.length > 0) {
    throw new TypeError("exactly one URL is needed, as in ws://127.0.0.1:9001/ws");
  }
  if (!URL.canParse(text)) {
    throw new RangeError(`${text}: this is not a URL; right would be ws://127.0.0.1:9001/ws`);
  }
  const url = new URL(text);
  if (url.protocol !== "ws:" && url.protocol !== "wss:") {
    throw new RangeError(`${text}: expected ws://… or wss://…`);
  }
  if (!isLoopback(url.hostname) && !isOwn) {
    throw new RangeError(
      `${text}: this is not a loopback address. The benchmark is heavy load: point it only at servers of your ` +
        "own, and say so with --i-own-this-server",
    );
  }
  return url;
}

function readBenchmarks(names: readonly string[]): readonly Benchmark[] {
  const asked = names.map((name) => oneOf("benchmark", name, ["all", ...BENCHMARKS]));
  if (asked.length === 0 || asked.includes("all")) return BENCHMARKS;
  return BENCHMARKS.filter((name) => asked.includes(name));
}

function readHeaders(headers: readonly string[], token: string | undefined): string[] {
  const wrong = headers.find((header) => !/^[A-Za-z0-9!#$%&'*+.^_`|~-]+:[^\r\n\0]*$/.test(header));
  if (wrong !== undefined) throw new RangeError(`--header ${wrong}: expected 'NAME: VALUE'`);
  if (token !== undefined && !/^[\x21-\x7e]+$/.test(token)) {
    throw new RangeError("--token: a token has no spaces and no control characters");
  }
  return [...headers, ...(token === undefined ? [] : [`Authorization: Bearer ${token}`])];
}

function readCa(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw new RangeError(`--ca ${file}: ${(error as Error).message}`);
  }
}

function readTopic(name: string): string {
  if (/^[A-Za-z0-9_\-.:/@=,;]{1,150}$/.test(name)) return name;
  throw new RangeError(`--topic ${name}: expected up to 150 characters of A-Z a-z 0-9 _ - . : / @ = , ;`);
}

function oneOf<T extends string>(name: string, value: string, known: readonly T[]): T {
  const found = known.find((one) => one === value);
  if (found === undefined) throw new RangeError(`--${name} ${value}: expected one of ${known.join(", ")}`);
  return found;
}

function optional(name: string, text: string | undefined): number | undefined {
  return text === undefined ? undefined : positive(name, text);
}

function positive(name: string, text: string): number {
  const value = Number(text);
  if (value > 0 && Number.isFinite(value)) return value;
  throw new RangeError(`--${name} ${text}: expected a positive number`);
}

function whole(name: string, text: string | undefined, fallback: number, least = 1): number {
  const value = text === undefined ? fallback : Number(text);
  if (Number.isSafeInteger(value) && value >= least) return value;
  throw new RangeError(`--${name} ${text}: expected a whole number of at least ${least}`);
}
