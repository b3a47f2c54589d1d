import { describe, it } from "node:test";
import { assertEquals, assertThrows } from "@std/assert";
import {
  closeReceived,
  closeSent,
  CloseState,
  isClosed,
  isSendableCloseCode,
  MAX_CLOSE_FRAME_BYTES,
  maySend,
  NO_STATUS,
  writeCloseFrame,
} from "../../server/codec/closing.ts";
import { hex } from "./reference.ts";

describe("closing", () => {
  it("sends the codes that RFC 6455 section 7.4 and the registry let it send, and no others", () => {
    const sendable = [
      1000,
      1001,
      1002,
      1003,
      1007,
      1008,
      1009,
      1010,
      1011,
      1012,
      1013,
      1014,
      3000,
      3999,
      4000,
      4999,
    ];
    const not = [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535, 1000.5, -1, NaN];
    for (const code of sendable) assertEquals(isSendableCloseCode(code), true, String(code));
    for (const code of not) assertEquals(isSendableCloseCode(code), false, String(code));
  });

  it("writes close frames, empty, with a code, with a reason, masked (5.5.1)", () => {
    const target = new Uint8Array(MAX_CLOSE_FRAME_BYTES);
    const written = (...rest: [number?, string?, number?]) =>
      hex(target.slice(0, writeCloseFrame(target, 0, ...rest)));
    assertEquals(written(), "8800");
    assertEquals(written(NO_STATUS), "8800");
    assertEquals(written(1000), "880203e8");
    assertEquals(written(4001, "ü"), "88040fa1c3bc");
    assertEquals(written(1000, "", 0x04030201), "88820102030402ea");
    assertEquals(written(1000, "x".repeat(123)).length / 2, 127);
    assertThrows(() => written(1000, "x".repeat(124)), RangeError);
    assertThrows(() => written(1000, "é".repeat(62)), RangeError);
    assertThrows(() => written(1006), RangeError);
    assertThrows(() => written(NO_STATUS, "why"), RangeError);
  });

  it("says who began, from open to done, and lets nobody close twice (7.1.1)", () => {
    const { Open, ClosedByUs, ClosedByPeer, DoneByUs, DoneByPeer } = CloseState;
    assertEquals([closeSent(Open), closeReceived(ClosedByUs)], [ClosedByUs, DoneByUs]);
    assertEquals([closeReceived(Open), closeSent(ClosedByPeer)], [ClosedByPeer, DoneByPeer]);
    for (const state of [ClosedByUs, DoneByUs, DoneByPeer]) assertThrows(() => closeSent(state), TypeError);
    for (const state of [ClosedByPeer, DoneByUs, DoneByPeer]) {
      assertThrows(() => closeReceived(state), TypeError);
    }
    assertEquals([Open, ClosedByUs, ClosedByPeer].map(maySend), [true, false, false]);
    assertEquals([Open, ClosedByUs, ClosedByPeer, DoneByUs, DoneByPeer].map(isClosed), [
      false,
      false,
      false,
      true,
      true,
    ]);
  });
});
