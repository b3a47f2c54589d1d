/**
 * An nginx configuration as a tree of directives with their places, includes followed. It finds what `nginx -t` would
 * refuse by its form; what the directives are good for is the matter of rules.
 */
import { dirname, isAbsolute, join, resolve } from "node:path";
import process from "node:process";
import { glob, hasWildcard, isFile, readText } from "./files.ts";
import type { Hit, Place } from "./finding.ts";
import { argumentProblem, type DirectiveForm, isForeign, nginxDirectives } from "./nginx_directives.ts";
import { NginxSyntaxError, NginxTokens } from "./nginx_tokens.ts";
import { nearest } from "./spelling.ts";

/** One directive; with `children` when it is a block. */
export interface Directive {
  readonly name: string;
  readonly args: readonly string[];
  readonly place: Place;
  readonly parent: Directive | undefined;
  readonly children: Directive[] | undefined;
  /** The letter of nginx_directives.ts for what stands inside of it. */
  readonly inside: string;
}

/** A whole configuration. */
export interface NginxTree {
  /** A block without a name around everything. */
  readonly root: Directive;
  /** What nginx would refuse. */
  readonly problems: readonly Hit[];
  /** Every file that was read, the main one first. */
  readonly files: readonly string[];
  /** Where relative paths begin: the folder of the main file. */
  readonly folder: string;
  /** Set for a file that is made to be included, as those of sites-available: the block that it belongs into. */
  readonly fragmentOf: "http" | "server" | undefined;
}

/** Blocks with contents of their own form. */
const FREE = "*";
const INSIDE: Readonly<Record<string, string>> = {
  events: "e",
  http: "h",
  stream: "H",
  location: "l",
  limit_except: "x",
  map: FREE,
  geo: FREE,
  types: FREE,
  split_clients: FREE,
  charset_map: FREE,
  mail: FREE,
};

function contextInside(name: string, outside: string): string {
  if (name === "server" || name === "upstream") {
    const isStream = outside === "H";
    return name === "server" ? (isStream ? "S" : "s") : (isStream ? "U" : "u");
  }
  if (name === "if") return outside === "s" ? "i" : "j";
  return INSIDE[name] ?? FREE;
}

const CONTEXT_NAMES: Readonly<Record<string, string>> = {
  m: "the main level",
  e: "events",
  h: "http",
  s: "server",
  l: "location",
  u: "upstream",
  i: "if in a server",
  j: "if in a location",
  x: "limit_except",
  H: "stream",
  S: "a server of stream",
  U: "an upstream of stream",
};

/** Directives that can only begin a file that is included somewhere, with the block where. */
const FRAGMENTS: readonly (readonly ["http" | "server", ReadonlySet<string>])[] = [
  ["http", new Set(["server", "upstream", "map", "limit_req_zone", "limit_conn_zone", "geo", "log_format"])],
  ["server", new Set(["location", "proxy_pass", "listen", "proxy_set_header"])],
];

const MAX_INCLUDE_DEPTH = 32;

class Reader {
  readonly problems: Hit[] = [];
  readonly files: string[] = [];
  readonly folder: string;
  /** Files that are being read, outermost first. */
  private readonly open: string[] = [];

  constructor(folder: string) {
    this.folder = folder;
  }

  problem(place: Place, what: string, ...fix: string[]): void {
    this.problems.push({ place, what, fix });
  }

  /** Reads a file into a block. */
  file(path: string, into: Directive, includedFrom?: Place): void {
    const place = includedFrom ?? { file: path, line: 1 };
    if (this.open.includes(path) || this.open.length >= MAX_INCLUDE_DEPTH) {
      return this.problem(place, `${path} includes itself: ${[...this.open, path].join(" -> ")}`);
    }
    const read = readText(path);
    if ("problem" in read) return this.problem(place, `${path} ${read.problem}`);
    this.files.push(path);
    this.open.push(path);
    try {
      this.tokens(new NginxTokens(read.text), path, into);
    } catch (error) {
      if (!(error instanceof NginxSyntaxError)) throw error;
      this.problem({ file: path, line: error.line }, error.message);
    }
    this.open.pop();
  }

  private tokens(tokens: NginxTokens, file: string, root: Directive): void {
    const fail = (message: string, line: number): never => {
      throw new NginxSyntaxError(message, line);
    };
    let block = root;
    for (;;) {
      const first = tokens.next();
      const { line } = first;
      if (first.kind === "end") {
        if (block !== root) {
          const { name, place } = block;
          fail(
            `unexpected end of file, expecting "}": ${name} of line ${place.line} is not closed`,
            place.line,
          );
        }
        return;
      }
      if (first.kind === "}") {
        if (block === root) fail('unexpected "}"', line);
        block = block.parent ?? root;
        continue;
      }
      if (first.kind !== "word") fail(`unexpected "${first.kind}"`, line);
      const args: string[] = [];
      let token = tokens.next();
      for (; token.kind === "word"; token = tokens.next()) args.push(token.text);
      if (token.kind === "}" || token.kind === "end") {
        const shown = token.kind === "end" ? "end of file" : '"}"';
        fail(`unexpected ${shown}: "${first.text}" of line ${line} does not end with ";"`, line);
      }
      const directive: Directive = {
        name: first.text,
        args,
        place: { file, line },
        parent: block,
        children: token.kind === "{" ? [] : undefined,
        inside: contextInside(first.text, block.inside),
      };
      if (token.kind === "{" && /_by_lua_block$/.test(first.text)) {
        tokens.skipBlock();
        block.children?.push({ ...directive, children: undefined });
        continue;
      }
      if (directive.name === "include" && token.kind === ";") this.include(directive, block);
      else block.children?.push(directive);
      if (token.kind === "{") block = directive;
    }
  }

  private include({ args, place }: Directive, into: Directive): void {
    const [pattern] = args;
    if (pattern === undefined || args.length > 1) {
      return this.problem(place, 'invalid number of arguments in "include" directive', "include FILE;");
    }
    const path = resolve(this.folder, pattern);
    if (!hasWildcard(path)) this.file(path, into, place);
    else for (const found of glob(path)) this.file(found, into, place);
  }
}

/** Whether a directive is known to load modules whose directives cannot be known here. */
function loadsModules(root: Directive): boolean {
  return root.children?.some(({ name }) => name === "load_module") ?? false;
}

function checkForms(block: Directive, report: Reader, hasModules: boolean): void {
  for (const directive of block.children ?? []) {
    if (block.inside !== FREE) checkForm(directive, block, report, hasModules);
    checkForms(directive, report, hasModules);
  }
}

function checkForm(directive: Directive, block: Directive, report: Reader, hasModules: boolean): void {
  const { name, args, place, children } = directive;
  const forms = nginxDirectives.get(name);
  if (forms === undefined) {
    if (isForeign(name)) return;
    const meant = nearest(name, [...nginxDirectives.keys()]);
    if (hasModules && meant === undefined) return;
    const hint = meant === undefined ? "" : `; did you mean ${meant}?`;
    return report.problem(
      place,
      `unknown directive "${name}"${hint}`,
      ...(meant === undefined ? [] : [written({ ...directive, name: meant })]),
    );
  }
  const here = forms.filter(({ contexts }) => contexts.includes(block.inside));
  const [form] = here.length > 0 ? here : [];
  if (form === undefined) {
    const allowed = [...new Set(forms.flatMap(({ contexts }) => [...contexts]))]
      .map((letter) => CONTEXT_NAMES[letter]);
    const where = CONTEXT_NAMES[block.inside] ?? block.name;
    return report.problem(
      place,
      `"${name}" directive is not allowed here, in ${where}; it belongs into ${allowed.join(" or ")}`,
    );
  }
  const fitting = here.find((form) => isFitting(directive, form)) ?? form;
  if (fitting.isBlock !== (children !== undefined)) {
    const what = fitting.isBlock
      ? `directive "${name}" has no opening "{"`
      : `directive "${name}" is not terminated by ";"`;
    return report.problem(place, what);
  }
  const problem = argumentProblem(name, args, fitting);
  if (problem !== undefined) report.problem(place, problem);
}

function isFitting({ name, args, children }: Directive, form: DirectiveForm): boolean {
  return form.isBlock === (children !== undefined) && argumentProblem(name, args, form) === undefined;
}

/** A directive as a line of a file. */
export function written({ name, args }: Pick<Directive, "name" | "args">): string {
  const words = args.map((arg) => arg === "" || /[\s;{}#]/.test(arg) ? JSON.stringify(arg) : arg);
  return `${[name, ...words].join(" ")};`;
}

function fragmentOf(root: Directive): NginxTree["fragmentOf"] {
  const names = new Set(root.children?.map(({ name }) => name));
  if (names.has("http") || names.has("events") || names.has("stream")) return undefined;
  return FRAGMENTS.find(([, marks]) => [...marks].some((mark) => names.has(mark)))?.[0];
}

/** Where relative paths begin: beside the nginx.conf above a file of sites-available and the like. */
function folderOf(main: string): string {
  for (let folder = dirname(main); folder !== dirname(folder); folder = dirname(folder)) {
    if (isFile(join(folder, "nginx.conf"))) return folder;
  }
  return dirname(main);
}

/** Reads a configuration from its main file, or a file that is made to be included into one. */
export function readNginx(path: string): NginxTree {
  const main = isAbsolute(path) ? path : join(process.cwd(), path);
  const reader = new Reader(folderOf(main));
  const block = (inside: string): Directive => ({
    name: "",
    args: [],
    place: { file: main, line: 1 },
    parent: undefined,
    children: [],
    inside,
  });
  // The forms of blocks depend on where they stand, so a file for inside of http is read again as one.
  let root = block("m");
  reader.file(main, root);
  const fragment = fragmentOf(root);
  if (fragment !== undefined) {
    reader.problems.length = 0;
    reader.files.length = 0;
    root = block(fragment === "http" ? "h" : "s");
    reader.file(main, root);
  }
  checkForms(root, reader, loadsModules(root));
  if (
    fragment === undefined && reader.problems.length === 0 &&
    !root.children?.some(({ name }) => name === "events")
  ) {
    reader.problem({ file: main, line: 1 }, 'no "events" section in configuration', "events {}");
  }
  return {
    root,
    problems: reader.problems,
    files: reader.files,
    folder: reader.folder,
    fragmentOf: fragment,
  };
}
