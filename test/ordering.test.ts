/** Order at size: many connections, topics and publishers, on each native engine as a process of its own. */
import { after, describe, it } from "node:test";
import { assertEquals } from "@std/assert";
import { CountingSubscriber } from "./helpers/counting_subscriber.ts";
import { Events } from "./helpers/events.ts";
import { encodeFrame, Opcode, RawClient } from "./helpers/raw_client.ts";
import {
  joinRaw,
  processEngines,
  spawnServer,
  stopProcesses,
  unlimitedFlags,
  whyNotAsProcess,
} from "./helpers/server.ts";

const CONNECTIONS = 1_000;
const TOPICS = 100;
const PUBLISHERS = 10;
const PUBLICATIONS = 100_000;
/** Of each topic: its share, and one at the end. */
const EXPECTED = PUBLICATIONS / TOPICS + 1;
const ROUNDS = PUBLICATIONS / PUBLISHERS / TOPICS;

/** Bun gives a test 5 seconds unless told otherwise; this one takes about as long. */
const TIMEOUT_MS = 60_000;

/** Fewer than a server lets wait for it to accept. */
const OPEN_AT_ONCE = 100;

/** Publishes to every topic in turn, round after round, asking for an answer once per round. */
async function publish(client: RawClient, publisher: number): Promise<void> {
  for (let round = 1; round <= ROUNDS; round++) {
    const frames = Array.from({ length: TOPICS }, (_, index) => {
      // Each publisher starts at another topic, so that all of them meet in all topics.
      const topic = `order.${(index + publisher * (TOPICS / PUBLISHERS)) % TOPICS}`;
      const id = index === TOPICS - 1 ? { id: round } : {};
      return encodeFrame(Opcode.Text, JSON.stringify({ type: "publish", ...id, topic, data: publisher }));
    });
    for (const frame of frames) client.write(frame);
    await client.receiveTexts(round + 1);
  }
}

for (const engine of processEngines) {
  describe(`order on the engine ${engine}`, { skip: whyNotAsProcess(engine) }, () => {
    const subscribers: CountingSubscriber[] = [];
    after(async () => {
      for (const subscriber of subscribers) subscriber.destroy();
      RawClient.destroyAll();
      await stopProcesses();
    });

    it(
      `shows ${CONNECTIONS} connections every offset of their topic once and in order: ${PUBLICATIONS} publications to ${TOPICS} topics by ${PUBLISHERS} publishers`,
      { timeout: TIMEOUT_MS },
      async () => {
        const server = await spawnServer(engine, unlimitedFlags);
        const changed = new Events<never>();
        const all = (holds: (subscriber: CountingSubscriber) => boolean, what: string) =>
          changed.until(() => subscribers.every((one) => one.fault !== undefined || holds(one)), what);
        while (subscribers.length < CONNECTIONS) {
          for (let i = 0; i < OPEN_AT_ONCE; i++) {
            const topic = `order.${subscribers.length % TOPICS}`;
            subscribers.push(new CountingSubscriber(server.url, topic, EXPECTED, () => changed.wake()));
          }
          await all((one) => one.isSubscribed, "subscriptions");
        }
        const publishers = await Promise.all(Array.from({ length: PUBLISHERS }, () => joinRaw(server.url)));
        await Promise.all(publishers.map(publish));
        // What comes twice comes before the last one to each topic.
        for (let topic = 0; topic < TOPICS; topic++) {
          const last = { type: "publish", topic: `order.${topic}`, data: "last" };
          publishers[topic % PUBLISHERS]?.send(Opcode.Text, JSON.stringify(last));
        }
        await all((one) => one.count >= EXPECTED, "every publication");
        for (const subscriber of subscribers) {
          assertEquals([subscriber.fault, subscriber.count], [undefined, EXPECTED]);
        }
      },
    );
  });
}
