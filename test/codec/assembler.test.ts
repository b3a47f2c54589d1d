import { describe, it } from "node:test";
import { assertEquals, assertLess, assertLessOrEqual } from "@std/assert";
import { Assembler } from "../../server/codec/assembler.ts";
import { NO_MASK } from "../../server/codec/mask.ts";
import { Opcode } from "../../server/codec/opcode.ts";

describe("assembler", () => {
  it("makes room in proportion to what has come, not to what is announced", () => {
    const assembler = new Assembler();
    assembler.beginMessage(Opcode.Binary, false);
    assembler.beginFrame(Opcode.Binary, true, 64 << 20, NO_MASK);
    let received = 0;
    for (const size of [1, 10, 1_000, 50_000, 1_000_000]) {
      assembler.append(new Uint8Array(size), 0, size);
      assembler.settle();
      received += size;
      assertLessOrEqual(assembler.bytes.length, Math.max(64, received * 8));
    }
    assertEquals(assembler.receivedBytes, received);
  });

  it("makes room seldom, for fragments of a byte as for a large frame in small chunks", () => {
    for (const announced of [1, 100_000]) {
      const assembler = new Assembler();
      assembler.beginMessage(Opcode.Binary, false);
      let growths = 0;
      for (let count = 0; count < 100_000; count++) {
        const before = assembler.bytes;
        if (announced === 1 || count === 0) assembler.beginFrame(Opcode.Binary, false, announced, NO_MASK);
        assembler.append(new Uint8Array([count]), 0, 1);
        assembler.settle();
        if (assembler.bytes !== before) growths++;
      }
      assertLess(growths, 16);
      assertEquals([assembler.length, assembler.bytes[300]], [100_000, 300 & 0xff]);
    }
  });
});
