/**
 * Connections that mean no good: one that sends far more than it may and comes back whenever it is closed, and one that
 * asks for much and never reads. They count only what they have done.
 */
import { Buffer } from "node:buffer";
import { connect, type Socket } from "node:net";
import { TOPIC } from "../load/fanout.ts";
import { maskedFrame, seededBytes } from "../load/ring.ts";
import { TEXT } from "../load/scanner.ts";

const MASK_SEED = 0xf100d;
const TICK_MS = 5;
const RECONNECT_MS = 20;
/** What a sleeper asks to be sent: more than kernels keep for one connection, and then some. */
const ASKED_BYTES = 16 * 1024 * 1024;
const ECHO_BYTES = 60_000;

function frame(command: object): Buffer {
  return maskedFrame(TEXT, Buffer.from(JSON.stringify(command)), seededBytes(MASK_SEED));
}

function open(url: string): Socket {
  const { host, hostname, port, pathname, search } = new URL(url);
  const socket = connect({ host: hostname, port: Number(port), noDelay: true });
  // The server cuts such connections as it likes; `close` tells enough.
  socket.on("error", () => {});
  socket.write(
    `GET ${pathname}${search} HTTP/1.1\r\nHost: ${host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
  );
  return socket;
}

export class Flood {
  sent = 0;
  closes = 0;
  readonly #url: string;
  readonly #perSecond: number;
  readonly #frame = frame({ type: "publish", id: 1, topic: "flood", data: "f".repeat(64) });
  #stopped = false;

  constructor(url: string, perSecond: number) {
    this.#url = url;
    this.#perSecond = perSecond;
    this.#connect();
  }

  stop(): void {
    this.#stopped = true;
  }

  #connect(): void {
    const socket = open(this.#url);
    const startMs = performance.now();
    let sent = 0;
    const timer = setInterval(() => {
      if (this.#stopped) return void socket.destroy();
      const count = Math.floor((performance.now() - startMs) * this.#perSecond / 1000) - sent;
      socket.write(Buffer.concat(Array.from({ length: count }, () => this.#frame)));
      sent += count;
      this.sent += count;
    }, TICK_MS);
    socket.on("data", () => {});
    socket.on("end", () => socket.destroy());
    socket.on("close", () => {
      clearInterval(timer);
      if (this.#stopped) return;
      this.closes++;
      setTimeout(() => this.#connect(), RECONNECT_MS);
    });
  }
}

/** Subscribes to the topic of the fan-out, asks for more than fits anywhere, and never reads. */
export function sleep(url: string): void {
  const socket = open(url);
  socket.pause();
  socket.write(frame({ type: "subscribe", topic: TOPIC }));
  const echo = frame({ type: "echo", data: "z".repeat(ECHO_BYTES) });
  for (let asked = 0; asked < ASKED_BYTES; asked += ECHO_BYTES) socket.write(echo);
}
