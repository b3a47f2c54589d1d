/** The traffic of topics: counted right, while somebody watches, within a bound. */
import { describe, it } from "node:test";
import { assertEquals } from "@std/assert";
import { MAX_COUNTED_TOPICS, TopicTraffic } from "../../server/dashboard/traffic.ts";
import { EngineDelivery } from "../../server/delivery.ts";
import type { Listener } from "../../server/engine.ts";
import { Counters } from "../../server/observe/counters.ts";

/** Every topic and pattern has `subscribers` who speak JSON. */
function stage(subscribers = 1) {
  const counters = new Counters();
  const delivery = new EngineDelivery(counters);
  const published: string[] = [];
  delivery.listener = {
    subscriberCount: (topic: string) => topic.startsWith("json") ? subscribers : 0,
    publish: (topic: string) => void published.push(topic),
  } as Partial<Listener> as Listener;
  const traffic = new TopicTraffic(delivery, counters);
  let offset = 0;
  const deliver = (topic: string, ...patterns: readonly string[]) => {
    const publication = { topic, data: null, epoch: "e", offset: ++offset };
    traffic.deliver(publication, undefined);
    for (const pattern of patterns) traffic.deliver(publication, pattern);
  };
  return { counters, traffic, deliver, published };
}

function named(traffic: TopicTraffic, limit = 10) {
  return traffic.take(limit).topics.map((
    { topic, publications, deliveries },
  ) => [topic, publications, deliveries]);
}

describe("the traffic of topics", () => {
  it("is delivered and not counted while nobody watches", () => {
    const { counters, traffic, deliver } = stage();
    deliver("a");
    assertEquals([counters.deliveries, traffic.take(10)], [1, { topics: [], others: 0 }]);
    traffic.start();
    deliver("a");
    traffic.stop();
    deliver("a");
    assertEquals([counters.deliveries, traffic.take(10).topics], [3, []]);
  });

  it("counts a publication once, however many patterns bring it, and each delivery", () => {
    const { traffic, deliver, counters } = stage(3);
    traffic.start();
    deliver("a", "*", ">");
    deliver("a");
    const { topics: [a] } = traffic.take(10);
    assertEquals([a?.publications, a?.deliveries, a?.deliveredBytes], [2, 12, counters.deliveredBytes]);
    assertEquals(named(traffic), []);
  });

  it("names the busiest first, and tells how many more there are", () => {
    const { traffic, deliver } = stage();
    traffic.start();
    for (let topic = 0; topic < 6; topic++) {
      for (let times = 0; times <= (topic * 5) % 6; times++) deliver(`t${topic}`);
    }
    const { topics, others } = traffic.take(3);
    assertEquals([topics.map(({ topic }) => topic), others], [["t1", "t2", "t3"], 3]);
    deliver("t0");
    assertEquals(named(traffic), [["t0", 1, 1]]);
  });

  it("counts so many topics at most, and has room again for others when those are quiet", () => {
    const { traffic, deliver } = stage();
    traffic.start();
    for (let topic = 0; topic <= MAX_COUNTED_TOPICS; topic++) deliver(`t${topic}`);
    assertEquals(traffic.take(1).others, MAX_COUNTED_TOPICS - 1);
    traffic.take(1);
    deliver(`t${MAX_COUNTED_TOPICS}`);
    assertEquals(named(traffic), [[`t${MAX_COUNTED_TOPICS}`, 1, 1]]);
  });

  it("leaves the server's own topics out of all counts", () => {
    const { counters, traffic, deliver, published } = stage();
    const asked: unknown[] = [];
    traffic.asked = (data) => asked.push(data);
    traffic.start();
    deliver("$nodes");
    deliver("$watch");
    assertEquals([counters.deliveries, counters.deliveredBytes, named(traffic)], [0, 0, []]);
    assertEquals([published, asked], [["json:$nodes"], [null]]);
  });
});
