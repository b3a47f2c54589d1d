/** Rules about TLS: where there is none, versions, ciphers, certificates, and whether servers behind are verified. */
import { isAbsolute, join } from "node:path";
import { type CertificateProblem, certificateProblems } from "../certificate.ts";
import { bindsOf, type HaproxyConfig, modeOf } from "../haproxy_config.ts";
import { type HaproxyLine, takesClients } from "../haproxy_tree.ts";
import { descendants, inherited, type NginxConfig, type NginxServer, setting } from "../nginx_config.ts";
import { isLoopbackAddress } from "../reach.ts";
import type { Judged, Known, Rule } from "../rule.ts";
import type { Place } from "../finding.ts";

const plainWebSocket: Rule = {
  id: "plain-ws",
  severity: "warning",
  finds: "WebSockets without TLS for other machines; not with --behind-tls",
  why:
    "Everybody on the way reads tokens and messages, and a page that came by https may not open ws: at all.",
  *nginx({ webSocketRoutes }, { isBehindTls }) {
    if (isBehindTls) return;
    for (const { server } of webSocketRoutes) {
      if (
        [...descendants(server.directive)].some(({ name, args }) =>
          name === "return" && /^https:/.test(args[1] ?? "")
        )
      ) continue;
      for (const { place, port, isTls, isOutside } of server.listeners) {
        if (isTls || !isOutside) continue;
        const fix = [
          "listen 443 ssl;",
          "ssl_certificate     /etc/ssl/FILE.pem;",
          "ssl_certificate_key /etc/ssl/FILE.key;",
        ];
        yield { place, what: `port ${port} serves WebSockets without TLS`, fix };
      }
    }
  },
  *haproxy({ webSocketRoutes }, { isBehindTls }) {
    if (isBehindTls) return;
    for (const { frontend, binds, backend } of webSocketRoutes) {
      // In tcp mode the servers may end TLS.
      if (modeOf(frontend) !== "http" || modeOf(backend) !== "http") continue;
      if (frontend.lines.some(redirectsToTls)) continue;
      for (const { line, port, isTls, isOutside } of binds) {
        if (isTls || !isOutside) continue;
        const what = `port ${port ?? line.args[0] ?? ""} serves WebSockets without TLS`;
        yield { place: line.place, what, fix: ["bind :443 ssl crt /etc/ssl/FILE.pem alpn h2,http/1.1"] };
      }
    }
  },
};

/** Whether what comes without TLS is told to come with it. */
function redirectsToTls({ keyword, args }: HaproxyLine): boolean {
  return args.includes("scheme") && args.includes("https") &&
    (keyword === "redirect" || args[0] === "redirect");
}

/** Servers that end TLS, each with the listener that says so. */
function* tlsServers({ servers }: NginxConfig): Generator<readonly [NginxServer, Place]> {
  for (const server of servers) {
    const listener = server.listeners.find(({ isTls }) => isTls);
    if (listener !== undefined) yield [server, listener.place];
  }
}

const OLD_VERSION = /^(SSLv2|SSLv3|TLSv1|TLSv1\.[01])$/;

const tlsVersion: Rule = {
  id: "tls-version",
  severity: "error",
  finds: "TLS before 1.2; a warning where nginx's default, which differs by version, decides",
  why: "TLS 1.0 and 1.1 are withdrawn (RFC 8996), SSL is broken; and no client of today needs them.",
  *nginx(config) {
    const fix = ["ssl_protocols TLSv1.2 TLSv1.3;"];
    for (const [{ directive }, place] of tlsServers(config)) {
      const line = inherited(directive, "ssl_protocols").at(-1);
      const old = line?.args.filter((arg) => OLD_VERSION.test(arg)) ?? [];
      if (line === undefined) {
        const what = "ssl_protocols is not set: before nginx 1.23.4 that allows TLS 1.0 and 1.1, and not 1.3";
        yield { place, what, fix, severity: "warning" };
      } else if (old.length > 0) yield { place: line.place, what: `${old.join(" and ")} may be used`, fix };
    }
  },
  *haproxy({ global, proxies }) {
    const fix = ["ssl-default-bind-options ssl-min-ver TLSv1.2   # in global"];
    const lines = [
      ...global.filter(({ keyword }) => keyword === "ssl-default-bind-options"),
      ...proxies.filter(takesClients).flatMap(bindsOf).filter(({ isTls }) => isTls).map(({ line }) => line),
    ];
    for (const { args, place } of lines) {
      const least = args[args.indexOf("ssl-min-ver") + 1] ?? "";
      const forced = args.find((arg) => /^force-(sslv3|tlsv1[01])$/.test(arg));
      const old = forced ??
        (args.includes("ssl-min-ver") && OLD_VERSION.test(least) ? `ssl-min-ver ${least}` : undefined);
      if (old !== undefined) yield { place, what: `${old} allows old versions`, fix };
    }
  },
};

const WEAK = /NULL|EXP|RC4|RC2|DES|MD5|ADH|AECDH|IDEA|SEED|LOW|^ALL$|^COMPLEMENTOFALL$/i;
const GOOD_CIPHERS =
  "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";

/** What a list of ciphers lets in that it should not. */
function weakCiphers(list: string): string[] {
  const parts = list.split(/[:, ]/).filter((part) => part !== "");
  return parts.filter((part) => WEAK.test(part) && !/^[!-]/.test(part));
}

const tlsCiphers: Rule = {
  id: "tls-ciphers",
  severity: "error",
  finds: "ciphers that are broken or authenticate nobody",
  why: "RC4, DES, MD5, export, anonymous and NULL ciphers are read or changed by whoever is on the way.",
  *nginx(config) {
    for (const [{ directive }] of tlsServers(config)) {
      const line = inherited(directive, "ssl_ciphers").at(-1);
      const weak = weakCiphers(line?.args[0] ?? "");
      if (line !== undefined && weak.length > 0) {
        yield {
          place: line.place,
          what: `${weak.join(", ")} may be used`,
          fix: [`ssl_ciphers ${GOOD_CIPHERS};`],
        };
      }
    }
  },
  *haproxy({ global, proxies }) {
    const found = [
      ...global.filter(({ keyword }) => keyword === "ssl-default-bind-ciphers")
        .map(({ args, place }) => ({
          list: args[0],
          place,
          fix: `ssl-default-bind-ciphers ${GOOD_CIPHERS}`,
        })),
      ...proxies.filter(takesClients).flatMap(bindsOf).filter(({ line }) => line.args.includes("ciphers"))
        .map(({ line: { args, place } }) => ({
          list: args[args.indexOf("ciphers") + 1],
          place,
          fix: `ciphers ${GOOD_CIPHERS}`,
        })),
    ];
    for (const { list, place, fix } of found) {
      const weak = weakCiphers(list ?? "");
      if (weak.length > 0) yield { place, what: `${weak.join(", ")} may be used`, fix: [fix] };
    }
  },
};

interface CertificateHit extends Judged {
  readonly rule: CertificateProblem["rule"];
}

function* nginxCertificates(config: NginxConfig, { nowMs }: Known): Generator<CertificateHit> {
  const inFolder = (path: string) => isAbsolute(path) ? path : join(config.tree.folder, path);
  for (const [{ directive }] of tlsServers(config)) {
    const [line] = inherited(directive, "ssl_certificate");
    const key = setting(directive, "ssl_certificate_key");
    const [path] = line?.args ?? [];
    // Variables are read for each connection; with several certificates which is whose is not seen here.
    if (
      line === undefined || path === undefined || key === undefined || /\$|^(data|engine):/.test(path + key)
    ) continue;
    if (inherited(directive, "ssl_certificate").length > 1) continue;
    const names = inherited(directive, "server_name").flatMap(({ args }) => args)
      .filter((name) => /^[a-z0-9-]+(\.[a-z0-9-]+)+$/i.test(name));
    for (const { rule, what, isSoon } of certificateProblems(inFolder(path), inFolder(key), names, nowMs)) {
      yield { rule, place: line.place, what, fix: certificateFix(rule), ...soon(isSoon) };
    }
  }
}

function* haproxyCertificates(
  { global, proxies }: HaproxyConfig,
  { nowMs }: Known,
): Generator<CertificateHit> {
  const base = global.find(({ keyword }) => keyword === "crt-base")?.args[0];
  for (const { line, isTls } of proxies.filter(takesClients).flatMap(bindsOf)) {
    if (!isTls) continue;
    const { args, place } = line;
    for (const [index, word] of args.entries()) {
      const given = args[index + 1];
      if (word !== "crt" || given === undefined || given.startsWith("@")) continue;
      const path = isAbsolute(given) || base === undefined ? given : join(base, given);
      for (const { rule, what, isSoon } of certificateProblems(path, path, [], nowMs)) {
        yield { rule, place, what, fix: certificateFix(rule), ...soon(isSoon) };
      }
    }
  }
}

function soon(isSoon: boolean): Pick<Judged, "severity"> {
  return isSoon ? { severity: "warning" } : {};
}

function certificateFix(rule: CertificateProblem["rule"]): string[] {
  return rule === "certificate-file"
    ? []
    : ["# issue the certificate anew, for the names of this server, and install it with its own key"];
}

/** A rule that takes the hits of one kind. */
function certificateRule(
  rule: Pick<Rule, "severity" | "finds" | "why"> & { readonly id: CertificateProblem["rule"] },
): Rule {
  return {
    ...rule,
    *nginx(config, known) {
      for (const hit of nginxCertificates(config, known)) if (hit.rule === rule.id) yield hit;
    },
    *haproxy(config, known) {
      for (const hit of haproxyCertificates(config, known)) if (hit.rule === rule.id) yield hit;
    },
  };
}

const certificateRules = [
  certificateRule({
    id: "certificate-file",
    severity: "error",
    finds: "certificates and keys that are not there or cannot be read here",
    why:
      "The proxy does not start. Where these files exist only on another machine, leave the rule out with --skip.",
  }),
  certificateRule({
    id: "certificate-expired",
    severity: "error",
    finds: "certificates that are expired or not valid yet; a warning 14 days before",
    why: "Clients refuse the connection, and browsers do not tell a page why.",
  }),
  certificateRule({
    id: "certificate-key",
    severity: "error",
    finds: "a key that belongs to another certificate",
    why: "The proxy does not start, or keeps the old certificate after a reload.",
  }),
  certificateRule({
    id: "certificate-name",
    severity: "warning",
    finds: "certificates without the server_name they serve",
    why: "Clients that come by that name refuse the certificate.",
  }),
];

const tlsVerify: Rule = {
  id: "tls-verify",
  severity: "warning",
  finds: "servers on other machines that are spoken to in TLS without verifying who they are",
  why: "Whoever is between the proxy and the server can answer in its place.",
  *nginx({ webSocketRoutes }) {
    for (const { scheme, block, pass, servers } of webSocketRoutes) {
      if (scheme !== "https" || servers.every(({ host }) => isLoopbackAddress(host))) continue;
      if (setting(block, "proxy_ssl_verify") === "on") continue;
      const fix = [
        "proxy_ssl_verify on;",
        "proxy_ssl_trusted_certificate /etc/ssl/certs/ca-certificates.crt;",
      ];
      yield { place: pass.place, what: "proxy_ssl_verify is off", fix };
    }
  },
  *haproxy({ webSocketRoutes }) {
    for (const { servers } of webSocketRoutes) {
      for (const { line, name, host, parameters } of servers) {
        if (!parameters.has("ssl") || parameters.get("verify") !== "none" || isLoopbackAddress(host)) {
          continue;
        }
        const fix = ["verify required ca-file /etc/ssl/certs/ca-certificates.crt"];
        yield { place: line.place, what: `server ${name} is not verified`, fix };
      }
    }
  },
};

export const tlsRules: readonly Rule[] = [
  plainWebSocket,
  tlsVersion,
  tlsCiphers,
  ...certificateRules,
  tlsVerify,
];
