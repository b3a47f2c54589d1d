/**
 * The promises of the broker contract, each a named test that every broker keeps. A broker that joins nodes is also
 * tested with two nodes that share what is behind it.
 */
import { after, before, describe, it } from "node:test";
import { assert, assertEquals, assertFalse, assertMatch, assertNotEquals, assertRejects } from "@std/assert";
import {
  type Broker,
  BrokerUnavailable,
  type Member,
  type Position,
  type Publication,
  type Receiver,
  type RetentionOf,
} from "../../server/broker/broker.ts";
import { Events } from "../helpers/events.ts";

export type Told =
  | { kind: "deliver"; publication: Publication }
  | { kind: "lost"; topic: string; epoch: string; from: number; to: number }
  | { kind: "joined" | "left"; topic: string; member: Member }
  | { kind: "availability"; isAvailable: boolean };

/** A node as its broker sees it: everything that is told is recorded. */
export class Node {
  readonly events = new Events<Told>();
  readonly broker: Broker;

  constructor(create: (receiver: Receiver) => Broker) {
    const { events } = this;
    this.broker = create({
      deliver: (publication) => events.push({ kind: "deliver", publication }),
      lost: (topic, epoch, from, to) => events.push({ kind: "lost", topic, epoch, from, to }),
      joined: (topic, member) => events.push({ kind: "joined", topic, member }),
      left: (topic, member) => events.push({ kind: "left", topic, member }),
      availability: (isAvailable) => events.push({ kind: "availability", isAvailable }),
    });
  }

  async ready(): Promise<this> {
    if (!this.broker.isAvailable) {
      await this.events.until(() => this.broker.isAvailable, "the broker to be there");
    }
    return this;
  }

  delivered(topic: string): Publication[] {
    return this.events.all.flatMap((told) =>
      told.kind === "deliver" && told.publication.topic === topic ? [told.publication] : []
    );
  }

  offsets(topic: string): number[] {
    return this.delivered(topic).map(({ offset }) => offset);
  }

  async receives(topic: string, count: number): Promise<Publication[]> {
    await this.events.until(() => this.delivered(topic).length >= count, `${count} publications of ${topic}`);
    return this.delivered(topic);
  }

  presence(topic: string): [kind: string, name: string][] {
    return this.events.all.flatMap((told) =>
      (told.kind === "joined" || told.kind === "left") && told.topic === topic
        ? [[told.kind, told.member.user ?? told.member.session] as [string, string]]
        : []
    );
  }

  /** Whether a place was told to be lost. */
  wasLost(topic: string, { epoch, offset }: Position): boolean {
    return this.events.all.some((told) =>
      told.kind === "lost" && told.topic === topic && told.epoch === epoch && told.from <= offset &&
      offset <= told.to
    );
  }

  /** Whether everything told of a topic follows on without a hole from `position`; what it was told as lost counts. */
  assertNoHole(topic: string, position: Position): Position {
    let { epoch, offset } = position;
    for (const told of this.events.all) {
      if (told.kind === "lost" && told.topic === topic) {
        if (told.epoch === epoch) assertEquals(told.from, offset + 1);
        else assertEquals(told.from, 1);
        assert(told.to >= told.from - 1);
        ({ epoch, to: offset } = told);
      } else if (told.kind === "deliver" && told.publication.topic === topic) {
        assertEquals({ epoch: told.publication.epoch, offset: told.publication.offset }, {
          epoch,
          offset: offset + 1,
        });
        offset++;
      }
    }
    return { epoch, offset };
  }
}

export interface SuiteSettings {
  readonly retentionOf: RetentionOf;
}

export interface BrokerSuite {
  /** Why the broker cannot run here; then the suite is skipped. */
  readonly skip: string | false;
  /** Starts what is behind the broker. */
  start(): Promise<void>;
  stop(): Promise<void>;
  /** A further node. */
  create(settings: SuiteSettings, receiver: Receiver): Broker;
  /** Whether nodes can share it. */
  readonly joinsNodes: boolean;
  /** Moves time forward far enough that what is kept for a second is not kept any more. */
  passSecond(): Promise<void>;
}

const KEPT = 5;

/** By the topic's first token: nothing, the last few for long, many for a second. */
function retentionOf(topic: string) {
  if (topic.startsWith("kept.")) return { messages: KEPT, seconds: 600 };
  if (topic.startsWith("many.")) return { messages: 3_000, seconds: 600 };
  if (topic.startsWith("brief.")) return { messages: 100, seconds: 1 };
  return { messages: 0, seconds: 0 };
}

let topicCount = 0;

/** A topic that no other test uses. */
function fresh(start: string): string {
  return `${start}.${++topicCount}`;
}

export function describeBroker(name: string, suite: BrokerSuite): void {
  describe(`the broker ${name} keeps the contract`, { skip: suite.skip }, () => {
    const nodes: Node[] = [];
    let node: Node;

    before(async () => {
      await suite.start();
      node = await startNode();
    });
    after(async () => {
      await Promise.all(nodes.map(({ broker }) => broker.close()));
      await suite.stop();
    });

    async function startNode(): Promise<Node> {
      const created = new Node((receiver) => suite.create({ retentionOf }, receiver));
      nodes.push(created);
      return await created.ready();
    }

    it("gives a topic one epoch, and offsets that grow by one from 1", async () => {
      const topic = fresh("plain");
      const { epoch, offset } = await node.broker.publish(topic, 1);
      assertEquals(offset, 1);
      assertMatch(epoch, /^[\w-]{8,}$/);
      for (let next = 2; next <= 5; next++) {
        assertEquals(await node.broker.publish(topic, next), { epoch, offset: next });
      }
      assertEquals(await node.broker.position(topic), { epoch, offset: 5 });
      const other = await node.broker.publish(fresh("plain"), 1);
      assertEquals(other.offset, 1);
      assertNotEquals(other.epoch, epoch);
    });

    it("knows no place of a topic that has never been", async () => {
      assertEquals(await node.broker.position(fresh("never")), undefined);
    });

    it("delivers what is published after the place that subscribe answers, in order, each once", async () => {
      const topic = fresh("plain");
      await node.broker.publish(topic, "before");
      const place = await node.broker.subscribe(topic);
      assertEquals(place.offset, 1);
      assertEquals(node.delivered(topic), []);
      const answers = await Promise.all(
        Array.from({ length: 100 }, (_, index) => node.broker.publish(topic, index)),
      );
      assertEquals(answers.map(({ offset }) => offset), Array.from({ length: 100 }, (_, index) => index + 2));
      const delivered = await node.receives(topic, 100);
      assertEquals(delivered.map(({ data }) => data), Array.from({ length: 100 }, (_, index) => index));
      assertEquals(node.assertNoHole(topic, place), { epoch: place.epoch, offset: 101 });
    });

    it("delivers any data as it was given", async () => {
      const topic = fresh("plain");
      await node.broker.subscribe(topic);
      const data = [
        ...[null, true, 0, -1, 1.5, 2 ** 40, "", "Grüße \u{1f30a} \0\r\n", [], {}, {
          a: [{ b: "c" }],
          "": null,
        }],
        Uint8Array.from({ length: 256 }, (_, byte) => byte),
      ];
      for (const value of data) await node.broker.publish(topic, value);
      const delivered = await node.receives(topic, data.length);
      // A binary value may come as a Buffer.
      const plain = delivered.map(({ data }) => data instanceof Uint8Array ? Uint8Array.from(data) : data);
      assertEquals(plain, data);
    });

    it("answers subscribe again with the place of the last delivery, also while the first answer is pending", async () => {
      const topic = fresh("plain");
      const [first, second] = await Promise.all([node.broker.subscribe(topic), node.broker.subscribe(topic)]);
      assertEquals(first, second);
      await node.broker.publish(topic, 1);
      await node.receives(topic, 1);
      assertEquals(await node.broker.subscribe(topic), { epoch: first.epoch, offset: 1 });
      await node.broker.publish(topic, 2);
      assertEquals((await node.receives(topic, 2)).length, 2);
    });

    it("delivers nothing of a topic that was left, and goes on counting", async () => {
      const [topic, control] = [fresh("plain"), fresh("plain")];
      const { epoch } = await node.broker.subscribe(topic);
      await node.broker.subscribe(control);
      await node.broker.publish(topic, 1);
      await node.receives(topic, 1);
      node.broker.unsubscribe(topic);
      assertEquals(await node.broker.publish(topic, 2), { epoch, offset: 2 });
      await node.broker.publish(control, 1);
      await node.receives(control, 1);
      assertEquals(node.offsets(topic), [1]);
      assertEquals(await node.broker.subscribe(topic), { epoch, offset: 2 });
      await node.broker.publish(topic, 3);
      await node.receives(topic, 2);
      assertEquals(node.offsets(topic), [1, 3]);
    });

    it("is subscribed after leave and return in the same turn, and not after return and leave", async () => {
      const [stays, goes] = [fresh("plain"), fresh("plain")];
      await Promise.all([node.broker.subscribe(stays), node.broker.subscribe(goes)]);
      node.broker.unsubscribe(stays);
      const again = node.broker.subscribe(stays);
      node.broker.unsubscribe(goes);
      const pending = node.broker.subscribe(goes);
      node.broker.unsubscribe(goes);
      await again;
      await pending;
      await node.broker.publish(goes, 1);
      await node.broker.publish(stays, 1);
      await node.receives(stays, 1);
      assertEquals(node.offsets(goes), []);
    });

    it("keeps the last publications of a topic, as many as its retention says", async () => {
      const topic = fresh("kept");
      for (let index = 1; index <= KEPT + 3; index++) await node.broker.publish(topic, `data ${index}`);
      const page = await node.broker.history(topic, undefined, 100);
      assertEquals(page.offset, KEPT + 3);
      assertEquals(page.messages.map(({ offset }) => offset), [4, 5, 6, 7, 8]);
      assertEquals(page.messages[0], { topic, data: "data 4", epoch: page.epoch, offset: 4 });
      assert(page.complete);
      assertEquals(page.epoch, (await node.broker.position(topic))?.epoch);
    });

    it("answers an acknowledged publication from then on", async () => {
      const topic = fresh("kept");
      for (let index = 1; index <= 20; index++) {
        const place = await node.broker.publish(topic, index);
        const page = await node.broker.history(topic, { epoch: place.epoch, offset: place.offset - 1 }, 10);
        assertEquals(page.messages.map(({ data }) => data), [index]);
      }
    });

    it("keeps no publication for longer than its retention says", async () => {
      const topic = fresh("brief");
      const first = await node.broker.publish(topic, "early");
      assertEquals((await node.broker.history(topic, undefined, 10)).messages.length, 1);
      await suite.passSecond();
      const gone = await node.broker.history(topic, undefined, 10);
      assertEquals([gone.epoch, gone.offset, gone.messages.length], [first.epoch, 1, 0]);
      await node.broker.publish(topic, "late");
      const page = await node.broker.history(topic, { epoch: first.epoch, offset: 0 }, 10);
      assertEquals(page.messages.map(({ data }) => data), ["late"]);
      assertFalse(page.complete);
    });

    it("reads a history from a place on, oldest first, page by page, and says whether it reaches back", async () => {
      const topic = fresh("kept");
      let epoch = "";
      for (let index = 1; index <= 8; index++) ({ epoch } = await node.broker.publish(topic, index));
      const read = async (since: Position | undefined, limit: number) => {
        const { messages, complete } = await node.broker.history(topic, since, limit);
        return { offsets: messages.map(({ offset }) => offset), complete };
      };
      assertEquals(await read({ epoch, offset: 3 }, 100), { offsets: [4, 5, 6, 7, 8], complete: true });
      assertEquals(await read({ epoch, offset: 3 }, 2), { offsets: [4, 5], complete: true });
      assertEquals(await read({ epoch, offset: 5 }, 2), { offsets: [6, 7], complete: true });
      assertEquals(await read({ epoch, offset: 7 }, 2), { offsets: [8], complete: true });
      assertEquals(await read({ epoch, offset: 8 }, 2), { offsets: [], complete: true });
      assertEquals(await read({ epoch, offset: 2 }, 2), { offsets: [4, 5], complete: false });
      assertEquals(await read({ epoch, offset: 99 }, 2), { offsets: [4, 5], complete: false });
      assertEquals(await read({ epoch: "another", offset: 6 }, 2), { offsets: [4, 5], complete: false });
      assertEquals(await read(undefined, 2), { offsets: [7, 8], complete: true });
      assertEquals(await read(undefined, 0), { offsets: [], complete: true });
    });

    it("keeps nothing without retention, and says so", async () => {
      const topic = fresh("plain");
      const { epoch } = await node.broker.publish(topic, 1);
      const page = await node.broker.history(topic, { epoch, offset: 0 }, 10);
      assertEquals(page, { epoch, offset: 1, messages: [], complete: false });
      assert((await node.broker.history(topic, { epoch, offset: 1 }, 10)).complete);
    });

    it("keeps the history of a topic that nobody is in, and of one that was left", async () => {
      const topic = fresh("kept");
      const { epoch } = await node.broker.subscribe(topic);
      await node.broker.publish(topic, 1);
      node.broker.unsubscribe(topic);
      await node.broker.publish(topic, 2);
      const { messages, complete } = await node.broker.history(topic, { epoch, offset: 0 }, 10);
      assertEquals([messages.map(({ data }) => data), complete], [[1, 2], true]);
    });

    it("delivers the publications of all topics that a pattern matches, and no others", async () => {
      const root = fresh("pattern");
      await node.broker.subscribePattern(`${root}.*.b`);
      await node.broker.subscribePattern(`${root}.tail.>`);
      const matching = [`${root}.a.b`, `${root}.x.b`, `${root}.tail.a`, `${root}.tail.a.b.c`];
      const others = [
        root,
        `${root}.b`,
        `${root}.a.c`,
        `${root}.a.a.b`,
        `${root}.a.b.b`,
        `${root}.tail`,
        `x${root}.a.b`,
      ];
      for (const topic of [...others, ...matching]) await node.broker.publish(topic, topic);
      for (const topic of matching) assertEquals((await node.receives(topic, 1))[0]?.data, topic);
      for (const topic of others) assertEquals(node.offsets(topic), [], topic);
      node.broker.unsubscribePattern(`${root}.*.b`);
      await node.broker.publish(`${root}.a.b`, 1);
      await node.broker.publish(`${root}.tail.a`, 1);
      await node.receives(`${root}.tail.a`, 2);
      assertEquals(node.offsets(`${root}.a.b`), [1]);
    });

    it("delivers a publication once, however many patterns match and whether the topic is subscribed too", async () => {
      const root = fresh("pattern");
      const topic = `${root}.a`;
      await node.broker.subscribePattern(`${root}.*`);
      await node.broker.subscribePattern(`${root}.>`);
      await node.broker.publish(topic, 1);
      await node.receives(topic, 1);
      assertEquals((await node.broker.subscribe(topic)).offset, 1);
      for (let index = 2; index <= 10; index++) await node.broker.publish(topic, index);
      await node.receives(topic, 10);
      node.broker.unsubscribePattern(`${root}.>`);
      node.broker.unsubscribe(topic);
      await node.broker.publish(topic, 11);
      await node.receives(topic, 11);
      await node.broker.subscribe(topic);
      node.broker.unsubscribePattern(`${root}.*`);
      await node.broker.publish(topic, 12);
      await node.receives(topic, 12);
      assertEquals(node.offsets(topic), Array.from({ length: 12 }, (_, index) => index + 1));
    });

    it("tells who is in a topic, a user once however many sessions there are, sessions without a user each", async () => {
      const topic = fresh("presence");
      assertEquals(await node.broker.watch(topic), []);
      const [ann1, ann2, guest1, guest2] = [
        { user: "ann", session: "s1" },
        { user: "ann", session: "s2" },
        { user: undefined, session: "s3" },
        { user: undefined, session: "s4" },
      ] as const;
      for (const member of [ann1, ann2, guest1, guest2]) node.broker.join(topic, member);
      await node.events.until(() => node.presence(topic).length >= 3);
      assertEquals(node.presence(topic), [["joined", "ann"], ["joined", "s3"], ["joined", "s4"]]);
      const members = await node.broker.members(topic);
      assertEquals(members.map(({ user, session }) => user ?? session).sort(), ["ann", "s3", "s4"]);
      node.broker.leave(topic, ann1);
      node.broker.leave(topic, guest1);
      await node.events.until(() => node.presence(topic).length >= 4);
      node.broker.leave(topic, ann2);
      await node.events.until(() => node.presence(topic).length >= 5);
      assertEquals(node.presence(topic).slice(3), [["left", "s3"], ["left", "ann"]]);
      assertEquals(await node.broker.members(topic), [guest2]);
      node.broker.unwatch(topic);
      node.broker.leave(topic, guest2);
      assertEquals(await node.broker.members(topic), []);
      assertEquals(node.presence(topic).length, 5);
    });

    it("takes users and sessions of any characters", async () => {
      const topic = fresh("presence");
      const member = { user: 'a\nb "c" \\ \u{1f30a}', session: "s 1" };
      node.broker.join(topic, member);
      assertEquals(await node.broker.members(topic), [member]);
      node.broker.leave(topic, member);
      assertEquals(await node.broker.members(topic), []);
    });

    it("takes nothing and calls nobody after close", async () => {
      const closed = await startNode();
      const topic = fresh("plain");
      await closed.broker.subscribe(topic);
      await closed.broker.close();
      await closed.broker.close();
      assertFalse(closed.broker.isAvailable);
      const told = closed.events.all.length;
      await assertRejects(async () => await closed.broker.publish(topic, 1), BrokerUnavailable);
      await node.broker.subscribe(topic);
      await node.broker.publish(topic, 1);
      await node.receives(topic, 1);
      assertEquals(closed.events.all.length, told);
    });

    describe("with two nodes", { skip: !suite.joinsNodes && "it is for one node" }, () => {
      let other: Node;

      before(async () => {
        other = await startNode();
      });

      it("delivers on both what either publishes, in the same order", async () => {
        const topic = fresh("plain");
        const place = await node.broker.subscribe(topic);
        assertEquals(await other.broker.subscribe(topic), place);
        const COUNT = 200;
        await Promise.all(
          [node, other].flatMap(({ broker }, index) =>
            Array.from({ length: COUNT }, (_, number) => broker.publish(topic, index * COUNT + number))
          ),
        );
        const [here, there] = [await node.receives(topic, 2 * COUNT), await other.receives(topic, 2 * COUNT)];
        assertEquals(here, there);
        assertEquals(node.assertNoHole(topic, place).offset, 2 * COUNT);
        const ofOne = here.map(({ data }) => data as number).filter((data) => data < COUNT);
        assertEquals(ofOne, Array.from({ length: COUNT }, (_, number) => number));
      });

      it("misses nothing and repeats nothing for a node that subscribes while both publish", async () => {
        const topic = fresh("many");
        const COUNT = 400;
        let published = 0;
        const publish = async ({ broker }: Node) => {
          while (published < COUNT) await broker.publish(topic, published++);
        };
        const publishers = [publish(node), publish(other)];
        const subscriber = await startNode();
        const place = await subscriber.broker.subscribe(topic);
        assertEquals(subscriber.delivered(topic), []);
        const { messages, complete } = await subscriber.broker.history(topic, {
          epoch: place.epoch,
          offset: 0,
        }, 3_000);
        assert(complete);
        const missed = messages.filter(({ offset }) => offset <= place.offset);
        await Promise.all(publishers);
        const { offset: last } = await node.broker.publish(topic, "last");
        await subscriber.receives(topic, last - place.offset);
        const all = [...missed, ...subscriber.delivered(topic)].map(({ offset }) => offset);
        assertEquals(all, Array.from({ length: last }, (_, index) => index + 1));
      });

      it("delivers to a node's pattern what another node publishes, each once", async () => {
        const root = fresh("pattern");
        await node.broker.subscribePattern(`${root}.>`);
        await node.broker.subscribePattern(`${root}.*`);
        for (let index = 1; index <= 50; index++) await other.broker.publish(`${root}.a`, index);
        await node.receives(`${root}.a`, 50);
        assertEquals(node.offsets(`${root}.a`), Array.from({ length: 50 }, (_, index) => index + 1));
        assertEquals(other.offsets(`${root}.a`), []);
      });

      it("joins a user once and lets them leave once who is on both nodes", async () => {
        const topic = fresh("presence");
        await node.broker.watch(topic);
        node.broker.join(topic, { user: "ann", session: "here" });
        await node.events.until(() => node.presence(topic).length === 1);
        other.broker.join(topic, { user: "ann", session: "there" });
        assertEquals((await other.broker.members(topic)).map(({ user }) => user), ["ann"]);
        assertEquals((await other.broker.watch(topic)).length, 1);
        node.broker.leave(topic, { user: "ann", session: "here" });
        assertEquals((await node.broker.members(topic)).map(({ session }) => session), ["there"]);
        other.broker.leave(topic, { user: "ann", session: "there" });
        await node.events.until(() => node.presence(topic).length === 2);
        await other.events.until(() => other.presence(topic).length === 1);
        assertEquals(node.presence(topic), [["joined", "ann"], ["left", "ann"]]);
        assertEquals(other.presence(topic), [["left", "ann"]]);
      });

      it("takes its members with it when a node closes", async () => {
        const topic = fresh("presence");
        const closing = await startNode();
        closing.broker.join(topic, { user: "ann", session: "s1" });
        await closing.broker.members(topic);
        assertEquals((await node.broker.watch(topic)).length, 1);
        await closing.broker.close();
        await node.events.until(() => node.presence(topic).length === 1);
        assertEquals(node.presence(topic), [["left", "ann"]]);
      });
    });
  });
}
