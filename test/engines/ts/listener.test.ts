/** The listener of the engine `ts`: connections that come and go in masses, and its end. */
import { describe, it } from "node:test";
import { assert, assertEquals, assertGreater } from "@std/assert";
import { ManualClock } from "../../helpers/manual_clock.ts";
import { closePayload, encodeFrame, handshake, Opcode, RawClient } from "../../helpers/raw_client.ts";
import { beServed, endEverything, join, start, startOnPaper, turn } from "./setup.ts";

const MIB = 1024 * 1024;
const STORM = 2_000;
const AT_ONCE = 100;
/** Bun ends a test after five seconds if it is not told otherwise. */
const WHOLE_RUN = { timeout: 60_000 };

/** How a client of the storm leaves. */
const LEAVINGS: ((client: RawClient, url: string) => Promise<void> | void)[] = [
  (client) => client.destroy(),
  (client) => {
    client.write("GET / HT");
    client.destroy();
  },
  (client, url) => {
    client.write(handshake(`${url}/?unread`));
    client.destroy();
  },
  async (client, url) => {
    client.write(handshake(`${url}/?dropped`));
    await client.said(/101/);
    client.send(Opcode.Text, "hello");
    client.destroy();
  },
  async (client, url) => {
    client.write(handshake(`${url}/?closed`));
    await client.said(/101/);
    await client.close();
  },
  async (client, url) => {
    client.write(handshake(`${url}/?half`));
    await client.said(/101/);
    client.halfClose();
    await client.gone();
  },
  async (client) => {
    client.write("nonsense\r\n\r\n");
    await client.gone();
  },
];

describe("the listener of the engine ts", () => {
  endEverything();

  it("is empty after a storm of connections that were hardly there, and closes", WHOLE_RUN, async () => {
    // No time passes: no connection may be left to a deadline.
    const fixture = await start({ clock: new ManualClock() }, {
      open(socket) {
        socket.subscribe("t");
        fixture.events.push({ kind: "open", socket });
      },
    });
    for (let done = 0; done < STORM; done += AT_ONCE) {
      await Promise.all(Array.from({ length: AT_ONCE }, (_, index) => {
        const leave = LEAVINGS[(done + index) % LEAVINGS.length] as typeof LEAVINGS[number]; // below the length
        return leave(RawClient.connect(fixture.url), fixture.url);
      }));
      fixture.listener.publish("t", "to whoever is there");
    }
    const { client } = await join(fixture, "control");
    await client.close();
    await fixture.listener.close();
    assertEquals(fixture.listener.subscriberCount("t"), 0);
    const of = (kind: string) => fixture.events.all.filter((event) => event.kind === kind).length;
    assertGreater(of("open"), STORM * 3 / LEAVINGS.length - 1);
    assertEquals(of("close"), of("open"));
    assertEquals(of("failed"), 0);
  });

  it("serves those who wait while many others say nothing", async () => {
    const fixture = await start({ clock: new ManualClock() });
    const silent = Array.from({ length: 500 }, () => RawClient.connect(fixture.url));
    await beServed(fixture);
    assert(silent.every(({ ended }) => !ended));
    await fixture.listener.close();
    await Promise.all(silent.map((client) => client.gone()));
  });

  it("knows nothing more of a connection that has gone", async () => {
    const { fixture, connect, join } = await startOnPaper();
    const { tcp: opened } = await join("a");
    const tcps = [connect(), opened];
    for (const tcp of tcps) tcp.handler.closed();
    await fixture.listener.close();
    assert(tcps.every(({ ended }) => !ended), "it was ended once more");
  });

  it("refuses with 503 a handshake that was being decided when it began to close", async () => {
    let release = () => {};
    const waiting = new Promise<void>((resolve) => release = resolve);
    let asked = () => {};
    const arrived = new Promise<void>((resolve) => asked = resolve);
    const fixture = await start({}, {
      async upgrade({ query }) {
        asked();
        await waiting;
        return { accept: true, data: query };
      },
    });
    const client = RawClient.connect(fixture.url);
    client.write(handshake(`${fixture.url}/?late`));
    await arrived;
    const closing = fixture.listener.close();
    release();
    await closing;
    await client.gone();
    assert(client.head.startsWith("HTTP/1.1 503 "), client.head);
    assertEquals(fixture.events.all, [{ kind: "abandoned", data: "late" }]);
  });

  it("may be closed twice, and within a handler", async () => {
    const closings: Promise<void>[] = [];
    const fixture = await start({}, {
      message: () => void closings.push(fixture.listener.close(), fixture.listener.close()),
    });
    const { client } = await join(fixture, "a");
    client.write(encodeFrame(Opcode.Text, "close"));
    client.send(Opcode.Close, closePayload(1000));
    await client.gone();
    await fixture.events.until(() => closings.length === 2);
    await Promise.all(closings);
  });
});

describe("the budget for queued bytes on the engine ts", () => {
  endEverything();

  it("holds what a connection that has said goodbye leaves waiting, and cuts it without a word", async () => {
    const { fixture, join } = await startOnPaper({ maxQueuedBytes: 1000 });
    const leaver = await join("leaver");
    leaver.tcp.pendingBytes = 900;
    leaver.socket.send("x");
    leaver.tcp.receive(encodeFrame(Opcode.Close, closePayload(1000)));
    assertEquals(fixture.closes("leaver").map(({ code }) => code), [1000]);
    assertEquals([leaver.socket.bufferedAmount, fixture.listener.queuedBytes], [0, 900]);
    const other = await join("other");
    other.tcp.pendingBytes = 200;
    other.socket.send("x");
    await turn();
    await turn();
    assertEquals([leaver.tcp.pendingBytes, fixture.listener.queuedBytes], [0, 200]);
    assertEquals(fixture.evicted(), []);
    assertEquals([fixture.closes("leaver").length, fixture.closes("other").length], [1, 0]);
  });

  it("gets back what a connection held that was terminated while more was being collected for it", async () => {
    const fixture = await start({ maxBackpressureBytes: 64 * MIB }, {
      message(socket, message) {
        socket.send(message);
        socket.terminate();
      },
    });
    const { client, socket } = await join(fixture, "a");
    client.pause();
    for (let round = 0; socket.bufferedAmount < MIB; round++) {
      assert(round < 1000, "the socket never filled");
      socket.send("f".repeat(64 * 1024));
    }
    assertEquals(fixture.listener.queuedBytes, socket.bufferedAmount);
    client.send(Opcode.Text, "end");
    await fixture.events.until(() => fixture.closes("a").length === 1);
    assertEquals(fixture.listener.queuedBytes, 0);
    await beServed(fixture);
    assertEquals(fixture.listener.queuedBytes, 0);
  });
});
