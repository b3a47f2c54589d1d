/**
 * A right configuration for each program and for Millrace behind it, and what a mistake is: a change of it. The mistakes
 * themselves are in nginx_mistakes.ts and haproxy_mistakes.ts.
 */
import { fileURLToPath } from "node:url";
import type { Severity } from "../../scripts/validate_config/finding.ts";
import type { Known } from "../../scripts/validate_config/rule.ts";
import type { ProgramName } from "../../scripts/validate_config/validate.ts";

export const fixture = (name: string) => fileURLToPath(new URL(`../fixtures/${name}`, import.meta.url));
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
export const without = (line: string): Change => [line, ""];
export const DAY_MS = 86_400_000;
/** When the certificate of the fixtures ends. */
export const CERTIFICATE_ENDS_MS = Date.parse("2126-10-29T15:50:15Z");
/** Millrace with its HTTP API. */
export const WITH_KEYS = { apiKeyFile: "keys" };
