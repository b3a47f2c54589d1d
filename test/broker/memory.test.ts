/** The memory broker: who owns a topic's order, and how long it is remembered. */
import { describe, it } from "node:test";
import { assert, assertEquals, assertMatch, assertNotEquals, unreachable } from "@std/assert";
import type { Position, Publication } from "../../server/broker/broker.ts";
import { MemoryBroker } from "../../server/broker/memory.ts";
import { ManualClock } from "../helpers/manual_clock.ts";
import { type Random, seededRandom } from "../helpers/random.ts";

function createWith(maxIdleTopics: number, deliver: (publication: Publication) => void): MemoryBroker {
  return new MemoryBroker(
    { maxIdleTopics, retentionOf: () => ({ messages: 0, seconds: 0 }), clock: new ManualClock() },
    {
      deliver,
      lost: () => unreachable(),
      joined: () => unreachable(),
      left: () => unreachable(),
      availability: () => unreachable(),
    },
  );
}

function create(maxIdleTopics = 10) {
  const delivered: Publication[] = [];
  const broker = createWith(maxIdleTopics, (publication) => delivered.push(publication));
  return { broker, delivered };
}

describe("the memory broker", () => {
  it("gives a topic one epoch, and offsets that grow by one from 1", () => {
    const { broker } = create();
    const { epoch, offset } = broker.subscribe("t");
    assertEquals(offset, 0);
    assertMatch(epoch, /^[\w-]{8,}$/);
    for (let next = 1; next <= 5; next++) assertEquals(broker.publish("t", next), { epoch, offset: next });
    assertEquals(broker.subscribe("t"), { epoch, offset: 5 });
  });

  it("keeps topics apart: each has an epoch and offsets of its own", () => {
    const { broker } = create();
    const a = broker.publish("a", 1);
    const b = broker.publish("b", 1);
    assertEquals([a.offset, b.offset], [1, 1]);
    assertNotEquals(a.epoch, b.epoch);
  });

  it("delivers a subscribed topic's publications before publish returns, and no others", () => {
    const { broker, delivered } = create();
    broker.publish("t", "before");
    const { epoch } = broker.subscribe("t");
    const data = { any: "value" };
    broker.publish("t", data);
    assertEquals(delivered, [{ topic: "t", data, epoch, offset: 2 }]);
    assert(delivered[0]?.data === data, "the data is handed on, not copied");
    broker.publish("other", 1);
    broker.unsubscribe("t");
    broker.publish("t", "after");
    assertEquals(delivered.length, 1);
  });

  it("delivers in the order of offsets also what a delivery publishes", () => {
    const offsets: number[] = [];
    const broker = createWith(1, ({ offset }) => {
      offsets.push(offset);
      if (offset < 4) broker.publish("t", "again");
    });
    broker.subscribe("t");
    assertEquals(broker.publish("t", "first").offset, 1);
    assertEquals(offsets, [1, 2, 3, 4]);
  });

  it("goes on counting when the last subscriber has left and comes back", () => {
    const { broker } = create();
    const { epoch } = broker.subscribe("t");
    broker.publish("t", 1);
    broker.unsubscribe("t");
    assertEquals(broker.publish("t", 2), { epoch, offset: 2 });
    assertEquals(broker.subscribe("t"), { epoch, offset: 2 });
  });

  it("forgets the idle topic that was unused for longest when there are more than maxIdleTopics", () => {
    const { broker } = create(2);
    const a = broker.publish("a", 1);
    const b = broker.publish("b", 1);
    broker.publish("a", 2);
    broker.publish("c", 1);
    const again = broker.publish("b", 1);
    assertEquals(again.offset, 1);
    assertNotEquals(again.epoch, b.epoch);
    // b came back in place of a; c is still there.
    assertEquals(broker.publish("c", 2).offset, 2);
    assertNotEquals(broker.publish("a", 3).epoch, a.epoch);
  });

  it("never forgets a subscribed topic, however many idle ones come", () => {
    const { broker } = create(1);
    const { epoch } = broker.subscribe("kept");
    for (let i = 0; i < 100; i++) broker.publish(`idle${i}`, 1);
    assertEquals(broker.publish("kept", 1), { epoch, offset: 1 });
  });

  it("remembers no idle topic at all with maxIdleTopics 0: each publication starts afresh", () => {
    const { broker } = create(0);
    const first = broker.publish("t", 1);
    const second = broker.publish("t", 1);
    assertEquals([first.offset, second.offset], [1, 1]);
    assertNotEquals(first.epoch, second.epoch);
    const { epoch } = broker.subscribe("t");
    broker.publish("t", 1);
    assertEquals(broker.publish("t", 1), { epoch, offset: 2 });
  });

  it("takes it calmly when a topic is left that nobody is in", () => {
    const { broker } = create(1);
    const { epoch } = broker.publish("t", 1);
    broker.unsubscribe("never");
    broker.unsubscribe("t");
    assertEquals(broker.publish("t", 1), { epoch, offset: 2 });
  });

  for (const seed of [1, 2, 3, 4, 5]) {
    it(`does what a plain list of topics would do, over 5,000 random operations (seed ${seed})`, () => {
      runModel(seededRandom(seed));
    });
  }
});

const OPERATIONS = 5_000;

interface ModelTopic {
  readonly name: string;
  epoch: string | undefined;
  offset: number;
  subscribed: boolean;
}

/** All topics there are, the one used last at the end. */
function runModel(random: Random): void {
  const maxIdleTopics = 1 + random.below(5);
  const names = Array.from({ length: 4 + random.below(12) }, (_, index) => `topic.${index}`);
  const { broker, delivered } = create(maxIdleTopics);
  const epochs = new Set<string>();
  let topics: ModelTopic[] = [];
  let expected: Publication[] = [];
  const use = (name: string): ModelTopic => {
    const topic = topics.find((topic) => topic.name === name) ??
      { name, epoch: undefined, offset: 0, subscribed: false };
    topics = [...topics.filter((other) => other !== topic), topic];
    return topic;
  };
  const forget = () => {
    const idle = topics.filter((topic) => !topic.subscribed);
    const forgotten = idle.slice(0, Math.max(0, idle.length - maxIdleTopics));
    topics = topics.filter((topic) => !forgotten.includes(topic));
  };
  const check = (topic: ModelTopic, { epoch, offset }: Position) => {
    if (topic.epoch === undefined) {
      assert(!epochs.has(epoch), "an epoch came back");
      epochs.add(epoch);
      topic.epoch = epoch;
    }
    assertEquals({ epoch, offset }, { epoch: topic.epoch, offset: topic.offset });
  };
  for (let i = 0; i < OPERATIONS; i++) {
    const name = random.pick(names);
    const operation = random.below(4);
    if (operation === 0) {
      const topic = use(name);
      topic.subscribed = true;
      check(topic, broker.subscribe(name));
    } else if (operation === 1) {
      const topic = topics.find((topic) => topic.name === name && topic.subscribed);
      if (topic !== undefined) use(name).subscribed = false;
      broker.unsubscribe(name);
    } else {
      const topic = use(name);
      topic.offset++;
      const position = broker.publish(name, i);
      check(topic, position);
      if (topic.subscribed) expected.push({ topic: name, data: i, ...position });
    }
    forget();
    assertEquals(delivered, expected);
    delivered.length = 0;
    expected = [];
  }
}
