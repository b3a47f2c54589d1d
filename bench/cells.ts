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

type Parameters = Cell["parameters"];

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

const steady = { connections: 64, inFlight: 1, payloadBytes: 128, traffic: "echo" };

function* echoGrid(): Iterable<Question> {
  for (const payloadBytes of SIZES) {
    for (const connections of CONNECTIONS) {
      for (const inFlight of IN_FLIGHT) {
        // So much under way would measure the kernel's memory for sockets.
        if (payloadBytes * connections * inFlight > 256 * KIB * KIB) continue;
        yield ask(6, "echo", echo({ payloadBytes, connections, inFlight }), [...ECHOING]);
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

function codec(name: string, runtime: string): Parameters {
  return { name, runtime };
}

function* codecCells(): Iterable<Question> {
  for (const runtime of ["node", "bun", "deno"]) {
    for (const name of CODEC_HEADLINES) {
      const isQuick = runtime !== "deno";
      yield ask(1, "codec", codec(name, runtime), ["codec"], isQuick ? ["codec"] : undefined);
    }
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
  yield ask(0, "echo", echo({}), [...CORE, "server-ts-node", "server-bun", ...CEILINGS], CORE);
  yield ask(0, "echo", echo({ inFlight: 1 }), [...CORE, ...CEILINGS], CORE);
  yield ask(0, "echo", echo({ payloadBytes: 16 * KIB }), CORE);
  yield ask(
    ...[0, "fanout", fanout({})] as const,
    [...CORE, "server-bun", "server-uws", "server-ts-node", "server-ts-bun", "socketio", ...BROKERS],
    [...CORE, "server-bun", "server-ts-node"],
  );
  yield ask(0, "idle", idle({}), [...CORE, "server-bun", "server-ts-node"], CORE);
  yield ask(5, "idle", idle({ connections: 1000 }), PUBLISHING);
  yield ask(1, "fanout", fanout({ inFlight: 1 }), [...CORE, "server-bun", "server-ts-node", "socketio"]);
  for (const share of [0.25, 0.5, 0.75]) yield ask(1, "latency", { ...steady, share }, CORE);
  yield ask(1, "storm", { handshakes: 32, tls: false }, [...CORE, "server-bun", "server-ts-node"]);
  yield ask(1, "rooms", { connections: 1000, roomSize: 10, inFlight: 1, payloadBytes: 128 }, CORE);
  const serving = ["server-bun", "server-uws", "server-ts-node"];
  yield ask(1, "server", server({}), serving);
  for (const asked of [{ format: "msgpack" }, { rates: true }, { history: true }, { broker: "redis" }]) {
    yield ask(1, "server", server(asked), serving);
  }
  yield ask(1, "fanout", fanout({ subscribers: 100, payloadBytes: KIB }), CORE);
  yield ask(1, "fanout", fanout({ subscribers: 100, payloadBytes: KIB, slowConsumers: 1 }), CORE);
  yield* codecCells();
  yield* moreContenders();
  yield* moreCells();
  yield* echoGrid();
  yield ask(8, "churn", { connections: 1000, seconds: 600 }, LEADING);
}

/** The headline cells for everybody else. */
function* moreContenders(): Iterable<Question> {
  yield ask(2, "idle", idle({}), PUBLISHING);
  yield ask(2, "echo", echo({}), ECHOING);
  yield ask(2, "echo", echo({ inFlight: 1 }), ECHOING);
  yield ask(2, "fanout", fanout({}), PUBLISHING);
  yield ask(3, "echo", echo({ payloadBytes: 16 * KIB }), ECHOING);
  yield ask(3, "fanout", fanout({ inFlight: 1 }), PUBLISHING);
  for (const share of [0.25, 0.5, 0.75]) {
    yield ask(3, "latency", { ...steady, share }, [...LEADING, "socketio"]);
    yield ask(4, "latency", { ...steady, connections: 100, traffic: "fanout", share }, [
      ...LEADING,
      "socketio",
      ...BROKERS,
    ]);
  }
  yield ask(3, "storm", { handshakes: 32, tls: false }, PUBLISHING);
  yield ask(3, "rooms", { connections: 1000, roomSize: 10, inFlight: 1, payloadBytes: 128 }, PUBLISHING);
  for (
    const asked of [{}, { format: "msgpack" }, { rates: true }, { history: true }, { broker: "redis" }]
  ) {
    yield ask(3, "server", server(asked), SERVERS);
  }
}

function* moreCells(): Iterable<Question> {
  yield ask(2, "echo", echo({ deflate: "on", content: "json", payloadBytes: KIB }), CORE);
  yield ask(2, "echo", echo({ tls: true }), [...CORE, "deno-bare"]);
  yield ask(2, "idle", idle({ deflate: "on" }), CORE);
  yield ask(2, "storm", { handshakes: 32, tls: true }, CORE);
  yield ask(2, "churn", { connections: 1000, seconds: 20 }, ["server-bun", "server-ts-node"]);
  yield ask(3, "idle", idle({ deflate: "on" }), [...LEADING, "server-ts-bun", "server-uws"]);
  yield ask(3, "idle", idle({ connections: 1000, activeMessages: 16, payloadBytes: KIB }), LEADING);
  for (const subscribers of [10, 100, 5000]) yield ask(4, "fanout", fanout({ subscribers }), PUBLISHING);
  yield ask(4, "fanout", fanout({ subscribers: 100, payloadBytes: KIB }), PUBLISHING);
  yield ask(4, "fanout", fanout({ subscribers: 100, payloadBytes: KIB, slowConsumers: 1 }), PUBLISHING);
  yield ask(4, "idle", idle({ connections: 10_000 }), PUBLISHING);
  yield ask(5, "storm", { handshakes: 32, tls: true }, LEADING);
  yield ask(5, "echo", echo({ binary: true }), LEADING);
}

/** All of them. */
export const questions: readonly Question[] = [...allQuestions()];
