/**
 * The small server that all measurements of a bare engine use: no hub, no protocol. It echoes each message with its
 * kind, or, with --publish, subscribes every socket to the topic that its path names and publishes each of its messages
 * to it, the sender included. Usage: `--engine E --port N [--deflate off|shared|dedicated] [--publish] [--tls] [--busy SHARE]`.
 */
import process from "node:process";
import { parseArgs } from "node:util";
import { systemClock } from "../server/clock.ts";
import { DeflateMode, type Message, SlowPolicy, type Socket } from "../server/engine.ts";
import { engineNames, pickEngine } from "../server/engines/pick.ts";
import { slowed } from "./contenders/busy.ts";
import {
  announce,
  CERT_FILE,
  collectOnSignal,
  HOST,
  KEY_FILE,
  MAX_BACKPRESSURE_BYTES,
  MAX_MESSAGE_BYTES,
  topicOf,
} from "./contenders/settings.ts";

const EXIT_WRONG_USE = 2;

/** Far above what the measured loads leave waiting: its bookkeeping is measured, nobody is cut. */
const MAX_QUEUED_BYTES = 256 * 1024 * 1024;

function wrongUse(message: string): never {
  console.error(`echo: ${message}`);
  console.error(
    "usage: echo.ts --engine E --port N [--deflate off|shared|dedicated] [--publish] [--tls] [--busy 0.05]",
  );
  process.exit(EXIT_WRONG_USE);
}

function oneOf<T extends string>(values: readonly T[], value: string, flag: string): T {
  return values.find((known) => known === value) ??
    wrongUse(`--${flag} is one of ${values.join(", ")}, not ${value}`);
}

function readFlags() {
  try {
    return parseArgs({
      options: {
        engine: { type: "string", default: "auto" },
        port: { type: "string", default: "0" },
        deflate: { type: "string", default: DeflateMode.Off },
        publish: { type: "boolean", default: false },
        tls: { type: "boolean", default: false },
        // Slows the server on purpose, by this share of its own CPU time.
        busy: { type: "string" },
      },
    }).values;
  } catch (error) {
    return wrongUse((error as Error).message);
  }
}

const flags = readFlags();
const port = /^\d{1,5}$/.test(flags.port)
  ? Number(flags.port)
  : wrongUse(`--port is a number, not ${flags.port}`);
const { publish } = flags;

try {
  const answer = (socket: Socket<string>, message: Message): void => {
    if (publish) listener.publish(socket.data, message);
    else socket.send(message);
  };
  const engine = await pickEngine(oneOf(engineNames, flags.engine, "engine"));
  const listener = await engine.listen<string>({
    host: HOST,
    port,
    tls: flags.tls ? { certFile: CERT_FILE, keyFile: KEY_FILE } : undefined,
    maxPayloadBytes: MAX_MESSAGE_BYTES,
    maxBackpressureBytes: MAX_BACKPRESSURE_BYTES,
    slowPolicy: SlowPolicy.Skip,
    maxQueuedBytes: MAX_QUEUED_BYTES,
    deflate: oneOf(Object.values(DeflateMode), flags.deflate, "deflate"),
    deflateThresholdBytes: 0,
    maxHttpBodyBytes: 0,
    handshakeTimeoutSeconds: 10,
    closeTimeoutSeconds: 1,
    idleTimeoutSeconds: 0,
    clock: systemClock,
  }, {
    upgrade: ({ path }) => ({ accept: true, data: publish ? topicOf(path) : "" }),
    http: () => ({ status: 426, headers: {}, body: "WebSocket only\n" }),
    open(socket) {
      if (publish) socket.subscribe(socket.data);
    },
    message: flags.busy === undefined ? answer : slowed(answer, Number(flags.busy)),
    drain() {},
    dropped() {},
    abandoned() {},
    evicted() {},
    pong() {},
    close() {},
    failed: (error) => console.error(error),
  });
  announce(`${listener.url}/ engine=${engine.name}`);
} catch (error) {
  console.error(`echo: ${(error as Error).message}`);
  process.exit(1);
}

collectOnSignal();
