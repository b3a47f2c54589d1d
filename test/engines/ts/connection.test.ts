/** One WebSocket connection of the engine `ts`: frames that come early, late, in pieces or in floods, and its end. */
import { Buffer } from "node:buffer";
import { describe, it } from "node:test";
import { assert, assertEquals, assertFalse, assertGreater, assertLess } from "@std/assert";
import { SlowPolicy } from "../../../server/engine.ts";
import { limits } from "../../contract/fixture.ts";
import { closePayload, encodeFrame, handshake, Opcode, RawClient } from "../../helpers/raw_client.ts";
import { ManualClock } from "../../helpers/manual_clock.ts";
import { beServed, endEverything, join, start, startOnPaper, turn } from "./setup.ts";

/** What one read may bring, and what may be collected before it leaves. */
const ONE_TURN_BYTES = 128 * 1024;

describe("frames in the same packet as the handshake, on the engine ts", () => {
  endEverything();
  const early = (url: string, name: string) =>
    Buffer.concat([
      Buffer.from(handshake(`${url}/?${name}`)),
      encodeFrame(Opcode.Text, "first"),
      encodeFrame(Opcode.Ping, "p"),
      encodeFrame(Opcode.Text, "second"),
      encodeFrame(Opcode.Text, "third").subarray(0, 4),
    ]);

  for (const later of [false, true]) {
    it(`are handled in order behind open${later ? ", when upgrade answers later too" : ""}`, async () => {
      let release = () => {};
      const waiting = new Promise<void>((resolve) => release = resolve);
      const fixture = await start({}, {
        upgrade: ({ query }) => {
          const answer = { accept: true, data: query } as const;
          return later ? waiting.then(() => answer) : answer;
        },
      });
      const client = RawClient.connect(fixture.url);
      client.write(early(fixture.url, "early"));
      await beServed(fixture);
      client.write(encodeFrame(Opcode.Text, "third").subarray(4));
      await beServed(fixture);
      assertEquals(fixture.events.all.length === 0, later);
      release();
      await fixture.events.until((all) => all.filter(({ kind }) => kind === "message").length === 3);
      const told = fixture.events.all.map((event) => event.kind === "message" ? event.message : event.kind);
      assertEquals(told, ["open", "first", "second", "third"]);
      assertEquals(
        (await client.frames.find((frame) => frame.opcode === Opcode.Pong)).payload.toString(),
        "p",
      );
    });
  }

  it("end the connection when they are wrong, and when there are too many before the answer", async () => {
    let release = () => {};
    const waiting = new Promise<void>((resolve) => release = resolve);
    const fixture = await start({}, {
      upgrade: ({ query }) => waiting.then(() => ({ accept: true, data: query }) as const),
    });
    const wrong = RawClient.connect(fixture.url);
    wrong.write(Buffer.concat([
      Buffer.from(handshake(`${fixture.url}/?wrong`)),
      encodeFrame(Opcode.Text, "x", { rsv: 1 }),
    ]));
    const flood = RawClient.connect(fixture.url);
    flood.write(Buffer.concat([
      Buffer.from(handshake(`${fixture.url}/?flood`)),
      ...new Array<Buffer>(20).fill(encodeFrame(Opcode.Binary, new Uint8Array(60_000))),
    ]));
    await flood.gone();
    release();
    assertEquals((await wrong.closed())?.code, 1002);
    assertFalse(fixture.events.all.some((event) => event.kind === "open" && event.socket.data === "flood"));
  });
});

describe("pings on the engine ts (RFC 6455 section 5.5.2)", () => {
  endEverything();

  it("from a peer that does not read cost bounded memory, and the last one is answered", async () => {
    const fixture = await start({ slowPolicy: SlowPolicy.Skip });
    const { client, socket } = await join(fixture, "a");
    client.pause();
    // 64 MiB of pings; the kernel takes a few of pongs.
    const chunk = Buffer.concat(new Array<Buffer>(500).fill(encodeFrame(Opcode.Ping, "p".repeat(125))));
    const chunks = 1000;
    let most = 0;
    for (let i = 0; i < chunks; i++) {
      client.write(chunk);
      client.send(Opcode.Text, String(i));
      await fixture.events.find((event) => event.kind === "message" && event.message === String(i));
      most = Math.max(most, socket.bufferedAmount);
    }
    assertGreater(most, limits.maxBackpressureBytes, "the flood never filled the socket");
    assertLess(most, limits.maxBackpressureBytes + ONE_TURN_BYTES);
    client.send(Opcode.Ping, "last");
    client.send(Opcode.Text, "end");
    await fixture.events.find((event) => event.kind === "message" && event.message === "end");
    client.resume();
    const isLast = (payload: Buffer) => payload.toString() === "last";
    await client.frames.find(
      ({ opcode, payload }) => opcode === Opcode.Pong && isLast(payload),
      "the last pong",
    );
    await fixture.events.until(() => socket.bufferedAmount === 0 || client.ended);
    assert(isLast(client.frames.all.at(-1)?.payload as Buffer), "a pong came behind the last one's");
  });

  it("are answered in order: one that had to wait is forgotten once a later one has its pong", async () => {
    const { join } = await startOnPaper();
    const { tcp } = await join("a");
    tcp.pendingBytes = limits.maxBackpressureBytes + 1;
    tcp.receive(encodeFrame(Opcode.Ping, "waits"));
    assertEquals(tcp.writes.length, 0);
    tcp.pendingBytes = 1;
    tcp.receive(encodeFrame(Opcode.Ping, "later"));
    tcp.pendingBytes = 0;
    tcp.handler.drained();
    assertEquals(tcp.writes.map((bytes) => Buffer.from(bytes).toString("latin1")), ["\x8a\x05later"]);
  });
});

describe("the end of a connection on the engine ts (RFC 6455 section 7)", () => {
  endEverything();

  it("the peer's close frame is echoed with its code, and reported with its reason", async () => {
    const fixture = await start();
    const cases: [Uint8Array, number][] = [
      [closePayload(1000, "done"), 1000],
      [closePayload(1001), 1001],
      [closePayload(3999, "x".repeat(123)), 3999],
      [closePayload(4999), 4999],
      [new Uint8Array(0), 1005],
    ];
    for (const [payload, code] of cases) {
      const { client } = await join(fixture, String(code));
      client.send(Opcode.Close, payload);
      const echo = await client.frames.find((frame) => frame.opcode === Opcode.Close);
      assertEquals([...echo.payload], [...payload.subarray(0, 2)], String(code));
      await client.gone();
      const reason = Buffer.from(payload.subarray(2)).toString();
      assertEquals(fixture.closes(String(code)).map((event) => [event.code, event.reason]), [[code, reason]]);
    }
  });

  it("a close frame may come byte by byte", async () => {
    const fixture = await start();
    const { client } = await join(fixture, "a");
    for (const byte of encodeFrame(Opcode.Close, closePayload(4321, "in pieces"))) {
      assertEquals(fixture.closes("a").length, 0);
      client.write(Uint8Array.of(byte));
      await beServed(fixture);
    }
    assertEquals((await client.closed())?.code, 4321);
    await client.gone();
    assertEquals(fixture.closes("a").map(({ code, reason }) => [code, reason]), [[4321, "in pieces"]]);
  });

  it("a peer that half-closes right behind its close frame still gets the echo", async () => {
    const fixture = await start();
    const { client } = await join(fixture, "a");
    client.send(Opcode.Text, "before");
    client.send(Opcode.Close, closePayload(4001));
    client.halfClose();
    assertEquals((await client.closed())?.code, 4001);
    await client.gone();
    assertEquals(fixture.closes("a").map(({ code }) => code), [4001]);
  });

  it("a peer that half-closes behind its close frame still gets megabytes that wait, then the echo", async () => {
    const fixture = await start({ maxBackpressureBytes: 64 * 1024 * 1024 });
    const { client, socket } = await join(fixture, "a");
    client.pause();
    const count = 400;
    for (let i = 0; i < count; i++) socket.send("m".repeat(32 * 1024));
    assertGreater(socket.bufferedAmount, 0);
    client.send(Opcode.Close, closePayload(4002));
    client.halfClose();
    await fixture.events.until(() => fixture.closes("a").length === 1);
    await beServed(fixture);
    client.resume();
    assertEquals((await client.closed())?.code, 4002);
    assertEquals(client.textCount, count);
    await client.gone();
  });

  it("a peer that half-closes without a close frame is gone: 1006 (RFC 6455 section 7.1.5)", async () => {
    const fixture = await start();
    const { client } = await join(fixture, "a");
    client.halfClose();
    assertEquals(await client.closed(), undefined);
    assertEquals(fixture.closes("a").map(({ code }) => code), [1006]);
  });

  it("nothing behind the peer's close frame is looked at (RFC 6455 section 5.5.1)", async () => {
    const fixture = await start();
    const { client } = await join(fixture, "a");
    client.write(Buffer.concat([
      encodeFrame(Opcode.Text, "before"),
      encodeFrame(Opcode.Close, closePayload(1000)),
      encodeFrame(Opcode.Text, "behind"),
      encodeFrame(Opcode.Ping, "behind"),
      encodeFrame(Opcode.Close, closePayload(1001)),
    ]));
    await client.gone();
    assertEquals(client.frames.all.map(({ opcode }) => opcode), [Opcode.Close]);
    assertEquals(fixture.events.all.map(({ kind }) => kind), ["open", "message", "close"]);
  });

  it("a protocol error's close frame reaches a peer that goes on sending megabytes", async () => {
    const fixture = await start();
    const { client } = await join(fixture, "a");
    client.send(3, "no such opcode");
    const message = encodeFrame(Opcode.Binary, new Uint8Array(60_000));
    for (let i = 0; i < 300; i++) client.write(message);
    assertEquals((await client.closed())?.code, 1002);
    await client.gone();
    assertEquals(fixture.events.all.map(({ kind }) => kind), ["open", "close"]);
  });

  for (const how of ["a protocol error", "a close of ours"] as const) {
    it(`a peer that never ends its side after ${how} is dropped at the deadline`, async () => {
      const clock = new ManualClock();
      const fixture = await start({ clock, closeTimeoutSeconds: 3 });
      const { client, socket } = await join(fixture, "a");
      client.pause();
      if (how === "a close of ours") socket.close(1001, "");
      else client.send(3, "no such opcode");
      await fixture.events.until(() => fixture.closes("a").length === 1);
      let resolved = false;
      const closing = fixture.listener.close().then(() => resolved = true);
      clock.advance(2_999);
      for (let turns = 0; turns < 10; turns++) await turn();
      assertFalse(resolved);
      clock.advance(1);
      await closing;
      assertEquals(fixture.closes("a").length, 1);
    });
  }
});

describe("one read with many frames on the engine ts", () => {
  endEverything();
  const count = 100;
  const requests = (payload: string) => new Array<Buffer>(count).fill(encodeFrame(Opcode.Text, payload));

  it("is answered by one write, pongs and the echo of the close frame included", async () => {
    const { fixture, join } = await startOnPaper({}, {
      message: (socket, message) => void socket.send(`${message}!`),
    });
    const { tcp } = await join("a");
    tcp.receive(Buffer.concat([
      ...requests("hello"),
      encodeFrame(Opcode.Ping, "p"),
      ...requests("again"),
      encodeFrame(Opcode.Close, closePayload(1000)),
    ]));
    const expected = "\x81\x06hello!".repeat(count) + "\x8a\x01p" + "\x81\x06again!".repeat(count) +
      "\x88\x02\x03\xe8";
    assertEquals(tcp.writes.map((bytes) => Buffer.from(bytes).toString("latin1")), [expected]);
    assertEquals(fixture.closes("a").map(({ code }) => code), [1000]);
  });

  it("whose handlers write to others too is answered by one write still, and the others get their own", async () => {
    const { join } = await startOnPaper({}, {
      message(socket, message) {
        socket.send(message);
        other.socket.send("copy");
      },
    });
    const { tcp } = await join("a");
    const other = await join("b");
    tcp.receive(Buffer.concat(requests("hello")));
    assertEquals(
      tcp.writes.map((bytes) => Buffer.from(bytes).toString("latin1")),
      ["\x81\x05hello".repeat(count)],
    );
    assertEquals(Buffer.concat(other.tcp.writes).toString("latin1"), "\x81\x04copy".repeat(count));
  });

  it("that is answered with more than the outbox holds takes no more writes than its size asks for", async () => {
    const answer = "a".repeat(10_000);
    const { join } = await startOnPaper({}, { message: (socket) => void socket.send(answer) });
    const { tcp } = await join("a");
    tcp.receive(Buffer.concat(requests("hello")));
    const bytes = count * (answer.length + 4);
    assertEquals(tcp.writes.reduce((sum, write) => sum + write.length, 0), bytes);
    assertLess(tcp.writes.length, bytes / (32 * 1024));
  });

  it("is one write of what a cork sends, and one each without it", async () => {
    const { join } = await startOnPaper();
    const { tcp, socket } = await join("a");
    socket.cork(() => {
      for (let i = 0; i < count; i++) socket.send("x");
    });
    assertEquals(tcp.writes.length, 1);
    for (let i = 0; i < count; i++) socket.send("x");
    assertEquals(tcp.writes.length, 1 + count);
  });
});
