import { MemoryBroker } from "../../server/broker/memory.ts";
import { ManualClock } from "../helpers/manual_clock.ts";
import { describeBroker } from "./broker_suite.ts";

const clock = new ManualClock();

describeBroker("memory", {
  skip: false,
  joinsNodes: false,
  start: () => Promise.resolve(),
  stop: () => Promise.resolve(),
  create: (settings, receiver) => new MemoryBroker({ maxIdleTopics: 1_000, clock, ...settings }, receiver),
  passSecond: () => Promise.resolve(clock.advance(1_000)),
});
