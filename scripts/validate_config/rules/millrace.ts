/** Rules about Millrace's own configuration against that of the proxy in front of it. Only with --millrace. */
import { ClientAddress } from "../../../server/auth/client_address.ts";
import { isLoopback } from "../../../server/options.ts";
import type { Place } from "../finding.ts";
import {
  type BackendServer,
  type HaproxyConfig,
  lineOf,
  linesOf,
  option,
  type ProxyRoute,
  routesFor as haproxyRoutes,
} from "../haproxy_config.ts";
import { haproxySeconds } from "../haproxy_lines.ts";
import type { Millrace } from "../millrace.ts";
import { inherited, type NginxConfig, passedHeader, routesFor, setting } from "../nginx_config.ts";
import { nginxBytes } from "../nginx_units.ts";
import { isLoopbackAddress } from "../reach.ts";
import type { Judged, Rule } from "../rule.ts";
import { setsHeader } from "./forwarding.ts";

/** A server as the proxy speaks to it. */
interface Peer {
  readonly place: Place;
  readonly host: string;
  readonly port: number | undefined;
  readonly isTls: boolean;
  readonly sendsProxyHeader: boolean;
  /** Headers of {@link FORWARDED} that it is sent. */
  readonly forwarded: readonly string[];
}

const FORWARDED = ["x-forwarded-for", "forwarded"] as const;
const DEFAULT_PORT: Readonly<Record<string, number>> = { http: 80, https: 443 };

function nginxPeers({ webSocketRoutes }: NginxConfig): Peer[] {
  return webSocketRoutes.flatMap(({ servers, scheme, block }) => {
    const forwarded = FORWARDED.filter((header) => passedHeader(block, header) !== undefined);
    return servers.filter(({ host }) => !/^unix|^\$/.test(host)).map(({ place, host, port }) => ({
      ...{ place, host, forwarded, sendsProxyHeader: false },
      port: port ?? DEFAULT_PORT[scheme],
      isTls: scheme === "https",
    }));
  });
}

function sendsProxyHeader({ parameters }: BackendServer): boolean {
  return [...parameters.keys()].some((key) => key.startsWith("send-proxy"));
}

function haproxyForwarded(route: ProxyRoute): string[] {
  const { frontend, backend } = route;
  return FORWARDED.filter((header) => {
    const name = header === "forwarded" ? "forwarded" : "forwardfor";
    return (option(frontend, name) ?? option(backend, name) ?? setsHeader(route, header)) !== undefined;
  });
}

function haproxyPeers({ webSocketRoutes }: HaproxyConfig): Peer[] {
  return webSocketRoutes.flatMap((route) =>
    route.servers.map((server) => ({
      ...{ place: server.line.place, host: server.host, port: server.port },
      isTls: server.parameters.has("ssl"),
      sendsProxyHeader: sendsProxyHeader(server),
      forwarded: haproxyForwarded(route),
    }))
  );
}

type MillraceRule = Pick<Rule, "id" | "severity" | "finds" | "why">;

/** A rule that is the same for both programs. */
function about(
  rule: MillraceRule,
  find: (peers: readonly Peer[], millrace: Millrace) => Iterable<Judged>,
): Rule {
  return {
    ...rule,
    nginx: (config, { millrace }) => millrace === undefined ? [] : find(nginxPeers(config), millrace),
    haproxy: (config, { millrace }) => millrace === undefined ? [] : find(haproxyPeers(config), millrace),
  };
}

const trustedProxies = about({
  id: "trusted-proxies",
  severity: "error",
  finds: "a Millrace that does not believe the proxy about the client's address, or believes everybody",
  why:
    "Unbelieved, all clients share the proxy's address, and maxConnectionsPerAddress and handshakeRate shut them out together; believing everybody lets clients choose theirs.",
}, function* (peers, { options, placeOf }) {
  const place = placeOf("trustedProxies");
  const { trustedProxies: trusted, forwardedHeader } = options;
  const everybody = trusted.find((range) => /\/0$/.test(range));
  if (everybody !== undefined) {
    yield { place, what: `everybody (${everybody}) is believed`, fix: ['"trustedProxies": ["127.0.0.1"]'] };
  }
  // Who sends nothing is the matter of forwarded-for.
  const telling = peers.filter(({ forwarded }) => forwarded.length > 0);
  if (telling.length === 0) return;
  if (trusted.length === 0) {
    yield {
      place,
      what: "the proxy tells the client's address, and trustedProxies is empty",
      fix: ['"trustedProxies": ["127.0.0.1"]   // the proxy\'s address'],
    };
  } else if (telling.every(({ host }) => isLoopbackAddress(host))) {
    const clients = new ClientAddress({ trustedProxies: trusted, header: forwardedHeader });
    if (!clients.isTrusted("127.0.0.1") && !clients.isTrusted("::1")) {
      yield {
        place,
        what: "the proxy comes from 127.0.0.1, which trustedProxies does not cover",
        fix: ['"trustedProxies": ["127.0.0.1"]'],
      };
    }
  }
  if (!telling.some(({ forwarded }) => forwarded.includes(forwardedHeader))) {
    const what = `the proxy sends ${
      telling[0]?.forwarded.join(", ") ?? ""
    }, and Millrace reads ${forwardedHeader}`;
    yield { place: placeOf("forwardedHeader"), what, fix: ['"forwardedHeader": "x-forwarded-for"'] };
  }
});

const tlsEnds = about({
  id: "tls-ends",
  severity: "error",
  finds: "a proxy and a Millrace that do not agree on TLS between them",
  why: "One speaks TLS and the other does not: every request ends in 502 or 503.",
}, function* (peers, { options, placeOf }) {
  const hasTls = options.tlsCert !== "";
  for (const { place, isTls } of peers) {
    if (isTls === hasTls) continue;
    const what = hasTls
      ? "Millrace serves TLS, and the proxy speaks without it"
      : "the proxy speaks TLS, and Millrace serves none";
    const where = placeOf("tlsCert");
    const fix = hasTls
      ? [`# remove tlsCert and tlsKey (${where.file}:${where.line}), or speak TLS here`]
      : ["# speak http here, or set tlsCert and tlsKey"];
    yield { place, what, fix };
  }
});

const serverAddress = about({
  id: "server-address",
  severity: "error",
  finds: "a Millrace that listens where no server of the proxy points to",
  why: "The proxy finds nobody there: 502 or 503.",
}, function* (peers, { options, placeOf }) {
  const { port, host } = options;
  if (peers.length === 0 || port === 0) return;
  const onPort = peers.filter((peer) => peer.port === undefined || peer.port === port);
  if (onPort.length === 0) {
    const ports = [...new Set(peers.map((peer) => peer.port))].join(", ");
    yield {
      place: placeOf("port"),
      what: `Millrace listens on port ${port}; the proxy's servers are on ${ports}`,
      fix: [`"port": ${peers[0]?.port ?? port}`],
    };
  } else if (isLoopback(host) && onPort.every((peer) => !isLoopbackAddress(peer.host))) {
    yield {
      place: placeOf("host"),
      what: `Millrace listens on ${host}; the proxy looks for it on ${onPort[0]?.host ?? ""}`,
      fix: ['"host": "0.0.0.0"'],
    };
  }
});

const bypass = about({
  id: "bypass",
  severity: "warning",
  finds: "a Millrace that other machines reach past a proxy on its own machine",
  why: "What comes that way has no TLS and meets none of the proxy's limits.",
}, function* (peers, { options, placeOf }) {
  if (peers.length === 0 || isLoopback(options.host) || options.tlsCert !== "") return;
  if (!peers.every(({ host }) => isLoopbackAddress(host))) return;
  yield {
    place: placeOf("host"),
    what: `Millrace listens on ${options.host}; the proxy needs loopback only`,
    fix: ['"host": "127.0.0.1"'],
  };
});

const proxyProtocol = about({
  id: "proxy-protocol",
  severity: "error",
  finds: "servers that are sent a PROXY header",
  why: "Millrace does not read the PROXY protocol: it takes the header for a broken request and hangs up.",
}, function* (peers) {
  for (const { place, sendsProxyHeader: sends } of peers) {
    if (sends) yield { place, what: "send-proxy", fix: ["# without send-proxy", "option forwardfor"] };
  }
});

/** What a location makes of a path that it passes on. */
function passedPath(path: string, location: string, uri: string): string {
  return uri === "" || !path.startsWith(location) ? path : uri + path.slice(location.length);
}

const endpointPath: Rule = {
  id: "endpoint-path",
  severity: "error",
  finds: "a proxy that does not pass Millrace's path on, or passes it on as another one",
  why: "The handshake ends in 404.",
  *nginx(config, { millrace }) {
    if (millrace === undefined || config.routes.length === 0) return;
    const { path } = millrace.options;
    const routes = routesFor(config, path);
    if (routes.length === 0) {
      yield {
        place: millrace.placeOf("path"),
        what: `no location passes ${path} on`,
        fix: [`location ${path} { … }`],
      };
    }
    for (const { pass, path: location, uri } of routes) {
      const arrives = passedPath(path, location, uri);
      if (arrives === path || /[$~^]/.test(location + uri)) continue;
      const fix = [`proxy_pass ${(pass.args[0] ?? "").slice(0, -uri.length)};`];
      yield { place: pass.place, what: `${path} arrives as ${arrives}`, fix };
    }
  },
  *haproxy({ routes }, { millrace }) {
    if (millrace === undefined || routes.length === 0) return;
    const { path } = millrace.options;
    if (haproxyRoutes(routes, { path, isUpgrade: true }).length > 0) return;
    yield {
      place: millrace.placeOf("path"),
      what: `no backend gets ${path}`,
      fix: [`use_backend NAME if { path ${path} }`],
    };
  },
};

const publishBody: Rule = {
  id: "publish-body",
  severity: "warning",
  finds: "a proxy that allows smaller bodies than Millrace's HTTP API does",
  why: "Publications that Millrace would take end in 413 at the proxy.",
  *nginx(config, { millrace }) {
    if (millrace === undefined || millrace.options.apiKeyFile === "") return;
    const { maxHttpBodyBytes } = millrace.options;
    for (const { block, pass } of routesFor(config, "/api/publish")) {
      const bytes = nginxBytes(setting(block, "client_max_body_size") ?? "1m") ?? 0;
      if (bytes === 0 || bytes >= maxHttpBodyBytes) continue;
      const place = inherited(block, "client_max_body_size").at(-1)?.place ?? pass.place;
      const what = `bodies of ${bytes} bytes at most; Millrace takes ${maxHttpBodyBytes}`;
      yield { place, what, fix: [`client_max_body_size ${maxHttpBodyBytes};`] };
    }
  },
};

const DEFAULT_INTER_SECONDS = 2;
const DEFAULT_FALL = 3;

const drainDelay: Rule = {
  id: "drain-delay",
  severity: "warning",
  finds: "health checks that are slower than Millrace's drain delay, or do not ask /ready",
  why: "New clients are still sent to a node that is shutting down, and are refused or sent away at once.",
  *haproxy({ webSocketRoutes }, { millrace }) {
    if (millrace === undefined) return;
    const { drainDelaySeconds } = millrace.options;
    for (const { backend, servers } of webSocketRoutes) {
      const check = option(backend, "httpchk");
      const checked = servers.filter(({ parameters }) => parameters.has("check"));
      if (check === undefined || checked.length < 2) continue;
      const asked = [check, ...linesOf(backend, "http-check").filter(({ args }) => args[0] === "send")];
      if (!asked.some(({ args }) => args.some((arg) => arg.startsWith("/ready")))) {
        yield {
          place: check.place,
          what: "the check does not ask /ready",
          fix: ["option httpchk GET /ready"],
        };
      }
      const slowest = Math.max(
        ...checked.map(({ parameters }) =>
          (haproxySeconds(parameters.get("inter")) ?? DEFAULT_INTER_SECONDS) *
          Number(parameters.get("fall") ?? DEFAULT_FALL)
        ),
      );
      // A handshake that a draining node refuses then goes to another one.
      if (lineOf(backend, "retry-on")?.args.some((arg) => arg === "503" || arg === "all-retryable-errors")) {
        continue;
      }
      if (drainDelaySeconds >= slowest) continue;
      const what = `drainDelaySeconds is ${drainDelaySeconds}; the proxy notices after ${slowest} s`;
      yield {
        place: millrace.placeOf("drainDelaySeconds"),
        what,
        fix: [`"drainDelaySeconds": ${Math.ceil(slowest)}`],
      };
    }
  },
};

export const millraceRules: readonly Rule[] = [
  ...[trustedProxies, tlsEnds, serverAddress, bypass, proxyProtocol, endpointPath, publishBody, drainDelay],
];
