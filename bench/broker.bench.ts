// What the memory broker adds to a publication. A publication here is as cheap as one can be: decoded from a client's
// JSON, given a place, encoded as JSON once and handed to nobody; sockets and subscribers, which cost much more, would
// only make the share smaller. Beside it the same without any broker: a counter.
// Usage: node --expose-gc --import tsx bench/broker.bench.ts [--quick] [--cell=TEXT]

import type { Publication, Retention } from "../server/broker/broker.ts";
import { MemoryBroker } from "../server/broker/memory.ts";
import { systemClock } from "../server/clock.ts";
import { jsonFormat } from "../server/protocol/json.ts";
import { toCommand } from "../server/protocol/command.ts";
import { type Contender, readOptions, runTable } from "./codec/table.ts";

const PUBLICATIONS = 256;
const TOPICS = 16;

let bytes = 0;

function encode({ topic, data, offset, epoch }: Publication): void {
  bytes += jsonFormat.encode({ type: "message", topic, data, offset, epoch }).length;
}

const commands = Array.from(
  { length: TOPICS },
  (_, index) =>
    JSON.stringify({
      type: "publish",
      id: 1,
      topic: `room.${index}`,
      data: { text: "hello", from: "somebody", at: 1 },
    }),
);

function contender(name: string, publish: (topic: string, data: unknown) => unknown): Contender {
  const run = () => {
    for (let index = 0; index < PUBLICATIONS; index++) {
      const command = toCommand(jsonFormat.decode(commands[index % TOPICS] as string)); // index < length
      if (command.type === "publish") publish(command.topic, command.data);
    }
  };
  return {
    name,
    check: () => {
      const before = bytes;
      run();
      if (bytes === before) throw new Error(`${name} delivered nothing`);
    },
    run,
  };
}

function memory(name: string, retention: Retention, patterns: readonly string[] = []): Contender {
  const broker = new MemoryBroker({ maxIdleTopics: 100, retentionOf: () => retention, clock: systemClock }, {
    deliver: encode,
    lost() {},
    joined() {},
    left() {},
    availability() {},
  });
  for (let index = 0; index < TOPICS; index++) broker.subscribe(`room.${index}`);
  for (const pattern of patterns) broker.subscribePattern(pattern);
  return contender(name, (topic, data) => broker.publish(topic, data));
}

let offset = 0;
const direct = contender("no broker", (topic, data) => {
  offset++;
  encode({ topic, data, epoch: "AbCdEfGh", offset });
  return { epoch: "AbCdEfGh", offset };
});

console.log("ns per publication, and how many times the first");
await runTable([{
  name: "publication",
  messages: PUBLICATIONS,
  contenders: [
    direct,
    memory("memory", { messages: 0, seconds: 0 }),
    memory("memory, 100 kept", { messages: 100, seconds: 600 }),
    memory("memory, 100 kept, a pattern", { messages: 100, seconds: 600 }, ["other.*"]),
  ],
}], readOptions());
