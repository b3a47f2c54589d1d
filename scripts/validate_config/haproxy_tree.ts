/**
 * HAProxy files as sections of lines with their places. It finds what `haproxy -c` would refuse by its form; what a
 * section does is the matter of haproxy_config.ts.
 */
import { join } from "node:path";
import { isFolder, namesIn, readText } from "./files.ts";
import type { Hit, Place } from "./finding.ts";
import { splitWords } from "./haproxy_words.ts";
import { lineProblem } from "./haproxy_lines.ts";

export interface HaproxyLine {
  /** Without a leading `no`. */
  readonly keyword: string;
  readonly args: readonly string[];
  readonly place: Place;
  /** Whether `no` or `default` stands before it: it takes back what is inherited. */
  readonly isNegated: boolean;
}

export interface Section {
  /** global, defaults, frontend, backend, listen, … */
  readonly kind: string;
  readonly name: string;
  readonly place: Place;
  readonly lines: HaproxyLine[];
  /** The defaults that hold for it. */
  readonly defaults: Section | undefined;
}

export interface HaproxyTree {
  readonly sections: readonly Section[];
  /** What haproxy would refuse. */
  readonly problems: readonly Hit[];
  readonly files: readonly string[];
}

/** Sections that take clients, have servers, or both. */
const PROXY_KINDS: ReadonlySet<string> = new Set(["frontend", "backend", "listen"]);
const NAMED_KINDS: ReadonlySet<string> = new Set([
  ...PROXY_KINDS,
  ...["userlist", "peers", "resolvers", "mailers", "cache", "program", "http-errors", "ring", "log-forward"],
  ...["fcgi-app", "crt-store", "log-profile", "acme"],
]);
const SECTION_KINDS: ReadonlySet<string> = new Set([...NAMED_KINDS, "global", "defaults", "traces"]);
const CONDITIONS: ReadonlySet<string> = new Set([".if", ".elif", ".else", ".endif"]);

export function takesClients({ kind }: Section): boolean {
  return kind === "frontend" || kind === "listen";
}

export function hasServers({ kind }: Section): boolean {
  return kind === "backend" || kind === "listen";
}

export function isProxy({ kind }: Section): boolean {
  return PROXY_KINDS.has(kind);
}

class Reader {
  readonly sections: Section[] = [];
  readonly problems: Hit[] = [];
  readonly files: string[] = [];
  private readonly conditions: Place[] = [];
  private readonly variables = new Map<string, string>();

  problem(place: Place, what: string, ...fix: string[]): void {
    this.problems.push({ place, what, fix });
  }

  file(path: string): void {
    const read = readText(path);
    if ("problem" in read) return this.problem({ file: path, line: 1 }, `${path} ${read.problem}`);
    this.files.push(path);
    const lines = read.text.split("\n");
    lines.forEach((line, index) => this.line(line.replace(/\r$/, ""), { file: path, line: index + 1 }));
    if (lines.at(-1) !== "") {
      this.problem(
        { file: path, line: lines.length },
        "the last line has no line end: the file may have been cut off",
      );
    }
    const [open] = this.conditions.splice(0);
    if (open !== undefined) this.problem(open, "non-terminated '.if' block", ".endif");
  }

  private line(text: string, place: Place): void {
    const split = splitWords(text, this.variables);
    if ("problem" in split) return this.problem(place, split.problem);
    const [first, ...rest] = split.words;
    if (first === undefined) return;
    if (first.startsWith(".") && !first.startsWith("./")) return this.macro(first, place);
    if (SECTION_KINDS.has(first)) return this.section(first, rest, place);
    const isNegated = (first === "no" || first === "default") && rest.length > 0;
    const [keyword = "", ...args] = isNegated ? rest : split.words;
    const section = this.sections.at(-1);
    if (section === undefined) return this.problem(place, `unknown keyword '${keyword}' out of section`);
    const line = { keyword, args, place, isNegated };
    section.lines.push(line);
    if (/^(pre)?setenv$/.test(keyword)) this.variables.set(args[0] ?? "", args[1] ?? "");
    const problem = lineProblem(line, section);
    if (problem !== undefined) this.problem(place, problem);
  }

  /** Both branches of a condition are read: which of them holds is only known where it runs. */
  private macro(name: string, place: Place): void {
    if (!CONDITIONS.has(name)) return;
    if (name === ".if") this.conditions.push(place);
    else if (this.conditions.length === 0) this.problem(place, `lone '${name}' without '.if'`);
    else if (name === ".endif") this.conditions.pop();
  }

  private section(kind: string, args: readonly string[], place: Place): void {
    const [first, ...rest] = args;
    // `defaults from other` has no name; neither has `global`.
    const name = first === undefined || first === "from" ? "" : first;
    if (NAMED_KINDS.has(kind) && name === "") {
      this.problem(place, `'${kind}' expects an <id> argument`, `${kind} NAME`);
    }
    const words = first === "from" ? args : rest;
    const from = words[0] === "from" ? words[1] : undefined;
    const defaults = isProxy({ kind } as Section) || kind === "defaults"
      ? this.sections.findLast((one) => one.kind === "defaults" && (from === undefined || one.name === from))
      : undefined;
    if (from !== undefined && defaults === undefined) {
      this.problem(place, `unable to find defaults section '${from}'`);
    }
    const section: Section = {
      ...{ kind, name, place, lines: [] },
      // Anonymous defaults begin anew.
      defaults: kind === "defaults" && from === undefined ? undefined : defaults,
    };
    const twin = isProxy(section)
      ? this.sections.find((one) => one.name === name && isTwin(one, section))
      : undefined;
    if (twin !== undefined) {
      this.problem(
        place,
        `${kind} '${name}' has the same name as the ${twin.kind} of line ${twin.place.line}`,
      );
    }
    this.sections.push(section);
  }
}

function isTwin(a: Section, b: Section): boolean {
  return isProxy(a) && ((takesClients(a) && takesClients(b)) || (hasServers(a) && hasServers(b)));
}

/** Reads files, and the .cfg files of folders, in the order in which `haproxy -f` would. */
export function readHaproxy(paths: readonly string[]): HaproxyTree {
  const reader = new Reader();
  for (const path of paths) {
    const files = isFolder(path)
      ? namesIn(path).filter((name) => name.endsWith(".cfg")).map((name) => join(path, name))
      : [path];
    for (const file of files) reader.file(file);
  }
  return reader;
}
