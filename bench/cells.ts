/**
 * The questions that `npm run bench` asks, in the order of their importance: a smaller rank is dropped later. Data only;
 * it must never know how an answer is found.
 */
import type { Cell, WorkloadName } from "./result.ts";

/** A cell, and who is asked. */
export interface Question {
  readonly cell: Cell;
  /** 0 for the headlines; what has the largest rank is dropped first when time is short. */
  readonly rank: number;
  readonly contenders: readonly string[];
  /** Who is asked by `npm run bench` without --full; nobody when absent. */
  readonly quick?: readonly string[];
  /** No more runs than this: for what takes long by itself. */
  readonly mostRuns?: number;
}

const ENGINES = ["engine-ts-bun", "engine-ts-node", "engine-ts-deno", "engine-bun", "engine-uws"];
const SERVERS = ["server-ts-bun", "server-ts-node", "server-ts-deno", "server-bun", "server-uws"];
/** Those that the goals compare. */
const CORE = ["engine-ts-bun", "engine-ts-node", "bun-bare", "uws-bare", "ws"];
const BARE = ["bun-bare", "uws-bare", "ws", "deno-bare"];
const BROKERS = ["nchan", "nats", "mosquitto"];
const CEILINGS = ["tcp-node", "tcp-bun"];
const ECHOING = [...ENGINES, ...SERVERS, ...BARE, "ws-bufferutil", "socketio", ...CEILINGS];
const PUBLISHING = [...ENGINES, ...SERVERS, ...BARE, "socketio", ...BROKERS];
const LEADING = [...CORE, "engine-ts-deno", "deno-bare", "server-bun", "server-ts-node"];

const KIB = 1024;
const SIZES = [16, 128, KIB, 16 * KIB, 64 * KIB];
const CONNECTIONS = [1, 64, 1000];
const IN_FLIGHT = [1, 8, 64];
/** More would meet the limits of servers and of the kernel, which are not what is measured. */
const MOST_UNDER_WAY_BYTES = 64 * KIB * KIB;

type Parameters = Cell["parameters"];

/** What of the grid of echoes is asked first: its edges, from the middle. */
const ECHO_CORNERS: readonly Parameters[] = [
  ...[16, KIB, 64 * KIB].map((payloadBytes) => ({ payloadBytes })),
  { connections: 1 },
  { connections: 1000 },
  { inFlight: 64 },
  { binary: true },
];

function ask(
  rank: number,
  workload: WorkloadName,
  parameters: Parameters,
  contenders: readonly string[],
  quick?: readonly string[],
): Question {
  return { rank, cell: { workload, parameters }, contenders, ...(quick && { quick }) };
}

function echo(parameters: Parameters): Parameters {
  return {
    payloadBytes: 128,
    connections: 64,
    inFlight: 8,
    binary: false,
    deflate: "off",
    content: "random",
    tls: false,
    ...parameters,
  };
}

function fanout(parameters: Parameters): Parameters {
  return { subscribers: 1000, inFlight: 16, payloadBytes: 128, slowConsumers: 0, ...parameters };
}

function idle(parameters: Parameters): Parameters {
  return { connections: 5000, deflate: "off", activeMessages: 0, ...parameters };
}

function server(parameters: Parameters): Parameters {
  return {
    format: "json",
    rates: false,
    history: false,
    broker: "memory",
    ...{ connections: 100, roomSize: 10, inFlight: 8, payloadBytes: 128 },
    ...parameters,
  };
}

function storm(parameters: Parameters): Parameters {
  return { handshakes: 32, tls: false, ...parameters };
}

/** What the whole server is asked beside its defaults, one at a time. */
const SERVER_VARIANTS: readonly Parameters[] = [
  {},
  { format: "msgpack" },
  { rates: true },
  { history: true },
  { broker: "redis" },
];

const rooms: Parameters = { connections: 1000, roomSize: 10, inFlight: 1, payloadBytes: 128 };

const steady: Parameters = { connections: 64, inFlight: 1, payloadBytes: 128, traffic: "echo" };

function* echoGrid(): Iterable<Question> {
  for (const payloadBytes of SIZES) {
    for (const connections of CONNECTIONS) {
      for (const inFlight of IN_FLIGHT) {
        if (payloadBytes * connections * inFlight > MOST_UNDER_WAY_BYTES) continue;
        yield ask(6, "echo", echo({ payloadBytes, connections, inFlight }), [...LEADING, ...CEILINGS]);
      }
    }
    yield ask(6, "echo", echo({ payloadBytes, binary: true }), LEADING);
  }
  for (const payloadBytes of [128, KIB, 16 * KIB]) {
    for (const content of ["json", "random"]) {
      yield ask(5, "echo", echo({ payloadBytes, deflate: "on", content }), LEADING);
    }
    yield ask(5, "echo", echo({ payloadBytes, tls: true }), LEADING);
  }
}

/** Names of cells of bench/codec.bench.ts; a headline for each direction, then the sizes. */
const CODEC_HEADLINES = ["decode 125 text masked whole many", "encode 125 text unmasked whole many"];
const CODEC_SIZES = [0, 16, 125, KIB, 16 * KIB, 64 * KIB, KIB * KIB];

/** The parts of the codec, from bench/codec/parts.ts: one size that is small and one that is not, or more where it matters. */
const CODEC_PARTS = [
  ...[16, 125, KIB, 16 * KIB, 64 * KIB].map((bytes) => `mask ${bytes} bytes`),
  ...["decode", "encode"].flatMap((way) =>
    ["ascii", "mixed"].flatMap((kind) =>
      [125, KIB, 16 * KIB].map((bytes) => `utf8 ${way} ${kind} ${bytes} bytes`)
    )
  ),
  ...["text", "binary"].flatMap((kind) => [125, 16 * KIB].map((bytes) => `prepare ${kind} ${bytes} bytes`)),
  ...["deflate", "inflate"].flatMap((way) => [125, KIB, 16 * KIB].map((bytes) => `${way} ${bytes} bytes`)),
];

function codec(name: string, runtime: string): Parameters {
  return { name, runtime };
}

function* codecCells(): Iterable<Question> {
  for (const runtime of ["node", "bun", "deno"]) {
    yield ask(1, "codec", { ...codec("a guard: messages and bytes", runtime), table: "bucket" }, ["codec"]);
    for (const name of CODEC_HEADLINES) {
      const isQuick = runtime !== "deno";
      yield ask(1, "codec", codec(name, runtime), ["codec"], isQuick ? ["codec"] : undefined);
    }
    for (const name of CODEC_PARTS) yield ask(3, "codec", codec(name, runtime), ["codec"]);
    for (const bytes of CODEC_SIZES) {
      for (const form of ["whole", "fragmented"]) {
        yield ask(4, "codec", codec(`decode ${bytes} binary masked ${form} many`, runtime), ["codec"]);
        yield ask(4, "codec", codec(`encode ${bytes} binary unmasked ${form} many`, runtime), ["codec"]);
      }
      yield ask(4, "codec", codec(`decode ${bytes} text masked whole many`, runtime), ["codec"]);
      yield ask(4, "codec", codec(`encode ${bytes} text unmasked whole many`, runtime), ["codec"]);
    }
  }
}

function* allQuestions(): Iterable<Question> {
  const serving = ["server-bun", "server-ts-node"];
  yield ask(0, "echo", echo({}), [...CORE, ...serving, "engine-ts-deno", "deno-bare", "socketio"], CORE);
  yield ask(0, "echo", echo({ inFlight: 1 }), CORE, CORE);
  yield ask(0, "echo", echo({ payloadBytes: 16 * KIB }), CORE);
  yield ask(
    ...[0, "fanout", fanout({})] as const,
    [...CORE, ...serving, "server-uws", "server-ts-bun", "deno-bare", "socketio", ...BROKERS],
    [...CORE, ...serving],
  );
  // The server's messages have fields of its own; here those of all contenders are of one size.
  const sameSize = fanout({ payloadBytes: 256, wholeMessage: true });
  yield ask(1, "fanout", sameSize, [
    "bun-bare",
    "uws-bare",
    "server-bun",
    "server-uws",
    "server-ts-node",
    "server-ts-bun",
  ]);
  yield ask(0, "idle", idle({}), [...CORE, ...serving], [
    "engine-ts-bun",
    "engine-ts-node",
    "bun-bare",
    "ws",
  ]);
  yield ask(1, "latency", { ...steady, share: 0.5 }, CORE);
  yield ask(1, "storm", storm({}), [...CORE, "server-bun"]);
  yield ask(1, "rooms", rooms, CORE);
  for (const asked of SERVER_VARIANTS) yield ask(1, "server", server(asked), serving);
  for (const slowConsumers of [0, 1]) {
    const withSlow = fanout({ subscribers: 100, payloadBytes: KIB, slowConsumers });
    yield ask(1, "fanout", withSlow, ["engine-ts-bun", "engine-ts-node", "bun-bare", "uws-bare"]);
  }
  yield ask(1, "echo", echo({ deflate: "on", content: "json", payloadBytes: KIB }), CORE);
  yield ask(1, "echo", echo({ tls: true }), CORE);
  yield* codecCells();
  yield ask(2, "churn", { connections: 1000, seconds: 10 }, [...CORE, "server-bun"]);
  for (const share of [0.25, 0.75]) yield ask(2, "latency", { ...steady, share }, CORE);
  yield ask(2, "fanout", fanout({ inFlight: 1 }), [...CORE, ...serving, "socketio"]);
  yield* moreContenders();
  yield* moreCells();
  yield* echoGrid();
  // Ten minutes each: a leak shows in one of them.
  yield { ...ask(8, "churn", { connections: 1000, seconds: 600 }, [...CORE, ...serving]), mostRuns: 1 };
}

/** The first cells for everybody else. */
function* moreContenders(): Iterable<Question> {
  yield ask(2, "idle", idle({}), PUBLISHING);
  yield ask(2, "echo", echo({}), ECHOING);
  yield ask(2, "echo", echo({ inFlight: 1 }), ECHOING);
  yield ask(2, "fanout", fanout({}), PUBLISHING);
  yield ask(3, "echo", echo({ payloadBytes: 16 * KIB }), ECHOING);
  yield ask(3, "fanout", fanout({ inFlight: 1 }), PUBLISHING);
  const publishedAtHalf = { ...steady, connections: 100, traffic: "fanout", share: 0.5 };
  yield ask(3, "latency", publishedAtHalf, [...CORE, ...BROKERS]);
  for (const share of [0.25, 0.5, 0.75]) {
    yield ask(share === 0.5 ? 3 : 4, "latency", { ...steady, share }, [...LEADING, "socketio"]);
    const published = { ...steady, connections: 100, traffic: "fanout", share };
    yield ask(4, "latency", published, [...LEADING, "socketio", ...BROKERS]);
  }
  yield ask(3, "storm", storm({}), PUBLISHING);
  yield ask(3, "rooms", rooms, PUBLISHING);
  for (const asked of SERVER_VARIANTS) yield ask(3, "server", server(asked), SERVERS);
}

function* moreCells(): Iterable<Question> {
  for (const cell of ECHO_CORNERS) yield ask(3, "echo", echo(cell), [...CORE, ...CEILINGS]);
  yield ask(2, "idle", idle({ deflate: "on" }), CORE);
  yield ask(2, "storm", storm({ tls: true }), CORE);
  yield ask(3, "idle", idle({ deflate: "on" }), [...LEADING, "server-ts-bun", "server-uws"]);
  yield ask(3, "idle", idle({ connections: 1000, activeMessages: 16, payloadBytes: KIB }), LEADING);
  for (const subscribers of [10, 100, 5000]) {
    yield ask(3, "fanout", fanout({ subscribers }), CORE);
    yield ask(4, "fanout", fanout({ subscribers }), PUBLISHING);
  }
  yield ask(4, "fanout", fanout({ subscribers: 100, payloadBytes: KIB }), PUBLISHING);
  yield ask(4, "fanout", fanout({ subscribers: 100, payloadBytes: KIB, slowConsumers: 1 }), PUBLISHING);
  for (const connections of [1000, 10_000]) {
    yield ask(3, "idle", idle({ connections }), [...CORE, ...SERVERS]);
    yield ask(4, "idle", idle({ connections }), PUBLISHING);
  }
  yield ask(5, "storm", storm({ tls: true }), LEADING);
  yield ask(5, "echo", echo({ binary: true }), LEADING);
}

/** All of them. */
export const questions: readonly Question[] = [...allQuestions()];
