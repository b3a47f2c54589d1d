/** Rules about several servers: which of them a client gets, how a dead one is noticed, and what is tried again. */
import { isKept, lineOf, linesOf, modeOf, option, type ProxyRoute } from "../haproxy_config.ts";
import { childrenNamed, inherited, type Route } from "../nginx_config.ts";
import { needsOneServer } from "../reach.ts";
import type { Known, Rule } from "../rule.ts";
import type { Severity } from "../finding.ts";

/** Servers of an upstream that take clients while all is well. */
function active(route: Route): Route["servers"] {
  return route.servers.filter(({ args }) => !args.includes("backup") && !args.includes("down"));
}

function activeServers({ servers }: ProxyRoute): ProxyRoute["servers"] {
  return servers.filter(({ parameters }) => !parameters.has("backup") && !parameters.has("disabled"));
}

const STICKY_METHODS = ["ip_hash", "hash", "sticky", "sticky_cookie_insert"];
const STICKY_BALANCE = /^(source|hdr|url_param|rdp-cookie|hash)/;

function nginxMethod({ upstream }: Route): string | undefined {
  return [...STICKY_METHODS, "least_conn", "random", "least_time"]
    .find((name) => childrenNamed(upstream, name).length > 0);
}

function haproxyBalance({ backend }: ProxyRoute): string {
  return lineOf(backend, "balance")?.args[0] ?? "roundrobin";
}

function isSticky(route: ProxyRoute): boolean {
  return STICKY_BALANCE.test(haproxyBalance(route)) || lineOf(route.backend, "cookie") !== undefined ||
    linesOf(route.backend, "stick").some(({ args }) => args[0] !== "store-response");
}

function stickySeverity(known: Known, needsIt: boolean): Severity {
  return known.isStickyRequired || needsIt ? "error" : "note";
}

function stickyText(count: number, severity: Severity): string {
  const what = `${count} servers, and a client may come to another one with each connection`;
  return severity === "note"
    ? `${what}; Millrace needs no stickiness, --sticky-required says that yours do`
    : what;
}

const sticky: Rule = {
  id: "sticky",
  severity: "note",
  finds:
    "several servers without stickiness; an error with --sticky-required and for paths of Socket.IO, SockJS and SignalR",
  why:
    "Servers that keep a client's state, or begin with plain requests as Socket.IO does, lose it when the next request goes elsewhere.",
  *nginx({ webSocketRoutes }, known) {
    for (const route of webSocketRoutes) {
      const count = active(route).length;
      if (route.upstream === undefined || count < 2 || STICKY_METHODS.includes(nginxMethod(route) ?? "")) {
        continue;
      }
      const severity = stickySeverity(known, needsOneServer(route.path));
      const fix = ["hash $remote_addr consistent;   # or ip_hash;"];
      yield { place: route.upstream.place, what: stickyText(count, severity), fix, severity };
    }
  },
  *haproxy({ webSocketRoutes }, known) {
    for (const route of webSocketRoutes) {
      const count = activeServers(route).length;
      if (count < 2 || isSticky(route)) continue;
      const severity = stickySeverity(known, needsOneServer((route.line?.args ?? []).join(" ")));
      const fix = ["cookie SERVER insert indirect nocache", "server a 127.0.0.1:9001 check cookie a"];
      yield { place: route.backend.place, what: stickyText(count, severity), fix, severity };
    }
  },
};

const stickyCookie: Rule = {
  id: "sticky-cookie",
  severity: "error",
  finds: "a sticky cookie for servers that have no value for it",
  why: "HAProxy then sets no cookie for that server, and its clients are not sticky.",
  *haproxy({ webSocketRoutes }) {
    for (const { backend, servers } of webSocketRoutes) {
      const cookie = lineOf(backend, "cookie");
      if (cookie === undefined || cookie.args.includes("dynamic") || modeOf(backend) !== "http") continue;
      for (const { line, name, parameters } of servers) {
        if (parameters.has("cookie")) continue;
        yield {
          place: line.place,
          what: `server ${name} has no cookie`,
          fix: [`${line.keyword} ${line.args.join(" ")} cookie ${name}`],
        };
      }
    }
  },
};

const consistentHash: Rule = {
  id: "consistent-hash",
  severity: "note",
  finds: "a hash that is not consistent",
  why: "When a server comes or goes, nearly every client moves, not only those of that server.",
  *nginx({ webSocketRoutes }) {
    for (const { upstream } of webSocketRoutes) {
      const [hash] = childrenNamed(upstream, "hash");
      if (hash === undefined || hash.args.includes("consistent")) continue;
      yield {
        place: hash.place,
        what: "the hash is not consistent",
        fix: [`hash ${hash.args[0] ?? ""} consistent;`],
      };
    }
  },
  *haproxy({ webSocketRoutes }) {
    for (const { backend } of webSocketRoutes) {
      const balance = lineOf(backend, "balance");
      if (balance === undefined || !/^(source|hdr|url_param|uri)/.test(balance.args[0] ?? "")) continue;
      if (lineOf(backend, "hash-type")?.args[0] === "consistent") continue;
      yield { place: balance.place, what: "the hash is not consistent", fix: ["hash-type consistent"] };
    }
  },
};

const leastConnections: Rule = {
  id: "least-connections",
  severity: "note",
  finds: "several servers that take turns",
  why:
    "WebSockets stay for hours: with turns, a server that was restarted stays empty and the others full. The least connections even that out.",
  *nginx({ webSocketRoutes }) {
    for (const route of webSocketRoutes) {
      if (route.upstream === undefined || active(route).length < 2 || nginxMethod(route) !== undefined) {
        continue;
      }
      yield { place: route.upstream.place, what: "servers take turns", fix: ["least_conn;"] };
    }
  },
  *haproxy({ webSocketRoutes }) {
    for (const route of webSocketRoutes) {
      if (activeServers(route).length < 2 || !/^(roundrobin|static-rr)$/.test(haproxyBalance(route))) {
        continue;
      }
      const place = lineOf(route.backend, "balance")?.place ?? route.backend.place;
      yield { place, what: "servers take turns", fix: ["balance leastconn"] };
    }
  },
};

const healthChecks: Rule = {
  id: "health-checks",
  severity: "warning",
  finds: "several servers of which a dead one is not noticed; a note for checks that only open a port",
  why: "Clients are sent to a server that is gone, or that is shutting down, as often as to the others.",
  *nginx({ webSocketRoutes }) {
    for (const route of webSocketRoutes) {
      if (active(route).length < 2) continue;
      for (const { args, place } of route.servers) {
        if (!args.includes("max_fails=0")) continue;
        yield {
          place,
          what: "max_fails=0 keeps a dead server in turn",
          fix: ["max_fails=1 fail_timeout=5s"],
        };
      }
      const [next] = inherited(route.block, "proxy_next_upstream");
      if (next?.args.includes("off")) {
        yield {
          place: next.place,
          what: "no other server is tried",
          fix: ["proxy_next_upstream error timeout;"],
        };
      }
    }
  },
  *haproxy({ webSocketRoutes }) {
    for (const route of webSocketRoutes) {
      const unchecked = route.servers.filter(({ parameters }) =>
        !parameters.has("check") && !parameters.has("track")
      );
      const severity = activeServers(route).length < 2 ? "note" : "warning";
      for (const { line, name } of unchecked) {
        const fix = ["option httpchk GET /ready", `${line.keyword} ${line.args.join(" ")} check`];
        yield { place: line.place, what: `server ${name} is not checked`, fix, severity };
      }
      if (
        unchecked.length > 0 || modeOf(route.backend) !== "http" ||
        option(route.backend, "httpchk") !== undefined
      ) continue;
      const what = "the checks only open a port, which a server that shuts down still answers";
      yield { place: route.backend.place, what, fix: ["option httpchk GET /ready"], severity: "note" };
    }
  },
};

/** A path that only publishers use, not WebSockets. */
const PUBLISH = "/api/publish";
const RETRIED_BODY = /^(all-retryable-errors|empty-response|junk-response|response-timeout|5\d\d)$/;

const retriedPublish: Rule = {
  id: "retried-publish",
  severity: "warning",
  finds: "requests that change something and are sent to a second server when the first does not answer",
  why: "The first may have done its work: a message is published twice.",
  *nginx({ routes }) {
    for (const { block } of routes) {
      const [next] = inherited(block, "proxy_next_upstream");
      if (next === undefined || !next.args.includes("non_idempotent")) continue;
      const kept = next.args.filter((arg) => arg !== "non_idempotent").join(" ");
      yield {
        place: next.place,
        what: "POST is tried again",
        fix: [`proxy_next_upstream ${kept || "error timeout"};`],
      };
    }
  },
  *haproxy({ routes }) {
    for (const route of routes) {
      const { backend } = route;
      const retry = lineOf(backend, "retry-on");
      if (retry === undefined || !retry.args.some((arg) => RETRIED_BODY.test(arg))) continue;
      if (linesOf(backend, "http-request").some(({ args }) => args[0] === "disable-l7-retry")) continue;
      if (isKept(route, PUBLISH)) continue;
      const fix = ["http-request disable-l7-retry if METH_POST"];
      yield { place: retry.place, what: "POST is tried again", fix };
    }
  },
};

export const balancingRules: readonly Rule[] = [
  ...[sticky, stickyCookie, consistentHash, leastConnections, healthChecks, retriedPublish],
];
