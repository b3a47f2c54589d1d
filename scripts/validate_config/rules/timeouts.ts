/** Rules about time: silence against the heartbeat, slow requests, and connections that outlive a reload. */
import {
  bindsOf,
  type HaproxyConfig,
  modeOf,
  type ProxyRoute,
  type Timeout,
  timeout,
} from "../haproxy_config.ts";
import { childrenNamed, inherited, type NginxConfig } from "../nginx_config.ts";
import { nginxSeconds } from "../nginx_units.ts";
import type { Judged, Known, Rule } from "../rule.ts";

/** Where somebody without a heartbeat would not notice that silence ends connections. */
const LONG_SILENCE_SECONDS = 3600;
const NGINX_READ_TIMEOUT_SECONDS = 60;
const NGINX_STREAM_TIMEOUT_SECONDS = 600;

/** A timeout that leaves room for a ping that is late and its pong. */
function enoughSeconds({ heartbeatSeconds, pongSeconds }: Known): number {
  return heartbeatSeconds === 0 ? LONG_SILENCE_SECONDS : 2 * heartbeatSeconds + pongSeconds;
}

/** What is wrong with a time after which silence ends a connection; undefined when nothing is. */
function silenceProblem(seconds: number, known: Known): Pick<Judged, "what" | "severity"> | undefined {
  const { heartbeatSeconds, pongSeconds, heartbeatSource } = known;
  const after = `ends a silent connection after ${seconds} s`;
  if (heartbeatSeconds === 0) {
    if (seconds >= LONG_SILENCE_SECONDS) return undefined;
    return { what: `${after}, and there is no heartbeat (${heartbeatSource})`, severity: "warning" };
  }
  if (seconds <= heartbeatSeconds) {
    return { what: `${after}; the heartbeat comes every ${heartbeatSeconds} s (${heartbeatSource})` };
  }
  if (seconds > heartbeatSeconds + pongSeconds) return undefined;
  const what =
    `${after}; a heartbeat every ${heartbeatSeconds} s with ${pongSeconds} s for its pong (${heartbeatSource}) leaves no room`;
  return { what, severity: "warning" };
}

function* nginxSilence({ webSocketRoutes, streamServers }: NginxConfig, known: Known): Generator<Judged> {
  const enough = enoughSeconds(known);
  for (const { block, pass } of webSocketRoutes) {
    const line = inherited(block, "proxy_read_timeout").at(-1);
    const problem = silenceProblem(nginxSeconds(line?.args[0]) ?? NGINX_READ_TIMEOUT_SECONDS, known);
    if (problem === undefined) continue;
    const what = `proxy_read_timeout ${line === undefined ? "is not set and " : ""}${problem.what}`;
    yield { ...problem, place: line?.place ?? pass.place, what, fix: [`proxy_read_timeout ${enough}s;`] };
  }
  for (const server of streamServers) {
    const line = inherited(server, "proxy_timeout").at(-1);
    const problem = silenceProblem(nginxSeconds(line?.args[0]) ?? NGINX_STREAM_TIMEOUT_SECONDS, known);
    if (problem === undefined) continue;
    const what = `proxy_timeout ${problem.what}`;
    yield { ...problem, place: line?.place ?? server.place, what, fix: [`proxy_timeout ${enough}s;`] };
  }
}

/** The timeout that ends a silent WebSocket. */
function silenceTimeout({ frontend, backend }: ProxyRoute): Timeout | undefined {
  const tunnel = timeout(backend, "tunnel");
  if (tunnel !== undefined) return tunnel;
  const [client, server] = [timeout(frontend, "client"), timeout(backend, "server")];
  if (client === undefined || server === undefined) return client ?? server;
  return client.seconds < server.seconds ? client : server;
}

function* haproxySilence({ webSocketRoutes }: HaproxyConfig, known: Known): Generator<Judged> {
  for (const route of webSocketRoutes) {
    const found = silenceTimeout(route);
    const problem = found === undefined ? undefined : silenceProblem(found.seconds, known);
    if (found === undefined || problem === undefined) continue;
    const [name = "", value = ""] = found.line.args;
    const hint = /^\d+$/.test(value) ? ` (${value} without a unit are milliseconds)` : "";
    yield {
      ...problem,
      place: found.line.place,
      what: `timeout ${name} ${problem.what}${hint}`,
      fix: [`timeout tunnel ${enoughSeconds(known)}s`],
    };
  }
}

const idleTimeout: Rule = {
  id: "idle-timeout",
  severity: "error",
  finds:
    "a timeout that ends silent connections before the heartbeat comes; a warning when there is little room",
  why:
    "Healthy connections that have nothing to say are cut again and again, and their clients connect anew.",
  nginx: nginxSilence,
  haproxy: haproxySilence,
};

const missingTimeouts: Rule = {
  id: "missing-timeouts",
  severity: "warning",
  finds: "HAProxy without timeout client, connect or server",
  why:
    "Without them a connection of which the other end has vanished is kept for ever; haproxy -c warns, too.",
  *haproxy({ routes }) {
    for (const { frontend, backend } of routes) {
      if (timeout(frontend, "client") === undefined) {
        yield { place: frontend.place, what: "timeout client is not set", fix: ["timeout client 30s"] };
      }
      for (const name of ["connect", "server"]) {
        if (timeout(backend, name) !== undefined) continue;
        const fix = [`timeout ${name} ${name === "connect" ? "5s" : "30s"}`];
        yield { place: backend.place, what: `timeout ${name} is not set`, fix };
      }
    }
  },
};

const slowRequests: Rule = {
  id: "slow-requests",
  severity: "warning",
  finds: "clients that may take as long as they like to send a request",
  why: "A few machines that send a header a minute take every place (slowloris).",
  *nginx({ webSocketRoutes }) {
    for (const { server } of webSocketRoutes) {
      const line = inherited(server.directive, "client_header_timeout").at(-1);
      const seconds = nginxSeconds(line?.args[0]);
      if (line === undefined || seconds === undefined || seconds <= NGINX_READ_TIMEOUT_SECONDS) continue;
      yield {
        place: line.place,
        what: `a request may take ${seconds} s`,
        fix: ["client_header_timeout 10s;"],
      };
    }
  },
  *haproxy({ webSocketRoutes }) {
    for (const { frontend } of webSocketRoutes) {
      if (modeOf(frontend) !== "http" || !bindsOf(frontend).some(({ isOutside }) => isOutside)) continue;
      if (timeout(frontend, "http-request") !== undefined) continue;
      yield {
        place: frontend.place,
        what: "timeout http-request is not set",
        fix: ["timeout http-request 10s"],
      };
    }
  },
};

const halfClosed: Rule = {
  id: "half-closed",
  severity: "note",
  finds: "timeout tunnel without timeout client-fin",
  why: "A client that vanishes while the connection is being closed is kept for the whole of timeout tunnel.",
  *haproxy({ webSocketRoutes }) {
    for (const { frontend, backend } of webSocketRoutes) {
      const tunnel = timeout(backend, "tunnel");
      if (tunnel === undefined || timeout(frontend, "client-fin") !== undefined) continue;
      yield {
        place: tunnel.line.place,
        what: "timeout client-fin is not set",
        fix: ["timeout client-fin 10s"],
      };
    }
  },
};

const reload: Rule = {
  id: "reload",
  severity: "note",
  finds: "old processes that stay after a reload for as long as a WebSocket does",
  why:
    "Each reload leaves a set of processes with their memory until their last client goes, which may be days.",
  *nginx({ tree, webSocketRoutes }) {
    if (webSocketRoutes.length === 0 || tree.fragmentOf !== undefined) return;
    if (childrenNamed(tree.root, "worker_shutdown_timeout").length > 0) return;
    yield {
      place: tree.root.place,
      what: "worker_shutdown_timeout is not set",
      fix: ["worker_shutdown_timeout 5m;   # outside of blocks"],
    };
  },
  *haproxy({ tree, global, webSocketRoutes }) {
    if (webSocketRoutes.length === 0 || global.some(({ keyword }) => keyword === "hard-stop-after")) return;
    const place = tree.sections.find(({ kind }) => kind === "global")?.place ??
      webSocketRoutes[0]?.frontend.place;
    if (place !== undefined) {
      yield { place, what: "hard-stop-after is not set", fix: ["hard-stop-after 5m   # in global"] };
    }
  },
};

export const timeoutRules: readonly Rule[] = [idleTimeout, missingTimeouts, slowRequests, halfClosed, reload];
