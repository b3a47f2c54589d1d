/** What `haproxy -c` would refuse in one line: unknown keywords and parameters, wrong counts and values. Knows no other line. */
import {
  balanceNames,
  bindFlags,
  bindValues,
  GLOBAL_PREFIXES,
  globalKeywords,
  notInDefaults,
  optionNames,
  proxyKeywords,
  requestActions,
  responseActions,
  serverFlags,
  serverKeywords,
  serverValues,
  timeoutNames,
} from "./haproxy_keywords.ts";
import type { HaproxyLine, Section } from "./haproxy_tree.ts";
import { nearest } from "./spelling.ts";

const MODES: ReadonlySet<string> = new Set(["http", "tcp", "health", "log", "spop"]);
const TIME = /^(\d+)(us|ms|s|m|h|d)?$/;
const UNIT_SECONDS: Readonly<Record<string, number>> = {
  us: 1e-6,
  ms: 1e-3,
  s: 1,
  m: 60,
  h: 3600,
  d: 86_400,
};

/** Seconds of a time as HAProxy writes it: milliseconds without a unit. Undefined for what is none. */
export function haproxySeconds(text: string | undefined): number | undefined {
  const match = TIME.exec(text ?? "");
  return match === null ? undefined : Number(match[1]) * (UNIT_SECONDS[match[2] ?? "ms"] ?? 0);
}

type Check = (args: readonly string[], section: Section) => string | undefined;

function unknown(what: string, word: string, known: Iterable<string>): string {
  const meant = nearest(word, [...known]);
  return `${what} '${word}'${meant === undefined ? "" : `; did you mean '${meant}'?`}`;
}

/** What is wrong with the parameters after an address. */
function parameterProblem(
  args: readonly string[],
  flags: ReadonlySet<string>,
  values: ReadonlySet<string>,
): string | undefined {
  for (let at = 0; at < args.length; at++) {
    const word = args[at] ?? "";
    if (values.has(word)) {
      at++;
      if (args[at] === undefined) return `'${word}' expects a value`;
    } else if (!flags.has(word)) return unknown("unknown keyword", word, [...flags, ...values]);
  }
  return undefined;
}

/** HAProxy takes any word for a number, and what is none for 0. */
function one(args: readonly string[], keyword: string): string | undefined {
  const [value, more] = args;
  if (value === undefined) return `'${keyword}' expects a number`;
  return more === undefined ? undefined : `'${keyword}' cannot handle unexpected argument '${more}'`;
}

/** A single argument that is not a number. */
function single(what: string): Check {
  return ([first, more]) => {
    if (first === undefined) return `a ${what} is missing`;
    return more === undefined || more === "if" || more === "unless"
      ? undefined
      : `cannot handle unexpected argument '${more}'`;
  };
}

const TABLE_FLAGS: ReadonlySet<string> = new Set(["nopurge", "recv-only"]);
const TABLE_VALUES: ReadonlySet<string> = new Set([
  "type",
  "size",
  "expire",
  "store",
  "peers",
  "srvkey",
  "write-to",
  "brates-factor",
]);
const TABLE_TYPES: ReadonlySet<string> = new Set([
  "ip",
  "ipv4",
  "ipv6",
  "integer",
  "string",
  "binary",
  "len",
]);

/** `stick-table type ip size 100k …`; a type of text may be followed by `len`. */
function tableProblem(args: readonly string[]): string | undefined {
  const at = args.indexOf("type");
  const type = args[at + 1] ?? "";
  if (at === -1 || !TABLE_TYPES.has(type)) {
    return unknown("stick-table: unknown type", at === -1 ? "" : type, TABLE_TYPES);
  }
  const size = args[args.indexOf("size") + 1] ?? "";
  if (!args.includes("size") || !/^(\d+[kmg]?|.*\$.*)$/i.test(size)) {
    return `stick-table: 'size' expects a number, not '${size}'`;
  }
  const expire = args.includes("expire") ? args[args.indexOf("expire") + 1] : "1s";
  if (haproxySeconds(expire) === undefined) {
    return `stick-table: 'expire' expects a time, not '${expire ?? ""}'`;
  }
  // HAProxy takes a table that stores nothing.
  return parameterProblem(
    args.at(-1) === "store" ? args.slice(0, -1) : args,
    TABLE_FLAGS,
    new Set([...TABLE_VALUES, "len"]),
  );
}

const TCP_REQUEST: ReadonlySet<string> = new Set(["inspect-delay", "connection", "content", "session"]);
const TCP_ACTIONS: ReadonlySet<string> = new Set([
  ...[
    "accept",
    "reject",
    "capture",
    "expect-proxy",
    "expect-netscaler-cip",
    "track-sc*",
    "sc-*",
    "set-*",
    "unset-var*",
  ],
  ...[
    "silent-drop",
    "do-resolve*",
    "send-spoe-group",
    "switch-mode",
    "use-service",
    "lua.*",
    "attach-srv",
    "close",
  ],
]);

/** Actions that take a condition and nothing else. */
const BARE_ACTIONS: ReadonlySet<string> = new Set(["accept", "reject", "allow"]);

const tcpRequest: Check = (args, section) => {
  const [level = "", name = "", after] = args;
  if (!TCP_REQUEST.has(level)) return unknown("'tcp-request' does not have", level, TCP_REQUEST);
  if (level === "inspect-delay") {
    return haproxySeconds(name) === undefined ? "'inspect-delay' expects a time" : undefined;
  }
  const problem = action(TCP_ACTIONS, `tcp-request ${level}`)([name], section);
  if (problem !== undefined) return problem;
  const isBare = BARE_ACTIONS.has(name) && after !== undefined && after !== "if" && after !== "unless";
  return isBare ? `'tcp-request ${level} ${name}' only accepts 'if' or 'unless' (got '${after}')` : undefined;
};

function action(known: ReadonlySet<string>, keyword: string): Check {
  const names = [...known];
  return ([word = ""]) => {
    const isKnown = known.has(word) ||
      names.some((name) => name.endsWith("*") && word.startsWith(name.slice(0, -1)));
    return isKnown ? undefined : unknown(`'${keyword}' does not have the action`, word, names);
  };
}

const server: Check = (args, { kind }) => {
  const [, address, ...parameters] = args;
  if (address === undefined) return "'server' expects <name> and <addr>[:<port>] as arguments";
  return kind === "peers" ? undefined : parameterProblem(parameters, serverFlags, serverValues);
};

const CHECKS: Readonly<Record<string, Check>> = {
  server,
  bind([address, ...parameters]) {
    if (address === undefined) return "'bind' expects [addr]:port or a path";
    return parameterProblem(parameters, bindFlags, bindValues);
  },
  mode: ([mode = ""]) => MODES.has(mode) ? undefined : unknown("unknown proxy mode", mode, MODES),
  option: ([option = ""]) =>
    optionNames.has(option) ? undefined : unknown("unknown option", option, optionNames),
  timeout([name = "", value, more]) {
    if (!timeoutNames.has(name)) return unknown("'timeout' does not have", name, timeoutNames);
    if (haproxySeconds(value) === undefined && value?.includes("$") !== true) {
      return `'timeout ${name}' expects a time such as 30s, not '${value ?? ""}'`;
    }
    return more === undefined ? undefined : `'timeout ${name}' cannot handle unexpected argument '${more}'`;
  },
  balance([name = "roundrobin"]) {
    const word = name.replace(/\(.*/, "");
    return balanceNames.has(word) ? undefined : unknown("balance does not have", word, balanceNames);
  },
  maxconn: (args) => one(args, "maxconn"),
  retries: (args) => one(args, "retries"),
  fullconn: (args) => one(args, "fullconn"),
  use_backend: ([name]) => name === undefined ? "'use_backend' expects a backend name" : undefined,
  default_backend: single("backend's name"),
  "stick-table": tableProblem,
  "tcp-request": tcpRequest,
  acl: ([, criterion]) => criterion === undefined ? "'acl' expects a name and a criterion" : undefined,
  "http-request": action(requestActions, "http-request"),
  "http-response": action(responseActions, "http-response"),
};

/** What is wrong with a line by itself; undefined when nothing is, or when its section has a language of its own. */
export function lineProblem({ keyword, args }: HaproxyLine, section: Section): string | undefined {
  const { kind } = section;
  if (kind === "global") {
    if (GLOBAL_PREFIXES.some((prefix) => keyword.startsWith(prefix))) return undefined;
    if (!globalKeywords.has(keyword)) {
      return `${unknown("unknown keyword", keyword, globalKeywords)} in 'global' section`;
    }
    if (keyword === "hard-stop-after" && haproxySeconds(args[0]) === undefined) {
      return "'hard-stop-after' expects a time";
    }
    if (keyword === "ssl-default-bind-options") return parameterProblem(args, bindFlags, bindValues);
    return keyword === "maxconn" ? one(args, keyword) : undefined;
  }
  if (!["defaults", "frontend", "backend", "listen"].includes(kind)) return undefined;
  if (!proxyKeywords.has(keyword)) {
    return `${unknown("unknown keyword", keyword, proxyKeywords)} in '${kind}' section`;
  }
  if (kind === "defaults") {
    if (notInDefaults.has(keyword)) return `'${keyword}' not allowed in 'defaults' section`;
    if (
      section.name === "" &&
      /^(acl|http-(request|response|after-response)|tcp-(request|response))$/.test(keyword)
    ) {
      return `'${keyword}' not allowed in anonymous 'defaults' section`;
    }
  }
  if (kind === "frontend" && serverKeywords.has(keyword)) {
    return `'${keyword}' not allowed because a frontend has no servers`;
  }
  return CHECKS[keyword]?.(args, section);
}
