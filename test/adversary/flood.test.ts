/** One connection that sends fifty times what it may, while a hundred others do their work. */
import { Buffer } from "node:buffer";
import { after, describe, it } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { CountingSubscriber } from "../helpers/counting_subscriber.ts";
import { Events } from "../helpers/events.ts";
import { ManualClock } from "../helpers/manual_clock.ts";
import { encodeFrame, Opcode, RawClient } from "../helpers/raw_client.ts";
import { whyNot } from "../helpers/runtime.ts";
import { joinRaw } from "../helpers/server.ts";
import { ask, metric, ownEngines, stage, tell } from "../helpers/stage.ts";

const RATE = { perSecond: 20, burst: 40 } as const;
const FLOOD = 50 * RATE.perSecond;
const OTHERS = 100;
const EACH = 30;

for (const engine of ownEngines) {
  describe(`a flood on ${engine}`, { skip: await whyNot(engine) }, () => {
    let watcher: CountingSubscriber | undefined;
    after(() => watcher?.destroy());
    const start = stage(engine);

    it("gets what its rate allows, refusals, then 4009, while everything of the others is done in order", async () => {
      const server = await start({ messageRate: RATE }, { clock: new ManualClock() });
      const woken = new Events<void>();
      const expected = RATE.burst + OTHERS * EACH;
      const watching = watcher = new CountingSubscriber(server.url, "t", expected, () => woken.wake());
      await woken.until(() => watching.isSubscribed, "the subscription");
      const flood = await joinRaw(server.url);
      const others = await Promise.all(Array.from({ length: OTHERS }, () => joinRaw(server.url)));
      const publish = (id: number, data: string) => JSON.stringify({ type: "publish", id, topic: "t", data });
      const surplus = Array.from(
        { length: FLOOD },
        (_, i) => encodeFrame(Opcode.Text, publish(i + 1, "surplus")),
      );
      const share = FLOOD / EACH;
      for (let round = 0; round < EACH; round++) {
        const from = Math.floor(round * share);
        flood.write(Buffer.concat(surplus.slice(from, Math.floor((round + 1) * share))));
        for (const other of others) other.send(Opcode.Text, publish(round + 1, "work"));
      }
      assertEquals((await flood.closed())?.code, 4009);
      const replies = flood.texts().slice(1).map((text) => JSON.parse(text));
      assertEquals(replies.map(({ id }) => id), Array.from({ length: 2 * RATE.burst }, (_, i) => i + 1));
      assert(replies.slice(0, RATE.burst).every(({ type }) => type === "ack"));
      assert(
        replies.slice(RATE.burst).every(({ code, retryAfterMs }) =>
          code === "rate_limited" && retryAfterMs === 1000 / RATE.perSecond
        ),
      );
      for (const other of others) {
        const acks = (await other.receiveTexts(1 + EACH)).slice(1).map((text) => JSON.parse(text));
        assertEquals(
          acks.map(({ type, id }) => [type, id]),
          Array.from({ length: EACH }, (_, i) => ["ack", i + 1]),
        );
        assert(acks.every(({ offset }, i) => i === 0 || offset > acks[i - 1].offset));
      }
      await woken.until(
        () => watching.count === expected || watching.fault !== undefined,
        "all publications",
      );
      assertEquals(watching.fault, undefined);
      // Nothing came behind them: the next offset is the next one.
      const last = await ask(others[0] as RawClient, { type: "publish", id: 0, topic: "t", data: "" });
      assertEquals(last["offset"], expected + 1);
      assertEquals(await metric(server, "millrace_rate_limited_total"), RATE.burst + 1);
    });

    it("of what is no command costs its rate too", async () => {
      const server = await start({ messageRate: RATE, maxErrors: 1_000_000 }, { clock: new ManualClock() });
      const [flood, other] = [await joinRaw(server.url), await joinRaw(server.url)];
      for (let i = 0; i < FLOOD; i++) flood.send(Opcode.Text, "?");
      assertEquals((await flood.closed())?.code, 4009);
      tell(other, { type: "ping", id: 1 });
      assertEquals((await other.receiveTexts(2)).length, 2);
    });
  });
}
