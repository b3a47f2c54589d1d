/** The command line: flags to settings, and the help. Errors say what was wrong and what would be right. */
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { parseTarget, type Target } from "../conformance/target.ts";
import { DEFAULTS, type Settings } from "./settings.ts";
import type { Test } from "./test.ts";
import { allTests, selectTests } from "./tests/mod.ts";

const MOST_CONNECTIONS = 10_000;
const MOST_MESSAGES = 100_000;
const MOST_SECONDS = 86_400;
const LARGEST_MESSAGE_BYTES = 64 * 1024 * 1024;
const MS = 1_000;

/** What the command was asked to do. */
export interface Command {
  readonly settings: Settings;
  readonly tests: readonly Test[];
  readonly json: boolean;
  readonly junit: string | undefined;
}

/** `--help`. */
export const HELP = `test-server URL [options]

Tests any WebSocket server at URL (ws: or wss:): connecting, TLS, refusals of handshakes, pings, closing, messages of all
kinds and sizes, compression, latency, reconnecting, many connections; and Millrace's own protocol where it is spoken.

  npm run test-server -- ws://127.0.0.1:9001/ws

A server that echoes is recognised by trying, Millrace by its welcome. A server that gives messages back in neither way
is not at fault: what needs that is skipped, with the reason.

What is tested
  --test NAME            a test or a group of tests, as in --test ping or --test close.tcp; may be repeated
  --test-all             all; without --test and --test-all those that are quick and harmless. Left out are
                         ${allTests.filter(({ quick }) => !quick).map(({ name }) => name).join(", ")}
  --list                 the chosen tests with what they check, and stop

How
  --duration SECONDS     how long latency is watched (${DEFAULTS.durationMs / MS})
  --connections N        how many connections are opened at once (${DEFAULTS.connections})
  --messages N           how many messages are sent in one go (${DEFAULTS.messages})
  --max-message-bytes N  the largest message that is tried (${DEFAULTS.maxMessageBytes})
  --timeout-seconds N    how long to wait for one answer (${DEFAULTS.timeoutMs / MS})
  --topic PREFIX         first tokens of the topics used on Millrace (${DEFAULTS.topic})

What handshakes carry
  --header 'NAME: VALUE' a header; may be repeated
  --token TOKEN          Authorization: Bearer TOKEN
  --origin ORIGIN        Origin, as a browser sends it
  --subprotocol NAME     offered in Sec-WebSocket-Protocol; may be repeated
  --ca FILE              PEM file of authorities to believe besides those of the system
  --insecure             believe any certificate

What comes out
  --json                 the report as JSON, in place of the text
  --junit FILE           also write it as JUnit XML

Exit code: 0 when no test failed, 1 when one did (a server that cannot be reached is one), 2 for wrong use.`;

const OPTIONS = {
  test: { type: "string", multiple: true },
  "test-all": { type: "boolean" },
  list: { type: "boolean" },
  duration: { type: "string" },
  connections: { type: "string" },
  messages: { type: "string" },
  "max-message-bytes": { type: "string" },
  "timeout-seconds": { type: "string" },
  topic: { type: "string" },
  header: { type: "string", multiple: true },
  token: { type: "string" },
  origin: { type: "string" },
  subprotocol: { type: "string", multiple: true },
  ca: { type: "string" },
  insecure: { type: "boolean" },
  json: { type: "boolean" },
  junit: { type: "string" },
  help: { type: "boolean" },
} as const;

/**
 * Reads the command line.
 * @throws TypeError or RangeError for wrong use.
 */
export function readCommand(args: readonly string[]): Command | "help" | { readonly list: readonly Test[] } {
  const { values, positionals } = parseArgs({ args: [...args], allowPositionals: true, options: OPTIONS });
  if (values.help === true) return "help";
  const names = values.test ?? [];
  if (names.length > 0 && values["test-all"] === true) throw new TypeError("--test or --test-all, not both");
  const quick = allTests.filter((test) => test.quick);
  const tests = values["test-all"] === true ? allTests : names.length === 0 ? quick : selectTests(names);
  if (values.list === true) return { list: tests };
  const [url, ...rest] = positionals;
  if (url === undefined || rest.length > 0) {
    throw new TypeError("exactly one URL is needed, as in ws://127.0.0.1:9001/ws; see --help");
  }
  const settings: Settings = {
    url,
    target: readTarget(url),
    headers: readHeaders(values),
    subprotocols: (values.subprotocol ?? []).map((name) => readToken(name, "--subprotocol")),
    trust: {
      ...(values.ca === undefined ? {} : { authorities: [readAuthorities(values.ca)] }),
      insecure: values.insecure === true,
    },
    timeoutMs:
      readNumber(values["timeout-seconds"], "--timeout-seconds", MOST_SECONDS, DEFAULTS.timeoutMs / MS) * MS,
    durationMs: readNumber(values.duration, "--duration", MOST_SECONDS, DEFAULTS.durationMs / MS) * MS,
    connections: readCount(values.connections, "--connections", MOST_CONNECTIONS, DEFAULTS.connections),
    messages: readCount(values.messages, "--messages", MOST_MESSAGES, DEFAULTS.messages),
    maxMessageBytes: readCount(
      values["max-message-bytes"],
      "--max-message-bytes",
      LARGEST_MESSAGE_BYTES,
      DEFAULTS.maxMessageBytes,
    ),
    topic: readTopic(values.topic ?? DEFAULTS.topic),
    greetingMs: DEFAULTS.greetingMs,
    now: Date.now,
  };
  return { settings, tests, json: values.json === true, junit: values.junit };
}

function readTarget(url: string): Target {
  if (!URL.canParse(url)) throw new TypeError(`not a URL: ${url}; right would be ws://127.0.0.1:9001/ws`);
  return parseTarget(url);
}

/** Digits with an optional fraction; more than 0. */
function readNumber(text: string | undefined, name: string, most: number, fallback: number): number {
  if (text === undefined) return fallback;
  const value = /^\d{1,9}(\.\d{1,3})?$/.test(text) ? Number(text) : NaN;
  if (value > 0 && value <= most) return value;
  throw new RangeError(`${name} ${text}: must be a number above 0, at most ${most}`);
}

function readCount(text: string | undefined, name: string, most: number, fallback: number): number {
  const value = readNumber(text, name, most, fallback);
  if (Number.isInteger(value)) return value;
  throw new RangeError(`${name} ${text}: must be a whole number`);
}

function readTopic(text: string): string {
  if (/^[A-Za-z0-9_\-:/@=,;]+(\.[A-Za-z0-9_\-:/@=,;]+)*$/.test(text) && text.length <= 150) return text;
  throw new RangeError(
    `--topic ${text}: must be tokens of A-Z a-z 0-9 _ - : / @ = , ; with dots between them`,
  );
}

function readToken(text: string, name: string): string {
  if (/^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/.test(text)) return text;
  throw new RangeError(`${name} ${text}: has characters that a header may not have there`);
}

function readValue(text: string, name: string): string {
  // deno-lint-ignore no-control-regex
  if (/^[^\u0000-\u0008\u000a-\u001f\u007f]*$/.test(text)) return text.trim();
  throw new RangeError(`${name}: has a control character in its value`);
}

interface HeaderFlags {
  readonly header?: readonly string[] | undefined;
  readonly token?: string | undefined;
  readonly origin?: string | undefined;
}

/** What the tool writes itself, and checks the answer to. */
const OWN_HEADERS = /^(upgrade|connection|sec-websocket-.*)$/i;

function readHeaders({ header = [], token, origin }: HeaderFlags): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const each of header) {
    const colon = each.indexOf(":");
    if (colon < 1) throw new RangeError(`--header ${each}: must be 'Name: value'`);
    const name = readToken(each.slice(0, colon), "--header");
    if (OWN_HEADERS.test(name)) {
      throw new RangeError(
        `--header ${name}: the tests write that one themselves; for subprotocols take --subprotocol`,
      );
    }
    headers[/^host$/i.test(name) ? "Host" : name] = readValue(each.slice(colon + 1), `--header ${name}`);
  }
  if (token !== undefined) headers["Authorization"] = `Bearer ${readValue(token, "--token")}`;
  if (origin !== undefined) headers["Origin"] = readValue(origin, "--origin");
  return headers;
}

function readAuthorities(path: string): string {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw new TypeError(
      `--ca ${path}: cannot be read (${error instanceof Error ? error.message : String(error)})`,
    );
  }
  if (text.includes("-----BEGIN CERTIFICATE-----")) return text;
  throw new TypeError(`--ca ${path}: has no certificate in PEM form (-----BEGIN CERTIFICATE-----)`);
}
