/** Five hundred sockets that never get to the end of their handshake, while others are served. */
import { Buffer } from "node:buffer";
import process from "node:process";
import { describe, it } from "node:test";
import { assert, assertEquals, assertLess } from "@std/assert";
import { ManualClock } from "../helpers/manual_clock.ts";
import { handshake, RawClient } from "../helpers/raw_client.ts";
import { whyNot } from "../helpers/runtime.ts";
import { joinRaw, type TestServer } from "../helpers/server.ts";
import { ask, knock, metric, ownEngines, stage } from "../helpers/stage.ts";

const SLOW = 500;
const GUESTS = 10;
const DEADLINE_SECONDS = 2;
/** What a native engine takes for the head of a request, whatever it is told, its coarse timer included. */
const NATIVE_DEADLINE_MS = 14_000;
const LONG = process.env["MILLRACE_LONG"] !== undefined;

const limits = { maxConnections: GUESTS, maxConnectionsPerAddress: GUESTS, maxPendingHandshakes: 1 };
const handshakeTimeoutSeconds = DEADLINE_SECONDS;

/** One who says nothing, one who stops in the middle, and one who goes on byte by byte. */
class Slow {
  readonly client: RawClient;
  private readonly rest: string;
  private at = 0;

  constructor(url: string, kind: number) {
    this.client = RawClient.connect(url);
    const request = handshake(url, { "X-Padding": "p".repeat(200) });
    const cut = kind === 0 ? 0 : request.indexOf("\r\n") + 2 + kind % 40;
    if (cut > 0) this.client.write(Buffer.from(request.slice(0, cut)));
    this.rest = kind % 3 === 2 ? request.slice(cut, -4) : "";
  }

  step(): void {
    const byte = this.rest[this.at++];
    if (byte !== undefined && !this.client.ended) this.client.write(Buffer.from(byte));
  }
}

/** Ordinary clients connect, subscribe, publish and hear each other; then they leave. */
async function serveGuests(server: TestServer, step: () => void): Promise<void> {
  const guests = [];
  for (let i = 0; i < GUESTS; i++) {
    guests.push(await joinRaw(server.url));
    step();
  }
  assertEquals((await knock(server.url))[0], 503);
  assertEquals(await metric(server, "millrace_connections"), GUESTS);
  for (const guest of guests) {
    assertEquals((await ask(guest, { type: "subscribe", id: 1, topic: "t" }))["type"], "ack");
  }
  step();
  for (const [i, guest] of guests.entries()) {
    guest.send(1, JSON.stringify({ type: "publish", topic: "t", data: i }));
    await guest.receiveTexts(2 + i + 1);
    step();
  }
  for (const guest of guests) {
    const heard = (await guest.receiveTexts(2 + GUESTS)).slice(2).map((text) => JSON.parse(text).data);
    assertEquals(heard, Array.from({ length: GUESTS }, (_, i) => i));
    await guest.close();
  }
}

for (const engine of ownEngines) {
  describe(`a slowloris on ${engine}`, { skip: await whyNot(engine) }, () => {
    const start = stage(engine);

    it("of 500 sockets keeps nobody out, counts as no connection, and is gone after the deadline", async () => {
      const clock = new ManualClock();
      const server = await start({ ...limits, handshakeTimeoutSeconds }, { clock });
      const slow = Array.from({ length: SLOW }, (_, i) => new Slow(server.url, i));
      const step = () => slow.forEach((one) => one.step());
      const startMs = performance.now();
      await serveGuests(server, step);
      assertEquals(await metric(server, "millrace_connections"), 0);
      const isOurs = server.engine === "ts";
      if (isOurs) {
        assert(slow.every(({ client }) => !client.ended), "one was cut before its time");
        for (let second = 0; second <= DEADLINE_SECONDS; second++) {
          step();
          clock.advance(1000);
        }
      }
      if (isOurs || LONG) {
        const dripping = setInterval(step, 100);
        try {
          await Promise.all(slow.map(({ client }) => client.gone()));
        } finally {
          clearInterval(dripping);
        }
        if (!isOurs) assertLess(performance.now() - startMs, NATIVE_DEADLINE_MS);
        await serveGuests(server, () => {});
      }
      for (const { client } of slow) client.destroy();
    });
  });
}
