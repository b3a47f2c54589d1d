/**
 * Ours: the bare engines (bench/echo.ts, without hub and protocol) and the whole server (server/main.ts), on every
 * runtime that an engine runs on. The whole server's guards are off unless a cell asks for them.
 */
import { fileURLToPath } from "node:url";
import type { Contender, Launch, Runtime, Setup } from "../contender.ts";
import { isTopical, runtimeCommand } from "../contender.ts";
import { CERT_FILE, HOST, KEY_FILE, MAX_BACKPRESSURE_BYTES, MAX_MESSAGE_BYTES } from "./settings.ts";

const variants: readonly (readonly [name: string, engine: string, runtime: Runtime])[] = [
  ["bun", "bun", "bun"],
  ["uws", "uws", "node"],
  ["ts-bun", "ts", "bun"],
  ["ts-node", "ts", "node"],
  ["ts-deno", "ts", "deno"],
];

/** Checked on every message, and never in the way. */
const UNREACHED_RATE = 1_000_000_000;

function file(path: string): string {
  return fileURLToPath(new URL(path, import.meta.url));
}

function launchEngine(engine: string, runtime: Runtime, setup: Setup): Launch {
  return {
    command: [
      ...runtimeCommand(runtime),
      file("../echo.ts"),
      ...["--engine", engine, "--port", "{port}"],
      ...(isTopical(setup) ? ["--publish"] : []),
      ...(setup.deflate ? ["--deflate", "shared"] : []),
      ...(setup.tls ? ["--tls"] : []),
    ],
  };
}

/** What is given to the whole server beyond its defaults. */
export function serverFlags(setup: Setup): string[] {
  const rate = String(setup.rates ? UNREACHED_RATE : 0);
  return [
    ...["--host", HOST, "--port", "{port}", "--log-format", "text", "--heartbeat-seconds", "0"],
    ...["--message-rate", rate, "--byte-rate", rate],
    ...["--handshake-rate", "0", "--max-connections-per-address", "0"],
    ...["--max-message-bytes", String(MAX_MESSAGE_BYTES)],
    ...["--max-backpressure-bytes", String(MAX_BACKPRESSURE_BYTES), "--slow-policy", "skip"],
    ...["--allow-subscribe", ">", "--allow-publish", ">"],
    ...(setup.deflate ? ["--deflate", "shared", "--deflate-threshold-bytes", "0"] : []),
    ...(setup.tls ? ["--tls-cert", CERT_FILE, "--tls-key", KEY_FILE] : []),
    ...(setup.history ? ["--history", ">:100:600"] : []),
    ...(setup.redisUrl === undefined ? [] : ["--broker", "redis", "--broker-urls", setup.redisUrl]),
  ];
}

function launchServer(engine: string, runtime: Runtime, setup: Setup): Launch | string {
  if (setup.binary) return "data travels in JSON, which is text";
  return {
    command: [
      ...runtimeCommand(runtime, file("./collect.ts")),
      file("../../server/main.ts"),
      ...["--engine", engine],
      ...serverFlags(setup),
    ],
    ...(setup.format === "msgpack" && { protocol: "millrace-msgpack" }),
  };
}

export const own: readonly Contender[] = [
  ...variants.map(([name, engine, runtime]): Contender => ({
    name: `engine-${name}`,
    protocol: "bare",
    startSeconds: runtime === "node" ? 0.5 : 0.2,
    launch: (setup) =>
      setup.workload === "server" ? "it has no formats" : launchEngine(engine, runtime, setup),
  })),
  ...variants.map(([name, engine, runtime]): Contender => ({
    name: `server-${name}`,
    protocol: "millrace",
    startSeconds: runtime === "node" ? 0.8 : 0.3,
    launch: (setup) => launchServer(engine, runtime, setup),
  })),
];
