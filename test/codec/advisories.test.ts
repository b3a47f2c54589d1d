import { describe, it } from "node:test";
import process from "node:process";
import { assertEquals, assertLess, assertThrows } from "@std/assert";
import { HeadReader, parseRequest } from "../../server/codec/head.ts";
import { readUpgrade } from "../../server/codec/handshake.ts";
import {
  acceptDeflate,
  deflateResponse,
  negotiateDeflate,
  parseExtensions,
  parseTokens,
} from "../../server/codec/extensions.ts";
import { Deflater, Inflater } from "../../server/codec/deflate.ts";
import { decoderSettings } from "../../server/codec/header.ts";
import { writeCloseFrame } from "../../server/codec/closing.ts";
import { CLIENT, Recorder, recorder, seededRandom, SERVER } from "./recorder.ts";
import { concat, frame, unhex, utf8 } from "./reference.ts";

const LONG = process.env["MILLRACE_LONG"] !== undefined;

/** How often something ran twice as long for twice the input would pass; quadratic time would not come near. */
const FAR_BELOW_QUADRATIC_MS = 2_000;

describe("advisories against other codecs", () => {
  it("CVE-2021-32640 (ws): a Sec-WebSocket-Protocol of blanks takes linear time", () => {
    const started = performance.now();
    for (const header of ["b" + " ".repeat(2_000_000) + "x", " ".repeat(2_000_000) + ","]) {
      assertEquals(parseTokens(header), null);
    }
    assertLess(performance.now() - started, FAR_BELOW_QUADRATIC_MS);
    assertEquals(parseTokens("b" + " ".repeat(100)), ["b"]);
  });

  it("CVE-2024-37890 (ws): more headers than the limit are refused, not a crash, upgrade or not", () => {
    const head = (count: number) => {
      const fields = ["Host: a", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"];
      fields.push("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==");
      const filler = Array.from({ length: count - fields.length }, (_, at) => `x${at}: y`);
      return utf8(["GET / HTTP/1.1", ...filler, ...fields, "", ""].join("\r\n"));
    };
    const reader = new HeadReader({ maxHeadBytes: 100_000, maxHeaders: 2_000 });
    reader.push(head(2_001));
    assertEquals(reader.refusal?.status, 431);
    const full = new HeadReader({ maxHeadBytes: 100_000, maxHeaders: 2_000 });
    full.push(head(2_000));
    const request = parseRequest(full.text);
    assertEquals(request.refused || readUpgrade(request).refused, false);
  });

  it("CVE-2026-45736 (ws): a close frame carries its reason, no typed array's and no other memory", () => {
    const target = new Uint8Array(200).fill(0x53);
    writeCloseFrame(target, 0, 4000, "a long reason that came before");
    const end = writeCloseFrame(target, 0, 4000, "ok");
    assertEquals(target.slice(0, end), unhex("88 04 0fa0 6f6b"));
    // The cast is the mistake that the advisory is about.
    const reason = new Float32Array(20) as unknown as string;
    assertThrows(() => writeCloseFrame(target, 0, 4000, reason), TypeError);
  });

  it("CVE-2026-48779 (ws): a flood of fragments of 0 and 1 bytes stays within bytes and fragments", () => {
    const settings = decoderSettings({ role: "server", maxPayloadBytes: 1 << 20, maxFragments: 10_000 });
    for (const payload of [new Uint8Array(0), new Uint8Array(1)]) {
      const connection = new Recorder(settings);
      const held = arrayBufferBytes();
      connection.take(frame(0x02, payload));
      // Each fragment in a large chunk of its own, as from a pool: none of them may be kept.
      for (let count = 1; count < 10_000; count++) {
        const pooled = new Uint8Array(16_384);
        const fragment = frame(0x00, payload);
        pooled.set(fragment, 0);
        connection.push(pooled.subarray(0, fragment.length), recorder);
      }
      assertEquals(connection.failure, null);
      // The second collection waits for what the first one left to be swept meanwhile.
      globalThis.gc?.();
      globalThis.gc?.();
      // Without a collection on demand, what was allocated and let go is still counted.
      if (globalThis.gc !== undefined) assertLess(arrayBufferBytes() - held, 1 << 20);
      connection.take(frame(0x00, payload));
      assertEquals(connection.failure, 1009);
    }
  });

  it("CVE-2026-1526 (undici): six megabytes that inflate to a gigabyte stop at the limit", () => {
    const deflater = new Deflater({ contextTakeover: false, level: 9 });
    const bomb = frame(0xc2, deflatedZeros(deflater, LONG ? 1_000_000_000 : 50_000_000));
    const settings = decoderSettings({ role: "server", maxPayloadBytes: 1 << 23, maxFragments: 10 });
    const connection = new Recorder(settings, new Inflater(false));
    const before = arrayBufferBytes();
    connection.push(bomb, recorder);
    assertEquals(connection.failure, 1009);
    assertLess(arrayBufferBytes() - before, 5 * (1 << 23));
    const fine = new Recorder(settings, new Inflater(false)).take(frame(0xc2, deflatedZeros(deflater, 100)));
    assertEquals(fine.events, [`binary:${"00".repeat(100)}`]);
  });

  it("CVE-2026-1528 (undici): a 64-bit length that overflows is refused on the header", () => {
    for (
      const [length, code] of [["7fffffffffffffff", 1009], ["8000000000000000", 1002], [
        "ffffffffffffffff",
        1002,
      ]]
    ) {
      assertEquals(new Recorder(CLIENT).take(unhex(`82 7f ${length}`)).failure, code);
    }
    assertEquals(new Recorder(CLIENT).take(unhex("82 7f 0000000000010000")).failure, null);
  });

  it('CVE-2026-2229 (undici): window bits of "", 7, 16, 1e9 or twice reach no compressor', () => {
    const options = {
      ...{ serverNoContextTakeover: false, clientNoContextTakeover: false },
      ...{ serverMaxWindowBits: 15, clientMaxWindowBits: 15 },
    };
    for (const side of ["server", "client"]) {
      for (
        const value of ['=""', "=7", "=16", "=1e9", "=08", "=-9", "=9.0", `=9; ${side}_max_window_bits=9`]
      ) {
        const header = `permessage-deflate; ${side}_max_window_bits${value}`;
        assertEquals(negotiateDeflate(parseExtensions(header) ?? [], options), null, header);
        const answer = acceptDeflate(parseExtensions(header) ?? [], { clientMaxWindowBits: true });
        assertEquals(typeof answer, "string", header);
      }
      const fine = negotiateDeflate(
        parseExtensions(`permessage-deflate; ${side}_max_window_bits=9`) ?? [],
        options,
      );
      assertEquals(
        fine === null ? "" : deflateResponse(fine),
        `permessage-deflate; ${side}_max_window_bits=9`,
      );
    }
  });
});

describe("memory", () => {
  it("a header that announces much allocates nothing before bytes come in proportion", () => {
    const settings = decoderSettings({ role: "client", maxPayloadBytes: 1 << 26, maxFragments: 10 });
    const connections = Array.from({ length: 100 }, () => new Recorder(settings));
    const before = arrayBufferBytes();
    for (const connection of connections) connection.take(unhex("82 7f 0000000004000000 61"));
    assertLess(arrayBufferBytes() - before, 1 << 20);
    assertEquals(connections.every(({ failure }) => failure === null), true);
  });

  it("a large message in small chunks takes linear time", () => {
    const settings = decoderSettings({ role: "client", maxPayloadBytes: 1 << 26, maxFragments: 10 });
    const size = 16 << 20;
    const stream = frame(0x82, new Uint8Array(size), null);
    let received = 0;
    const sink = {
      ...recorder,
      binary: (_to: Recorder, _bytes: Uint8Array, start: number, end: number) => received = end - start,
    };
    const connection = new Recorder(settings);
    const started = performance.now();
    for (let at = 0; at < stream.length; at += 1_000) connection.push(stream.subarray(at, at + 1_000), sink);
    assertLess(performance.now() - started, FAR_BELOW_QUADRATIC_MS);
    assertEquals(received, size);
  });

  it(`${LONG ? "ten million" : "a hundred thousand"} mutated frames crash nothing and leave the heap where it was`, () => {
    const random = seededRandom(8);
    const inflater = new Inflater(false);
    const payloads = [0, 1, 5, 125, 126, 300].map((length) => utf8("ab€".repeat(length)).slice(0, length));
    const deflated = new Deflater({ contextTakeover: false }).prepareFrame(
      "some text that shrinks ".repeat(9),
    );
    const shapes = [0x81, 0x82, 0x01, 0x00, 0x80, 0x88, 0x89, 0x8a].flatMap((first) =>
      payloads.map((payload) => frame(first, payload))
    );
    shapes.push(
      concat(unhex("c1 ff"), deflated),
      frame(0xc1, deflated.slice(2)),
      frame(0x41, deflated.slice(2)),
    );
    const sink = {
      ...recorder,
      text: nothing,
      binary: nothing,
      ping: nothing,
      pong: nothing,
      close: nothing,
    };
    let refused = 0;
    const run = (frames: number) => {
      let connection = new Recorder(SERVER, inflater);
      for (let count = 0; count < frames; count++) {
        const bytes = (shapes[random(shapes.length)] ?? deflated).slice();
        for (let changes = random(3); changes > 0; changes--) bytes[random(bytes.length)] = random(256);
        const cut = random(bytes.length);
        connection.push(bytes.subarray(0, cut), sink);
        connection.push(bytes.subarray(cut), sink);
        if (!connection.isEnded) continue;
        if (connection.failure !== null) refused++;
        connection = new Recorder(SERVER, inflater);
      }
    };
    run(20_000);
    collect();
    const before = process.memoryUsage();
    run(LONG ? 10_000_000 : 80_000);
    collect();
    const after = process.memoryUsage();
    assertLess(after.heapUsed - before.heapUsed, 16 << 20);
    assertLess(after.arrayBuffers - before.arrayBuffers, 16 << 20);
    assertEquals(refused > 1_000, true);
  });
});

function nothing(): void {}

/** A whole collection, where the runtime does one on demand. */
function collect(): void {
  globalThis.gc?.();
  (globalThis as { Bun?: { gc(wait: boolean): void } }).Bun?.gc(true);
}

function arrayBufferBytes(): number {
  return process.memoryUsage().arrayBuffers;
}

/** The payload of a frame that inflates to so many zeros: made once for a megabyte and repeated, without takeover. */
function deflatedZeros(deflater: Deflater, length: number): Uint8Array {
  const part = Math.min(length, 1_000_000);
  const output = new Uint8Array(part * 2 + 100);
  // A message and its tail are whole blocks on a byte boundary, so that messages may stand one after the other.
  const bytes = deflater.deflate(new Uint8Array(part), output);
  const whole = concat(output.slice(0, bytes), unhex("0000ffff"));
  return concat(...Array.from({ length: Math.ceil(length / part) }, () => whole));
}
