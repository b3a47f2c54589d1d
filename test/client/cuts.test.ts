/**
 * The client behind a line that is delayed, goes silent and is cut, over and over: each message once and in order, or a
 * gap that says what is missing. MILLRACE_LONG makes it a minute; MILLRACE_SEED repeats a schedule.
 */
import { describe, it } from "node:test";
import process from "node:process";
import { assert, assertEquals, assertGreater } from "@std/assert";
import { type Client, createClient, type Gap, type Message, MillraceError } from "../../client/mod.ts";
import { CuttingProxy } from "../helpers/cutting_proxy.ts";
import { Events } from "../helpers/events.ts";
import { type Random, seededRandom } from "../helpers/random.ts";
import { startServer, unlimited } from "../helpers/server.ts";
import { testWebSocket } from "../helpers/web_socket.ts";

const SECONDS = process.env["MILLRACE_LONG"] ? 60 : 3;
const SEED = Number(process.env["MILLRACE_SEED"] ?? Date.now() % 1_000_000 + 1);
const MAX_PAUSE_MS = 8;

/** The first is kept, the second for a few messages only, the third not at all. */
const topics = ["kept.all", "few.some", "none.at-all"] as const;
const MINE = "kept.mine";

/** What one subscriber was told, in its order, and whether that is a story without holes. */
class Listener {
  readonly messages: Message<number>[] = [];
  readonly gaps: Gap[] = [];
  readonly faults: string[] = [];
  private offset = 0;
  private epoch = "";

  message(message: Message<number>): void {
    const { epoch, offset, topic } = message;
    this.messages.push(message);
    if (this.epoch === "") [this.epoch, this.offset] = [epoch, offset - 1];
    if (epoch !== this.epoch || offset !== this.offset + 1) {
      this.faults.push(`${topic}: ${epoch} ${offset} after ${this.epoch} ${this.offset}`);
    }
    [this.epoch, this.offset] = [epoch, offset];
  }

  gap(gap: Gap): void {
    const { topic, epoch = "", from = NaN, to = NaN } = gap;
    this.gaps.push(gap);
    if (epoch !== this.epoch || from !== this.offset + 1 || to < from) {
      this.faults.push(`${topic}: a gap ${epoch} ${from} to ${to} after ${this.epoch} ${this.offset}`);
    }
    this.offset = to;
  }
}

interface Publishing {
  isOver: boolean;
}

/** Publishes numbers to all topics over a good line; remembers where each came to. */
async function publishNumbers(client: Client, random: Random, publishing: Publishing) {
  const stored = new Map<string, number>();
  const last = new Map<string, number>();
  for (let data = 1; !publishing.isOver; data++) {
    const topic = random.pick(topics);
    const { offset } = await client.publish(topic, data);
    stored.set(`${topic} ${offset}`, data);
    last.set(topic, offset);
    await new Promise((resolve) => setTimeout(resolve, random.below(MAX_PAUSE_MS)));
  }
  return { stored, last };
}

/** Publishes numbers over the bad line, without repeating: what became of each. */
async function publishOwn(client: Client, random: Random, publishing: Publishing) {
  const outcomes = new Map<number, string>();
  const all: Promise<unknown>[] = [];
  for (let data = 1; !publishing.isOver; data++) {
    const outcome = client.publish(MINE, data).then(({ offset }) => `stored at ${offset}`, (error) => {
      return error instanceof MillraceError ? error.code : String(error);
    });
    all.push(outcome.then((text) => outcomes.set(data, text)));
    await new Promise((resolve) => setTimeout(resolve, random.below(MAX_PAUSE_MS)));
  }
  await Promise.all(all);
  return outcomes;
}

describe("a client whose line is cut", () => {
  it(`hands out each message once and in order, or a gap, for ${SECONDS} s (seed ${SEED})`, async () => {
    console.log(`MILLRACE_SEED=${SEED}`);
    const history = ["kept.>:100000:600", "few.>:3:600"];
    const server = await startServer({ ...unlimited, history, shutdownTimeoutSeconds: 0 });
    const proxy = await CuttingProxy.start(server.url, seededRandom(SEED));
    const WebSocket = testWebSocket;
    const publisher = createClient({ url: server.url, WebSocket });
    const client = createClient({
      ...{ url: proxy.url, WebSocket, backoff: { minMs: 5, maxMs: 40 } },
      heartbeat: { idleMs: 50, timeoutMs: 30 },
    });
    try {
      const errors: string[] = [];
      client.on("error", (error) => errors.push(`${error}`));
      const listeners = new Map(topics.map((topic) => [topic, new Listener()]));
      const progress = new Events<string>();
      for (const [topic, listener] of listeners) {
        client.subscribe(topic, (message) => {
          listener.message(message as Message<number>);
          progress.wake();
        }, {
          onGap: (gap) => {
            listener.gap(gap);
            progress.wake();
          },
        });
      }
      const publishing = { isOver: false };
      const own = publishOwn(client, seededRandom(SEED + 1), publishing);
      const others = publishNumbers(publisher, seededRandom(SEED + 2), publishing);
      await new Promise((resolve) => setTimeout(resolve, SECONDS * 1_000));
      proxy.calm();
      publishing.isOver = true;
      const [{ stored, last }, outcomes] = [await others, await own];
      // One more each, so that a loss at the very end shows.
      for (const topic of topics) {
        const { offset } = await publisher.publish(topic, 0);
        stored.set(`${topic} ${offset}`, 0);
        last.set(topic, offset);
      }
      const reached = (topic: (typeof topics)[number]) => {
        const listener = listeners.get(topic);
        return Math.max(listener?.messages.at(-1)?.offset ?? 0, listener?.gaps.at(-1)?.to ?? 0);
      };
      await progress.until(() => topics.every((topic) => reached(topic) === last.get(topic)), "the end");

      assertGreater(proxy.cuts, SECONDS);
      assertEquals(errors, []);
      for (const [topic, listener] of listeners) {
        assertEquals(listener.faults, []);
        assertGreater(listener.messages.length, 10);
        for (const { offset, data } of listener.messages) {
          assertEquals(data, stored.get(`${topic} ${offset}`));
        }
      }
      assertEquals(listeners.get("kept.all")?.gaps, [], "the history reaches back to everything");
      assertGreater(listeners.get("none.at-all")?.gaps.length ?? 0, 0);

      // What was published over the bad line: stored once if acknowledged, at most once otherwise, never on the quiet.
      const history = await wholeHistory(publisher);
      const counts = new Map<number, number>();
      for (const { data } of history) counts.set(data, (counts.get(data) ?? 0) + 1);
      for (const [data, outcome] of outcomes) {
        const times = counts.get(data) ?? 0;
        assert(
          outcome === "unknown_outcome" ? times <= 1 : times === 1,
          `${data}: ${outcome}, ${times} times`,
        );
        if (outcome.startsWith("stored")) {
          const { offset } = history.find((message) => message.data === data) ?? {};
          assertEquals(outcome, `stored at ${offset}`);
        }
      }
      assert([...outcomes.values()].some((outcome) => outcome.startsWith("stored")));
      const gapCount = [...listeners.values()].reduce((sum, { gaps }) => sum + gaps.length, 0);
      const unknown = [...outcomes.values()].filter((outcome) => outcome === "unknown_outcome").length;
      console.log(
        `${proxy.cuts} cuts, ${stored.size} publications, ${gapCount} gaps; ` +
          `${outcomes.size} of its own, ${unknown} with unknown outcome`,
      );
    } finally {
      await client.close({ flushMs: 0 });
      await publisher.close({ flushMs: 0 });
      await proxy.close();
      await server.close();
    }
  });
});

async function wholeHistory(client: Client): Promise<{ offset: number; data: number }[]> {
  const all: { offset: number; data: number }[] = [];
  let { epoch, offset } = { epoch: (await client.history(MINE, { limit: 1 })).epoch, offset: 0 };
  for (;;) {
    const page = await client.history(MINE, { since: { epoch, offset }, limit: 1_000 });
    if (page.messages.length === 0) return all;
    assert(page.complete);
    all.push(...page.messages as { offset: number; data: number }[]);
    ({ offset } = page.messages.at(-1) as { offset: number });
    ({ epoch } = page);
  }
}
