/** The command line of `cluster`: what it means, and what is wrong with it. */
import { parseArgs } from "node:util";
import type { ClusterSettings } from "./cluster.ts";
import { clusterEngines } from "./node.ts";
import { proxyNames } from "./proxies.ts";

const MAX_NODES = 20;
const LAST_PORT = 65_535;

export const HELP = `cluster [options] [-- flags for each node]

Starts Millrace nodes behind one Redis, nginx or HAProxy in front of them, and Prometheus, as processes of this machine
on 127.0.0.1, from the files in deploy/; says where everything is; and stops all of it on Ctrl-C or SIGTERM. A second
Ctrl-C does not wait for clients. Nothing is left behind.

  --nodes N               how many nodes (3; at most ${MAX_NODES})
  --engine NAME           ${
  clusterEngines.join(", ")
} (auto: what the server takes by itself on Node, or on Bun)
  --proxy NAME            ${proxyNames.join(", ")} or both (nginx)
  --no-prometheus         without Prometheus
  --port PORT             of the proxy, for clients; with both proxies HAProxy has the next one
  --node-port PORT        of the first node; the others have the next ones
  --redis-port PORT       of Redis
  --prometheus-port PORT  of Prometheus; without these, ports are free ones between 10000 and 29999
  --folder FOLDER         where certificate.pem, api-keys and node-1.pid lie while it runs; made, and removed at the end
  --json                  print the addresses as one line of JSON
  --verbose               show what the programs say
  --help                  this text

Nodes keep the last 1,000 messages of every topic for ten minutes, so that clients recover; flags after -- change that
and anything else, e.g. -- --history 'chat.>:100:60' --deflate shared. Debian has the programs: apt-get install
redis-server nginx haproxy prometheus openssl.

Exit code: 0 when it was stopped, 1 when something could not be started or has died, 2 for wrong use.`;

export interface Command {
  readonly settings: Omit<ClusterSettings, "report" | "said">;
  readonly isJson: boolean;
  readonly isVerbose: boolean;
}

function oneOf<T extends string>(name: string, value: string, allowed: readonly T[]): T {
  const found = allowed.find((one) => one === value);
  if (found === undefined) throw new TypeError(`${name} takes ${allowed.join(", ")}, not ${value}`);
  return found;
}

function whole(name: string, value: string, most: number): number {
  const number = Number(value);
  if (/^\d+$/.test(value) && number >= 1 && number <= most) return number;
  throw new RangeError(`${name} takes a whole number from 1 to ${most}, not ${value}`);
}

/** @throws TypeError or RangeError for wrong use */
export function readCommand(args: readonly string[]): Command | "help" {
  const end = args.indexOf("--");
  const { values } = parseArgs({
    args: end < 0 ? [...args] : args.slice(0, end),
    options: {
      "nodes": { type: "string", default: "3" },
      "engine": { type: "string", default: "auto" },
      "proxy": { type: "string", default: "nginx" },
      "no-prometheus": { type: "boolean", default: false },
      "port": { type: "string" },
      "node-port": { type: "string" },
      "redis-port": { type: "string" },
      "prometheus-port": { type: "string" },
      "folder": { type: "string" },
      "json": { type: "boolean", default: false },
      "verbose": { type: "boolean", default: false },
      "help": { type: "boolean", default: false },
    },
  });
  if (values.help) return "help";
  const nodeCount = whole("--nodes", values.nodes, MAX_NODES);
  const proxy = oneOf("--proxy", values.proxy, [...proxyNames, "both"]);
  const proxies = proxy === "both" ? proxyNames : [proxy];
  const ports: Record<string, number> = {};
  for (const name of ["node", "redis", "prometheus"] as const) {
    const value = values[`${name}-port`];
    const most = name === "node" ? LAST_PORT - nodeCount + 1 : LAST_PORT;
    if (value !== undefined) ports[name] = whole(`--${name}-port`, value, most);
  }
  if (values.port !== undefined) {
    const first = whole("--port", values.port, LAST_PORT - proxies.length + 1);
    proxies.forEach((name, index) => ports[name] = first + index);
  }
  return {
    settings: {
      nodeCount,
      proxies,
      engine: oneOf("--engine", values.engine, clusterEngines),
      hasPrometheus: !values["no-prometheus"],
      ports,
      ...(values.folder !== undefined && { folder: values.folder }),
      nodeFlags: end < 0 ? [] : args.slice(end + 1),
    },
    isJson: values.json,
    isVerbose: values.verbose,
  };
}
