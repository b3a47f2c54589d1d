/**
 * Every option once: its meaning, unit, default and bounds. Flags, environment variables, the configuration file, the
 * help text and the checks are all made from this table.
 */
import { hostname } from "node:os";
import { DeflateMode, SlowPolicy } from "./engine.ts";
import { type EngineName, engineNames } from "./engines/pick.ts";

/** All options with their values. */
export interface Options {
  readonly host: string;
  readonly port: number;
  readonly path: string;
  readonly tlsCert: string;
  readonly tlsKey: string;
  readonly engine: EngineName;
  readonly node: string;
  readonly maxMessageBytes: number;
  readonly maxBackpressureBytes: number;
  readonly slowPolicy: SlowPolicy;
  readonly maxTopicsPerConnection: number;
  readonly maxErrors: number;
  readonly maxIdleTopics: number;
  readonly maxHttpBodyBytes: number;
  readonly handshakeTimeoutSeconds: number;
  readonly deflate: DeflateMode;
  readonly deflateThresholdBytes: number;
  readonly heartbeatSeconds: number;
  readonly heartbeatTimeoutSeconds: number;
  readonly shutdownTimeoutSeconds: number;
  readonly reconnectWindowSeconds: number;
  readonly logLevel: LogLevel;
  readonly logFormat: LogFormat;
}

export const logLevels = ["debug", "info", "warn", "error", "silent"] as const;
export type LogLevel = typeof logLevels[number];
export const logFormats = ["auto", "text", "json"] as const;
export type LogFormat = typeof logFormats[number];

interface SpecBase {
  readonly help: string;
  /** Shown as `***` by --print-config. */
  readonly secret?: true;
}

interface IntegerSpec extends SpecBase {
  readonly type: "integer";
  readonly unit: string;
  readonly min: number;
  readonly max: number;
  readonly default: number;
}

interface TextSpec extends SpecBase {
  readonly type: "text";
  readonly pattern: RegExp;
  /** What the pattern means, to complete "must be …". */
  readonly form: string;
  readonly default: string;
}

interface ChoiceSpec extends SpecBase {
  readonly type: "choice";
  readonly values: readonly string[];
  readonly default: string;
}

export type OptionSpec = IntegerSpec | TextSpec | ChoiceSpec;
export type OptionName = keyof Options;
export type OptionValue = string | number;

const KIB = 1024;
const MIB = 1024 * KIB;
const GIB = 1024 * MIB;
const DAY_SECONDS = 86_400;

function integer(value: number, unit: string, min: number, max: number, help: string): IntegerSpec {
  return { type: "integer", default: value, unit, min, max, help };
}

function choice(value: string, values: readonly string[], help: string): ChoiceSpec {
  return { type: "choice", default: value, values, help };
}

export const optionSpecs: Readonly<Record<OptionName, OptionSpec>> = {
  host: {
    type: "text",
    default: "127.0.0.1",
    pattern: /^[A-Za-z0-9.:_-]+$/,
    form: "an IP address or a host name",
    help: "address to listen on; 0.0.0.0 or :: lets everybody in",
  },
  port: integer(9001, "", 0, 65_535, "TCP port; 0 takes a free one"),
  path: {
    type: "text",
    default: "/ws",
    pattern: /^\/[^\s?#]*$/,
    form: "a URL path that starts with /",
    help: "path of the WebSocket endpoint",
  },
  tlsCert: {
    type: "text",
    default: "",
    pattern: /^/,
    form: "a file",
    help: "PEM file of the certificate chain; with --tls-key, serves wss:",
  },
  tlsKey: { type: "text", default: "", pattern: /^/, form: "a file", help: "PEM file of its private key" },
  engine: choice("auto", engineNames, "what serves the sockets; auto takes the native one of the runtime"),
  node: {
    type: "text",
    default: hostname().replaceAll(/[^A-Za-z0-9._-]/g, "-").slice(0, 64) || "node",
    pattern: /^[A-Za-z0-9._-]{1,64}$/,
    form: "1 to 64 characters of A-Z a-z 0-9 . _ -",
    help: "this node's name, told to clients",
  },
  maxMessageBytes: integer(64 * KIB, "bytes", 64, 64 * MIB, "largest message a client may send"),
  maxBackpressureBytes: integer(
    MIB,
    "bytes",
    4 * KIB,
    GIB,
    "how much may wait for one connection that reads too slowly",
  ),
  slowPolicy: choice(
    SlowPolicy.Close,
    Object.values(SlowPolicy),
    "past that: close with 4008, or skip messages and tell the client which",
  ),
  maxTopicsPerConnection: integer(128, "", 1, 100_000, "topics one connection may subscribe to"),
  maxErrors: integer(16, "", 1, 1_000_000, "invalid messages after which a connection is closed with 1008"),
  maxIdleTopics: integer(
    10_000,
    "",
    0,
    100_000_000,
    "topics without subscribers whose offsets are remembered",
  ),
  maxHttpBodyBytes: integer(MIB, "bytes", 0, GIB, "largest body of an HTTP request"),
  handshakeTimeoutSeconds: integer(
    10,
    "seconds",
    1,
    255,
    "how long a request may take to arrive (engine uws: always 10)",
  ),
  deflate: choice(
    DeflateMode.Off,
    Object.values(DeflateMode),
    "permessage-deflate: shared costs no memory per connection, dedicated 32 KiB and more for better ratios",
  ),
  deflateThresholdBytes: integer(KIB, "bytes", 0, 64 * MIB, "smaller messages are sent uncompressed"),
  heartbeatSeconds: integer(30, "seconds", 0, 900, "between two pings to a client; 0 turns them off"),
  heartbeatTimeoutSeconds: integer(
    10,
    "seconds",
    1,
    899,
    "how long a pong may take before the close with 4010",
  ),
  shutdownTimeoutSeconds: integer(
    10,
    "seconds",
    0,
    DAY_SECONDS,
    "after a signal, when the last connections are cut",
  ),
  reconnectWindowSeconds: integer(
    10,
    "seconds",
    0,
    DAY_SECONDS,
    "at shutdown, clients are asked to return spread over this time",
  ),
  logLevel: choice("info", logLevels, "least severe log line to write"),
  logFormat: choice("auto", logFormats, "auto writes text on a terminal and JSON lines otherwise"),
};

export const optionNames = Object.keys(optionSpecs) as readonly OptionName[];

/** Options that cannot be used; `problems` has one line for each thing that is wrong. */
export class OptionsError extends Error {
  override readonly name = "OptionsError";
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(problems.join("\n"));
    this.problems = problems;
  }
}

/**
 * Checks one value, which may be text for every type.
 * @returns the value in its type, or what is wrong, to follow the name of the option
 */
export function checkOption(spec: OptionSpec, value: unknown): { value: OptionValue } | { problem: string } {
  const shown = JSON.stringify(spec.secret ? "***" : value);
  switch (spec.type) {
    case "integer": {
      const number = typeof value === "string" && /^-?\d+$/.test(value) ? Number(value) : value;
      const unit = spec.unit === "" ? "" : ` ${spec.unit}`;
      if (typeof number !== "number" || !Number.isInteger(number) || number < spec.min || number > spec.max) {
        return { problem: `must be a whole number from ${spec.min} to ${spec.max}${unit}, not ${shown}` };
      }
      return { value: number };
    }
    case "text":
      if (typeof value !== "string" || !spec.pattern.test(value)) {
        return { problem: `must be ${spec.form}, not ${shown}` };
      }
      return { value };
    case "choice":
      if (typeof value !== "string" || !spec.values.includes(value)) {
        return { problem: `must be one of ${spec.values.join(", ")}, not ${shown}` };
      }
      return { value };
  }
}

/** What contradicts what among valid values, a line each. */
function contradictions(options: Options): string[] {
  const problems: string[] = [];
  if (options.heartbeatSeconds > 0 && options.heartbeatTimeoutSeconds >= options.heartbeatSeconds) {
    problems.push(
      `heartbeatTimeoutSeconds (${options.heartbeatTimeoutSeconds}) must be less than heartbeatSeconds (${options.heartbeatSeconds})`,
    );
  }
  if (options.maxMessageBytes > options.maxBackpressureBytes) {
    problems.push(
      `maxMessageBytes (${options.maxMessageBytes}) must not be more than maxBackpressureBytes (${options.maxBackpressureBytes}), or one message could fill a connection's backlog`,
    );
  }
  if ((options.tlsCert === "") !== (options.tlsKey === "")) {
    problems.push("tlsCert and tlsKey go together; only one of them is set");
  }
  if (/^\/(health|ready|metrics|api(\/.*)?)$/.test(options.path)) {
    problems.push(`path (${options.path}) is taken by an HTTP route`);
  }
  return problems;
}

/**
 * Fills in defaults and checks everything.
 * @throws {OptionsError} with a line for each problem
 */
export function resolveOptions(given: Readonly<Partial<Record<string, unknown>>>): Options {
  const problems: string[] = [];
  const resolved: Record<string, OptionValue> = {};
  for (const name of optionNames) {
    const spec = optionSpecs[name];
    const checked = checkOption(spec, given[name] ?? spec.default);
    if ("problem" in checked) problems.push(`${name} ${checked.problem}`);
    else resolved[name] = checked.value;
  }
  for (const name of Object.keys(given)) {
    if (!Object.hasOwn(optionSpecs, name)) problems.push(`${name} is not an option`);
  }
  // Each name of the table has been checked by its row.
  const options = resolved as unknown as Options;
  if (problems.length === 0) problems.push(...contradictions(options));
  if (problems.length > 0) throw new OptionsError(problems);
  return options;
}
