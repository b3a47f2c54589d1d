/**
 * Who is measured: the built-in contenders by name, and any other server by the command line that starts it.
 * It must never know a workload's course or its figures.
 */
import type { Contender } from "./contender.ts";
import { runtimes } from "./contender.ts";
import { mosquitto } from "./contenders/mosquitto.ts";
import { nats } from "./contenders/nats.ts";
import { nchan } from "./contenders/nchan.ts";
import { own } from "./contenders/own.ts";
import { rivalContenders } from "./contenders/rivals.ts";
import { PROTOCOLS } from "./load/job.ts";
import type { Protocol } from "./load/job.ts";

/** The contenders that need no command. */
export const builtIn: readonly Contender[] = [...own, ...rivalContenders, nchan, nats, mosquitto];

/** Why contenders that the project would like to measure are not among them. */
export const unavailable: Readonly<Record<string, string>> = {
  soketi: "1.6.1 takes uWebSockets.js 20.10.0 from a GitHub repository, not from the npm registry",
};

const SPECIFICATION = /^([\w.-]+)(?::([\w-]+))?(?:=(.+))?$/s;
const WORD = /(?:[^\s"']+|"[^"]*"|'[^']*')+/g;
const QUOTED = /"([^"]*)"|'([^']*)'/g;

/** A command line of the user's, for servers that are not built in. */
const START_SECONDS = 1;

/**
 * Reads `NAME`, `NAME=COMMAND` or `NAME:PROTOCOL=COMMAND`. Quotes group words; nothing else of a shell's syntax is
 * known, as no shell may stand between us and the server. Throws a RangeError that says what is wrong.
 */
export function parseContender(text: string): Contender {
  const [, name, protocolName = "bare", commandLine] = SPECIFICATION.exec(text) ?? [];
  if (name === undefined) {
    throw new RangeError(`--contender ${text}: expected NAME or NAME[:PROTOCOL]=COMMAND`);
  }
  if (commandLine === undefined) return contenderNamed(name);
  const protocol = protocolOf(protocolName);
  const [program = "", ...rest] = words(commandLine);
  const command = [isRuntime(program) ? runtimes[program] : program, ...rest];
  return {
    name,
    protocol,
    startSeconds: START_SECONDS,
    launch: ({ traffic }) =>
      protocol === "tcp" && traffic === "fanout" ? "the tcp protocol has no fan-out" : { command },
  };
}

/** The built-in contender of that name; throws a RangeError when there is none. */
export function contenderNamed(name: string): Contender {
  const known = builtIn.find((contender) => contender.name === name);
  if (known !== undefined) return known;
  const names = builtIn.map((contender) => contender.name).join(", ");
  throw new RangeError(`--contender ${name}: needs a command; built in are ${names}`);
}

/** Whether `filter` is a name or whole words of it: `ts` and `engine-ts` pick `engine-ts-node`. */
export function isPicked(name: string, filter: string): boolean {
  return `-${name}-`.includes(`-${filter}-`);
}

function isRuntime(program: string): program is keyof typeof runtimes {
  return Object.hasOwn(runtimes, program);
}

function protocolOf(name: string): Protocol {
  const protocol = PROTOCOLS.find((known) => known === name);
  if (protocol === undefined) throw new RangeError(`protocol ${name}: expected ${PROTOCOLS.join(", ")}`);
  return protocol;
}

function words(commandLine: string): string[] {
  return (commandLine.match(WORD) ?? []).map((word) => word.replace(QUOTED, "$1$2"));
}
