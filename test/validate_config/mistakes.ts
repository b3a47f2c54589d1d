/**
 * A right configuration for each program, and every mistake that the validator knows as a change of it. What the tests
 * say about them is in the tests.
 */
import { fileURLToPath } from "node:url";
import type { Severity } from "../../scripts/validate_config/finding.ts";
import type { Known } from "../../scripts/validate_config/rule.ts";
import type { ProgramName } from "../../scripts/validate_config/validate.ts";

const fixture = (name: string) => fileURLToPath(new URL(`../fixtures/${name}`, import.meta.url));
export const CERT = fixture("localhost.cert.pem");
export const KEY = fixture("localhost.key.pem");
/** Stands for a file with both, which the tests make. */
export const BUNDLE = "BUNDLE.pem";

export const RIGHT: Readonly<Record<ProgramName, string>> = {
  nginx: `
worker_processes 1;
worker_rlimit_nofile 16384;
worker_shutdown_timeout 5m;
pid nginx.pid;
events {
  worker_connections 8192;
}
http {
  access_log off;
  server_tokens off;
  map $http_upgrade $connection_upgrade {
    default upgrade;
    ''      close;
  }
  limit_conn_zone $binary_remote_addr zone=per_address:1m;
  limit_req_zone $binary_remote_addr zone=handshakes:1m rate=10r/s;
  upstream nodes {
    least_conn;
    server 127.0.0.1:9001;
    server 127.0.0.1:9002;
  }
  server {
    listen 8443 ssl;
    server_name localhost;
    ssl_certificate ${CERT};
    ssl_certificate_key ${KEY};
    ssl_protocols TLSv1.2 TLSv1.3;
    location /ws {
      limit_conn per_address 100;
      limit_req zone=handshakes burst=50 nodelay;
      proxy_pass http://nodes;
      proxy_http_version 1.1;
      proxy_set_header Host $http_host;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_read_timeout 90s;
    }
  }
}
`,
  haproxy: `
global
    maxconn 10000
    hard-stop-after 5m
    ssl-default-bind-options ssl-min-ver TLSv1.2
defaults
    mode http
    option forwardfor
    timeout connect 5s
    timeout client 30s
    timeout server 30s
    timeout http-request 10s
    timeout tunnel 90s
    timeout client-fin 10s
frontend wss
    bind :8443 ssl crt ${BUNDLE}
    stick-table type ipv6 size 100k expire 10m store conn_cur,conn_rate(10s)
    tcp-request connection track-sc0 src
    tcp-request connection reject if { sc_conn_cur(0) gt 100 }
    tcp-request connection reject if { sc_conn_rate(0) gt 100 }
    http-request deny if { path_beg /metrics /api /dashboard }
    default_backend nodes
backend nodes
    balance leastconn
    option httpchk GET /ready
    server a 127.0.0.1:9001 check
    server b 127.0.0.1:9002 check
`,
};

/** Millrace behind {@link RIGHT}. */
export const RIGHT_MILLRACE = {
  port: 9001,
  trustedProxies: ["127.0.0.1"],
  drainDelaySeconds: 6,
};

/** A text and what takes its place. */
export type Change = readonly [from: string, to: string];

export interface Mistake {
  readonly rule: string;
  readonly severity: Severity;
  /** What makes the right configuration wrong. */
  readonly change: readonly Change[];
  /** What has to be different before, in the right one, too. */
  readonly setup?: readonly Change[];
  /** A part of the line of the finding; without it the replacement of the last change. */
  readonly at?: string;
  readonly known?: Partial<Known>;
  /** Millrace's options with the mistake, added to {@link RIGHT_MILLRACE}; the right ones are `rightMillrace`. */
  readonly millrace?: Readonly<Record<string, unknown>>;
  readonly rightMillrace?: Readonly<Record<string, unknown>>;
  /** The program itself refuses it, too. */
  readonly isRefused?: boolean;
}

/** A line that is gone. */
const without = (line: string): Change => [line, ""];
const DAY_MS = 86_400_000;
const CERTIFICATE_ENDS_MS = Date.parse("2126-10-29T15:50:15Z");

const PASS = "proxy_pass http://nodes;";
const SOCKET_IO: Change = ["location /ws {", "location /socket.io/ {"];
const PROXY_ALL: Change = ["location /ws {", "location / {"];
const ONE_MORE_LOCATION = (
  location: string,
): Change => ["    location /ws {", `    ${location}\n    location /ws {`];
const METRICS = ONE_MORE_LOCATION("location /metrics { proxy_pass http://nodes; }");
const GUARDED_METRICS = ONE_MORE_LOCATION("location /metrics { proxy_pass http://nodes; deny all; }");
const API = ONE_MORE_LOCATION("location /api/ { proxy_pass http://nodes; client_max_body_size 1m; }");
const WITH_KEYS = { apiKeyFile: "keys" };

export const nginxMistakes: readonly Mistake[] = [
  { rule: "http-version", severity: "error", change: [without("proxy_http_version 1.1;")], at: PASS },
  {
    rule: "http-version",
    severity: "error",
    change: [["proxy_http_version 1.1;", "proxy_http_version 1.0;"]],
    at: PASS,
  },
  {
    rule: "upgrade-header",
    severity: "error",
    change: [without("proxy_set_header Upgrade $http_upgrade;")],
    at: PASS,
  },
  { rule: "upgrade-header", severity: "error", change: [["Upgrade $http_upgrade;", 'Upgrade "";']] },
  {
    rule: "connection-header",
    severity: "error",
    change: [without("proxy_set_header Connection $connection_upgrade;")],
    at: PASS,
  },
  {
    rule: "connection-header",
    severity: "error",
    change: [["Connection $connection_upgrade;", 'Connection "close";']],
  },
  {
    rule: "connection-header",
    severity: "error",
    change: [["default upgrade;", "default close;"]],
    at: "Connection $conn",
  },
  {
    rule: "connection-header",
    severity: "warning",
    setup: [["location /ws {", "location /chat {"]],
    change: [["Connection $connection_upgrade;", 'Connection "upgrade";']],
  },
  {
    rule: "resolver",
    severity: "warning",
    setup: [[PASS, "resolver 127.0.0.1; proxy_pass http://$arg_node:9001;"]],
    change: [["resolver 127.0.0.1; ", ""]],
    at: "$arg_node",
  },
  {
    rule: "idle-timeout",
    severity: "error",
    change: [["proxy_read_timeout 90s;", "proxy_read_timeout 20s;"]],
  },
  {
    rule: "idle-timeout",
    severity: "warning",
    change: [["proxy_read_timeout 90s;", "proxy_read_timeout 35s;"]],
  },
  {
    rule: "idle-timeout",
    severity: "error",
    change: [without("proxy_read_timeout 90s;")],
    at: PASS,
    known: { heartbeatSeconds: 60 },
  },
  {
    rule: "idle-timeout",
    severity: "warning",
    setup: [["proxy_read_timeout 90s;", "proxy_read_timeout 2h;"]],
    change: [["proxy_read_timeout 2h;", "proxy_read_timeout 90s;"]],
    known: { heartbeatSeconds: 0 },
  },
  {
    rule: "slow-requests",
    severity: "warning",
    setup: [["server_name", "client_header_timeout 10s;\n    server_name"]],
    change: [["client_header_timeout 10s;", "client_header_timeout 10m;"]],
  },
  { rule: "reload", severity: "note", change: [without("worker_shutdown_timeout 5m;")], at: "" },
  {
    rule: "plain-ws",
    severity: "warning",
    setup: [["listen 8443 ssl;", "listen 127.0.0.1:8080;"]],
    change: [["listen 127.0.0.1:8080;", "listen 8080;"]],
  },
  { rule: "tls-version", severity: "error", change: [["TLSv1.2 TLSv1.3;", "TLSv1 TLSv1.1 TLSv1.2;"]] },
  {
    rule: "tls-version",
    severity: "warning",
    change: [without("ssl_protocols TLSv1.2 TLSv1.3;")],
    at: "listen 8443 ssl",
  },
  {
    rule: "tls-ciphers",
    severity: "error",
    setup: [["ssl_protocols", "ssl_ciphers HIGH:!aNULL:!MD5;\n    ssl_protocols"]],
    change: [["HIGH:!aNULL:!MD5", "ALL:RC4+RSA:!aNULL"]],
  },
  { rule: "certificate-file", severity: "error", change: [[CERT, "/nonexistent/cert.pem"]], isRefused: true },
  {
    rule: "certificate-expired",
    severity: "error",
    change: [],
    at: CERT,
    known: { nowMs: CERTIFICATE_ENDS_MS + DAY_MS },
  },
  {
    rule: "certificate-expired",
    severity: "warning",
    change: [],
    at: CERT,
    known: { nowMs: CERTIFICATE_ENDS_MS - DAY_MS },
  },
  {
    rule: "certificate-key",
    severity: "error",
    change: [[KEY, fixture("renewed.key.pem")]],
    at: CERT,
    isRefused: true,
  },
  {
    rule: "certificate-name",
    severity: "warning",
    change: [["server_name localhost;", "server_name ws.example.com;"]],
    at: CERT,
  },
  {
    rule: "tls-verify",
    severity: "warning",
    setup: [[
      PASS,
      `proxy_ssl_verify on;\n      proxy_ssl_trusted_certificate ${CERT};\n      proxy_pass https://192.0.2.1:9001;`,
    ]],
    change: [["proxy_ssl_verify on;", ""]],
    at: "https://192.0.2.1",
  },
  {
    rule: "forwarded-for",
    severity: "warning",
    change: [without("proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;")],
    at: PASS,
  },
  {
    rule: "forwarded-spoof",
    severity: "warning",
    change: [["$proxy_add_x_forwarded_for;", "$http_x_forwarded_for;"]],
  },
  {
    rule: "forwarded-spoof",
    severity: "error",
    setup: [["server_name", "set_real_ip_from 10.0.0.0/8;\n    server_name"]],
    change: [["10.0.0.0/8;", "0.0.0.0/0;"]],
  },
  {
    rule: "host-header",
    severity: "warning",
    change: [without("proxy_set_header Host $http_host;")],
    at: PASS,
  },
  { rule: "host-header", severity: "warning", change: [["Host $http_host;", "Host $proxy_host;"]] },
  {
    rule: "sticky",
    severity: "error",
    setup: [["least_conn;", "ip_hash;"]],
    change: [["ip_hash;", "least_conn;"]],
    at: "upstream nodes",
    known: { isStickyRequired: true },
  },
  {
    rule: "sticky",
    severity: "error",
    setup: [SOCKET_IO, ["least_conn;", "ip_hash;"], ["proxy_http", "proxy_buffering off;\n      proxy_http"]],
    change: [["ip_hash;", "least_conn;"]],
    at: "upstream nodes",
  },
  {
    rule: "sticky",
    severity: "note",
    setup: [["least_conn;", "ip_hash;"]],
    change: [["ip_hash;", "least_conn;"]],
    at: "upstream nodes",
  },
  {
    rule: "consistent-hash",
    severity: "note",
    setup: [["least_conn;", "hash $remote_addr consistent;"]],
    change: [[" consistent;", ";"]],
    at: "hash $remote_addr",
  },
  { rule: "least-connections", severity: "note", change: [without("least_conn;")], at: "upstream nodes" },
  {
    rule: "health-checks",
    severity: "warning",
    change: [["server 127.0.0.1:9002;", "server 127.0.0.1:9002 max_fails=0;"]],
  },
  {
    rule: "health-checks",
    severity: "warning",
    change: [[PASS, `${PASS}\n      proxy_next_upstream off;`]],
    at: "proxy_next_upstream off",
  },
  {
    rule: "retried-publish",
    severity: "warning",
    setup: [[PASS, `${PASS}\n      proxy_next_upstream error timeout;`]],
    change: [["error timeout;", "error timeout non_idempotent;"]],
  },
  {
    rule: "connection-limit",
    severity: "warning",
    change: [without("limit_conn per_address 100;")],
    at: PASS,
  },
  {
    rule: "connection-limit",
    severity: "note",
    change: [without("limit_conn per_address 100;")],
    at: PASS,
    millrace: {},
  },
  {
    rule: "rate-limit",
    severity: "warning",
    change: [without("limit_req zone=handshakes burst=50 nodelay;")],
    at: PASS,
  },
  {
    rule: "capacity",
    severity: "warning",
    change: [["worker_connections 8192;", "worker_connections 512;"]],
  },
  {
    rule: "capacity",
    severity: "warning",
    setup: [["worker_connections 8192;", "worker_connections 10000;"]],
    change: [["worker_connections 10000;", "worker_connections 8192;"]],
    known: { connections: 5000 },
  },
  {
    rule: "file-limit",
    severity: "warning",
    change: [["worker_rlimit_nofile 16384;", "worker_rlimit_nofile 1024;"]],
  },
  { rule: "file-limit", severity: "note", change: [without("worker_rlimit_nofile 16384;")], at: "" },
  {
    rule: "body-limit",
    severity: "warning",
    setup: [["server_name", "client_max_body_size 1m;\n    server_name"]],
    change: [["client_max_body_size 1m;", "client_max_body_size 0;"]],
  },
  {
    rule: "buffering",
    severity: "warning",
    setup: [SOCKET_IO, ["least_conn;", "ip_hash;"], ["proxy_http", "proxy_buffering off;\n      proxy_http"]],
    change: [without("proxy_buffering off;")],
    at: PASS,
  },
  {
    rule: "buffer-memory",
    severity: "warning",
    setup: [["proxy_http", "proxy_buffer_size 8k; proxy_buffers 4 64k;\n      proxy_http"]],
    change: [["proxy_buffer_size 8k;", "proxy_buffer_size 64k;"]],
  },
  {
    rule: "no-delay",
    severity: "warning",
    setup: [["server_name", "tcp_nodelay on;\n    server_name"]],
    change: [["tcp_nodelay on;", "tcp_nodelay off;"]],
  },
  {
    rule: "exposed-metrics",
    severity: "warning",
    setup: [GUARDED_METRICS],
    change: [[" deny all;", ""]],
    at: "location /metrics",
  },
  { rule: "exposed-metrics", severity: "warning", change: [PROXY_ALL], at: PASS },
  {
    rule: "exposed-metrics",
    severity: "warning",
    setup: [METRICS],
    change: [],
    at: "location /metrics",
    rightMillrace: { metrics: "off" },
    millrace: {},
  },
  {
    rule: "exposed-api",
    severity: "warning",
    setup: [API],
    change: [],
    at: "location /api/",
    rightMillrace: {},
    millrace: WITH_KEYS,
  },
  {
    rule: "exposed-status",
    severity: "warning",
    setup: [ONE_MORE_LOCATION("location /status { stub_status; allow 127.0.0.1; deny all; }")],
    change: [[" allow 127.0.0.1; deny all;", ""]],
    at: "stub_status",
  },
  { rule: "server-tokens", severity: "note", change: [["server_tokens off;", "server_tokens on;"]] },
  {
    rule: "logged-tokens",
    severity: "note",
    setup: [["access_log off;", "log_format plain '$uri'; access_log access.log plain;"]],
    change: [[" plain;", ";"], ["log_format plain '$uri';", ""]],
    at: "access_log",
    rightMillrace: { jwtSecretFile: "secret" },
    millrace: { jwtSecretFile: "secret" },
  },
  { rule: "trusted-proxies", severity: "error", change: [], millrace: { trustedProxies: [] } },
  { rule: "trusted-proxies", severity: "error", change: [], millrace: { trustedProxies: ["10.0.0.0/8"] } },
  { rule: "trusted-proxies", severity: "error", change: [], millrace: { trustedProxies: ["0.0.0.0/0"] } },
  { rule: "trusted-proxies", severity: "error", change: [], millrace: { forwardedHeader: "forwarded" } },
  {
    rule: "tls-ends",
    severity: "error",
    change: [],
    at: "server 127.0.0.1:900",
    millrace: { tlsCert: CERT, tlsKey: KEY },
  },
  {
    rule: "tls-ends",
    severity: "error",
    change: [[PASS, "proxy_pass https://nodes;"]],
    at: "server 127.0.0.1:900",
    millrace: {},
  },
  { rule: "server-address", severity: "error", change: [], millrace: { port: 9000 } },
  {
    rule: "server-address",
    severity: "error",
    setup: [["127.0.0.1:9001;", "192.0.2.1:9001;"], ["127.0.0.1:9002;", "192.0.2.2:9001;"]],
    change: [],
    rightMillrace: { host: "192.0.2.1", insecureAnonymous: true },
    millrace: {},
  },
  { rule: "bypass", severity: "warning", change: [], millrace: { host: "0.0.0.0", insecureAnonymous: true } },
  { rule: "endpoint-path", severity: "error", change: [], millrace: { path: "/live" } },
  { rule: "endpoint-path", severity: "error", change: [[PASS, "proxy_pass http://nodes/;"]], millrace: {} },
  {
    rule: "publish-body",
    severity: "warning",
    setup: [API, ["client_max_body_size 1m;", "client_max_body_size 1m; deny all;"]],
    change: [["client_max_body_size 1m;", "client_max_body_size 100k;"]],
    rightMillrace: WITH_KEYS,
    millrace: WITH_KEYS,
  },
];

const FRONTEND_END: Change = ["    default_backend nodes", "    MORE\n    default_backend nodes"];
const inFrontend = (line: string): Change => [FRONTEND_END[0], FRONTEND_END[1].replace("MORE", line)];
const inBackend = (line: string): Change => ["    balance leastconn", `    balance leastconn\n    ${line}`];
const TO_SOCKET_IO: Change = [
  "    default_backend nodes",
  "    use_backend nodes if { path_beg /socket.io/ }",
];
const STATS = `listen stats
    bind :8404
    stats enable
    stats auth admin:secret
    timeout http-request 5s
`;
const inStats: Change = ["frontend wss", `${STATS}frontend wss`];

export const haproxyMistakes: readonly Mistake[] = [
  {
    rule: "upgrade-header",
    severity: "error",
    change: [inBackend("http-request del-header Upgrade")],
    at: "del-header",
  },
  {
    rule: "upgrade-header",
    severity: "error",
    setup: [inBackend("http-request set-header Connection close if { path /x }")],
    change: [[" if { path /x }", ""]],
    at: "set-header",
  },
  {
    rule: "http2-backend",
    severity: "error",
    setup: [["9002 check", "9002 check proto h2 ws h1"]],
    change: [[" ws h1", ""]],
    at: "proto h2",
  },
  { rule: "idle-timeout", severity: "error", change: [["timeout tunnel 90s", "timeout tunnel 3600"]] },
  { rule: "idle-timeout", severity: "warning", change: [["timeout tunnel 90s", "timeout tunnel 40s"]] },
  {
    rule: "idle-timeout",
    severity: "error",
    change: [["    timeout tunnel 90s\n", ""]],
    at: "timeout server 30s",
  },
  {
    rule: "missing-timeouts",
    severity: "warning",
    change: [without("timeout connect 5s")],
    at: "backend nodes",
  },
  {
    rule: "missing-timeouts",
    severity: "warning",
    change: [without("timeout client 30s")],
    at: "frontend wss",
  },
  {
    rule: "slow-requests",
    severity: "warning",
    change: [without("timeout http-request 10s")],
    at: "frontend wss",
  },
  {
    rule: "half-closed",
    severity: "note",
    change: [without("timeout client-fin 10s")],
    at: "timeout tunnel",
  },
  { rule: "reload", severity: "note", change: [without("hard-stop-after 5m")], at: "global" },
  {
    rule: "plain-ws",
    severity: "warning",
    setup: [[`bind :8443 ssl crt ${BUNDLE}`, "bind 127.0.0.1:8080"]],
    change: [["bind 127.0.0.1:8080", "bind :8080"]],
  },
  {
    rule: "plain-ws",
    severity: "warning",
    setup: [[
      "    bind :8443",
      "    bind :8080\n    redirect scheme https unless { ssl_fc }\n    bind :8443",
    ]],
    change: [["    redirect scheme https unless { ssl_fc }\n", ""]],
    at: "bind :8080",
  },
  { rule: "tls-version", severity: "error", change: [["ssl-min-ver TLSv1.2", "ssl-min-ver TLSv1.0"]] },
  {
    rule: "tls-version",
    severity: "error",
    change: [[`crt ${BUNDLE}`, `crt ${BUNDLE} ssl-min-ver TLSv1.1`]],
    at: "bind",
  },
  {
    rule: "tls-ciphers",
    severity: "error",
    setup: [["    hard-stop", "    ssl-default-bind-ciphers HIGH:!aNULL:!MD5\n    hard-stop"]],
    change: [["HIGH:!aNULL:!MD5", "ALL"]],
  },
  {
    rule: "tls-ciphers",
    severity: "error",
    change: [[`crt ${BUNDLE}`, `crt ${BUNDLE} ciphers AES128-SHA:RC4-SHA`]],
    at: "bind",
  },
  {
    rule: "certificate-file",
    severity: "error",
    change: [[BUNDLE, "/nonexistent/bundle.pem"]],
    at: "bind",
    isRefused: true,
  },
  {
    rule: "certificate-expired",
    severity: "error",
    change: [],
    at: "bind",
    known: { nowMs: CERTIFICATE_ENDS_MS + DAY_MS },
  },
  {
    rule: "certificate-key",
    severity: "error",
    change: [[BUNDLE, "MIXED.pem"]],
    at: "bind",
    isRefused: true,
  },
  {
    rule: "tls-verify",
    severity: "warning",
    setup: [[
      "server b 127.0.0.1:9002 check",
      `server b 192.0.2.1:9002 check ssl verify required ca-file ${CERT}`,
    ]],
    change: [[`verify required ca-file ${CERT}`, "verify none"]],
  },
  { rule: "forwarded-for", severity: "warning", change: [without("option forwardfor")], at: "backend nodes" },
  {
    rule: "forwarded-for",
    severity: "warning",
    setup: [without("option forwardfor"), inFrontend("http-request set-header X-Forwarded-For %[src]")],
    change: [["X-Forwarded-For %[src]", "X-Other %[src]"]],
    at: "backend nodes",
  },
  {
    rule: "forwarded-spoof",
    severity: "warning",
    change: [["option forwardfor", "option forwardfor if-none"]],
  },
  {
    rule: "forwarded-spoof",
    severity: "warning",
    setup: [inFrontend("http-request set-src hdr(x-forwarded-for) if { src 10.0.0.0/8 }")],
    change: [[" if { src 10.0.0.0/8 }", ""]],
    at: "set-src",
  },
  {
    rule: "sticky",
    severity: "error",
    setup: [["balance leastconn", "balance source\n    hash-type consistent"]],
    change: [["balance source", "balance leastconn"]],
    at: "backend nodes",
    known: { isStickyRequired: true },
  },
  {
    rule: "sticky",
    severity: "error",
    setup: [TO_SOCKET_IO, inBackend("stick-table type ip size 1k expire 1h"), inBackend("stick on src")],
    change: [without("stick on src")],
    at: "backend nodes",
  },
  {
    rule: "sticky-cookie",
    severity: "error",
    setup: [inBackend("cookie S insert indirect nocache"), ["9001 check", "9001 check cookie a"], [
      "9002 check",
      "9002 check cookie b",
    ]],
    change: [[" cookie b", ""]],
    at: "server b",
  },
  {
    rule: "consistent-hash",
    severity: "note",
    setup: [["balance leastconn", "balance source\n    hash-type consistent"]],
    change: [["hash-type consistent", ""]],
    at: "balance source",
  },
  { rule: "least-connections", severity: "note", change: [["balance leastconn", "balance roundrobin"]] },
  { rule: "health-checks", severity: "warning", change: [["9002 check", "9002"]], at: "server b" },
  {
    rule: "health-checks",
    severity: "note",
    change: [without("option httpchk GET /ready")],
    at: "backend nodes",
  },
  {
    rule: "retried-publish",
    severity: "warning",
    setup: [
      inBackend("retry-on all-retryable-errors"),
      inBackend("http-request disable-l7-retry if METH_POST"),
      [" /api", ""],
    ],
    change: [without("http-request disable-l7-retry if METH_POST")],
    at: "retry-on",
  },
  {
    rule: "connection-limit",
    severity: "warning",
    change: [without("tcp-request connection reject if { sc_conn_cur(0) gt 100 }"), ["conn_cur,", ""]],
    at: "frontend wss",
  },
  {
    rule: "rate-limit",
    severity: "warning",
    change: [without("tcp-request connection reject if { sc_conn_rate(0) gt 100 }"), [",conn_rate(10s)", ""]],
    at: "frontend wss",
  },
  { rule: "capacity", severity: "warning", change: [["maxconn 10000", "maxconn 500"]] },
  { rule: "capacity", severity: "warning", change: [["maxconn 10000", "maxconn many"]] },
  {
    rule: "capacity",
    severity: "warning",
    setup: [["maxconn 10000", "maxconn 30000"]],
    change: [["maxconn 30000", "maxconn 10000"]],
    known: { connections: 20_000 },
  },
  {
    rule: "buffering",
    severity: "warning",
    setup: [TO_SOCKET_IO, ["balance leastconn", "balance source\n    hash-type consistent"]],
    change: [["    hash-type consistent", "    hash-type consistent\n    option http-buffer-request"]],
    at: "option http-buffer-request",
  },
  {
    rule: "buffer-memory",
    severity: "warning",
    setup: [["    hard-stop", "    tune.bufsize 16384\n    hard-stop"]],
    change: [["tune.bufsize 16384", "tune.bufsize 131072"]],
  },
  {
    rule: "exposed-metrics",
    severity: "warning",
    change: [["path_beg /metrics /api", "path_beg /api"]],
    at: "default_backend",
  },
  {
    rule: "exposed-metrics",
    severity: "warning",
    setup: [inFrontend("http-request use-service prometheus-exporter if { path /stats } { src 10.0.0.0/8 }")],
    change: [[" { src 10.0.0.0/8 }", ""]],
    at: "prometheus-exporter",
  },
  {
    rule: "exposed-api",
    severity: "warning",
    setup: [[" /api /dashboard", " /api /dashboard"]],
    change: [[" /api", ""]],
    at: "default_backend",
    rightMillrace: WITH_KEYS,
    millrace: WITH_KEYS,
  },
  {
    rule: "exposed-status",
    severity: "warning",
    setup: [inStats],
    change: [["    stats auth admin:secret\n", ""]],
    at: "stats enable",
  },
  {
    rule: "exposed-status",
    severity: "error",
    setup: [inStats, ["stats enable", "stats enable\n    stats admin if TRUE"]],
    change: [["    stats auth admin:secret\n", ""]],
    at: "stats admin",
  },
  {
    rule: "stats-socket",
    severity: "error",
    setup: [["    hard-stop", "    stats socket ipv4@127.0.0.1:9999 level admin\n    hard-stop"]],
    change: [["ipv4@127.0.0.1:9999", "ipv4@0.0.0.0:9999"]],
  },
  {
    rule: "logged-tokens",
    severity: "note",
    change: [["    option forwardfor", "    option httplog\n    option forwardfor"]],
    at: "option httplog",
    rightMillrace: { jwtSecretFile: "secret" },
    millrace: { jwtSecretFile: "secret" },
  },
  {
    rule: "misplaced",
    severity: "warning",
    change: [inFrontend("timeout server 30s")],
    at: "timeout server",
  },
  { rule: "misplaced", severity: "warning", change: [inBackend("maxconn 5000")], at: "maxconn 5000" },
  { rule: "trusted-proxies", severity: "error", change: [], millrace: { trustedProxies: [] } },
  {
    rule: "tls-ends",
    severity: "error",
    change: [["9001 check", "9001 check ssl verify none"], ["9002 check", "9002 check ssl verify none"]],
    at: "server ",
    millrace: {},
  },
  { rule: "server-address", severity: "error", change: [], millrace: { port: 9000 } },
  { rule: "bypass", severity: "warning", change: [], millrace: { host: "0.0.0.0", insecureAnonymous: true } },
  {
    rule: "proxy-protocol",
    severity: "error",
    change: [["9002 check", "9002 check send-proxy"]],
    millrace: {},
  },
  {
    rule: "endpoint-path",
    severity: "error",
    setup: [["    default_backend nodes", "    use_backend nodes if { path /ws }"]],
    change: [["{ path /ws }", "{ path /live }"]],
    at: "{",
    millrace: {},
  },
  { rule: "drain-delay", severity: "warning", change: [], millrace: { drainDelaySeconds: 2 } },
  { rule: "drain-delay", severity: "warning", change: [["GET /ready", "GET /health"]], millrace: {} },
];
