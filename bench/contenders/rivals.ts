/**
 * Others' servers that run on a JavaScript runtime, and the ceilings: each is a program of this folder. What they cannot
 * do is said here.
 */
import { fileURLToPath } from "node:url";
import type { Contender, Runtime, Setup } from "../contender.ts";
import { isTopical, runtimeCommand } from "../contender.ts";
import type { Protocol } from "../load/job.ts";

interface Rival {
  readonly name: string;
  /** The program, when the name does not say it. */
  readonly program?: string;
  readonly runtime: Runtime;
  readonly protocol?: Protocol;
  readonly environment?: Readonly<Record<string, string>>;
  readonly lacks?: (setup: Setup) => string | undefined;
}

function lacksFraming(setup: Setup): string | undefined {
  if (setup.deflate || setup.tls) return "a raw TCP echo has neither compression nor TLS";
  if (setup.workload === "storm") return "a raw TCP echo has no handshake";
  return isTopical(setup) ? "a raw TCP echo has no fan-out" : undefined;
}

const rivals: readonly Rival[] = [
  { name: "bun-bare", runtime: "bun" },
  { name: "uws-bare", runtime: "node" },
  { name: "ws", runtime: "node", environment: { WS_NO_BUFFER_UTIL: "1" } },
  { name: "ws-bufferutil", program: "ws", runtime: "node" },
  {
    name: "deno-bare",
    runtime: "deno",
    lacks: ({ deflate }) => deflate ? "Deno.upgradeWebSocket has no compression" : undefined,
  },
  {
    name: "socketio",
    runtime: "node",
    protocol: "socketio",
    lacks: ({ binary }) => binary ? "a binary event takes two messages" : undefined,
  },
  { name: "tcp-node", runtime: "node", protocol: "tcp", lacks: lacksFraming },
  { name: "tcp-bun", runtime: "bun", protocol: "tcp", lacks: lacksFraming },
];

function contenderOf({ name, program = name, runtime, protocol, environment, lacks }: Rival): Contender {
  const file = fileURLToPath(new URL(`./${program}.ts`, import.meta.url));
  return {
    name,
    protocol: protocol ?? "bare",
    startSeconds: runtime === "node" ? 0.5 : 0.2,
    launch(setup) {
      if (setup.workload === "server") return "it has no formats";
      return lacks?.(setup) ?? {
        command: [
          ...runtimeCommand(runtime),
          file,
          ...["--port", "{port}"],
          ...(isTopical(setup) ? ["--publish"] : []),
          ...(setup.deflate ? ["--deflate"] : []),
          ...(setup.tls ? ["--tls"] : []),
        ],
        ...(environment && { environment }),
      };
    },
  };
}

export const rivalContenders: readonly Contender[] = rivals.map(contenderOf);
