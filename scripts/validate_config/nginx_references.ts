/**
 * What `nginx -t` refuses beyond the form of directives: names that nothing defines or that are defined twice. Of files
 * that are made to be included only what they say themselves is checked.
 */
import type { Hit } from "./finding.ts";
import { childrenNamed, descendants, type NginxConfig, setting } from "./nginx_config.ts";
import { parameterProblem } from "./nginx_parameters.ts";
import type { Directive } from "./nginx_tree.ts";

/** Variables of nginx 1.22.1 and, from the documentation, of later ones. */
const VARIABLES: ReadonlySet<string> = new Set(
  `
  ancient_browser args binary_remote_addr body_bytes_sent bytes_sent connection connection_requests
  connection_time connections_active connections_reading connections_waiting connections_writing
  content_length content_type date_gmt date_local document_root document_uri fastcgi_path_info
  fastcgi_script_name gzip_ratio host hostname http2 http3 https invalid_referer is_args is_request_port
  limit_conn_status limit_rate limit_req_status memcached_key modern_browser msec msie nginx_version pid
  pipe protocol proxy_add_x_forwarded_for proxy_host proxy_port proxy_protocol_addr proxy_protocol_port
  proxy_protocol_server_addr proxy_protocol_server_port proxy_protocol_tlv_alpn query_string quic
  realip_remote_addr realip_remote_port realpath_root remote_addr remote_port remote_user request
  request_body request_body_file request_completion request_filename request_id request_length
  request_method request_port request_time request_uri scheme secure_link secure_link_expires server_addr
  server_name server_port server_protocol session_time slice_range ssl_alpn_protocol ssl_cipher
  ssl_client_cert ssl_client_escaped_cert ssl_client_fingerprint ssl_client_i_dn ssl_client_i_dn_legacy
  ssl_client_raw_cert ssl_client_s_dn ssl_client_s_dn_legacy ssl_client_serial ssl_client_sigalg
  ssl_client_v_end ssl_client_v_remain ssl_client_v_start ssl_client_verify ssl_curve ssl_curves
  ssl_early_data ssl_ech_outer_server_name ssl_ech_status ssl_preread_alpn_protocols ssl_preread_protocol
  ssl_preread_server_name ssl_protocol ssl_server_name ssl_session_id ssl_session_reused ssl_sigalg status
  tcpinfo_rcv_space tcpinfo_rtt tcpinfo_rttvar tcpinfo_snd_cwnd time_iso8601 time_local uid_got uid_reset
  uid_set upstream_addr upstream_bytes_received upstream_bytes_sent upstream_cache_status
  upstream_connect_time upstream_first_byte_time upstream_header_time upstream_last_addr upstream_queue_time
  upstream_response_length upstream_response_time upstream_session_time upstream_status uri
`.trim().split(/\s+/),
);
const VARIABLE_FAMILIES =
  /^(arg|http|cookie|sent_http|sent_trailer|upstream_(http|cookie|trailer)|proxy_protocol_tlv|geoip\d*)_|^\d+$/;

/** Directives of which the arguments may hold variables. */
const USES_VARIABLES: ReadonlySet<string> = new Set([
  ...[
    "proxy_set_header",
    "proxy_pass",
    "add_header",
    "return",
    "rewrite",
    "map",
    "set",
    "log_format",
    "if",
    "try_files",
  ],
  ...[
    "limit_req_zone",
    "limit_conn_zone",
    "hash",
    "proxy_cache_key",
    "split_clients",
    "root",
    "alias",
    "proxy_redirect",
  ],
]);

type Report = (at: Directive, what: string, ...fix: string[]) => void;

function definedVariables(all: readonly Directive[]): Set<string> {
  const names = new Set<string>();
  for (const { name, args } of all) {
    const last = args.at(-1) ?? "";
    if (/^(map|geo|split_clients)$/.test(name) && last.startsWith("$")) names.add(last.slice(1));
    if (/^(set|auth_request_set|perl_set)$/.test(name)) names.add((args[0] ?? "").replace("$", ""));
    for (const arg of args) for (const [, group = ""] of arg.matchAll(/\(\?P?<(\w+)>/g)) names.add(group);
  }
  return names;
}

const CONNECTION_MAP = [
  "map $http_upgrade $connection_upgrade {",
  "    default upgrade;",
  "    ''      close;",
  "}",
];

function checkVariables(all: readonly Directive[], report: Report): void {
  const defined = definedVariables(all);
  for (const directive of all) {
    if (!USES_VARIABLES.has(directive.name)) continue;
    for (const [, braced, bare] of directive.args.join(" ").matchAll(/\$(?:\{(\w+)\}|(\w+))/g)) {
      const name = braced ?? bare ?? "";
      if (VARIABLES.has(name) || VARIABLE_FAMILIES.test(name) || defined.has(name)) continue;
      report(
        directive,
        `unknown "${name}" variable`,
        ...(name === "connection_upgrade" ? CONNECTION_MAP : []),
      );
    }
  }
}

function checkZones(all: readonly Directive[], report: Report): void {
  for (const kind of ["limit_req", "limit_conn"] as const) {
    const zones = new Set(
      all.filter(({ name }) => name === `${kind}_zone`).flatMap(({ args }) =>
        args.flatMap((arg) => /^zone=([^:]+)/.exec(arg)?.[1] ?? [])
      ),
    );
    for (const directive of all.filter(({ name }) => name === kind)) {
      const zone = kind === "limit_conn"
        ? directive.args[0]
        : directive.args.find((arg) => arg.startsWith("zone="))?.slice("zone=".length);
      if (zone === undefined || zones.has(zone)) continue;
      const example = kind === "limit_req" ? `zone=${zone}:10m rate=10r/s` : `zone=${zone}:10m`;
      report(
        directive,
        `zero size shared memory zone "${zone}"`,
        `${kind}_zone $binary_remote_addr ${example};`,
      );
    }
  }
}

function checkLocations(servers: readonly Directive[], report: Report): void {
  for (const block of servers) {
    const seen = new Set<string>();
    for (const location of childrenNamed(block, "location")) {
      const key = location.args.join(" ");
      if (seen.has(key) && !key.startsWith("~")) {
        report(location, `duplicate location "${location.args.at(-1) ?? ""}"`);
      }
      seen.add(key);
    }
  }
}

function checkPasses(all: readonly Directive[], report: Report): void {
  for (const directive of all) {
    const { name, args: [target = ""], parent } = directive;
    if (name !== "proxy_pass" || parent?.inside === "S") continue;
    const fixed = target.replace(/^ws(s?):/, "http$1:");
    if (!/^(https?:\/\/|\$)/.test(target)) {
      report(
        directive,
        `invalid URL prefix in "${target}"`,
        `proxy_pass ${/^http/.test(fixed) ? fixed : `http://${target}`};`,
      );
    } else if (
      parent?.name === "location" && /^~/.test(parent.args[0] ?? "") && /:\/\/[^/$]+\/[^$]*$/.test(target)
    ) {
      report(
        directive,
        '"proxy_pass" cannot have URI part in location given by regular expression',
        `proxy_pass ${target.replace(/(:\/\/[^/]+).*/, "$1")};`,
      );
    }
  }
}

function checkUpstreams(all: readonly Directive[], report: Report): void {
  const seen = new Set<string>();
  for (const upstream of all.filter(({ name, inside }) => name === "upstream" && inside === "u")) {
    const [name = ""] = upstream.args;
    if (seen.has(name)) report(upstream, `duplicate upstream "${name}"`);
    seen.add(name);
    if (childrenNamed(upstream, "server").length === 0) {
      report(upstream, "no servers are inside upstream", "server 127.0.0.1:9001;");
    }
  }
}

function checkCertificates({ servers }: NginxConfig, report: Report): void {
  for (const { directive, listeners } of servers) {
    const listen = listeners.find(({ isTls }) => isTls)?.directive;
    if (listen === undefined || setting(directive, "ssl_reject_handshake") === "on") continue;
    for (const name of ["ssl_certificate", "ssl_certificate_key"]) {
      if (setting(directive, name) !== undefined) continue;
      report(
        listen,
        `no "${name}" is defined for the "listen ... ssl" directive`,
        `${name} /etc/ssl/FILE.pem;`,
      );
      break;
    }
  }
}

/** What nginx would refuse of a configuration that is well-formed. */
export function nginxReferenceProblems(config: NginxConfig): Hit[] {
  const hits: Hit[] = [];
  const report: Report = ({ place }, what, ...fix) => void hits.push({ place, what, fix });
  const { root, fragmentOf } = config.tree;
  const all = [...descendants(root)];
  const hasModules = all.some(({ name }) => name === "load_module");
  if (fragmentOf === undefined && !hasModules) checkVariables(all, report);
  if (fragmentOf === undefined) {
    checkZones(all, report);
    checkCertificates(config, report);
  }
  for (const directive of all) {
    const problem = parameterProblem(directive);
    if (problem !== undefined) report(directive, problem);
  }
  checkLocations(all.filter(({ inside }) => inside === "s" || inside === "l"), report);
  checkPasses(all, report);
  checkUpstreams(all, report);
  return hits;
}
