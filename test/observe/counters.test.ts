import { describe, it } from "node:test";
import { assertEquals } from "@std/assert";
import { CloseCode } from "../../server/close.ts";
import { Counters } from "../../server/observe/counters.ts";

describe("the counters", () => {
  it("start at zero, every known reason included", () => {
    const counters = new Counters();
    const numbers = Object.values(counters).flatMap((value) =>
      typeof value === "number" ? value : Object.values(value as Record<string, number>)
    );
    assertEquals(numbers.every((number) => number === 0), true);
    assertEquals(Object.keys(counters.closes).length, Object.keys(CloseCode).length + 1);
  });

  it("belong to one server each", () => {
    const untouched = JSON.stringify(new Counters());
    const [one, other] = [new Counters(), new Counters()];
    one.drops.slow++;
    one.countClose(CloseCode.Normal);
    assertEquals(JSON.stringify(other), untouched);
  });

  it("count a close under its code when the server knows it", () => {
    const counters = new Counters();
    counters.countClose(CloseCode.SlowConsumer);
    counters.countClose(CloseCode.Abnormal);
    counters.countClose(CloseCode.Abnormal);
    assertEquals(counters.closes[CloseCode.SlowConsumer], 1);
    assertEquals(counters.closes[CloseCode.Abnormal], 2);
    assertEquals(counters.closes.other, 0);
  });

  it("have no new key for a code that a peer invents", () => {
    const counters = new Counters();
    for (const code of [3000, 4999, 1012, 0, -1, NaN, 65_536]) counters.countClose(code);
    assertEquals(counters.closes.other, 7);
    assertEquals(Object.keys(counters.closes), Object.keys(new Counters().closes));
  });
});
