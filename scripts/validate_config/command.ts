/**
 * The command line of validate-config: what its arguments mean, and what it answers. It must never print, nor end the
 * process.
 */
import { existsSync } from "node:fs";
import { parseArgs } from "node:util";
import { optionSpecs } from "../../server/options.ts";
import { type Millrace, readMillrace } from "./millrace.ts";
import { countBySeverity, reportJson, reportText } from "./report.ts";
import { apply, type Known } from "./rule.ts";
import { everyRule, optionsRule } from "./rules/all.ts";
import { type ProgramName, programs, recognise, sorted, validate } from "./validate.ts";

/** Exit codes, for a pipeline. */
export const Exit = { Ok: 0, Findings: 1, WrongUse: 2 } as const;
export type Exit = typeof Exit[keyof typeof Exit];

/** What is to be printed, and the exit code. */
export interface Answer {
  readonly exit: Exit;
  readonly stdout: string;
  readonly stderr: string;
}

const HELP = `validate-config FILE… [options] [-- MILLRACE FLAGS]

Reads an nginx or HAProxy configuration and says what would hurt WebSockets: broken syntax, lost upgrades, timeouts
shorter than the heartbeat, weak TLS, missing limits, exposed metrics and more. Every finding has a severity, a file
and a line, the reason, and corrected lines (+). Nothing is started, and nothing is connected to.

  FILE             nginx: the main file, usually /etc/nginx/nginx.conf; its includes are followed. A file that is
                   made to be included (sites-available/…) is read as a part
                   HAProxy: files, or folders with .cfg files, in the order of haproxy -f
  --type TYPE      nginx or haproxy; without it the content decides
  --millrace FILE  Millrace's configuration (JSON, as for its --config): compared with the proxy's
  -- FLAGS         Millrace's flags, e.g. -- --port 9001 --heartbeat-seconds 20; with or in place of the file
  --heartbeat S    seconds between two pings of the server (${optionSpecs.heartbeatSeconds.default}, or Millrace's); 0: it sends none
  --path PATH      a path that is for WebSockets (Millrace's, or what is recognised: /ws, /socket.io/, upgrades, …)
  --connections N  how many WebSockets the proxy has to carry at a time
  --sticky-required
                   the servers keep state of their clients, as Socket.IO does: no stickiness is an error then.
                   Millrace needs none
  --behind-tls     something in front of this proxy ends TLS, so ws: here is fine
  --skip RULES     rules to leave out, by the name in [brackets], e.g. certificate-file,server-tokens
  --json           the report as JSON on standard output
  --list           print all rules and stop
  --help           this text

Exit code: 0 without an error or a warning (notes do not count), 1 with one, 2 for wrong use.`;

interface Command {
  readonly program: ProgramName;
  readonly files: readonly string[];
  readonly millraceFile: string | undefined;
  readonly millraceFlags: readonly string[];
  readonly heartbeatSeconds: number | undefined;
  readonly path: string | undefined;
  readonly connections: number | undefined;
  readonly isStickyRequired: boolean;
  readonly isBehindTls: boolean;
  readonly skip: ReadonlySet<string>;
  readonly json: boolean;
}

function wholeNumber(text: string | undefined, name: string): number | undefined {
  if (text === undefined) return undefined;
  if (!/^\d{1,9}$/.test(text)) {
    throw new RangeError(`${name} must be a whole number, not ${JSON.stringify(text)}`);
  }
  return Number(text);
}

function programOf(type: string | undefined, files: readonly string[]): ProgramName {
  if (type !== undefined) {
    const program = programs.find((name) => name === type);
    if (program === undefined) {
      throw new RangeError(`--type must be ${programs.join(" or ")}, not ${JSON.stringify(type)}`);
    }
    return program;
  }
  const program = recognise(files);
  if (program === undefined) {
    throw new TypeError("the content does not tell whether this is for nginx or HAProxy; say --type");
  }
  return program;
}

/** @throws TypeError or RangeError for wrong use. */
function readCommand(args: readonly string[]): Command | "help" | "list" {
  const end = args.indexOf("--");
  const millraceFlags = end === -1 ? [] : args.slice(end + 1);
  const { values, positionals: files } = parseArgs({
    args: end === -1 ? [...args] : args.slice(0, end),
    allowPositionals: true,
    options: {
      type: { type: "string" },
      millrace: { type: "string" },
      heartbeat: { type: "string" },
      path: { type: "string" },
      connections: { type: "string" },
      "sticky-required": { type: "boolean" },
      "behind-tls": { type: "boolean" },
      skip: { type: "string" },
      json: { type: "boolean" },
      list: { type: "boolean" },
      help: { type: "boolean" },
    },
  });
  if (values.help === true) return "help";
  if (values.list === true) return "list";
  if (files.length === 0) throw new TypeError("a configuration file is needed; see --help");
  const missing = [...files, ...(values.millrace === undefined ? [] : [values.millrace])].find((file) =>
    !existsSync(file)
  );
  if (missing !== undefined) throw new TypeError(`${missing} does not exist`);
  if (values.path !== undefined && !values.path.startsWith("/")) {
    throw new TypeError(`--path must start with /, not ${JSON.stringify(values.path)}`);
  }
  const skip = (values.skip ?? "").split(",").map((id) => id.trim()).filter((id) => id !== "");
  const unknown = skip.find((id) => !everyRule.some((rule) => rule.id === id));
  if (unknown !== undefined) {
    throw new TypeError(`--skip: there is no rule ${unknown}; --list names them all`);
  }
  const program = programOf(values.type, files);
  if (program === "nginx" && files.length > 1) {
    throw new TypeError("nginx has one main file, which includes the others; give that one");
  }
  return {
    ...{ program, files, millraceFlags, millraceFile: values.millrace, path: values.path },
    heartbeatSeconds: wholeNumber(values.heartbeat, "--heartbeat"),
    connections: wholeNumber(values.connections, "--connections"),
    isStickyRequired: values["sticky-required"] === true,
    isBehindTls: values["behind-tls"] === true,
    skip: new Set(skip),
    json: values.json === true,
  };
}

function knownOf(command: Command, millrace: Millrace | undefined): Known {
  const { heartbeatSeconds: asked, isStickyRequired, isBehindTls, connections } = command;
  const pings = asked ?? millrace?.options.heartbeatSeconds ?? optionSpecs.heartbeatSeconds.default;
  const source = millrace === undefined ? "Millrace's default" : "Millrace's heartbeatSeconds";
  const pong = millrace?.options.heartbeatTimeoutSeconds ?? optionSpecs.heartbeatTimeoutSeconds.default;
  return {
    ...{ isStickyRequired, isBehindTls, connections, millrace },
    heartbeatSeconds: pings,
    pongSeconds: asked === undefined ? pong : Math.min(pong, Math.max(asked - 1, 0)),
    heartbeatSource: asked === undefined ? source : "--heartbeat",
    nowMs: Date.now(),
  };
}

function run(command: Command): Answer {
  const { program, files, millraceFile, millraceFlags, path, skip, json } = command;
  const read = millraceFile === undefined && millraceFlags.length === 0
    ? undefined
    : readMillrace(millraceFile, millraceFlags);
  const millrace = read !== undefined && "millrace" in read ? read.millrace : undefined;
  const refused = read !== undefined && "problems" in read ? apply(optionsRule, read.problems) : [];
  const validation = validate(program, files, knownOf(command, millrace), path ?? millrace?.options.path);
  const findings = sorted([...refused, ...validation.findings], validation.files).filter(({ rule }) =>
    !skip.has(rule)
  );
  const report = { ...validation, findings };
  const { error, warning } = countBySeverity(findings);
  return said(json ? reportJson(report) : reportText(report), error + warning > 0 ? Exit.Findings : Exit.Ok);
}

function listText(): string {
  const width = Math.max(...everyRule.map(({ id }) => id.length));
  return everyRule.map(({ id, severity, finds }) =>
    `${id.padEnd(width)}  ${severity.padEnd("warning".length)}  ${finds}`
  ).join("\n");
}

function said(text: string, exit: Exit): Answer {
  return { exit, stdout: `${text}\n`, stderr: "" };
}

/** Does what the arguments ask for; only reads files. */
export function answer(args: readonly string[]): Answer {
  let command;
  try {
    command = readCommand(args);
  } catch (error) {
    if (!(error instanceof TypeError || error instanceof RangeError)) throw error;
    return { exit: Exit.WrongUse, stdout: "", stderr: `validate-config: ${error.message}\n` };
  }
  if (typeof command === "object") return run(command);
  return said(command === "help" ? HELP : listText(), Exit.Ok);
}
