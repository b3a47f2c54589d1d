/** Files that nginx or HAProxy refuses, each as a change of the right configuration, with what the validator says of it. */
import { type Change, RIGHT } from "./right.ts";

export interface Broken {
  readonly change: readonly Change[];
  readonly says: RegExp;
  /** A part of the line. */
  readonly at: string;
}

const PASS = "proxy_pass http://nodes;";

export const brokenNginx: readonly Broken[] = [
  {
    change: [["worker_processes 1;", "\uFEFFworker_processes 1;"]],
    says: /unknown directive/,
    at: "worker_processes",
  },
  {
    change: [["server 127.0.0.1:9002;", "server 127.0.0.1:9002 max_fail=1;"]],
    says: /invalid parameter "max_fail=1"/,
    at: "max_fail",
  },
  { change: [["listen 8443 ssl;", "listen 8443 tls;"]], says: /invalid parameter "tls"/, at: "listen" },
  { change: [["burst=50", "bursts=50"]], says: /invalid parameter "bursts=50"/, at: "bursts" },
  { change: [["rate=10r/s", "rate=10r/x"]], says: /invalid parameter "rate=10r.x"/, at: "rate=10" },
  {
    change: [["zone=per_address:1m", "zone=per_address"]],
    says: /invalid parameter "zone=per_address"/,
    at: "limit_conn_zone",
  },
  {
    change: [["default upgrade;", "default upgrade close;"]],
    says: /invalid number of the map parameters/,
    at: "default",
  },
  {
    change: [["worker_connections 8192;", "worker_connections many;"]],
    says: /invalid parameter "many"/,
    at: "many",
  },
  {
    change: [[PASS, "proxy_pass http://nodes"]],
    says: /invalid number of arguments in "proxy_pass"/,
    at: "proxy_pass",
  },
  {
    change: [["server_tokens off;", "server_tokens off"]],
    says: /unexpected "\{"|not terminated|invalid number/,
    at: "server_tokens",
  },
  {
    change: [["proxy_read_timeout 90s;", "proxy_raed_timeout 90s;"]],
    says: /unknown directive "proxy_raed_timeout"; did you mean proxy_read_timeout/,
    at: "proxy_raed",
  },
  {
    change: [["least_conn;", "least_conn;\n    proxy_pass http://x;"]],
    says: /"proxy_pass" directive is not allowed here/,
    at: "http://x",
  },
  {
    change: [["events {", "listen 80;\nevents {"]],
    says: /"listen" directive is not allowed here/,
    at: "listen 80",
  },
  {
    change: [["      proxy_read_timeout 90s;\n    }\n  }\n}", "      proxy_read_timeout 90s;\n    }\n  }"]],
    says: /expecting "}": http/,
    at: "http {",
  },
  {
    change: [["events {\n  worker_connections 8192;\n}", "events {\n  worker_connections 8192;\n}\n}"]],
    says: /unexpected "}"/,
    at: "}",
  },
  {
    change: [["proxy_http_version 1.1;", "proxy_http_version 1.1 1.0;"]],
    says: /invalid number of arguments/,
    at: "proxy_http_version",
  },
  {
    change: [["proxy_set_header Host $http_host;", "proxy_set_header Host;"]],
    says: /invalid number of arguments/,
    at: "proxy_set_header Host",
  },
  {
    change: [["proxy_http_version 1.1;", "proxy_http_version 1.2;"]],
    says: /invalid value "1.2"/,
    at: "proxy_http_version",
  },
  {
    change: [["server_tokens off;", "server_tokens off; tcp_nodelay yes;"]],
    says: /invalid value "yes"/,
    at: "tcp_nodelay",
  },
  { change: [["90s;", "90x;"]], says: /invalid value "90x"/, at: "proxy_read_timeout" },
  { change: [["''      close;", "''      'close;"]], says: /is not closed|unexpected/, at: "" },
  {
    change: [["Upgrade $http_upgrade;", 'Upgrade "$http_upgrade"x;']],
    says: /unexpected "x"/,
    at: "Upgrade",
  },
  { change: [["least_conn;", "least_conn {}"]], says: /not terminated by ";"/, at: "least_conn" },
  { change: [["http {", "http {\n  server;"]], says: /has no opening "\{"/, at: "server;" },
  { change: [[PASS, "proxy_pass ws://nodes;"]], says: /invalid URL prefix/, at: "ws://nodes" },
  {
    change: [["location /ws {", "location ~ ^/ws {"], [PASS, "proxy_pass http://nodes/ws;"]],
    says: /cannot have URI part/,
    at: "proxy_pass",
  },
  {
    change: [["map $http_upgrade $connection_upgrade", "map $http_upgrade $other"]],
    says: /unknown "connection_upgrade" variable/,
    at: "Connection $connection_upgrade",
  },
  {
    change: [["zone=handshakes burst", "zone=other burst"]],
    says: /zero size shared memory zone "other"/,
    at: "limit_req zone=other",
  },
  {
    change: [["limit_conn per_address", "limit_conn other"]],
    says: /zero size shared memory zone "other"/,
    at: "limit_conn other",
  },
  {
    change: [["    location /ws {", "    location /ws { }\n    location /ws {"]],
    says: /duplicate location "\/ws"/,
    at: "location /ws {",
  },
  {
    change: [["    server 127.0.0.1:9001;\n    server 127.0.0.1:9002;\n", ""]],
    says: /no servers are inside upstream/,
    at: "upstream nodes",
  },
  {
    change: [["  upstream nodes {", "  upstream nodes { server 127.0.0.1:1; }\n  upstream nodes {"]],
    says: /duplicate upstream "nodes"/,
    at: "upstream nodes {",
  },
  { change: [["events {\n  worker_connections 8192;\n}", ""]], says: /no "events" section/, at: "" },
  {
    change: [["server_tokens off;", "include missing.conf;"]],
    says: /missing.conf does not exist/,
    at: "include",
  },
  { change: [["server_tokens off;", "include nginx.conf;"]], says: /includes itself/, at: "include" },
  {
    change: [[/ssl_certificate \S+;/.exec(RIGHT.nginx)?.[0] ?? "", ""]],
    says: /no "ssl_certificate" is defined/,
    at: "listen 8443",
  },
];

export const brokenHaproxy: readonly Broken[] = [
  {
    change: [["tcp-request connection track", "tcp-request conection track"]],
    says: /did you mean 'connection'/,
    at: "conection",
  },
  {
    change: [["reject if { sc_conn_cur", "reject { sc_conn_cur"]],
    says: /only accepts 'if' or 'unless'/,
    at: "reject {",
  },
  {
    change: [["tcp-request connection track-sc0", "tcp-request connection trak-sc0"]],
    says: /does not have the action/,
    at: "trak",
  },
  { change: [["type ipv6", "type ipv5"]], says: /unknown type 'ipv5'/, at: "ipv5" },
  { change: [["size 100k", "size many"]], says: /'size' expects a number/, at: "many" },
  { change: [["expire 10m", "expire 10x"]], says: /'expire' expects a time/, at: "10x" },
  { change: [["store conn_cur", "stor conn_cur"]], says: /did you mean 'store'/, at: "stor " },
  {
    change: [["default_backend nodes", "default_backend nodes more"]],
    says: /unexpected argument 'more'/,
    at: "more",
  },
  { change: [["hard-stop-after 5m", "hard-stop-after soon"]], says: /expects a time/, at: "soon" },
  {
    change: [["ssl-min-ver TLSv1.2", "ssl-minver TLSv1.2"]],
    says: /did you mean 'ssl-min-ver'/,
    at: "ssl-minver",
  },
  {
    change: [["    balance leastconn", "    balence leastconn"]],
    says: /unknown keyword 'balence'; did you mean 'balance'/,
    at: "balence",
  },
  { change: [["\nglobal", "\nmaxconn 5\nglobal"]], says: /out of section/, at: "maxconn 5" },
  { change: [["backend nodes", "backend"]], says: /expects an <id>/, at: "backend" },
  {
    change: [["default_backend nodes", "default_backend other"]],
    says: /unable to find the backend 'other'/,
    at: "other",
  },
  {
    change: [["default_backend nodes", "use_backend nodes if is_ws"]],
    says: /no such ACL: 'is_ws'/,
    at: "is_ws",
  },
  { change: [["mode http", "mode https"]], says: /unknown proxy mode 'https'/, at: "mode https" },
  {
    change: [["timeout tunnel 90s", "timeout tunel 90s"]],
    says: /'timeout' does not have 'tunel'; did you mean 'tunnel'/,
    at: "tunel",
  },
  { change: [["timeout tunnel 90s", "timeout tunnel 90x"]], says: /expects a time/, at: "90x" },
  { change: [["balance leastconn", "balance leastcon"]], says: /did you mean 'leastconn'/, at: "leastcon" },
  {
    change: [["option forwardfor", "option forwardfr"]],
    says: /unknown option 'forwardfr'; did you mean 'forwardfor'/,
    at: "forwardfr",
  },
  { change: [["9002 check", "9002 chek"]], says: /unknown keyword 'chek'; did you mean 'check'/, at: "chek" },
  {
    change: [["server b 127.0.0.1:9002 check", "server b"]],
    says: /expects <name> and <addr>/,
    at: "server b",
  },
  { change: [["bind :8443 ssl", "bind :8443 sssl"]], says: /unknown keyword 'sssl'/, at: "sssl" },
  { change: [["maxconn 10000", "maxconn"]], says: /expects a number/, at: "maxconn" },
  { change: [["maxconn 10000", "maxconn 10000 5"]], says: /unexpected argument '5'/, at: "maxconn" },
  {
    change: [["http-request deny", "http-request denny"]],
    says: /does not have the action 'denny'; did you mean 'deny'/,
    at: "denny",
  },
  {
    change: [["    server b 127.0.0.1:9002 check\n", "    server b 127.0.0.1:9002 check"]],
    says: /no line end/,
    at: "server b",
  },
  { change: [["balance leastconn", 'balance "leastconn']], says: /unmatched quote/, at: "balance" },
  { change: [["    mode http\n", "    mode http\n.if 1\n"]], says: /non-terminated '.if'/, at: ".if" },
  {
    change: [["    mode http\n", "    mode http\n    bind :80\n"]],
    says: /'bind' not allowed in 'defaults'/,
    at: "bind :80",
  },
  {
    change: [["    mode http\n", "    mode http\n    acl x path /x\n"]],
    says: /not allowed in anonymous 'defaults'/,
    at: "acl x",
  },
  {
    change: [["    default_backend nodes", "    server c 127.0.0.1:9003\n    default_backend nodes"]],
    says: /not allowed because a frontend has no servers/,
    at: "server c",
  },
  {
    change: [["backend nodes", "backend nodes\n    server z 127.0.0.1:1\nbackend nodes"]],
    says: /has the same name/,
    at: "backend nodes",
  },
  {
    change: [["backend nodes", "backend nodes from other"]],
    says: /unable to find defaults section 'other'/,
    at: "from other",
  },
];
