/**
 * What an nginx configuration does with WebSockets: which locations pass them on, from which listeners, to which
 * servers, and what holds there by inheritance. Judges nothing.
 */
import type { Place } from "./finding.ts";
import type { Directive, NginxTree } from "./nginx_tree.ts";
import { isLoopbackAddress, looksLikeWebSocketPath } from "./reach.ts";

export interface Listener {
  readonly directive: Directive | undefined;
  readonly place: Place;
  readonly port: number;
  readonly isTls: boolean;
  /** Whether other machines can connect. */
  readonly isOutside: boolean;
}

export interface NginxServer {
  readonly directive: Directive;
  readonly listeners: readonly Listener[];
}

/** A server of an upstream, or the one that proxy_pass names itself. */
export interface UpstreamServer {
  readonly place: Place;
  readonly host: string;
  readonly port: number | undefined;
  readonly args: readonly string[];
}

/** Requests that go from a server of nginx to servers behind it. */
export interface Route {
  readonly server: NginxServer;
  /** The location, `if` or server that holds proxy_pass. */
  readonly block: Directive;
  readonly pass: Directive;
  /** "http" or "https". */
  readonly scheme: string;
  /** What follows the host in proxy_pass; "" when the path is passed on as it came. */
  readonly uri: string;
  readonly upstream: Directive | undefined;
  readonly servers: readonly UpstreamServer[];
  /** The prefix or pattern of the location, "/" when there is none. */
  readonly path: string;
}

export interface NginxConfig {
  readonly tree: NginxTree;
  readonly servers: readonly NginxServer[];
  /** All that proxy_pass does. */
  readonly routes: readonly Route[];
  /** Those that WebSockets take. */
  readonly webSocketRoutes: readonly Route[];
  /** TCP passed on by the stream module. */
  readonly streamServers: readonly Directive[];
}

/** Every directive below a block, depth first. */
export function* descendants(block: Directive): Generator<Directive> {
  for (const child of block.children ?? []) {
    yield child;
    yield* descendants(child);
  }
}

export function childrenNamed(block: Directive | undefined, name: string): Directive[] {
  return block?.children?.filter((child) => child.name === name) ?? [];
}

/** What holds in a block: the directives of this name in the innermost block that has some. */
export function inherited(block: Directive | undefined, name: string): Directive[] {
  for (let at = block; at !== undefined; at = at.parent) {
    const own = childrenNamed(at, name);
    if (own.length > 0) return own;
  }
  return [];
}

/** The first argument of what holds in a block. */
export function setting(block: Directive | undefined, name: string): string | undefined {
  return inherited(block, name).at(-1)?.args[0];
}

/** The value that proxy_set_header gives a header in a block, with its directive. */
export function passedHeader(block: Directive, header: string): Directive | undefined {
  return inherited(block, "proxy_set_header").findLast(({ args }) => args[0]?.toLowerCase() === header);
}

const DEFAULT_PORT = 80;

function listener(directive: Directive): Listener {
  const [address = "", ...options] = directive.args;
  const isUnix = address.startsWith("unix:");
  const match = /^(?:(\[.*\]|[^:]*):)?(\d+)$/.exec(address);
  const host = match === null ? address : match[1] ?? "*";
  return {
    directive,
    place: directive.place,
    port: match === null ? DEFAULT_PORT : Number(match[2]),
    isTls: options.some((option) => option === "ssl" || option === "quic"),
    isOutside: !isUnix && !isLoopbackAddress(host),
  };
}

function readServer(directive: Directive): NginxServer {
  const listens = childrenNamed(directive, "listen").map(listener);
  const implicit: Listener = {
    directive: undefined,
    place: directive.place,
    port: DEFAULT_PORT,
    isTls: false,
    isOutside: true,
  };
  const listeners = listens.length > 0 ? listens : [implicit];
  // "ssl on" came before "listen … ssl" and is gone since 1.25.1.
  const allTls = setting(directive, "ssl") === "on";
  return { directive, listeners: listeners.map((one) => ({ ...one, isTls: one.isTls || allTls })) };
}

/** Host and port of an address as nginx writes it. */
export function splitAddress(address: string): { host: string; port: number | undefined } {
  const match = /^(\[[^\]]*\]|[^:]*)(?::(\d+))?$/.exec(address);
  if (match === null) return { host: address, port: undefined };
  return { host: match[1] ?? "", port: match[2] === undefined ? undefined : Number(match[2]) };
}

function upstreamServers(upstream: Directive): UpstreamServer[] {
  return childrenNamed(upstream, "server").map(({ args, place }) => ({
    place,
    ...splitAddress(args[0] ?? ""),
    args: args.slice(1),
  }));
}

function pathOf(block: Directive): string {
  for (let at: Directive | undefined = block; at !== undefined; at = at.parent) {
    if (at.name === "location") return at.args.at(-1) ?? "/";
  }
  return "/";
}

function route(server: NginxServer, pass: Directive, upstreams: readonly Directive[]): Route | undefined {
  const match = /^(https?):\/\/([^/]+)(\/.*)?$/.exec(pass.args[0] ?? "");
  if (match === null || pass.parent === undefined) return undefined;
  const [, scheme = "http", authority = "", uri = ""] = match;
  const upstream = upstreams.find(({ args }) => args[0] === authority);
  const own = { place: pass.place, ...splitAddress(authority), args: [] };
  return {
    ...{ server, block: pass.parent, pass, scheme, uri, upstream, path: pathOf(pass.parent) },
    servers: upstream === undefined ? [own] : upstreamServers(upstream),
  };
}

/** Whether a location speaks of upgrades, well or badly. */
function asksForUpgrade({ block }: Route): boolean {
  const connection = passedHeader(block, "connection")?.args[1] ?? "";
  return passedHeader(block, "upgrade") !== undefined || /upgrade/i.test(connection);
}

/** The location of a server that a request for a path ends in; undefined when it is none. */
export function locationFor(server: Directive, path: string): Directive | undefined {
  const locations = childrenNamed(server, "location");
  const plain = (location: Directive) => location.args.length === 1 ? location.args[0] : undefined;
  const exact = locations.find(({ args }) => args[0] === "=" && args[1] === path);
  if (exact !== undefined) return exact;
  const prefixOf = (location: Directive) => location.args[0] === "^~" ? location.args[1] : plain(location);
  const prefixes = locations.filter((location) => path.startsWith(prefixOf(location) ?? "\0"))
    .sort((a, b) => (prefixOf(b) ?? "").length - (prefixOf(a) ?? "").length);
  const [longest] = prefixes;
  if (longest?.args[0] !== "^~") {
    const regex = locations.find(({ args }) => /^~\*?$/.test(args[0] ?? "") && matches(args, path));
    if (regex !== undefined) return regex;
  }
  if (longest === undefined) return undefined;
  return locationFor(longest, path) ?? longest;
}

function matches([kind, pattern = ""]: readonly string[], path: string): boolean {
  try {
    return new RegExp(pattern, kind === "~*" ? "i" : "").test(path);
  } catch {
    return false; // A pattern of PCRE that JavaScript does not have.
  }
}

/** The routes that a request for a path takes, at most one a server. */
export function routesFor(config: Pick<NginxConfig, "servers" | "routes">, path: string): Route[] {
  return config.servers.flatMap((server) => {
    const place = locationFor(server.directive, path) ?? server.directive;
    return config.routes.filter(({ block }) => block === place);
  });
}

/**
 * Reads a tree for what it does.
 * @param path a path that is known to be for WebSockets
 */
export function nginxConfig(tree: NginxTree, path: string | undefined): NginxConfig {
  const all = [...descendants(tree.root)];
  const servers = all.filter(({ name, parent }) => name === "server" && parent?.inside === "h").map(
    readServer,
  );
  const upstreams = all.filter(({ name, inside }) => name === "upstream" && inside === "u");
  if (tree.fragmentOf === "server") servers.push(readServer(tree.root));
  const routes = servers.flatMap((server) =>
    [...descendants(server.directive)].filter(({ name }) => name === "proxy_pass")
      .flatMap((pass) => route(server, pass, upstreams) ?? [])
  );
  const known = path === undefined ? [] : routesFor({ servers, routes }, path);
  const chosen = routes.filter((one) =>
    known.includes(one) || asksForUpgrade(one) || looksLikeWebSocketPath(one.path)
  );
  return {
    ...{ tree, servers, routes },
    // Somebody who has a proxy's configuration judged for WebSockets wants them passed on.
    webSocketRoutes: chosen.length > 0 ? chosen : routes,
    streamServers: all.filter(({ name, inside, children }) =>
      name === "server" && inside === "S" && children?.some(({ name }) => name === "proxy_pass")
    ),
  };
}
