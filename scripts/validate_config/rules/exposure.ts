/** Rules about what other machines may see or do that they should not: metrics, status pages, APIs, sockets, logs. */
import {
  aclsOf,
  bindsOf,
  type HaproxyConfig,
  isKept,
  lineOf,
  linesOf,
  modeOf,
  option,
  routesFor as haproxyRoutes,
} from "../haproxy_config.ts";
import { textOfCondition } from "../haproxy_conditions.ts";
import { type Section, takesClients } from "../haproxy_tree.ts";
import { descendants, inherited, type NginxConfig, routesFor, setting } from "../nginx_config.ts";
import type { Directive } from "../nginx_tree.ts";
import type { Judged, Known, Rule } from "../rule.ts";
import { hasAuthentication, MetricsAccess } from "../../../server/options.ts";
import { isLoopbackAddress } from "../reach.ts";

/** Whether not everybody gets what a block serves. */
function isGuarded(block: Directive): boolean {
  const denies = inherited(block, "deny").some(({ args }) => args[0] === "all");
  const asks = ["auth_basic", "auth_request", "auth_jwt"].some((name) =>
    !["off", undefined].includes(setting(block, name))
  );
  const verifies = setting(block, "ssl_verify_client") === "on";
  return denies || asks || verifies || block.children?.some(({ name }) => name === "internal") === true;
}

function* nginxReaches({ servers, routes }: NginxConfig, path: string): Generator<Judged> {
  for (const { server, block, pass, path: at } of routesFor({ servers, routes }, path)) {
    if (isGuarded(block) || !server.listeners.some(({ isOutside }) => isOutside)) continue;
    yield {
      place: pass.place,
      what: `location ${at} passes ${path} to the servers for everybody`,
      fix: [`location ${path} {`, "    deny all;", "}"],
    };
  }
}

function* haproxyReaches({ routes }: HaproxyConfig, path: string): Generator<Judged> {
  for (const route of haproxyRoutes(routes, { path, isUpgrade: false })) {
    const { frontend, line, binds } = route;
    if (modeOf(frontend) !== "http" || !binds.some(({ isOutside }) => isOutside) || isKept(route, path)) {
      continue;
    }
    yield {
      place: line?.place ?? frontend.place,
      what: `frontend ${frontend.name} passes ${path} to the servers for everybody`,
      fix: [`http-request deny if { path_beg ${path} }`],
    };
  }
}

/** Whether Millrace answers `/metrics` to everybody; an unknown server may. */
function showsMetrics({ millrace }: Known): boolean {
  return millrace === undefined || millrace.options.metrics === MetricsAccess.Open;
}

const exposedMetrics: Rule = {
  id: "exposed-metrics",
  severity: "warning",
  finds: "/metrics of the servers, or HAProxy's own exporter, open to everybody",
  why:
    "Metrics tell strangers how many clients you have, of which topics, and how close you are to the limit.",
  *nginx(config, known) {
    if (showsMetrics(known)) yield* nginxReaches(config, "/metrics");
  },
  *haproxy(config, known) {
    if (showsMetrics(known)) yield* haproxyReaches(config, "/metrics");
    for (const section of config.proxies.filter(takesClients)) {
      if (!bindsOf(section).some(({ isOutside }) => isOutside)) continue;
      for (const { args, place } of linesOf(section, "http-request")) {
        if (args[0] !== "use-service" || args[1] !== "prometheus-exporter") continue;
        if (/\bsrc\b/.test(textOfCondition(args, aclsOf(section)))) continue;
        const fix = ["http-request use-service prometheus-exporter if { path /metrics } { src 10.0.0.0/8 }"];
        yield { place, what: "everybody may read HAProxy's metrics", fix };
      }
    }
  },
};

/** Paths of Millrace that operators use. */
const OPERATORS_PATHS = ["/api/publish", "/dashboard"];

const exposedApi: Rule = {
  id: "exposed-api",
  severity: "warning",
  finds: "with --millrace: its HTTP API or dashboard open to everybody",
  why:
    "Only the key then stands between strangers and publishing to every topic or closing every connection.",
  *nginx(config, { millrace }) {
    if (millrace === undefined || millrace.options.apiKeyFile === "") return;
    for (const path of OPERATORS_PATHS) yield* nginxReaches(config, path);
  },
  *haproxy(config, { millrace }) {
    if (millrace === undefined || millrace.options.apiKeyFile === "") return;
    for (const path of OPERATORS_PATHS) yield* haproxyReaches(config, path);
  },
};

function isStatsGuarded(section: Section): boolean {
  if (lineOf(section, "stats", "auth") !== undefined) return true;
  const asks = (args: readonly string[]) => /auth|deny|src\b/.test(args.join(" "));
  return linesOf(section, "stats").some(({ args }) => args[0] === "http-request" && asks(args)) ||
    linesOf(section, "http-request").some(({ args }) => /^(auth|deny)$/.test(args[0] ?? "") && asks(args));
}

const exposedStatus: Rule = {
  id: "exposed-status",
  severity: "warning",
  finds:
    "nginx's status page or HAProxy's statistics open to everybody; an error when they can change something",
  why: "They tell strangers about the load and the servers behind; with `stats admin` they take servers out.",
  *nginx({ servers }) {
    for (const { directive, listeners } of servers) {
      if (!listeners.some(({ isOutside }) => isOutside)) continue;
      for (const { name, place, parent } of descendants(directive)) {
        if (name !== "stub_status" || parent === undefined || isGuarded(parent)) continue;
        yield { place, what: "everybody may read the status page", fix: ["allow 127.0.0.1;", "deny all;"] };
      }
    }
  },
  *haproxy({ proxies }) {
    for (const section of proxies.filter(takesClients)) {
      if (!bindsOf(section).some(({ isOutside }) => isOutside) || isStatsGuarded(section)) continue;
      const page = lineOf(section, "stats", "enable") ?? lineOf(section, "stats", "uri");
      const admin = linesOf(section, "stats").find(({ args }) => args[0] === "admin");
      const line = admin ?? page;
      if (line === undefined) continue;
      const what = `everybody may ${
        admin === undefined ? "read the statistics" : "take servers out of service"
      }`;
      yield {
        ...{ place: line.place, what, fix: ["stats auth NAME:PASSWORD", "# or: bind 127.0.0.1:8404"] },
        ...(admin === undefined ? {} : { severity: "error" as const }),
      };
    }
  },
};

const statsSocket: Rule = {
  id: "stats-socket",
  severity: "error",
  finds: "HAProxy's admin socket on an address that other machines reach",
  why: "It asks for no password, and who reaches it can change servers, certificates and limits.",
  *haproxy({ global }) {
    for (const { keyword, args, place } of global) {
      const [kind, address = ""] = args;
      if (keyword !== "stats" || kind !== "socket") continue;
      const host = /^(?:ipv[46]@)?([^/@]*):\d+$/.exec(address)?.[1];
      if (host === undefined || isLoopbackAddress(host)) continue;
      yield {
        place,
        what: `${address} is open to other machines`,
        fix: ["stats socket /run/haproxy/admin.sock mode 660 level admin"],
      };
    }
  },
};

const serverTokens: Rule = {
  id: "server-tokens",
  severity: "note",
  finds: "nginx that tells its version",
  why: "Scanners pick their attacks by it.",
  *nginx({ webSocketRoutes }) {
    for (const { server } of webSocketRoutes) {
      if (setting(server.directive, "server_tokens") === "off") continue;
      const place = inherited(server.directive, "server_tokens").at(-1)?.place ?? server.directive.place;
      yield { place, what: "server_tokens is on", fix: ["server_tokens off;"] };
    }
  },
};

const loggedTokens: Rule = {
  id: "logged-tokens",
  severity: "note",
  finds: "with --millrace and tokens: logs that keep the query of a handshake",
  why:
    "Browsers can send their token only in the URL or a cookie: from a log of URLs whoever reads it takes the tokens.",
  *nginx({ webSocketRoutes, tree }, { millrace }) {
    if (millrace === undefined || !hasAuthentication(millrace.options)) return;
    const formats = [...descendants(tree.root)].filter(({ name }) => name === "log_format");
    for (const { block, pass } of webSocketRoutes) {
      const log = inherited(block, "access_log").at(-1);
      if (log?.args[0] === "off") continue;
      const format = formats.find(({ args }) => args[0] === log?.args[1]);
      if (
        format !== undefined &&
        !/\$(request\b|request_uri|args|query_string|arg_token)/.test(format.args.join(" "))
      ) continue;
      const fix = [
        "log_format no_query '$remote_addr [$time_local] \"$request_method $uri\" $status';   # in http",
        "access_log /var/log/nginx/access.log no_query;",
      ];
      yield { place: log?.place ?? pass.place, what: "the access log keeps the query of handshakes", fix };
    }
  },
  *haproxy({ webSocketRoutes }, { millrace }) {
    if (millrace === undefined || !hasAuthentication(millrace.options)) return;
    for (const { frontend } of webSocketRoutes) {
      const line = option(frontend, "httplog");
      if (line === undefined || lineOf(frontend, "log-format") !== undefined) continue;
      yield {
        place: line.place,
        what: "the log keeps the query of handshakes",
        fix: ['log-format "%ci %b/%s %ST %HM %HPO %Tt"   # %HPO is the path only'],
      };
    }
  },
};

export const exposureRules: readonly Rule[] = [
  ...[exposedMetrics, exposedApi, exposedStatus, statsSocket, serverTokens, loggedTokens],
];
