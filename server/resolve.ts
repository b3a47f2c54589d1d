/** From values that somebody has given to options that hold: defaults filled in, every value checked, and all of them together. */
import {
  hasAuthentication,
  isLoopback,
  keyOptions,
  MetricsAccess,
  optionNames,
  type Options,
  optionSpecs,
  specOf,
} from "./options.ts";

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
 * Fills in defaults and checks everything.
 * @throws {OptionsError} with a line for each problem
 */
export function resolveOptions(given: Readonly<Partial<Record<string, unknown>>>): Options {
  const problems: string[] = [];
  const resolved: Record<string, unknown> = {};
  for (const name of optionNames) {
    const spec = specOf(name);
    const value = given[name];
    const checked = value === undefined ? { value: spec.default } : spec.read(value);
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

/** What contradicts what among valid values, a line each. */
function contradictions(options: Options): string[] {
  const problems: string[] = [];
  const require = (holds: boolean, problem: string) => {
    if (!holds) problems.push(problem);
  };
  const { heartbeatSeconds, heartbeatTimeoutSeconds, maxMessageBytes, maxBackpressureBytes } = options;
  require(
    heartbeatSeconds === 0 || heartbeatTimeoutSeconds < heartbeatSeconds,
    `heartbeatTimeoutSeconds (${heartbeatTimeoutSeconds}) must be less than heartbeatSeconds (${heartbeatSeconds})`,
  );
  require(
    maxMessageBytes <= maxBackpressureBytes,
    `maxMessageBytes (${maxMessageBytes}) must not be more than maxBackpressureBytes (${maxBackpressureBytes}), or one message could fill a connection's backlog`,
  );
  require(
    maxBackpressureBytes <= options.maxQueuedBytes,
    `maxBackpressureBytes (${maxBackpressureBytes}) must not be more than maxQueuedBytes (${options.maxQueuedBytes}), or one connection could use up the whole node's`,
  );
  for (const name of ["byteRate", "userByteRate"] as const) {
    const burst = options[name]?.burst ?? Infinity;
    require(
      burst >= maxMessageBytes,
      `${name}'s burst (${burst}) must not be less than maxMessageBytes (${maxMessageBytes}), or the largest message could never be sent`,
    );
  }
  require(
    (options.tlsCert === "") === (options.tlsKey === ""),
    "tlsCert and tlsKey go together; only one of them is set",
  );
  require(
    !/^\/(health|ready|metrics|api(\/.*)?|dashboard(\/.*)?)$/.test(options.path),
    `path (${options.path}) is taken by an HTTP route`,
  );
  require(
    (options.broker === "memory") === (options.brokerUrls.length === 0),
    options.broker === "memory"
      ? "brokerUrls are for broker redis or nats; broker is memory"
      : `broker ${options.broker} needs brokerUrls`,
  );
  require(
    options.redisCluster === "off" || options.broker === "redis",
    `redisCluster (${options.redisCluster}) is for broker redis`,
  );
  const keys = keyOptions.filter((name) => options[name] !== "");
  require(keys.length <= 1, `only one of ${keyOptions.join(", ")} can be set, not ${keys.join(" and ")}`);
  const tokenOptions = ["jwtAudience", "jwtIssuer", "authCookie"] as const;
  for (const name of tokenOptions.filter((name) => options[name] !== "")) {
    require(keys.length > 0, `${name} is for tokens, and no key for them is set: ${keyOptions.join(", ")}`);
  }
  require(
    options.metrics !== MetricsAccess.Key || options.apiKeyFile !== "",
    "metrics=key needs apiKeyFile",
  );
  require(
    !options.dashboard || options.apiKeyFile !== "",
    "dashboard needs apiKeyFile: it shows its figures to those with an API key",
  );
  require(
    hasAuthentication(options) || isLoopback(options.host) || options.insecureAnonymous,
    `host (${options.host}) lets other machines in, and nothing says who they may be: set a key for tokens (${
      keyOptions.join(", ")
    }), listen on 127.0.0.1, or ask for it with --insecure-anonymous`,
  );
  return problems;
}
