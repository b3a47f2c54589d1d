/** What may follow in the directives of nginx that take words in any order. Knows no other directive. */
import type { Directive } from "./nginx_tree.ts";

const SIZE = "\\d+[kKmM]?";
const TIME = "(\\d+(ms|[yMwdhms])?)+";

/** Parameters behind the arguments that have a fixed place. */
interface Parameters {
  readonly fixed: number;
  readonly allowed: RegExp;
}

function parameters(fixed: number, ...allowed: readonly string[]): Parameters {
  return { fixed, allowed: new RegExp(`^(${allowed.join("|")})$`) };
}

const PARAMETERS: Readonly<Record<string, Parameters>> = {
  "http server": parameters(
    1,
    ...["weight=\\d+", "max_conns=\\d+", "max_fails=\\d+", `fail_timeout=${TIME}`, `slow_start=${TIME}`],
    ...["backup", "down", "drain", "resolve", "route=.+", "service=.+"],
  ),
  listen: parameters(
    1,
    ...[
      "default_server",
      "default",
      "ssl",
      "http2",
      "spdy",
      "quic",
      "proxy_protocol",
      "deferred",
      "bind",
      "reuseport",
    ],
    ...[
      "setfib=-?\\d+",
      "fastopen=\\d+",
      "backlog=-?\\d+",
      `rcvbuf=${SIZE}`,
      `sndbuf=${SIZE}`,
      "accept_filter=.+",
    ],
    ...["ipv6only=(on|off)", "so_keepalive=.+", "multipath", "udp"],
  ),
  limit_req: parameters(0, "zone=[^:]+", "burst=\\d+", "delay=\\d+", "nodelay"),
  limit_req_zone: parameters(1, `zone=[^:]+:${SIZE}`, "rate=\\d+(r/[sm])?", "sync"),
  limit_conn_zone: parameters(1, `zone=[^:]+:${SIZE}`),
  worker_connections: parameters(0, "\\d+"),
  limit_conn: parameters(1, "\\d+"),
};

/** What is wrong with the parameters of a directive; undefined when nothing is. */
export function parameterProblem({ name, args, children, parent }: Directive): string | undefined {
  if (parent?.name === "map" && children === undefined) {
    // A name of these stands alone.
    const isFlag = (name === "hostnames" || name === "volatile") && args.length === 0;
    return isFlag || args.length === 1 ? undefined : "invalid number of the map parameters";
  }
  if (children !== undefined) return undefined;
  const rule = PARAMETERS[name === "server" && parent?.inside === "u" ? "http server" : name];
  const wrong = rule === undefined
    ? undefined
    : args.slice(rule.fixed).find((arg) => !rule.allowed.test(arg));
  return wrong === undefined ? undefined : `invalid parameter "${wrong}"`;
}
