/**
 * Who the contenders are to a reader: names for people, what each is, and which of them are each other's counterpart.
 * It must never know a figure.
 */
/** A contender as a reader knows it. */
export interface ContenderNote {
  /** At most some 40 characters: it stands above a bar on a phone. */
  readonly label: string;
  /** Our engine in TypeScript, a native engine, the whole server, somebody else's server, or no WebSocket at all. */
  readonly kind: "ours" | "native" | "server" | "other" | "ceiling";
}

const KNOWN: Readonly<Record<string, ContenderNote>> = {
  "engine-ts-node": { label: "ts engine on Node", kind: "ours" },
  "engine-ts-bun": { label: "ts engine on Bun", kind: "ours" },
  "engine-ts-deno": { label: "ts engine on Deno", kind: "ours" },
  "engine-uws": { label: "uws engine on Node", kind: "native" },
  "engine-bun": { label: "bun engine on Bun", kind: "native" },
  "uws-bare": { label: "bare uWebSockets.js", kind: "native" },
  "bun-bare": { label: "bare Bun.serve", kind: "native" },
  "server-ts-node": { label: "server, ts on Node", kind: "server" },
  "server-ts-bun": { label: "server, ts on Bun", kind: "server" },
  "server-ts-deno": { label: "server, ts on Deno", kind: "server" },
  "server-uws": { label: "server, uws on Node", kind: "server" },
  "server-bun": { label: "server, bun on Bun", kind: "server" },
  "ws": { label: "ws on Node", kind: "other" },
  "ws-bufferutil": { label: "ws + bufferutil", kind: "other" },
  "deno-bare": { label: "Deno.upgradeWebSocket", kind: "other" },
  "socketio": { label: "Socket.IO on Node", kind: "other" },
  "soketi": { label: "Soketi", kind: "other" },
  "nchan": { label: "nchan (nginx)", kind: "other" },
  "nats": { label: "NATS WebSocket", kind: "other" },
  "mosquitto": { label: "mosquitto", kind: "other" },
  "tcp-node": { label: "raw TCP on Node", kind: "ceiling" },
  "tcp-bun": { label: "raw TCP on Bun", kind: "ceiling" },
  "codec": { label: "our codec", kind: "ours" },
  "stream": { label: "zlib stream", kind: "other" },
  "one-shot": { label: "zlib in one call", kind: "other" },
};

/** What each kind is called in a table. */
export const kindNames: Readonly<Record<ContenderNote["kind"], string>> = {
  ours: "TypeScript engine",
  native: "native engine",
  server: "whole server",
  other: "other server",
  ceiling: "no framing",
};

/** A TypeScript engine and the native one of the same runtime: the question of the report. */
export interface Pair {
  readonly runtime: string;
  /** What the option `--engine` calls the native one. */
  readonly engine: string;
  readonly typescript: string;
  readonly native: string;
  readonly typescriptServer: string;
  /** The native one behind our contract, and as a whole server. */
  readonly nativeEngine: string;
  readonly nativeServer: string;
  /** An echo without any framing. */
  readonly tcp: string;
}

export const pairs: readonly Pair[] = [
  {
    runtime: "Node",
    engine: "uws",
    typescript: "engine-ts-node",
    native: "uws-bare",
    typescriptServer: "server-ts-node",
    nativeEngine: "engine-uws",
    nativeServer: "server-uws",
    tcp: "tcp-node",
  },
  {
    runtime: "Bun",
    engine: "bun",
    typescript: "engine-ts-bun",
    native: "bun-bare",
    typescriptServer: "server-ts-bun",
    nativeEngine: "engine-bun",
    nativeServer: "server-bun",
    tcp: "tcp-bun",
  },
];

/** What is known of a contender; one that nobody described goes by its name. */
export function noteOf(name: string): ContenderNote {
  return KNOWN[name] ?? { label: name, kind: "other" };
}
