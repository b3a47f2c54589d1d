/** The order in which the engine `ts` delivers what one turn of the event loop publishes, sends and rearranges. */
import { Buffer } from "node:buffer";
import process from "node:process";
import { describe, it } from "node:test";
import { constants, inflateRawSync } from "node:zlib";
import { assert, assertEquals } from "@std/assert";
import { DeflateMode, type Listener, type Message, type Socket } from "../../../server/engine.ts";
import type { Name } from "../../contract/fixture.ts";
import { seededRandom } from "../../codec/recorder.ts";
import { Opcode, type RawClient } from "../../helpers/raw_client.ts";
import { end, endEverything, join, start, turn } from "./setup.ts";

const SEEDS = process.env.MILLRACE_LONG === undefined ? 4 : 20;
const TURNS = 120;
const NAMES = [..."abcdefghijkl"];
const TOPICS = ["t", "u", "v", "w"];
/** Around the codec's boundaries, the threshold of compression, what goes by reference, and what no outbox holds. */
const LENGTHS = [0, 1, 20, 118, 119, 120, 200, 1024, 5_000, 20_000, 66_000];
/** So that one turn sometimes publishes more than may wait for its end. */
const FLOOD_LENGTH = 200_000;
const WHOLE_RUN = { timeout: 300_000 };

/** What a client can tell of a message. */
function told(opcode: number, payload: Uint8Array): string {
  return `${opcode} ${Buffer.from(payload).toString("latin1")}`;
}

/** What the engine should do, as plainly as it can be said: everything is delivered when it is called for. */
class Model {
  readonly received = new Map<Name, string[]>();
  readonly open = new Set<Name>();
  readonly topics = new Map<string, Set<Name>>(TOPICS.map((topic) => [topic, new Set()]));

  constructor() {
    for (const name of NAMES) {
      this.open.add(name);
      this.received.set(name, []);
    }
  }

  deliver(name: Name, message: Message): void {
    const bytes = Buffer.from(message as string); // as a Buffer takes both
    if (!this.open.has(name)) return;
    this.received.get(name)?.push(told(typeof message === "string" ? Opcode.Text : Opcode.Binary, bytes));
  }

  publish(topic: string, message: Message): void {
    for (const name of this.topics.get(topic) ?? []) this.deliver(name, message);
  }

  subscribe(name: Name, topic: string): void {
    if (this.open.has(name)) this.topics.get(topic)?.add(name);
  }

  unsubscribe(name: Name, topic: string): void {
    this.topics.get(topic)?.delete(name);
  }

  leave(name: Name): void {
    this.open.delete(name);
    for (const members of this.topics.values()) members.delete(name);
  }
}

/** The engine and the model side by side, given the same orders at random. */
class Trial {
  readonly model = new Model();
  readonly terminated = new Set<Name>();
  readonly counts: [string, number, number][] = [];
  private readonly random: (below: number) => number;
  private readonly listener: Listener;
  private readonly sockets: Map<Name, Socket<Name>>;
  private messages = 0;

  constructor(seed: number, listener: Listener, sockets: Map<Name, Socket<Name>>) {
    this.random = seededRandom(seed);
    this.listener = listener;
    this.sockets = sockets;
  }

  pick<T>(from: readonly T[]): T {
    return from[this.random(from.length)] as T; // below the length
  }

  socket(name: Name): Socket<Name> {
    return this.sockets.get(name) as Socket<Name>; // one for every name
  }

  /** Orders that follow each other without a break. */
  act(depth = 0): void {
    for (let orders = 1 + this.random(10); orders > 0; orders--) this.order(depth);
    for (const [topic, members] of this.model.topics) {
      this.counts.push([topic, this.listener.subscriberCount(topic), members.size]);
    }
  }

  private order(depth: number): void {
    const { model } = this;
    const name = this.pick(NAMES);
    const topic = this.pick(TOPICS);
    const dice = this.random(1000);
    if (dice < 450) this.publish(topic, this.message(this.pick(LENGTHS)));
    else if (dice < 620) {
      const message = this.message(this.pick(LENGTHS));
      model.deliver(name, message);
      this.socket(name).send(message);
    } else if (dice < 800) {
      model.subscribe(name, topic);
      this.socket(name).subscribe(topic);
    } else if (dice < 920) {
      model.unsubscribe(name, topic);
      this.socket(name).unsubscribe(topic);
    } else if (dice < 975) {
      if (depth < 3 && model.open.has(name)) this.socket(name).cork(() => this.act(depth + 1));
    } else if (dice < 979) {
      for (let i = 0; i < 8; i++) this.publish(topic, this.message(FLOOD_LENGTH));
    } else if (dice < 993) {
      model.leave(name);
      this.socket(name).close(4000, name);
    } else if (model.open.has(name)) {
      model.leave(name);
      this.terminated.add(name);
      this.socket(name).terminate();
    }
  }

  private publish(topic: string, message: Message): void {
    this.model.publish(topic, message);
    this.listener.publish(topic, message);
    // It was only lent.
    if (typeof message !== "string") message.fill(0);
  }

  private message(length: number): Message {
    const text = `${this.messages++} ${this.pick(["m", "é", "\u{1f600}"]).repeat(length)}`.slice(
      0,
      length + 2,
    );
    return this.random(2) === 0 ? text.toWellFormed() : Buffer.from(text);
  }
}

/** The messages that a client has got, inflated. Each may refer to 32 KiB before it, which go first as they are. */
function messagesOf(client: RawClient): string[] {
  let window = Buffer.alloc(0);
  return client.frames.all.filter(({ opcode }) => opcode < Opcode.Close).map(({ opcode, payload, rsv }) => {
    if (rsv === 0) return told(opcode, payload);
    const stored = Buffer.alloc(5);
    stored.writeUInt16LE(window.length, 1);
    stored.writeUInt16LE(~window.length & 0xffff, 3);
    const deflated = Buffer.concat([stored, window, payload, Buffer.from([0, 0, 0xff, 0xff])]);
    const all = inflateRawSync(deflated, { finishFlush: constants.Z_SYNC_FLUSH });
    const message = all.subarray(window.length);
    window = all.subarray(-32_768);
    return told(opcode, message);
  });
}

describe("publications of one turn on the engine ts", () => {
  endEverything();

  it("to several topics reach a subscriber of all in the order of the calls, with sends in between", async () => {
    const fixture = await start();
    const { client, socket } = await join(fixture, "a");
    const other = await join(fixture, "b");
    for (const topic of TOPICS) socket.subscribe(topic);
    other.socket.subscribe("u");
    const expected: string[] = [];
    for (let i = 0; i < 100; i++) {
      const topic = TOPICS[(i * 7) % TOPICS.length] as string;
      expected.push(`${topic} ${i}`);
      fixture.listener.publish(topic, `${topic} ${i}`);
      if (i % 9 !== 0) continue;
      expected.push(`send ${i}`);
      socket.send(`send ${i}`);
    }
    assertEquals(await client.receiveTexts(expected.length), expected);
    const ofOther = expected.filter((text) => text.startsWith("u"));
    assertEquals(await other.client.receiveTexts(ofOther.length), ofOther);
  });

  it("reach who subscribed before them, not who did so after, also when a topic was empty in between", async () => {
    const fixture = await start();
    const { client, socket } = await join(fixture, "a");
    const other = await join(fixture, "b");
    socket.subscribe("t");
    fixture.listener.publish("t", "1");
    other.socket.subscribe("t");
    fixture.listener.publish("t", "2");
    socket.unsubscribe("t");
    other.socket.unsubscribe("t");
    assertEquals(fixture.listener.subscriberCount("t"), 0);
    fixture.listener.publish("t", "3");
    other.socket.subscribe("t");
    fixture.listener.publish("t", "4");
    await turn();
    for (const each of [socket, other.socket]) each.send("end");
    assertEquals(await client.receiveTexts(3), ["1", "2", "end"]);
    assertEquals(await other.client.receiveTexts(3), ["2", "4", "end"]);
  });

  for (const deflate of Object.values(DeflateMode)) {
    it(`reach every socket as a plain model says, with deflate ${deflate}`, WHOLE_RUN, async () => {
      for (let seed = 1; seed <= SEEDS; seed++) await tryOut(seed, deflate);
    });
  }

  async function tryOut(seed: number, deflate: DeflateMode): Promise<void> {
    let onMessage = () => {};
    const fixture = await start({ deflate, maxBackpressureBytes: 2 ** 30, deflateThresholdBytes: 100 }, {
      message: () => onMessage(),
    });
    const clients = new Map<Name, RawClient>();
    const sockets = new Map<Name, Socket<Name>>();
    for (const [index, name] of NAMES.entries()) {
      const window = index % 3 === 0 ? "; server_max_window_bits=10" : "";
      const headers = index === 1 ? {} : { "Sec-WebSocket-Extensions": `permessage-deflate${window}` };
      const { client, socket } = await join(fixture, name, headers);
      clients.set(name, client);
      sockets.set(name, socket);
    }
    const trial = new Trial(seed, fixture.listener, sockets);
    for (let turns = 0; turns < TURNS; turns++) {
      const name = trial.pick(NAMES);
      if (turns % 2 === 0 || !trial.model.open.has(name)) {
        trial.act();
        await turn();
        continue;
      }
      // Inside a handler, where the connection's own messages are collected.
      await new Promise<void>((resolve) => {
        onMessage = () => {
          trial.act();
          resolve();
        };
        clients.get(name)?.send(Opcode.Text, "go");
      });
    }
    for (const [name, client] of clients) {
      const expected = trial.model.received.get(name) as string[]; // one for every name
      const what = `seed ${seed}, ${name}`;
      if (trial.model.open.has(name)) {
        trial.model.deliver(name, "end");
        trial.socket(name).send("end");
        await client.frames.find(({ payload }) => payload.toString() === "end", `the end of ${what}`);
      } else if (!trial.terminated.has(name)) {
        assertEquals(await client.closed(), { code: 4000, reason: name }, what);
      } else await client.gone();
      const received = messagesOf(client);
      // What terminate cuts off is lost; what came before is not out of order.
      if (trial.terminated.has(name)) expected.length = Math.min(expected.length, received.length);
      const wrong = expected.findIndex((message, index) => message !== received[index]);
      assert(wrong < 0, `${what}: message ${wrong} of ${expected.length} is wrong, ${received.length} came`);
      assertEquals(received.length, expected.length, what);
    }
    for (const [topic, actual, expected] of trial.counts) {
      assertEquals(actual, expected, `${topic}, seed ${seed}`);
    }
    assertEquals(fixture.events.all.filter(({ kind }) => kind === "failed"), []);
    for (const client of clients.values()) client.destroy();
    await end(fixture);
  }
});
