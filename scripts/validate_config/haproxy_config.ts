/**
 * What an HAProxy configuration does with WebSockets: which frontends pass them to which servers, and what holds there
 * with the defaults. Judges nothing, except references to what is not there.
 */
import type { Hit } from "./finding.ts";
import { holds, type Request, textOfCondition, undefinedNames } from "./haproxy_conditions.ts";
import { serverFlags, serverValues } from "./haproxy_keywords.ts";
import { haproxySeconds } from "./haproxy_lines.ts";
import {
  type HaproxyLine,
  type HaproxyTree,
  hasServers,
  isProxy,
  type Section,
  takesClients,
} from "./haproxy_tree.ts";
import { isLoopbackAddress, looksLikeWebSocketPath } from "./reach.ts";

export interface Bind {
  readonly line: HaproxyLine;
  readonly port: number | undefined;
  readonly isTls: boolean;
  readonly isOutside: boolean;
}

export interface BackendServer {
  readonly line: HaproxyLine;
  readonly name: string;
  readonly host: string;
  readonly port: number | undefined;
  /** Its parameters, and those of default-server before it. */
  readonly parameters: ReadonlyMap<string, string>;
}

/** Clients of a frontend that go to a backend; both are the same for `listen`. */
export interface ProxyRoute {
  readonly frontend: Section;
  readonly backend: Section;
  readonly binds: readonly Bind[];
  readonly servers: readonly BackendServer[];
  /** The line that sends them there; undefined for `listen`. */
  readonly line: HaproxyLine | undefined;
}

export interface HaproxyConfig {
  readonly tree: HaproxyTree;
  readonly global: readonly HaproxyLine[];
  readonly proxies: readonly Section[];
  readonly routes: readonly ProxyRoute[];
  /** Those that WebSockets take. */
  readonly webSocketRoutes: readonly ProxyRoute[];
  /** References to backends and conditions that are not there; haproxy -c refuses them. */
  readonly problems: readonly Hit[];
}

/** The lines of a keyword that hold in a section, those of its defaults before its own. */
export function linesOf(section: Section | undefined, keyword: string): HaproxyLine[] {
  if (section === undefined) return [];
  const own = section.lines.filter((line) => line.keyword === keyword && !line.isNegated);
  return [...linesOf(section.defaults, keyword), ...own];
}

/** The line that holds in a section for a keyword, and its first argument if one is given; its own, or its defaults'. */
export function lineOf(
  section: Section | undefined,
  keyword: string,
  first?: string,
): HaproxyLine | undefined {
  for (let at = section; at !== undefined; at = at.defaults) {
    const own = at.lines.findLast((line) =>
      line.keyword === keyword && (first === undefined || line.args[0] === first)
    );
    if (own !== undefined) return own.isNegated ? undefined : own;
  }
  return undefined;
}

export function option(section: Section, name: string): HaproxyLine | undefined {
  return lineOf(section, "option", name);
}

export interface Timeout {
  readonly seconds: number;
  readonly line: HaproxyLine;
}

export function timeout(section: Section, name: string): Timeout | undefined {
  const line = lineOf(section, "timeout", name);
  const seconds = haproxySeconds(line?.args[1]);
  return line === undefined || seconds === undefined ? undefined : { seconds, line };
}

/** `http` or `tcp`, which is what HAProxy takes when nothing is said. */
export function modeOf(section: Section): string {
  return lineOf(section, "mode")?.args[0] ?? "tcp";
}

function readBind(line: HaproxyLine): Bind {
  const [address = "", ...parameters] = line.args;
  const isPath = /^(\/|unix@|abns@|fd@|sockpair@)/.test(address);
  const [first = ""] = address.split(",");
  const match = /^(?:ipv[46]@)?(.*):(\d+)(?:-\d+)?$/.exec(first);
  return {
    line,
    port: match === null ? undefined : Number(match[2]),
    isTls: parameters.includes("ssl"),
    isOutside: !isPath && !isLoopbackAddress(match?.[1] ?? first),
  };
}

export function bindsOf(section: Section): Bind[] {
  return linesOf(section, "bind").map(readBind);
}

function parametersOf(words: readonly string[], into: Map<string, string>): void {
  for (let at = 0; at < words.length; at++) {
    const word = words[at] ?? "";
    if (serverValues.has(word)) into.set(word, words[++at] ?? "");
    else if (serverFlags.has(word)) {
      into.set(word, "");
      if (word.startsWith("no-")) into.delete(word.slice("no-".length));
    }
  }
}

function readServers(section: Section): BackendServer[] {
  const shared = new Map<string, string>();
  for (const { args } of linesOf(section.defaults, "default-server")) parametersOf(args, shared);
  const servers: BackendServer[] = [];
  for (const line of section.lines) {
    if (line.keyword === "default-server") parametersOf(line.args, shared);
    if (line.keyword !== "server" && line.keyword !== "server-template") continue;
    const isTemplate = line.keyword === "server-template";
    const [name = "", address = ""] = isTemplate ? [line.args[0], line.args[2]] : line.args;
    const match = /^(?:ipv[46]@)?(.*?)(?::(\d+))?$/.exec(address);
    const parameters = new Map(shared);
    parametersOf(line.args.slice(isTemplate ? 3 : 2), parameters);
    const port = match?.[2] === undefined ? undefined : Number(match[2]);
    const one = { line, name, host: match?.[1] ?? address, port, parameters };
    servers.push(one);
    // However many it is made for, several servers they are.
    if (isTemplate && line.args[1] !== "1") servers.push(one);
  }
  return servers;
}

/** Keywords behind which `if` begins a condition. */
const CONDITIONAL =
  /^(http-|tcp-re|use_backend$|use-server$|redirect$|force-persist$|ignore-persist$|monitor$|stick$)/;

function referenceProblems(proxies: readonly Section[]): Hit[] {
  const hits: Hit[] = [];
  const backends = new Set(proxies.filter(hasServers).map(({ name }) => name));
  for (const section of proxies) {
    const acls = aclsOf(section);
    for (const { keyword, args, place } of section.lines) {
      const [name = ""] = args;
      const isReference = keyword === "use_backend" || keyword === "default_backend";
      if (isReference && !backends.has(name) && !name.includes("%[")) {
        hits.push({ place, what: `unable to find the backend '${name}'`, fix: [`backend ${name}`] });
      }
      if (!CONDITIONAL.test(keyword)) continue;
      for (const missing of undefinedNames(args, acls)) {
        hits.push({ place, what: `no such ACL: '${missing}'`, fix: [`acl ${missing} path_beg /…`] });
      }
    }
  }
  return hits;
}

/** The acl lines that a section knows. */
export function aclsOf(section: Section): HaproxyLine[] {
  return linesOf(section, "acl");
}

function routesOf(frontend: Section, proxies: readonly Section[]): ProxyRoute[] {
  const binds = bindsOf(frontend);
  const to = (backend: Section | undefined, line: HaproxyLine | undefined): ProxyRoute[] =>
    backend === undefined ? [] : [{ frontend, backend, binds, servers: readServers(backend), line }];
  const backends = proxies.filter(hasServers);
  const routes = linesOf(frontend, "use_backend").flatMap((line) => {
    const [name = ""] = line.args;
    // A name that is made for each request may be any of them.
    const chosen = name.includes("%[") ? backends : backends.filter((one) => one.name === name);
    return chosen.flatMap((backend) => to(backend, line));
  });
  const last = lineOf(frontend, "default_backend");
  routes.push(...to(backends.find(({ name }) => name === last?.args[0]), last));
  if (frontend.kind === "listen" && last === undefined) routes.push(...to(frontend, undefined));
  return routes.filter(({ servers }) => servers.length > 0);
}

/** The routes that a request may take. */
export function routesFor(routes: readonly ProxyRoute[], request: Request): ProxyRoute[] {
  const decided = new Set<Section>();
  return routes.filter(({ frontend, line }) => {
    if (decided.has(frontend)) return false;
    if (line?.keyword !== "use_backend") return true;
    const verdict = holds(line.args, aclsOf(frontend), request);
    if (verdict === true) decided.add(frontend);
    return verdict !== false;
  });
}

function isForWebSockets({ frontend, backend, line }: ProxyRoute): boolean {
  const condition = textOfCondition(line?.args ?? [], aclsOf(frontend));
  const names = /(^|[-_])(wss?|web_?sockets?|sockets?)($|[-_])/i;
  return names.test(backend.name) || /upgrade|websocket/i.test(condition) ||
    condition.split(" ").some((word) => word.startsWith("/") && looksLikeWebSocketPath(word));
}

/**
 * Reads a tree for what it does.
 * @param path a path that is known to be for WebSockets
 */
export function haproxyConfig(tree: HaproxyTree, path: string | undefined): HaproxyConfig {
  const proxies = tree.sections.filter(isProxy);
  const routes = proxies.filter(takesClients).flatMap((frontend) => routesOf(frontend, proxies));
  const chosen = path === undefined
    ? routes.filter(isForWebSockets)
    : routesFor(routes, { path, isUpgrade: true });
  return {
    ...{ tree, proxies, routes },
    global: tree.sections.filter(({ kind }) => kind === "global").flatMap(({ lines }) => lines),
    // Somebody who has a proxy's configuration judged for WebSockets wants them passed on.
    webSocketRoutes: chosen.length > 0 ? chosen : routes,
    problems: referenceProblems(proxies),
  };
}

/** Lines that judge or change requests, of both ends of a route, in the order of their running. */
export function requestLines(
  { frontend, backend }: ProxyRoute,
): { line: HaproxyLine; acls: HaproxyLine[] }[] {
  const ends = frontend === backend ? [frontend] : [frontend, backend];
  return ends.flatMap((section) =>
    linesOf(section, "http-request").map((line) => ({ line, acls: aclsOf(section) }))
  );
}

const DENIES = new Set(["deny", "reject", "tarpit", "return", "auth", "redirect", "silent-drop"]);

/** Whether some line keeps a path, or some clients of it, from a route. */
export function isKept({ frontend, backend }: ProxyRoute, path: string): boolean {
  return [frontend, backend].some((section) =>
    linesOf(section, "http-request").some(({ args }) => {
      if (!DENIES.has(args[0] ?? "")) return false;
      const verdict = holds(args, aclsOf(section), { path, isUpgrade: false });
      // A condition on something else, as a rate, does not keep the path.
      return verdict === true ||
        (verdict === undefined && textOfCondition(args, aclsOf(section)).includes("path"));
    })
  );
}
