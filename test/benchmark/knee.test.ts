/** The search for the knee, against servers that are a function of the rate. */
import { describe, it } from "node:test";
import { assert, assertEquals, assertLessOrEqual } from "@std/assert";
import { findKnee, type Search, Verdict } from "../../scripts/benchmark/knee.ts";

const search: Search = { start: 1000, least: 1, most: 1e7, precision: 0.05, mostProbes: 40 };

/** A server that holds up to `knee`. */
function upTo(knee: number) {
  return (rate: number) => Promise.resolve(rate <= knee ? Verdict.Holds : Verdict.Fails);
}

describe("the search for the knee", () => {
  for (const knee of [2, 37, 999, 1000, 1001, 54_321, 9_999_000]) {
    it(`finds ${knee} from below by at most its precision`, async () => {
      const { ended, failedAt, probes, rate = 0 } = await findKnee(search, upTo(knee));
      assert(rate <= knee && rate * 1.06 >= knee, `${rate}`);
      assert(ended === "most" || (ended === "found" && (failedAt ?? 0) > knee), ended);
      assertLessOrEqual(probes, search.mostProbes);
    });
  }

  it("does not believe a single failure", async () => {
    let probes = 0;
    const { rate = 0 } = await findKnee(search, (rate) => {
      probes++;
      return probes === 1 ? Promise.resolve(Verdict.Fails) : upTo(5000)(rate);
    });
    assert(rate > 4700 && rate <= 5000, `${rate}`);
  });

  it("ends at the least rate when none holds, and at the greatest when all do", async () => {
    const none = await findKnee(search, upTo(0));
    assertEquals([none.rate, none.failedAt, none.ended], [undefined, 1, "least"]);
    const all = await findKnee(search, upTo(Infinity));
    assertEquals([all.rate, all.failedAt, all.ended], [1e7, undefined, "most"]);
  });

  it("ends where the prober cannot follow, and says what held until then", async () => {
    const probe = (rate: number) => Promise.resolve(rate <= 3000 ? Verdict.Holds : Verdict.Unprobed);
    const { ended, failedAt, rate = 0 } = await findKnee(search, probe);
    assertEquals([ended, failedAt], ["unprobed", undefined]);
    assert(rate > 1000 && rate <= 3000, `${rate}`);
  });

  it("makes no more probes than it may, whatever they find", async () => {
    for (const most of [1, 2, 3, 7]) {
      let probes = 0;
      const found = await findKnee({ ...search, mostProbes: most, precision: 0 }, (rate) => {
        probes++;
        return upTo(12_345)(rate);
      });
      assertEquals([probes, found.probes, found.ended], [most, most, "probes"]);
    }
  });
});
