/**
 * Where options come from: flags, then environment variables, then a JSON file, then defaults. It reads what it is
 * given and writes nothing; main.ts prints.
 */
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { type OptionName, optionNames, type Options, specOf } from "./options.ts";
import { OptionsError, resolveOptions } from "./resolve.ts";

const ENV_PREFIX = "MILLRACE_";

/** What a command line asks for. */
export interface Config {
  readonly action: "serve" | "help" | "print-config";
  readonly options: Options;
  /** Where each value came from, in words. */
  readonly sources: Readonly<Record<OptionName, string>>;
}

type Environment = Readonly<Record<string, string | undefined>>;

interface Found {
  readonly value: unknown;
  readonly source: string;
}

/** `maxMessageBytes` as `max-message-bytes`. */
export function flagName(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** `maxMessageBytes` as `MILLRACE_MAX_MESSAGE_BYTES`. */
export function environmentName(name: string): string {
  return ENV_PREFIX + flagName(name).toUpperCase().replaceAll("-", "_");
}

/**
 * Reads a command line and its environment.
 * @throws {OptionsError} with a line for each problem
 */
export function readConfig(args: readonly string[], environment: Environment): Config {
  const problems: string[] = [];
  const flags = readFlags(args, problems);
  const file = flags.config ?? environment[`${ENV_PREFIX}CONFIG`];
  const sources = [
    flags.found,
    readEnvironment(environment, problems),
    file === undefined ? new Map<OptionName, Found>() : readFile(file, problems),
  ];
  const given: Record<string, unknown> = {};
  const origin: Record<string, string> = {};
  for (const name of optionNames) {
    const found = sources.map((source) => source.get(name)).find((found) => found !== undefined);
    origin[name] = found?.source ?? "default";
    if (found === undefined) continue;
    const checked = specOf(name).read(found.value);
    if ("problem" in checked) problems.push(`${found.source}: ${name} ${checked.problem}`);
    else given[name] = checked.value;
  }
  if (problems.length > 0) throw new OptionsError(problems);
  return {
    action: flags.action,
    options: resolveOptions(given),
    sources: origin as Record<OptionName, string>,
  };
}

function toFlag(name: string): string {
  return `--${name}`;
}

interface Flags {
  readonly action: Config["action"];
  readonly config: string | undefined;
  readonly found: Map<OptionName, Found>;
}

function readFlags(args: readonly string[], problems: string[]): Flags {
  const known = new Map(optionNames.map((name) => [flagName(name), name]));
  const typeOf = (name: OptionName) => specOf(name).isSwitch ? "boolean" as const : "string" as const;
  const options = Object.fromEntries([...known].map(([flag, name]) => [flag, { type: typeOf(name) }]));
  const { tokens } = parseArgs({
    args: [...args],
    strict: false,
    tokens: true,
    options: {
      ...options,
      "config": { type: "string" },
      "help": { type: "boolean", short: "h" },
      "print-config": { type: "boolean" },
    },
  });
  const found = new Map<OptionName, Found>();
  let action: Config["action"] = "serve";
  let config: string | undefined;
  let unknownAt: number | undefined;
  for (const token of tokens) {
    // What stands behind an unknown option is taken for its value.
    if (token.kind === "positional" && (unknownAt === undefined || token.index !== unknownAt + 1)) {
      problems.push(`${token.value}: not an option; options start with --`);
    }
    if (token.kind !== "option") continue;
    const name = known.get(token.name);
    if (token.name === "help" || token.name === "print-config") action = token.name;
    else if (name === undefined && token.name !== "config") {
      problems.push(
        `${token.rawName}: unknown option${suggestion(token.rawName, [...known.keys()].map(toFlag))}`,
      );
      unknownAt = token.index;
    } else if (name !== undefined && specOf(name).isSwitch) {
      found.set(name, { value: token.value ?? true, source: token.rawName });
    } else if (token.value === undefined) problems.push(`${token.rawName}: needs a value`);
    else if (name === undefined) config = token.value;
    else found.set(name, { value: token.value, source: token.rawName });
  }
  return { action, config, found };
}

function readEnvironment(environment: Environment, problems: string[]): Map<OptionName, Found> {
  const known = new Map(optionNames.map((name) => [environmentName(name), name]));
  const found = new Map<OptionName, Found>();
  if (environment["PORT"] !== undefined) found.set("port", { value: environment["PORT"], source: "PORT" });
  for (const [variable, value] of Object.entries(environment)) {
    if (!variable.startsWith(ENV_PREFIX) || variable === `${ENV_PREFIX}CONFIG` || value === undefined) {
      continue;
    }
    if (isServiceLink(variable, value)) continue;
    const name = known.get(variable);
    if (name !== undefined) found.set(name, { value, source: variable });
    else problems.push(`${variable}: unknown variable${suggestion(variable, [...known.keys()])}`);
  }
  return found;
}

/**
 * Kubernetes puts such variables into the pods beside a service that is called millrace, or millrace-something. One of
 * them has the name of an option: MILLRACE_PORT=tcp://10.0.0.1:9001.
 */
function isServiceLink(variable: string, value: string): boolean {
  if (/_SERVICE_(HOST|PORT)|_PORT_\d+_(TCP|UDP|SCTP)/.test(variable)) return true;
  return variable.endsWith("_PORT") && /^(tcp|udp|sctp):\/\//.test(value);
}

function readFile(path: string, problems: string[]): Map<OptionName, Found> {
  const found = new Map<OptionName, Found>();
  let content: unknown;
  try {
    content = JSON.parse(readFileSync(path, "utf8"));
  } catch (error) {
    // The parser may quote the file, line ends and all.
    const why = (error as Error).message.replaceAll(/\s+/g, " ");
    problems.push(`${path}: cannot be read as JSON: ${why}`);
    return found;
  }
  if (typeof content !== "object" || content === null || Array.isArray(content)) {
    problems.push(`${path}: must hold one JSON object of options`);
    return found;
  }
  for (const [key, value] of Object.entries(content)) {
    const name = optionNames.find((name) => name === key);
    if (name === undefined) problems.push(`${path}: ${key}: unknown option${suggestion(key, optionNames)}`);
    else found.set(name, { value, source: path });
  }
  return found;
}

/** How many letters may differ between a name and the one that was probably meant; two are swapped neighbours. */
const MAX_TYPING_ERRORS = 2;

/** The nearest known name, if it is near. */
function suggestion(name: string, known: readonly string[]): string {
  const [nearest] = known.map((candidate) => ({ candidate, distance: editDistance(name, candidate) }))
    .sort((a, b) => a.distance - b.distance);
  if (nearest === undefined || nearest.distance > MAX_TYPING_ERRORS) {
    return "; --help lists them all";
  }
  return `; did you mean ${nearest.candidate}?`;
}

/** How many letters must be changed, added or left out to make one of the other. */
export function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitution = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(substitution, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}

/** The text of --help. */
export function helpText(): string {
  const rows = optionNames.map((name) => {
    const { form, help, isSwitch, write, default: value } = specOf(name);
    return { head: `  --${flagName(name)}${isSwitch ? "" : ` <${form}>`}`, help, value: write(value) };
  });
  const lines = rows.flatMap(({ head, help, value }) => [head, `      ${help} [${value}]`]);
  return [
    "Millrace, a WebSocket pub/sub server.",
    "",
    "Usage: npm run server -- [options]        on Bun",
    "       npm run server:node -- [options]   on Node, with uWebSockets.js",
    "",
    "Options, with their defaults in brackets:",
    ...lines,
    "  --config <file>",
    "      JSON file of options, named as in maxMessageBytes",
    "  --print-config",
    "      print what holds and where it came from, and exit",
    "  --help, -h",
    "      print this text and exit",
    "",
    `Every option is also an environment variable: --max-message-bytes is ${
      environmentName("maxMessageBytes")
    };`,
    "PORT works too. Flags come first, then the environment, then the file.",
    "",
  ].join("\n");
}

/** Behind a user's name in a URL. */
const URL_PASSWORD = /(:\/\/[^\s"/:@]*:)[^\s"/@]+@/g;

/** A value as the configuration file would have it, without secrets. */
function settingText(name: OptionName, value: unknown): string {
  const { secret, write } = specOf(name);
  if (secret && value !== "") return "***";
  const text = JSON.stringify(typeof value === "object" && !Array.isArray(value) ? write(value) : value);
  return text.replaceAll(URL_PASSWORD, "$1***@");
}

/** The text of --print-config: name, value and source of every option. */
export function configText({ options, sources }: Config): string {
  const rows = optionNames.map((name) => ({
    setting: `${name} = ${settingText(name, options[name])}`,
    source: sources[name],
  }));
  const width = Math.max(...rows.map((row) => row.setting.length));
  return rows.map((row) => `${row.setting.padEnd(width)}  # ${row.source}\n`).join("");
}
