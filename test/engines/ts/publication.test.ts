/** How often the engine `ts` makes a publication's frame: once for all who share its form, on TCP that exists on paper. */
import { Buffer } from "node:buffer";
import { describe, it } from "node:test";
import { constants, inflateRawSync } from "node:zlib";
import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import { DeflateMode, type Message } from "../../../server/engine.ts";
import { seededRandom } from "../../codec/recorder.ts";
import { encodeFrame, Opcode } from "../../helpers/raw_client.ts";
import { type PaperTcp, startOnPaper, turn } from "./setup.ts";

const COMPRESSIBLE = "a publication that is worth compressing; ".repeat(50);
const FIN_RSV1_TEXT = 0xc1;
const FIN_TEXT = 0x81;
const EXTENSION = "Sec-WebSocket-Extensions";
const offer = (parameters = "") => ({ [EXTENSION]: `permessage-deflate${parameters}` });

/** The one write that a connection has seen. */
function onlyWrite(tcp: PaperTcp): Uint8Array {
  assertEquals(tcp.writes.length, 1);
  return tcp.writes[0] as Uint8Array;
}

/** The payloads of frames of up to 65,535 bytes, and whether they are compressed. */
function payloads(bytes: Uint8Array): { compressed: boolean; payload: Buffer }[] {
  const found = [];
  const frames = Buffer.from(bytes);
  for (let at = 0; at < frames.length;) {
    const short = frames.readUInt8(at + 1);
    const start = at + (short < 126 ? 2 : 4);
    const end = start + (short < 126 ? short : frames.readUInt16BE(at + 2));
    found.push({ compressed: (frames.readUInt8(at) & 0x40) !== 0, payload: frames.subarray(start, end) });
    at = end;
  }
  return found;
}

/** Compressed messages in a row as one text; each may refer to those before it. */
function inflated(frames: Uint8Array): string {
  const tail = Buffer.from([0, 0, 0xff, 0xff]);
  const deflated = Buffer.concat(payloads(frames).flatMap(({ payload }) => [payload, tail]));
  return inflateRawSync(deflated, { finishFlush: constants.Z_SYNC_FLUSH }).toString();
}

describe("a publication to many on the engine ts", () => {
  async function joinAll(deflate: DeflateMode, headers: (Record<string, string> | undefined)[]) {
    const { fixture, join } = await startOnPaper({ deflate });
    const joined = await Promise.all(headers.map((each, index) => join(String(index), each)));
    for (const { socket } of joined) socket.subscribe("t");
    const tcps = joined.map(({ tcp }) => tcp) as [PaperTcp, PaperTcp, PaperTcp];
    const publish = async (...messages: Message[]) => {
      for (const tcp of tcps) tcp.writes.length = 0;
      for (const message of messages) fixture.listener.publish("t", message);
      assert(
        tcps.every((tcp) => tcp.writes.length === 0),
        "a publication was written before the end of the turn",
      );
      await turn();
      return tcps.map(onlyWrite) as [Uint8Array, Uint8Array, Uint8Array];
    };
    return { fixture, joined, publish };
  }

  for (const messages of [[COMPRESSIBLE], ["one", COMPRESSIBLE, "three"]]) {
    const what = messages.length === 1 ? "the frame is" : `${messages.length} frames of one turn are`;

    it(`costs one write each: ${what} the same bytes in memory for all, without compression`, async () => {
      const { publish } = await joinAll(DeflateMode.Off, [undefined, offer(), undefined]);
      const [first, second, third] = await publish(...messages);
      assertStrictEquals(first, second);
      assertStrictEquals(first, third);
      assertEquals(payloads(first).map(({ payload }) => payload.toString()), messages);
    });

    it(`costs one write each: ${what} compressed once for all who share the compressor`, async () => {
      const { publish } = await joinAll(DeflateMode.Shared, [offer(), offer(), offer()]);
      const [first, second, third] = await publish(...messages);
      assertStrictEquals(first, second);
      assertStrictEquals(first, third);
      const kinds = payloads(first).map(({ compressed }) => compressed);
      assertEquals(kinds, messages.map((message) => message === COMPRESSIBLE));
    });
  }

  it("is compressed apart for another window, and not at all for those who did not ask", async () => {
    const { publish } = await joinAll(DeflateMode.Shared, [
      offer(),
      offer("; server_max_window_bits=10"),
      undefined,
    ]);
    const [full, small, plain] = await publish(COMPRESSIBLE);
    assert(full !== small);
    assertEquals([full[0], small[0], plain[0]], [FIN_RSV1_TEXT, FIN_RSV1_TEXT, FIN_TEXT]);
    assertEquals([inflated(full), inflated(small)], [COMPRESSIBLE, COMPRESSIBLE]);
  });

  it("does not reach back further than a client's window allows (RFC 7692 section 7.1.2.1)", async () => {
    const { publish } = await joinAll(DeflateMode.Shared, [
      offer("; server_max_window_bits=9"),
      offer(),
      offer(),
    ]);
    const noise = Array.from(
      { length: 2000 },
      (_, i) => String.fromCharCode(33 + (i * i * 7919) % 8101 % 90),
    );
    const [small, full] = await publish(noise.join("") + noise.join(""));
    // What is repeated lies 2,000 bytes back: within 32 KiB, not within 512 bytes.
    assert(small.length > full.length * 1.5, `${small.length} and ${full.length} bytes`);
  });

  it("is compressed for each one who has a context of its own, which shrinks the second to nearly nothing", async () => {
    const { publish } = await joinAll(DeflateMode.Dedicated, [offer(), offer(), offer()]);
    const firsts = await publish(COMPRESSIBLE);
    const seconds = await publish(COMPRESSIBLE);
    assertEquals(new Set([...firsts, ...seconds]).size, 6);
    for (const [index, second] of seconds.entries()) {
      const first = firsts[index] as Uint8Array;
      assert(second.length < first.length / 2, `${first.length}, then ${second.length} bytes`);
      assertEquals(inflated(Buffer.concat([first, second])), COMPRESSIBLE + COMPRESSIBLE);
    }
  });

  it("keeps the contexts apart when one connection is sent to in between", async () => {
    const { joined, publish, fixture } = await joinAll(DeflateMode.Dedicated, [offer(), offer(), offer()]);
    const sent: Uint8Array[] = [];
    const before = await publish(COMPRESSIBLE);
    joined[0]?.socket.send(`own ${COMPRESSIBLE}`);
    sent.push(joined[0]?.tcp.writes.at(-1) as Uint8Array);
    const behind = await publish(`last ${COMPRESSIBLE}`);
    assertEquals(
      inflated(Buffer.concat([before[0], ...sent, behind[0]])),
      `${COMPRESSIBLE}own ${COMPRESSIBLE}last ${COMPRESSIBLE}`,
    );
    assertEquals(inflated(Buffer.concat([before[1], behind[1]])), `${COMPRESSIBLE}last ${COMPRESSIBLE}`);
    assertEquals(fixture.listener.subscriberCount("t"), 3);
  });

  it("goes with a context of its own to who keeps one, shared to who asked for none", async () => {
    const none = offer("; server_no_context_takeover");
    const { publish } = await joinAll(DeflateMode.Dedicated, [none, none, offer()]);
    const [first, second, own] = await publish(COMPRESSIBLE);
    assertStrictEquals(first, second);
    assert(first !== own);
  });

  for (const deflate of [DeflateMode.Off, DeflateMode.Shared]) {
    it(`costs one frame for all who have other topics too, and one write each, deflate ${deflate}`, async () => {
      const { joined, fixture } = await joinAll(deflate, [offer(), offer(), offer()]);
      for (const { socket } of joined) {
        socket.subscribe("u");
        socket.subscribe("v");
      }
      const publishToAll = async (message: string) => {
        for (const { tcp } of joined) tcp.writes.length = 0;
        for (const topic of ["u", "t", "v"]) fixture.listener.publish(topic, `${topic} ${message}`);
        await turn();
      };
      await publishToAll("small");
      for (const { tcp } of joined) {
        const texts = payloads(onlyWrite(tcp)).map(({ payload }) => payload.toString());
        assertEquals(texts, ["u small", "t small", "v small"]);
      }
      // What is too large to be copied together shows whose it is: noise, which stays large.
      const random = seededRandom(1);
      await publishToAll(Array.from({ length: 8_000 }, () => String.fromCharCode(33 + random(90))).join(""));
      const written = new Set(joined.flatMap(({ tcp }) => tcp.writes));
      assertEquals([written.size, ...joined.map(({ tcp }) => tcp.writes.length)], [3, 3, 3, 3]);
    });
  }

  it("is compressed from the threshold on, as what is sent is", async () => {
    const { joined, publish } = await joinAll(DeflateMode.Shared, [offer(), offer(), offer()]);
    const [published] = await publish("x".repeat(1023), "x".repeat(1024));
    assertEquals(payloads(published).map(({ compressed }) => compressed), [false, true]);
    for (const { tcp, socket } of joined) {
      tcp.writes.length = 0;
      socket.send("x".repeat(1023));
      socket.send("x".repeat(1024));
      assertEquals(payloads(Buffer.concat(tcp.writes)).map(({ compressed }) => compressed), [false, true]);
    }
  });

  for (
    const make of [(text: string) => Buffer.from(text), (text: string) => new Uint8Array(Buffer.from(text))]
  ) {
    it(`is what was published, whatever its caller does with the bytes: ${make("").constructor.name}`, async () => {
      const { joined, fixture } = await joinAll(DeflateMode.Off, [undefined, undefined, undefined]);
      const bytes = make("lent");
      fixture.listener.publish("t", bytes);
      bytes.fill(0x2e);
      await turn();
      for (const { tcp } of joined) {
        assertEquals(onlyWrite(tcp), Buffer.concat([Buffer.from([0x82, 4]), Buffer.from("lent")]));
      }
    });
  }

  it("that a message handler makes goes out with the answers of the read for its own connection", async () => {
    const { fixture, join } = await startOnPaper({}, {
      message(socket, message) {
        fixture.listener.publish("t", message);
        socket.send("answer");
      },
    });
    const { tcp, socket } = await join("a");
    const other = await join("b");
    socket.subscribe("t");
    other.socket.subscribe("t");
    tcp.receive(Buffer.concat([encodeFrame(Opcode.Text, "1"), encodeFrame(Opcode.Text, "2")]));
    const texts = (each: PaperTcp) => payloads(onlyWrite(each)).map(({ payload }) => payload.toString());
    assertEquals(texts(tcp), ["1", "answer", "2", "answer"]);
    await turn();
    assertEquals(texts(tcp), ["1", "answer", "2", "answer"]);
    assertEquals(texts(other.tcp), ["1", "2"]);
  });

  it("that has to go out to others during a read does not cut the answer to that read in two", async () => {
    const { fixture, join } = await startOnPaper({}, {
      message(socket, message) {
        socket.send("before");
        for (const topic of ["t", "u"]) fixture.listener.publish(topic, message);
        other.socket.send("behind");
        socket.send("after");
      },
    });
    const { tcp } = await join("a");
    const other = await join("b");
    other.socket.subscribe("t");
    other.socket.subscribe("u");
    tcp.receive(encodeFrame(Opcode.Text, "1"));
    const texts = (bytes: Uint8Array) => payloads(bytes).map(({ payload }) => payload.toString());
    assertEquals(texts(onlyWrite(tcp)), ["before", "after"]);
    assertEquals(texts(Buffer.concat(other.tcp.writes)), ["1", "1", "behind"]);
  });
});
