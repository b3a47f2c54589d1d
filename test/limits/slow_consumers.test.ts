/** What the report of slow consumers says: how much, since when, what was missed, and who is worst. */
import { describe, it } from "node:test";
import { assertEquals } from "@std/assert";
import { SlowConsumers } from "../../server/limits/slow_consumers.ts";

interface Peer {
  readonly name: string;
  bufferedAmount: number;
}

function create(names: string) {
  const peers = [...names].map((name): Peer => ({ name, bufferedAmount: 0 }));
  const observed: number[] = [];
  const slow = new SlowConsumers<Peer>((bytes) => observed.push(bytes));
  const peer = (name: string): Peer => peers.find((peer) => peer.name === name) as Peer; // one of `names`
  return {
    slow,
    observed,
    peer,
    scan: (nowMs: number, backlogs: Readonly<Record<string, number>>) => {
      for (const peer of peers) peer.bufferedAmount = backlogs[peer.name] ?? 0;
      slow.scan(peers, nowMs);
    },
    report: (limit = 100) =>
      slow.report(limit).map((
        { peer, queuedBytes, sinceMs, skipped },
      ) => [peer.name, queuedBytes, sinceMs, skipped]),
  };
}

describe("the report of slow consumers", () => {
  it("has the peers with a backlog, how much it is and for how long there has been one, and no others", () => {
    const { scan, report, slow } = create("abc");
    scan(1_000, { a: 1, b: 50 });
    assertEquals(report(), [["b", 50, 0, 0], ["a", 1, 0, 0]]);
    scan(2_000, { a: 70, c: 20 });
    assertEquals(report(), [["a", 70, 1_000, 0], ["c", 20, 0, 0]]);
    assertEquals([slow.queuedBytes, slow.count], [90, 2]);
    scan(3_500, { a: 10 });
    assertEquals(report(), [["a", 10, 2_500, 0]]);
    scan(4_500, {});
    assertEquals([report(), slow.queuedBytes, slow.count], [[], 0, 0]);
    scan(5_500, { a: 10 });
    assertEquals(report(), [["a", 10, 0, 0]], "a new backlog begins anew");
  });

  it("has the largest backlog first, and as many as asked for", () => {
    const { scan, report } = create("abcd");
    scan(1_000, { a: 5, b: 9, c: 6, d: 1 });
    const all = [["b", 9, 0, 0], ["c", 6, 0, 0], ["a", 5, 0, 0], ["d", 1, 0, 0]];
    for (const limit of [0, 1, 3, 4, 5]) assertEquals(report(limit), all.slice(0, limit));
  });

  it("tells the observer each backlog of each scan, and nothing of peers without one", () => {
    const { scan, observed } = create("abc");
    scan(1_000, { a: 7, c: 3 });
    scan(2_000, { a: 8 });
    scan(3_000, {});
    assertEquals(observed, [7, 3, 8]);
  });

  it("counts the messages a peer has missed while it has a backlog", () => {
    const { scan, report, slow, peer } = create("ab");
    scan(1_000, { a: 5, b: 4 });
    slow.skipped(peer("a"));
    slow.skipped(peer("a"));
    assertEquals(report(), [["a", 5, 0, 2], ["b", 4, 0, 0]]);
    scan(2_000, { a: 5, b: 4 });
    slow.skipped(peer("a"));
    assertEquals(report(), [["a", 5, 1_000, 3], ["b", 4, 1_000, 0]]);
  });

  it("keeps a peer that has missed messages from one scan to the next at least, also without a backlog", () => {
    const { scan, report, slow, peer } = create("a");
    scan(1_000, { a: 5 });
    slow.skipped(peer("a"));
    assertEquals(report(), [["a", 5, 0, 1]]);
    scan(2_000, {});
    assertEquals(report(), [["a", 0, 0, 1]]);
    slow.skipped(peer("a"));
    scan(3_000, {});
    assertEquals(report(), [["a", 0, 0, 2]]);
    scan(4_000, {});
    assertEquals(report(), []);
  });

  it("knows since when a peer has a backlog that missed a message before the scan that found it", () => {
    const { scan, report, slow, peer } = create("a");
    scan(1_000, {});
    slow.skipped(peer("a"));
    scan(2_000, { a: 6 });
    assertEquals(report(), [["a", 6, 1_000, 1]]);
  });

  it("forgets who is gone, told or not", () => {
    const { scan, report, slow, peer } = create("abc");
    scan(1_000, { a: 5, b: 6, c: 7 });
    slow.remove(peer("b"));
    slow.remove(peer("b"));
    assertEquals([report(), slow.queuedBytes, slow.count], [[["c", 7, 0, 0], ["a", 5, 0, 0]], 12, 2]);
    slow.scan([peer("a")], 2_000);
    assertEquals([report(), slow.queuedBytes], [[["a", 5, 1_000, 0]], 5]);
  });
});
