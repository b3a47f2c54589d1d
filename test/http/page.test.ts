/** Pages of a list that changes while it is read. */
import { describe, it } from "node:test";
import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { pageOf } from "../../server/http/page.ts";

function pagesOf(names: Iterable<string>, limit: number): string[][] {
  const pages: string[][] = [];
  for (let after: string | null = ""; after !== null;) {
    const page: { items: readonly string[]; next: string | null } = pageOf(names, (name) => name, {
      after,
      limit,
    });
    pages.push([...page.items]);
    after = page.next;
  }
  return pages;
}

describe("a page", () => {
  it("together with those behind it has everything once, in order, however long pages are", () => {
    const lists = fc.uniqueArray(fc.string({ minLength: 1 }), { maxLength: 60 });
    fc.assert(
      fc.property(lists, fc.integer({ min: 1, max: 20 }), (names, limit) => {
        const pages = pagesOf(names, limit);
        assertEquals(pages.flat(), [...names].sort());
        assertEquals(pages.slice(0, -1).every((page) => page.length === limit), true);
      }),
      { seed: 5 },
    );
  });

  it("is the last one when it holds exactly what is left", () => {
    assertEquals(pagesOf(["b", "a"], 2), [["a", "b"]]);
    assertEquals(pagesOf(["b", "a", "c"], 2), [["a", "b"], ["c"]]);
    assertEquals(pagesOf([], 2), [[]]);
  });

  it("goes on behind a name that has gone meanwhile", () => {
    assertEquals(pageOf(["a", "c", "d"], (name) => name, { after: "b", limit: 1 }), {
      items: ["c"],
      next: "c",
    });
  });
});
