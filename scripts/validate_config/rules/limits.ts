/** Rules about how much: connections, requests, bodies, buffers and open files. */
import { type HaproxyConfig, lineOf, linesOf, modeOf, option, type ProxyRoute } from "../haproxy_config.ts";
import { descendants, inherited, type NginxConfig, type Route, setting } from "../nginx_config.ts";
import { nginxBytes } from "../nginx_units.ts";
import { needsOneServer } from "../reach.ts";
import type { Known, Rule } from "../rule.ts";
import type { Severity } from "../finding.ts";

function isOutside({ server }: Route): boolean {
  return server.listeners.some(({ isOutside }) => isOutside);
}

/** Everything that counts clients on the way through a route of HAProxy, as text. */
function countingText({ frontend, backend }: ProxyRoute, { proxies }: HaproxyConfig): string {
  const tables = proxies.flatMap((section) => linesOf(section, "stick-table"));
  const rules = [frontend, backend].flatMap((section) =>
    ["http-request", "tcp-request", "rate-limit", "acl"].flatMap((keyword) => linesOf(section, keyword))
  );
  const text = rules.map(({ keyword, args }) => [keyword, ...args].join(" ")).join("\n");
  // What a table counts only matters to those who track something in it.
  return /track-sc/.test(text) ? text + tables.map(({ args }) => args.join(" ")).join("\n") : text;
}

/** A limit that Millrace has itself is only worth a note. */
function limitSeverity(
  { millrace }: Known,
  has: (options: NonNullable<Known["millrace"]>["options"]) => boolean,
): Severity {
  return millrace !== undefined && has(millrace.options) ? "note" : "warning";
}

const connectionLimit: Rule = {
  id: "connection-limit",
  severity: "warning",
  finds: "no limit to the connections of one address; a note where Millrace has one",
  why: "One machine can take every place of the proxy, and nobody else gets in.",
  *nginx({ webSocketRoutes }, known) {
    const severity = limitSeverity(known, ({ maxConnectionsPerAddress }) => maxConnectionsPerAddress > 0);
    for (const route of webSocketRoutes) {
      if (!isOutside(route) || inherited(route.block, "limit_conn").length > 0) continue;
      const fix = [
        "limit_conn_zone $binary_remote_addr zone=per_address:10m;   # in http",
        "limit_conn per_address 100;",
      ];
      yield { place: route.pass.place, what: "limit_conn is not set", fix, severity };
    }
  },
  *haproxy(config, known) {
    const severity = limitSeverity(known, ({ maxConnectionsPerAddress }) => maxConnectionsPerAddress > 0);
    for (const route of config.webSocketRoutes) {
      if (!route.binds.some(({ isOutside }) => isOutside) || /conn_cur/.test(countingText(route, config))) {
        continue;
      }
      const fix = [
        "stick-table type ipv6 size 100k expire 10m store conn_cur,conn_rate(10s)",
        "tcp-request connection track-sc0 src",
        "tcp-request connection reject if { sc_conn_cur(0) gt 100 }",
      ];
      yield { place: route.frontend.place, what: "connections of an address are not limited", fix, severity };
    }
  },
};

const rateLimit: Rule = {
  id: "rate-limit",
  severity: "warning",
  finds: "no limit to the handshakes of one address; a note where Millrace has one",
  why:
    "A handshake costs the server far more than the client, TLS most of all; reconnecting in a loop is an attack, too.",
  *nginx({ webSocketRoutes }, known) {
    const severity = limitSeverity(known, ({ handshakeRate }) => handshakeRate !== undefined);
    for (const route of webSocketRoutes) {
      if (!isOutside(route) || inherited(route.block, "limit_req").length > 0) continue;
      const fix = [
        "limit_req_zone $binary_remote_addr zone=handshakes:10m rate=10r/s;   # in http",
        "limit_req zone=handshakes burst=50 nodelay;",
      ];
      yield { place: route.pass.place, what: "limit_req is not set", fix, severity };
    }
  },
  *haproxy(config, known) {
    const severity = limitSeverity(known, ({ handshakeRate }) => handshakeRate !== undefined);
    for (const route of config.webSocketRoutes) {
      if (!route.binds.some(({ isOutside }) => isOutside)) continue;
      if (/conn_rate|sess_rate|http_req_rate|rate-limit/.test(countingText(route, config))) continue;
      const fix = [
        "stick-table type ipv6 size 100k expire 10m store conn_cur,conn_rate(10s)",
        "tcp-request connection track-sc0 src",
        "tcp-request connection reject if { sc_conn_rate(0) gt 100 }",
      ];
      yield { place: route.frontend.place, what: "handshakes of an address are not limited", fix, severity };
    }
  },
};

const NGINX_CONNECTIONS = 512;
/** Fewer places are a default that nobody has looked at. */
const FEW_CONNECTIONS = 1024;

/** Places of all workers; of one when it is not said how many there are. */
function workerPlaces({ tree }: NginxConfig): { places: number; workers: number } {
  const all = [...descendants(tree.root)];
  const perWorker = all.find(({ name }) => name === "worker_connections")?.args[0];
  const workers = all.find(({ name }) => name === "worker_processes")?.args[0] ?? "1";
  return {
    places: Number(perWorker ?? NGINX_CONNECTIONS),
    workers: /^\d+$/.test(workers) ? Number(workers) : 1,
  };
}

const capacity: Rule = {
  id: "capacity",
  severity: "warning",
  finds: "a proxy that has fewer places than --connections asks for, or fewer than 1024",
  why:
    "Beyond them clients wait or are refused. In nginx each WebSocket takes two: the client's and the server's.",
  *nginx(config, { connections }) {
    const { tree, webSocketRoutes } = config;
    if (tree.fragmentOf !== undefined || webSocketRoutes.length === 0) return;
    const { places, workers } = workerPlaces(config);
    const enough = connections === undefined
      ? places >= FEW_CONNECTIONS
      : places * workers >= 2 * connections;
    if (enough) return;
    const line = [...descendants(tree.root)].find(({ name }) => name === "worker_connections");
    const needed = connections === undefined ? "8192" : String(Math.ceil(2 * connections / workers));
    const what = `${workers} ${workers === 1 ? "worker" : "workers"} with ${places} places carry ${
      Math.floor(places * workers / 2)
    } WebSockets`;
    yield { place: line?.place ?? tree.root.place, what, fix: [`worker_connections ${needed};`] };
  },
  *haproxy({ global, webSocketRoutes }, { connections }) {
    if (webSocketRoutes.length === 0) return;
    const needed = connections ?? FEW_CONNECTIONS;
    const found = [
      ...global.filter(({ keyword }) => keyword === "maxconn"),
      ...webSocketRoutes.flatMap(({ frontend }) => lineOf(frontend, "maxconn") ?? []),
    ];
    for (const { args: [places = ""], place } of found) {
      if (Number(places) >= needed) continue;
      yield { place, what: `${places} places`, fix: [`maxconn ${Math.max(needed, FEW_CONNECTIONS)}`] };
    }
  },
};

const fileLimit: Rule = {
  id: "file-limit",
  severity: "warning",
  finds: "worker_rlimit_nofile below worker_connections; a note when it is not set",
  why: "Each connection is an open file: past the limit nginx refuses clients with places to spare.",
  *nginx(config) {
    const { tree, webSocketRoutes } = config;
    if (tree.fragmentOf !== undefined || webSocketRoutes.length === 0) return;
    const { places } = workerPlaces(config);
    const line = tree.root.children?.find(({ name }) => name === "worker_rlimit_nofile");
    const fix = [`worker_rlimit_nofile ${2 * places};`];
    if (line === undefined && places > FEW_CONNECTIONS) {
      const what = `worker_rlimit_nofile is not set for ${places} places: the limit is that of the service`;
      yield { place: tree.root.place, what, fix, severity: "note" };
    } else if (line !== undefined && Number(line.args[0]) < places) {
      yield { place: line.place, what: `${line.args[0] ?? ""} open files for ${places} places`, fix };
    }
  },
};

const bodyLimit: Rule = {
  id: "body-limit",
  severity: "warning",
  finds: "bodies of requests without a limit",
  why:
    "nginx writes a body to disk before it passes it on: one client can fill the disk. WebSocket messages are not meant here.",
  *nginx({ routes }) {
    for (const { block } of routes) {
      const line = inherited(block, "client_max_body_size").at(-1);
      if (line === undefined || nginxBytes(line.args[0]) !== 0) continue;
      yield {
        place: line.place,
        what: "client_max_body_size is 0, no limit",
        fix: ["client_max_body_size 1m;"],
      };
    }
  },
};

const buffering: Rule = {
  id: "buffering",
  severity: "warning",
  finds: "buffering where a fallback of WebSockets streams over HTTP (Socket.IO, SockJS, SignalR)",
  why: "Messages of the fallback wait until a buffer is full. WebSockets themselves are never buffered so.",
  *nginx({ webSocketRoutes }) {
    for (const { block, pass, path } of webSocketRoutes) {
      if (!needsOneServer(path) || setting(block, "proxy_buffering") === "off") continue;
      yield {
        place: inherited(block, "proxy_buffering").at(-1)?.place ?? pass.place,
        what: "proxy_buffering is on",
        fix: ["proxy_buffering off;"],
      };
    }
  },
  *haproxy({ webSocketRoutes }) {
    for (const { frontend, backend, line } of webSocketRoutes) {
      if (!needsOneServer((line?.args ?? []).join(" ")) || modeOf(backend) !== "http") continue;
      const buffers = option(frontend, "http-buffer-request") ?? option(backend, "http-buffer-request");
      if (buffers === undefined) continue;
      yield {
        place: buffers.place,
        what: "requests are read to their end first",
        fix: ["no option http-buffer-request"],
      };
    }
  },
};

const BIG_BUFFER_BYTES = 64 * 1024;

const bufferMemory: Rule = {
  id: "buffer-memory",
  severity: "warning",
  finds: "buffers of 64 KiB and more that every open WebSocket holds",
  why:
    "They are held for as long as the connection: ten thousand silent clients with 64 KiB each way are 1.3 GB.",
  *nginx({ webSocketRoutes }) {
    for (const { block } of webSocketRoutes) {
      const line = inherited(block, "proxy_buffer_size").at(-1);
      if (line === undefined || (nginxBytes(line.args[0]) ?? 0) < BIG_BUFFER_BYTES) continue;
      yield {
        place: line.place,
        what: `proxy_buffer_size is ${line.args[0] ?? ""}`,
        fix: ["proxy_buffer_size 8k;"],
      };
    }
  },
  *haproxy({ global, webSocketRoutes }) {
    if (webSocketRoutes.length === 0) return;
    for (const { keyword, args: [size = ""], place } of global) {
      if (keyword !== "tune.bufsize" || Number(size) < BIG_BUFFER_BYTES) continue;
      yield { place, what: `tune.bufsize is ${size}`, fix: ["tune.bufsize 16384"] };
    }
  },
};

const noDelay: Rule = {
  id: "no-delay",
  severity: "warning",
  finds: "small messages that wait for others (Nagle's algorithm)",
  why: "A small message waits for the acknowledgement of the one before it: up to 40 ms and more for each.",
  *nginx({ webSocketRoutes }) {
    for (const { block } of webSocketRoutes) {
      const line = inherited(block, "tcp_nodelay").at(-1);
      if (line?.args[0] === "off") {
        yield { place: line.place, what: "tcp_nodelay is off", fix: ["tcp_nodelay on;"] };
      }
    }
  },
};

export const limitRules: readonly Rule[] = [
  ...[connectionLimit, rateLimit, capacity, fileLimit, bodyLimit, buffering, bufferMemory, noDelay],
];
