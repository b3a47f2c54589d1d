/**
 * The load generator's messages: decoded here by hand, as no codec of ours may vouch for itself.
 */
import { Buffer } from "node:buffer";
import { describe, it } from "node:test";
import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { MessageRing } from "../../bench/load/ring.ts";

const OPTIONS = {
  payloadBytes: 64,
  binary: false,
  framed: true,
  longestBatch: 16,
  wrap: (data: Buffer) => data,
};
const HEADER_BYTES = 6;

/** The payload of a short masked frame (RFC 6455, section 5.3). */
function unmasked(frame: Uint8Array): string {
  return Buffer.from(frame.subarray(HEADER_BYTES).map((byte, i) => byte ^ (frame[2 + i % 4] ?? 0)))
    .toString();
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
    const frame = new MessageRing({ ...OPTIONS, binary: true, payloadBytes: 126 }).batch(0, 1);
    assertEquals([...frame.subarray(0, 4)], [0x82, 0xfe, 0, 126]);
  });

  it("leaves messages as they are without framing", () => {
    const ring = new MessageRing({ ...OPTIONS, framed: false });
    assertEquals(Buffer.from(ring.batch(5, 1)).toString(), ring.dataOf(5).toString());
  });

  it("stays small when messages are large", () => {
    const ring = new MessageRing({ ...OPTIONS, payloadBytes: 4 * 1024 * 1024, longestBatch: 1 });
    assert(ring.data.length === 2);
  });
});
