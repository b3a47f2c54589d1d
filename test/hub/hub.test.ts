/** The hub's story for each subscriber: what was missed, then what is live, in order, each once, whatever comes between. */
import { describe, it } from "node:test";
import { assert, assertEquals } from "@std/assert";
import type { Broker, HistoryPage, Position, Publication, Receiver } from "../../server/broker/broker.ts";
import { BrokerUnavailable } from "../../server/broker/broker.ts";
import { pageOf } from "../../server/broker/history.ts";
import { MemoryBroker } from "../../server/broker/memory.ts";
import { Hub, type Joined } from "../../server/hub/hub.ts";
import { ManualClock } from "../helpers/manual_clock.ts";
import { seededRandom } from "../helpers/random.ts";

const KEPT = 40;
const RENEWED: Position = { epoch: "renewed", offset: 3 };

/** A broker that takes its time: it answers, and delivers, when the test says so, in the order in which it was asked. */
class SlowBroker extends MemoryBroker {
  readonly pending: (() => void)[] = [];
  isAway = false;
  /** What there is once the topic has started afresh elsewhere, of which nothing has come here yet. */
  renewed: readonly Publication[] | undefined = undefined;

  private later<Answer>(answer: () => Answer): Promise<Answer> {
    return new Promise((resolve, reject) =>
      this.pending.push(() => {
        try {
          if (this.isAway) throw new BrokerUnavailable("away");
          resolve(answer());
        } catch (error) {
          reject(error);
        }
      })
    );
  }

  // The contract allows either; the class that this one extends answers at once.
  override subscribe(topic: string): Position {
    return this.later(() => super.subscribe(topic)) as unknown as Position;
  }

  override history(topic: string, since: Position | undefined, limit: number): HistoryPage {
    // Read now, and known later: more is published meanwhile.
    const page = this.renewed === undefined
      ? super.history(topic, since, limit)
      : pageOf(RENEWED, since, limit, 1, (from, to) => this.renewed?.slice(from - 1, to) ?? []);
    return this.later(() => page) as unknown as HistoryPage;
  }
}

interface Stage {
  readonly hub: Hub;
  readonly broker: SlowBroker;
  readonly receiver: Receiver;
  readonly delivered: [topic: string, offset: number, pattern: string | undefined][];
  /** Lets the broker answer the first of what it was asked, and everybody hear it. */
  answer(): Promise<void>;
}

function stage(deliver: (publication: Publication, pattern: string | undefined) => void = () => {}): Stage {
  const delivered: Stage["delivered"] = [];
  let broker: SlowBroker | undefined;
  let told: Receiver | undefined;
  const hub = new Hub({
    createBroker(receiver: Receiver): Broker {
      const settings = {
        maxIdleTopics: 100,
        retentionOf: () => ({ messages: KEPT, seconds: 1000 }),
        clock: new ManualClock(),
      };
      told = receiver;
      return broker = new SlowBroker(settings, receiver);
    },
    delivery: {
      deliver(publication, pattern) {
        delivered.push([publication.topic, publication.offset, pattern]);
        deliver(publication, pattern);
      },
      lost() {},
      presence() {},
    },
    failed: (error) => {
      throw error;
    },
  });
  assert(broker !== undefined && told !== undefined);
  const asked = broker;
  return {
    hub,
    broker: asked,
    receiver: told,
    delivered,
    async answer() {
      asked.pending.shift()?.();
      // A promise's own turn, and that of whoever waits for it.
      for (let i = 0; i < 4; i++) await Promise.resolve();
    },
  };
}

describe("the hub", () => {
  it("delivers a publication once per topic and once per pattern that matches it", () => {
    const { hub, delivered } = stage();
    void hub.subscribePattern("a.*");
    void hub.subscribePattern("a.>");
    void hub.subscribePattern("b.>");
    void hub.subscribePattern("a.*");
    hub.publish("a.b", 1);
    assertEquals(delivered, [["a.b", 1, "a.>"], ["a.b", 1, "a.*"]]);
    hub.unsubscribePattern("a.*");
    hub.publish("a.b", 2);
    assertEquals(delivered.length, 4);
    hub.unsubscribePattern("a.*");
    hub.unsubscribePattern("a.>");
    hub.publish("a.b", 3);
    assertEquals(delivered.length, 4);
  });

  it("tells everybody who waits for a topic when the broker cannot be asked, and starts afresh for the next", async () => {
    const { hub, broker, answer } = stage();
    const outcomes: string[] = [];
    const join = () =>
      hub.subscribe("t", {
        since: undefined,
        joined: () => outcomes.push("joined"),
        failed: (error) => {
          assert(error instanceof BrokerUnavailable);
          outcomes.push("failed");
          hub.unsubscribe("t");
        },
      });
    broker.isAway = true;
    join();
    join();
    await answer();
    assertEquals(outcomes, ["failed", "failed"]);
    assertEquals(hub.topicCount, 0);
    broker.isAway = false;
    join();
    await answer();
    assertEquals(outcomes, ["failed", "failed", "joined"]);
    assertEquals(hub.subscriberCount("t"), 1);
  });

  it("has those wait for a new epoch who come back while it has not come here, and tells each what that means", async () => {
    const { hub, broker, receiver, answer } = stage();
    const outcomes: unknown[] = [];
    const join = (since?: Position) =>
      hub.subscribe("t", {
        since,
        joined: ({ epoch, offset, recovered, missed }) =>
          outcomes.push([epoch, offset, recovered, missed.map((publication) => publication.offset)]),
        failed: (error) => {
          throw error;
        },
      });
    join();
    await answer();
    const { epoch: old } = await hub.publish("t", 1);
    const { epoch } = RENEWED;
    broker.renewed = [1, 2, 3].map((offset) => ({ topic: "t", data: offset, epoch, offset }));
    outcomes.length = 0;
    join({ epoch, offset: 1 });
    join({ epoch: old, offset: 0 });
    await answer();
    await answer();
    assertEquals(outcomes, []);
    receiver.lost("t", epoch, 1, 0);
    for (const publication of broker.renewed) receiver.deliver(publication);
    await answer();
    await answer();
    assertEquals(outcomes, [[epoch, 3, true, [2, 3]], [epoch, 3, false, []]]);
  });

  it("asks again when the epoch changes here while the history is read", async () => {
    const { hub, broker, receiver, answer } = stage();
    const outcomes: unknown[] = [];
    const join = (since?: Position) =>
      hub.subscribe("t", {
        since,
        joined: ({ epoch, offset, recovered }) => outcomes.push([epoch, offset, recovered]),
        failed: (error) => {
          throw error;
        },
      });
    join();
    await answer();
    const { epoch: old } = await hub.publish("t", 1);
    outcomes.length = 0;
    join({ epoch: old, offset: 0 });
    broker.renewed = [];
    receiver.lost("t", RENEWED.epoch, 1, RENEWED.offset);
    await answer();
    assertEquals(outcomes, []);
    await answer();
    assertEquals(outcomes, [[RENEWED.epoch, RENEWED.offset, false]]);
  });

  for (let seed = 1; seed <= 20; seed++) {
    it(`lets no subscriber miss or repeat an offset, whatever is published while it comes back (seed ${seed})`, async () => {
      await recoverAtRandom(seed);
    });
  }
});

/** A client: what it has seen, and whether it is there, on its way, or away. */
interface Client {
  state: "away" | "joining" | "live";
  last: Position | undefined;
  recoveries: number;
}

async function recoverAtRandom(seed: number): Promise<void> {
  const { below, pick } = seededRandom(seed);
  const clients: Client[] = Array.from(
    { length: 8 },
    () => ({ state: "away", last: undefined, recoveries: 0 }),
  );
  const see = (client: Client, { epoch, offset }: Position) => {
    if (client.last !== undefined) assertEquals([epoch, offset], [client.last.epoch, client.last.offset + 1]);
    client.last = { epoch, offset };
  };
  const { hub, broker, answer } = stage((publication) => {
    for (const client of clients) if (client.state === "live") see(client, publication);
  });
  const come = (client: Client) => {
    client.state = "joining";
    hub.subscribe("t", {
      since: client.last,
      joined(joined: Joined) {
        if (client.state !== "joining") return;
        client.state = "live";
        // Well within what is kept.
        if (client.last !== undefined && joined.offset - client.last.offset < KEPT / 2) {
          assert(joined.recovered);
        }
        if (joined.recovered === false) client.last = undefined;
        else if (joined.recovered) client.recoveries++;
        for (const publication of joined.missed) see(client, publication);
        if (client.last !== undefined) assertEquals(client.last.offset, joined.offset);
        client.last = { epoch: joined.epoch, offset: joined.offset };
      },
      failed: (error) => {
        throw error;
      },
    });
  };
  for (let step = 0; step < 600; step++) {
    const client = pick(clients);
    const action = below(4);
    if (action === 0) hub.publish("t", step);
    else if (action === 1) await answer();
    else if (client.state === "away") come(client);
    else if (client.state === "live" && below(3) === 0) {
      client.state = "away";
      hub.unsubscribe("t");
    }
  }
  while (broker.pending.length > 0) await answer();
  const position = await hub.position("t");
  for (const client of clients) {
    if (client.state === "live") assertEquals(client.last, position);
    assert(client.state !== "joining");
  }
  assert(clients.some(({ recoveries }) => recoveries > 0));
}
