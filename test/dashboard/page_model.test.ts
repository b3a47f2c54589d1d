/** What the page makes of the nodes' figures, without a page: rates, sums, who is gone, and how numbers are written. */
import { describe, it } from "node:test";
import { assertEquals } from "@std/assert";
import type { NodeFigures } from "../../server/dashboard/figures.ts";
import { Cluster, FORGOTTEN_MS, GONE_MS, MAX_POINTS, STALE_MS } from "../../server/dashboard/page/cluster.js";
import { bytes, count, milliseconds, percent, rate, span } from "../../server/dashboard/page/units.js";

type Given = Partial<Omit<NodeFigures, "totals">> & { readonly totals?: Partial<NodeFigures["totals"]> };

function figures(given: Given): NodeFigures {
  const totals = {
    received: 0,
    receivedBytes: 0,
    sent: 0,
    publications: 0,
    deliveries: 0,
    deliveredBytes: 0,
  };
  return {
    ...{ node: "a", run: "1", version: "1", engine: "ts", runtime: "node", broker: "memory", state: "ready" },
    ...{ uptimeSeconds: 100, atMs: 0, connections: 1, topics: 1, subscriptions: 1, queuedBytes: 0 },
    ...{ residentBytes: 1, heapUsedBytes: 1, loopLagMs: 0, slow: { count: 0, connections: [] } },
    traffic: { overMs: 1_000, topics: [], others: 0 },
    ...given,
    totals: { ...totals, dropped: 0, evicted: 0, cpuSeconds: 0, ...given.totals },
  };
}

function topic(name: string, deliveries: number, publications = 1) {
  return { topic: name, subscribers: 2, publications, deliveries, deliveredBytes: 10 * deliveries };
}

describe("the page's picture of the nodes", () => {
  it("makes rates of two records by the node's own clock, and none of one", () => {
    const cluster = new Cluster();
    cluster.receive(figures({ atMs: 5_000, totals: { deliveries: 900, cpuSeconds: 3 } }), 0);
    assertEquals([cluster.sum("deliveries", 0), cluster.sum("connections", 0)], [0, 1]);
    cluster.receive(figures({ atMs: 7_000, totals: { deliveries: 1_000, cpuSeconds: 4 } }), 990);
    assertEquals([cluster.sum("deliveries", 990), cluster.sum("cpuPercent", 990)], [50, 50]);
  });

  it("adds up deliveries of a topic over nodes, and not its publications", () => {
    const cluster = new Cluster();
    const traffic = (...topics: ReturnType<typeof topic>[]) => ({ overMs: 2_000, topics, others: 0 });
    cluster.receive(figures({ run: "1", traffic: traffic(topic("x", 20, 4), topic("y", 2)) }), 0);
    cluster.receive(figures({ run: "2", traffic: traffic(topic("y", 40, 4)) }), 0);
    assertEquals(cluster.topics(0), [
      { topic: "y", subscribers: 4, publications: 2, deliveries: 21, deliveredBytes: 210 },
      { topic: "x", subscribers: 2, publications: 2, deliveries: 10, deliveredBytes: 100 },
    ]);
  });

  it("leaves a silent node out of the sums, shows it as gone, and forgets it in the end", () => {
    const cluster = new Cluster();
    cluster.receive(figures({ run: "1", node: "a" }), 0);
    cluster.receive(figures({ run: "2", node: "b" }), 0);
    cluster.tick(0, 0);
    let nowMs = 0;
    for (; nowMs <= GONE_MS; nowMs += 1_000) cluster.receive(figures({ run: "2", node: "b" }), nowMs);
    cluster.tick(nowMs, 1);
    const [a, b] = cluster.sorted();
    assertEquals([a?.isGone(nowMs), b?.isGone(nowMs), cluster.sum("connections", nowMs)], [true, false, 1]);
    assertEquals([a?.points.connections, b?.points.connections], [[1, null], [1, 1]]);
    cluster.tick(FORGOTTEN_MS + 1, 2);
    assertEquals(cluster.sorted().map(({ figures }) => figures.node), ["b"]);
  });

  it("puts a restarted node in the place of its former run, and keeps two of one name apart", () => {
    const cluster = new Cluster();
    cluster.receive(figures({ run: "1" }), 0);
    cluster.receive(figures({ run: "2", uptimeSeconds: 50 }), 0);
    cluster.tick(STALE_MS, 0);
    assertEquals(cluster.nodes.size, 2);
    cluster.receive(figures({ run: "1" }), 9_000);
    cluster.receive(figures({ run: "3", uptimeSeconds: 1 }), 10_000);
    cluster.tick(10_000, 1);
    assertEquals(cluster.sorted().map(({ figures }) => figures.run), ["1", "3"]);
    assertEquals(new Set(cluster.sorted().map(({ slot }) => slot)).size, 2);
  });

  it("keeps as many points as a chart shows, aligned for a node that came late", () => {
    const cluster = new Cluster();
    cluster.receive(figures({ run: "1" }), 0);
    for (let at = 0; at < MAX_POINTS; at++) cluster.tick(0, at);
    cluster.receive(figures({ run: "2" }), 0);
    cluster.tick(0, MAX_POINTS);
    assertEquals([cluster.times.length, cluster.times[0]], [MAX_POINTS, 1]);
    const points = cluster.nodes.get("2")?.points.connections;
    assertEquals([points?.length, points?.at(-2), points?.at(-1)], [MAX_POINTS, null, 1]);
  });

  it("writes numbers short", () => {
    assertEquals([0, 950.4, 12_345, 1_234_567].map(count), ["0", "950", "12,345", "1.23M"]);
    assertEquals([0, 0.25, 9.94, 10.4, 250_000].map(rate), ["0", "0.3", "9.9", "10", "250k"]);
    assertEquals([0, 1_023, 1_536, 12 << 20].map(bytes), ["0 B", "1023 B", "1.50 KiB", "12 MiB"]);
    assertEquals([0, 0.5, 42, 1_500].map(milliseconds), ["0 ms", "0.5 ms", "42 ms", "1.5 s"]);
    assertEquals([3.21, 99.6].map(percent), ["3.2 %", "100 %"]);
    assertEquals([59.9, 61, 3_660, 90_000].map(span), ["59 s", "1 min 1 s", "1 h 1 min", "1 d 1 h"]);
  });
});
