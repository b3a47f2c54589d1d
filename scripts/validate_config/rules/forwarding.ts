/** Rules about what the servers are told of the client: its address, and the host that it asked for. */
import { linesOf, modeOf, option, type ProxyRoute, requestLines } from "../haproxy_config.ts";
import { inherited, passedHeader } from "../nginx_config.ts";
import type { HaproxyLine } from "../haproxy_tree.ts";
import type { Rule } from "../rule.ts";

const FORWARDED = ["x-forwarded-for", "forwarded", "x-real-ip"];

/** Lines of a route that set a header of requests. */
export function setsHeader(route: ProxyRoute, header: string): HaproxyLine | undefined {
  return requestLines(route).map(({ line }) => line)
    .find(({ args: [action = "", name = ""] }) =>
      /^(set|add)-header$/.test(action) && name.toLowerCase() === header
    );
}

const forwardedFor: Rule = {
  id: "forwarded-for",
  severity: "warning",
  finds: "servers that do not learn the client's address",
  why:
    "To them all clients are one, the proxy: limits per address hit everybody at once, and logs tell nothing.",
  *nginx({ webSocketRoutes }) {
    for (const { block, pass } of webSocketRoutes) {
      if (FORWARDED.some((header) => passedHeader(block, header) !== undefined)) continue;
      const fix = ["proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;"];
      yield { place: pass.place, what: "X-Forwarded-For is not set", fix };
    }
  },
  *haproxy({ webSocketRoutes }) {
    for (const route of webSocketRoutes) {
      const { frontend, backend, servers } = route;
      const isTold = servers.every(({ parameters }) =>
        [...parameters.keys()].some((key) => key.startsWith("send-proxy"))
      );
      if (isTold || FORWARDED.some((header) => setsHeader(route, header) !== undefined)) continue;
      const isHttp = modeOf(frontend) === "http" && modeOf(backend) === "http";
      const options = ["forwardfor", "forwarded"].map((name) =>
        option(frontend, name) ?? option(backend, name)
      );
      if (isHttp && options.some((line) => line !== undefined)) continue;
      const what = isHttp ? "option forwardfor is not set" : "mode tcp cannot set X-Forwarded-For";
      yield {
        place: backend.place,
        what,
        fix: isHttp ? ["option forwardfor"] : ["mode http", "option forwardfor"],
      };
    }
  },
};

const forwardedSpoof: Rule = {
  id: "forwarded-spoof",
  severity: "warning",
  finds: "client addresses that the client may choose",
  why: "Whoever sends the header himself is somebody else with each connection: limits and bans do not hold.",
  *nginx({ webSocketRoutes, servers }) {
    for (const { block } of webSocketRoutes) {
      const header = passedHeader(block, "x-forwarded-for");
      if (!/^\$\{?http_x_/.test(header?.args[1] ?? "") || header === undefined) continue;
      const fix = ["proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;"];
      yield { place: header.place, what: "X-Forwarded-For is what the client sent", fix };
    }
    for (const { directive } of servers) {
      for (const { args, place } of inherited(directive, "set_real_ip_from")) {
        if (!/\/0$/.test(args[0] ?? "")) continue;
        const fix = ["set_real_ip_from 10.0.0.0/8;   # only the proxies in front"];
        yield { place, what: `everybody (${args[0] ?? ""}) is believed`, fix, severity: "error" };
      }
    }
  },
  *haproxy({ webSocketRoutes }) {
    for (const route of webSocketRoutes) {
      const { frontend, backend } = route;
      const line = option(frontend, "forwardfor") ?? option(backend, "forwardfor");
      if (line?.args.includes("if-none") === true) {
        yield {
          place: line.place,
          what: "a client that sends X-Forwarded-For keeps it",
          fix: ["option forwardfor"],
        };
      }
      for (const { args, place } of linesOf(frontend, "http-request")) {
        const [action, source = ""] = args;
        if (action !== "set-src" || !/hdr/.test(source) || args.includes("if")) continue;
        const fix = [`http-request set-src ${source} if { src 10.0.0.0/8 }   # only the proxies in front`];
        yield { place, what: "the client's address is what a header of everybody says", fix };
      }
    }
  },
};

const HOST_VARIABLES = /\$(\{)?(host|http_host|server_name)\b/;

const hostHeader: Rule = {
  id: "host-header",
  severity: "warning",
  finds: "servers that are told another host than the client asked for",
  why:
    "Servers compare the page's Origin with Host: with the upstream's name in it every browser is refused, unless its origin is listed.",
  *nginx({ webSocketRoutes }) {
    for (const { block, pass } of webSocketRoutes) {
      const header = passedHeader(block, "host");
      const [, value = "$proxy_host"] = header?.args ?? [];
      if (HOST_VARIABLES.test(value) || !/\$/.test(value)) continue;
      yield {
        place: header?.place ?? pass.place,
        what: `Host is ${value}`,
        fix: ["proxy_set_header Host $http_host;"],
      };
    }
  },
};

export const forwardingRules: readonly Rule[] = [forwardedFor, forwardedSpoof, hostHeader];
