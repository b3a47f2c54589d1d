/** Rules about the handshake on its way through the proxy: HTTP/1.1, Upgrade and Connection (RFC 6455 section 4.1). */
import { descendants, type NginxConfig, passedHeader, type Route, setting } from "../nginx_config.ts";
import { holds } from "../haproxy_conditions.ts";
import { requestLines } from "../haproxy_config.ts";
import { looksLikeWebSocketPath } from "../reach.ts";
import type { Judged, Rule } from "../rule.ts";

const CONNECTION_MAP = [
  "map $http_upgrade $connection_upgrade {   # in http",
  "    default upgrade;",
  "    ''      close;",
  "}",
];
const CONNECTION_LINE = "proxy_set_header Connection $connection_upgrade;";

const httpVersion: Rule = {
  id: "http-version",
  severity: "error",
  finds: "a WebSocket location that does not speak HTTP/1.1 to the servers",
  why:
    "An upgrade exists in HTTP/1.1 only; most versions of nginx speak HTTP/1.0 to servers unless told, and every handshake fails.",
  *nginx({ webSocketRoutes }) {
    for (const { block, pass } of webSocketRoutes) {
      const version = setting(block, "proxy_http_version");
      if (version === "1.1") continue;
      const what = version === undefined
        ? "proxy_http_version is not set"
        : `proxy_http_version is ${version}`;
      yield { place: pass.place, what, fix: ["proxy_http_version 1.1;"] };
    }
  },
};

/** Why a header that is set further out does not get here. */
function lostBecause({ block }: Route): string {
  const own = block.children?.find(({ name }) => name === "proxy_set_header");
  return own === undefined ? "" : ": proxy_set_header in a block takes the place of all those outside of it";
}

const upgradeHeader: Rule = {
  id: "upgrade-header",
  severity: "error",
  finds: "a handshake that reaches the servers without its Upgrade header",
  why:
    "Upgrade is a header of one hop: a proxy that does not pass it on turns the handshake into a plain request, which the server refuses.",
  *nginx({ webSocketRoutes }) {
    for (const route of webSocketRoutes) {
      const header = passedHeader(route.block, "upgrade");
      if (/^(\$http_upgrade|websocket)$/i.test(header?.args[1] ?? "")) continue;
      const what = header === undefined
        ? `Upgrade is not passed on${lostBecause(route)}`
        : `Upgrade is set to "${header.args[1] ?? ""}"`;
      yield {
        place: header?.place ?? route.pass.place,
        what,
        fix: ["proxy_set_header Upgrade $http_upgrade;", CONNECTION_LINE],
      };
    }
  },
  *haproxy({ webSocketRoutes }) {
    for (const route of webSocketRoutes) {
      for (const { line, acls } of requestLines(route)) {
        const [action = "", header = ""] = line.args;
        const breaks = action === "del-header" ||
          (/^(set|replace)-header$/.test(action) && /^connection$/i.test(header) &&
            !/upgrade/i.test(line.args[2] ?? ""));
        if (!breaks || !/^(upgrade|connection|sec-websocket-.*)$/i.test(header)) continue;
        if (holds(line.args, acls, { path: "/ws", isUpgrade: true }) === false) continue;
        yield {
          place: line.place,
          what: `http-request ${action} takes ${header} from handshakes`,
          fix: ["# without this line HAProxy passes Upgrade and Connection on as they are"],
        };
      }
    }
  },
};

/** What a map makes of a request with an Upgrade header and of one without; undefined when no map makes the variable. */
function mapped(
  { tree }: NginxConfig,
  variable: string,
): { withUpgrade: string; without: string } | undefined {
  const map = [...descendants(tree.root)].find(({ name, args }) => name === "map" && args[1] === variable);
  if (map === undefined) return undefined;
  const value = (key: string) => map.children?.find(({ name }) => name === key)?.args[0];
  const otherwise = value("default") ?? "";
  return { withUpgrade: value("websocket") ?? otherwise, without: value("") ?? otherwise };
}

function connectionProblem(config: NginxConfig, route: Route): Judged | undefined {
  const header = passedHeader(route.block, "connection");
  const [, value = ""] = header?.args ?? [];
  const place = header?.place ?? route.pass.place;
  const fix = [...CONNECTION_MAP, CONNECTION_LINE];
  if (header === undefined) {
    return { place, what: `Connection is not passed on, and nginx sends "close"${lostBecause(route)}`, fix };
  }
  if (value === "$http_connection") return undefined;
  if (value.startsWith("$")) {
    const map = mapped(config, value);
    // Made in a way, or in a file, that is not seen here.
    if (map === undefined) return undefined;
    if (/upgrade|\$/i.test(map.withUpgrade)) return undefined;
    return { place, what: `${value} becomes "${map.withUpgrade}" for a handshake, not "upgrade"`, fix };
  }
  if (!/upgrade/i.test(value)) return { place, what: `Connection is set to "${value}"`, fix };
  if (looksLikeWebSocketPath(route.path)) return undefined;
  const what = `Connection is "${value}" for every request of ${route.path}, plain ones too`;
  return { place, what, fix, severity: "warning" };
}

const connectionHeader: Rule = {
  id: "connection-header",
  severity: "error",
  finds:
    'a handshake that reaches the servers without "Connection: upgrade"; a warning for plain requests that carry it',
  why:
    "Without it the server does not see an upgrade; on plain requests it is wrong, and some servers refuse those.",
  *nginx(config) {
    for (const route of config.webSocketRoutes) {
      const problem = connectionProblem(config, route);
      if (problem !== undefined) yield problem;
    }
  },
};

const http2Backend: Rule = {
  id: "http2-backend",
  severity: "error",
  finds: "servers that are spoken to in HTTP/2 only",
  why:
    "WebSockets over HTTP/2 (RFC 8441) are something else than the upgrade of RFC 6455; few servers have them, Millrace does not.",
  *haproxy({ webSocketRoutes }) {
    for (const { servers } of webSocketRoutes) {
      for (const { line, parameters } of servers) {
        const isOnly = parameters.get("proto") === "h2" || parameters.get("alpn") === "h2";
        if (!isOnly || parameters.get("ws") === "h1") continue;
        yield {
          place: line.place,
          what: "the server is spoken to in HTTP/2",
          fix: [`${line.keyword} ${line.args.join(" ")} ws h1`],
        };
      }
    }
  },
};

const resolver: Rule = {
  id: "resolver",
  severity: "warning",
  finds: "a proxy_pass to a variable without a resolver",
  why: "nginx then looks the name up for each request, and without a resolver every one of them ends in 502.",
  *nginx({ webSocketRoutes, tree }) {
    const all = [...descendants(tree.root)];
    for (const { block, pass } of webSocketRoutes) {
      const variable = /:\/\/\$\{?(\w+)/.exec(pass.args[0] ?? "")?.[1];
      if (variable === undefined || setting(block, "resolver") !== undefined) continue;
      const values = all.filter(({ name, args }) => name === "set" && args[0] === `$${variable}`).map((
        { args },
      ) => args[1]);
      const isUpstream = values.length > 0 &&
        values.every((value) => all.some(({ name, args }) => name === "upstream" && args[0] === value));
      const isMapped = all.some(({ name, args }) => name === "map" && args[1] === `$${variable}`);
      if (isUpstream || isMapped) continue;
      yield {
        place: pass.place,
        what: `nothing resolves $${variable}`,
        fix: ["resolver 127.0.0.1 valid=10s;   # the address of a DNS server"],
      };
    }
  },
};

export const upgradeRules: readonly Rule[] = [
  httpVersion,
  upgradeHeader,
  connectionHeader,
  http2Backend,
  resolver,
];
