/**
 * The load generator's messages: decoded here by hand, as no codec of ours may vouch for itself.
 */
import { Buffer } from "node:buffer";
import { describe, it } from "node:test";
import { constants, inflateRawSync } from "node:zlib";
import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { MessageRing } from "../../bench/load/ring.ts";
import { BINARY, TEXT } from "../../bench/load/scanner.ts";

const OPTIONS = {
  payloadBytes: 64,
  binary: false,
  content: "random" as const,
  opcode: TEXT as number | undefined,
  deflate: false,
  longestBatch: 16,
  mostMessages: 64,
  wrap: (data: Buffer) => data,
  arriving: (data: Buffer) => data,
};
const HEADER_BYTES = 6;

/** The payload of a short masked frame (RFC 6455, section 5.3). */
function unmaskedBytes(frame: Uint8Array): Buffer {
  return Buffer.from(frame.subarray(HEADER_BYTES).map((byte, i) => byte ^ (frame[2 + i % 4] ?? 0)));
}

function unmasked(frame: Uint8Array): string {
  return unmaskedBytes(frame).toString();
}

describe("the message ring", () => {
  it("slices any run of messages, also across its end, as masked frames", () => {
    const ring = new MessageRing(OPTIONS);
    const size = HEADER_BYTES + OPTIONS.payloadBytes;
    for (const sequence of [0, 1, 63, 64, 1000]) {
      const batch = ring.batch(sequence, 16);
      assertEquals(batch.length, 16 * size);
      for (let i = 0; i < 16; i++) {
        const frame = batch.subarray(i * size, (i + 1) * size);
        assertEquals([frame[0], frame[1]], [0x81, 0x80 | OPTIONS.payloadBytes]);
        assertEquals(unmasked(frame), ring.dataOf(sequence + i).toString());
      }
    }
  });

  it("holds different messages, so that a mixed-up answer is noticed", () => {
    const ring = new MessageRing(OPTIONS);
    assertEquals(new Set(ring.data.map(String)).size, ring.data.length);
    assertNotEquals(ring.dataOf(0), ring.dataOf(1));
  });

  it("writes a binary frame with a 16-bit length above 125 bytes", () => {
    const frame = new MessageRing({ ...OPTIONS, binary: true, opcode: BINARY, payloadBytes: 126 }).batch(
      0,
      1,
    );
    assertEquals([...frame.subarray(0, 4)], [0x82, 0xfe, 0, 126]);
  });

  it("leaves messages as they are without framing", () => {
    const ring = new MessageRing({ ...OPTIONS, opcode: undefined });
    assertEquals(Buffer.from(ring.batch(5, 1)).toString(), ring.dataOf(5).toString());
  });

  it("compresses each message by itself, and finds its way among messages of different sizes", () => {
    const ring = new MessageRing({ ...OPTIONS, content: "json", deflate: true, mostMessages: 3 });
    const [first, second] = [ring.batch(0, 1), ring.batch(1, 1)];
    const both = ring.batch(0, 2);
    assertEquals(Buffer.concat([first, second]), Buffer.from(both));
    assertEquals(first[0], 0xc1); // FIN and RSV1: RFC 7692, section 6
    const compressed = Buffer.concat([unmaskedBytes(second), Buffer.from([0, 0, 0xff, 0xff])]);
    const inflated = inflateRawSync(compressed, { finishFlush: constants.Z_SYNC_FLUSH });
    assertEquals(inflated.toString(), ring.dataOf(1).toString());
  });

  it("knows what arrives, and its size when all have the same", () => {
    const same = new MessageRing({
      ...OPTIONS,
      arriving: (data) => Buffer.concat([Buffer.from("42"), data]),
    });
    assertEquals([same.arrivingBytes, same.arrivingOf(65)?.toString()], [66, `42${same.dataOf(1)}`]);
    assertEquals(new MessageRing({ ...OPTIONS, arriving: undefined }).arrivingBytes, -1);
  });

  it("stays small when messages are large", () => {
    const ring = new MessageRing({ ...OPTIONS, payloadBytes: 4 * 1024 * 1024, longestBatch: 1 });
    assert(ring.data.length === 2);
  });
});
