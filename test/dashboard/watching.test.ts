/** When a node tells its figures: to whom it matters, for as long as it matters. */
import { describe, it } from "node:test";
import { assertEquals } from "@std/assert";
import { BrokerUnavailable, type Publication } from "../../server/broker/broker.ts";
import type { NodeFigures } from "../../server/dashboard/figures.ts";
import { ASKED_FOR_MS, REPORT_INTERVAL_MS, Watching } from "../../server/dashboard/watching.ts";
import type { Joining } from "../../server/hub/hub.ts";
import { ManualClock } from "../helpers/manual_clock.ts";
import { recordingLog } from "../helpers/server.ts";

/** A node's surroundings that write down what it does. */
function stage(isAlone = false) {
  const clock = new ManualClock();
  const told: string[] = [];
  const joinings: Joining[] = [];
  const hub = {
    isAvailable: true,
    watchers: 0,
    answer: (): Promise<{ epoch: string; offset: number }> => Promise.resolve({ epoch: "e", offset: 1 }),
    publish(topic: string) {
      told.push(topic);
      return this.answer();
    },
    subscribe: (_: string, joining: Joining) => void joinings.push(joining),
    unsubscribe: () => undefined,
    subscriberCount: () => hub.watchers,
  };
  const sampler = {
    run: "this",
    start: () => void told.push("start"),
    stop: () => void told.push("stop"),
    sample: () => ({}) as NodeFigures,
  };
  const { log, lines } = recordingLog();
  const watching = new Watching({
    ...{ hub, sampler, isAlone, clock, log },
    apiKeys: { has: (key) => key === "right" },
    deliverHere: ({ topic }: Publication) => void told.push(`here ${topic}`),
  });
  const takeTold = () => told.splice(0);
  return { clock, hub, sampler, watching, takeTold, joinings, lines };
}

describe("watching", () => {
  it("tells at once and every second while somebody watches here, asks the others, and then stops", () => {
    const { clock, hub, watching, takeTold } = stage();
    clock.advance(10 * REPORT_INTERVAL_MS);
    assertEquals(takeTold(), []);
    hub.watchers = 1;
    watching.begin();
    assertEquals(takeTold(), ["start", "$watch", "$nodes"]);
    watching.begin();
    clock.advance(2 * REPORT_INTERVAL_MS);
    assertEquals(takeTold(), ["$watch", "$nodes", "$watch", "$nodes"]);
    hub.watchers = 0;
    clock.advance(10 * REPORT_INTERVAL_MS);
    assertEquals(takeTold(), ["stop"]);
    hub.watchers = 1;
    watching.begin();
    assertEquals(takeTold(), ["start", "$watch", "$nodes"]);
  });

  it("asks nobody where there is nobody else", () => {
    const { hub, watching, takeTold, joinings } = stage(true);
    hub.watchers = 1;
    watching.begin();
    assertEquals([takeTold(), joinings.length], [["start", "$nodes"], 0]);
  });

  it("tells while it is asked, and not for long after", () => {
    const { clock, watching, takeTold } = stage();
    for (let second = 0; second < 5; second++) {
      watching.asked({ run: "other" });
      clock.advance(REPORT_INTERVAL_MS);
    }
    assertEquals(takeTold(), ["start", ...Array(6).fill("$nodes")]);
    clock.advance(ASKED_FOR_MS + REPORT_INTERVAL_MS);
    assertEquals(takeTold().filter((one) => one === "stop").length, 1);
    clock.advance(10 * REPORT_INTERVAL_MS);
    assertEquals(takeTold(), []);
  });

  it("does not answer its own question, nor one that is none", () => {
    const { watching, takeTold } = stage();
    for (const data of [{ run: "this" }, null, 1, "other", {}, { run: 1 }]) watching.asked(data);
    assertEquals(takeTold(), []);
    watching.asked({ run: "other" });
    assertEquals(takeTold(), ["start", "$nodes"]);
  });

  it("tells those on this node while the broker is away", () => {
    const { clock, hub, watching, takeTold } = stage();
    hub.watchers = 1;
    watching.begin();
    takeTold();
    hub.isAvailable = false;
    clock.advance(REPORT_INTERVAL_MS);
    hub.isAvailable = true;
    clock.advance(REPORT_INTERVAL_MS);
    assertEquals(takeTold(), ["here $nodes", "$watch", "$nodes"]);
  });

  it("listens for questions from when the broker is there, and again when that has failed", () => {
    const { clock, hub, joinings } = stage();
    assertEquals(joinings.length, 1);
    clock.advance(REPORT_INTERVAL_MS);
    assertEquals(joinings.length, 1);
    hub.isAvailable = false;
    joinings[0]?.failed(new BrokerUnavailable("away"));
    clock.advance(REPORT_INTERVAL_MS);
    assertEquals(joinings.length, 1);
    hub.isAvailable = true;
    clock.advance(REPORT_INTERVAL_MS);
    assertEquals(joinings.length, 2);
  });

  it("takes a broker that goes away as it comes, and any other failure for a fault", async () => {
    const { clock, hub, watching, lines } = stage(true);
    hub.watchers = 1;
    hub.answer = () => Promise.reject(new BrokerUnavailable("away"));
    watching.begin();
    hub.answer = () => {
      throw new BrokerUnavailable("away");
    };
    clock.advance(REPORT_INTERVAL_MS);
    await Promise.resolve();
    assertEquals(lines, []);
    hub.answer = () => Promise.reject(new Error("broken"));
    clock.advance(REPORT_INTERVAL_MS);
    await new Promise((resolve) => setImmediate(resolve));
    assertEquals(lines.map(({ level }) => level), ["error"]);
  });

  it("survives figures that cannot be had, says so, and tries again", () => {
    const { clock, hub, sampler, watching, takeTold, lines } = stage(true);
    const { sample } = sampler;
    sampler.sample = () => {
      throw new Error("broken");
    };
    hub.watchers = 1;
    watching.begin();
    clock.advance(REPORT_INTERVAL_MS);
    assertEquals(lines.map(({ level }) => level), ["error", "error"]);
    assertEquals(takeTold(), ["start"]);
    sampler.sample = sample;
    clock.advance(REPORT_INTERVAL_MS);
    assertEquals(takeTold(), ["$nodes"]);
  });

  it("tells nothing once it is stopped, also when another node asks while the broker is being left", () => {
    const { clock, hub, watching, takeTold } = stage();
    hub.watchers = 1;
    watching.begin();
    takeTold();
    watching.stop();
    watching.asked({ run: "other" });
    clock.advance(10 * REPORT_INTERVAL_MS);
    assertEquals(takeTold(), ["stop"]);
    assertEquals([watching.accepts("right"), watching.accepts("wrong")], [true, false]);
  });
});
