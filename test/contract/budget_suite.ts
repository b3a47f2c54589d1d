/**
 * Promise 14 of the engine contract: what waits in the process over all sockets has a budget. The cases run inside the
 * suite of each engine, against clients that really do not read.
 */
import { it } from "node:test";
import { assert, assertEquals, assertGreater, assertLess, assertLessOrEqual } from "@std/assert";
import { SendStatus, SlowPolicy, type Socket } from "../../server/engine.ts";
import { encodeFrame, Opcode } from "../helpers/raw_client.ts";
import type { Fixture, Name, Tools } from "./fixture.ts";

const MIB = 1024 * 1024;
const MESSAGE = "m".repeat(64 * 1024);
const ROUNDS_AFTER_FIRST = 10;
/** The kernel takes some megabytes for each socket before the engine has to queue. */
const MOST_ROUNDS = 1000;

function backlog(sockets: readonly Socket<Name>[]): number {
  return sockets.reduce((sum, socket) => sum + socket.bufferedAmount, 0);
}

/** Keeps the books on a fixture's evictions, as they happen. */
class Books {
  readonly sockets: Socket<Name>[] = [];
  /** What waited over all sockets when each was cut. */
  readonly sums: number[] = [];
  readonly cut: Name[] = [];
  wrongOrder = 0;

  readonly evicted = (socket: Socket<Name>): void => {
    this.cut.push(socket.data);
    this.sums.push(backlog(this.sockets));
    if (this.sockets.some((other) => other.bufferedAmount > socket.bufferedAmount)) this.wrongOrder++;
  };
}

export function budgetCases({ start, join }: Tools): void {
  async function joinSlow(fixture: Fixture, books: Books, count: number): Promise<void> {
    for (let index = 0; index < count; index++) {
      const { client, socket } = await join(fixture, `slow${index}`);
      client.pause();
      books.sockets.push(socket);
    }
  }

  for (const slowPolicy of Object.values(SlowPolicy)) {
    it(`14. past the budget the slowest subscribers are cut first and the others miss nothing, policy ${slowPolicy}`, async () => {
      const maxQueuedBytes = 16 * MIB;
      const books = new Books();
      const fixture = await start({ slowPolicy, maxBackpressureBytes: 8 * MIB, maxQueuedBytes }, books);
      const readers = [await join(fixture, "reader0"), await join(fixture, "reader1")];
      await joinSlow(fixture, books, 40);
      for (const socket of books.sockets) socket.subscribe("t");
      for (const { socket } of readers) socket.subscribe("t");
      let published = 0;
      let most = 0;
      for (let left = ROUNDS_AFTER_FIRST; left > 0 && published < MOST_ROUNDS; published++) {
        fixture.listener.publish("t", MESSAGE);
        for (const { client } of readers) await client.receiveTexts(published + 1);
        most = Math.max(most, backlog(books.sockets));
        if (books.cut.length > 0) left--;
      }
      assertGreater(books.cut.length, 0);
      assertLess(books.cut.length, 40);
      assertEquals(books.wrongOrder, 0);
      assertGreater(books.sums[0] ?? 0, maxQueuedBytes);
      const twoTurns = 2 * books.sockets.length * (MESSAGE.length + 10);
      assertLessOrEqual(most, maxQueuedBytes * 1.125 + twoTurns);
      assertEquals(fixture.listener.queuedBytes, backlog(books.sockets));
      assert(books.cut.every((name) => fixture.closes(name).every(({ code }) => code === 1006)));
      await fixture.events.until(() => books.cut.every((name) => fixture.closes(name).length === 1));
      // Nobody was cut for a limit of its own, or left out.
      assertEquals(fixture.events.all.filter(({ kind }) => kind === "dropped").length, 0);
      assertEquals(fixture.listener.subscriberCount("t"), 42 - books.cut.length);
      assert(readers.every(({ client }) => client.texts().length === published));
    });
  }

  it("14. backlogs of sends count, and queuedBytes is their sum until they have left", async () => {
    const maxQueuedBytes = 4 * MIB;
    const books = new Books();
    const fixture = await start({ maxBackpressureBytes: 8 * MIB, maxQueuedBytes }, books);
    await joinSlow(fixture, books, 3);
    const [first, second] = books.sockets;
    assert(first !== undefined && second !== undefined);
    fillTo(first, 2 * MIB);
    assertEquals(fixture.listener.queuedBytes, backlog(books.sockets));
    await twoTurns();
    assertEquals(books.cut, []);
    fillTo(second, 2.5 * MIB);
    await fixture.events.until(() => fixture.closes("slow1").length === 1);
    assertEquals(books.cut, ["slow1"]);
    assertEquals(second.send("nothing more"), SendStatus.Dropped);
    assertEquals(fixture.listener.queuedBytes, first.bufferedAmount);
    first.terminate();
    await fixture.events.until(() => fixture.closes("slow0").length === 1);
    assertEquals(fixture.listener.queuedBytes, 0);
  });

  it("14. bytes that have left are given back to the budget", async () => {
    const books = new Books();
    const fixture = await start({ maxBackpressureBytes: 8 * MIB, maxQueuedBytes: 4 * MIB }, books);
    for (let round = 0; round < 3; round++) {
      const { client, socket } = await join(fixture, `${round}`);
      books.sockets.push(socket);
      client.pause();
      fillTo(socket, 3 * MIB);
      client.resume();
      await fixture.events.until(() => socket.bufferedAmount === 0);
      await fixture.events.until(() => fixture.listener.queuedBytes === 0);
    }
    assertEquals(books.cut, []);
  });

  it("14. a closing socket's backlog counts, and so do the pongs of a peer that does not read", async () => {
    const books = new Books();
    const fixture = await start({ maxBackpressureBytes: 8 * MIB, maxQueuedBytes: MIB }, books);
    await joinSlow(fixture, books, 1);
    const [closing] = books.sockets;
    assert(closing !== undefined);
    fillTo(closing, 0.75 * MIB);
    closing.close(1001, "bye");
    const pinger = await join(fixture, "pinger");
    pinger.client.pause();
    const pings = new Uint8Array(
      Array.from({ length: 500 }, () => [...encodeFrame(Opcode.Ping, "p".repeat(125))]).flat(),
    );
    for (let round = 0; round < MOST_ROUNDS && books.cut.length === 0; round++) {
      pinger.client.write(pings);
      pinger.client.send(Opcode.Text, `${round}`);
      const said = `${round}`;
      await fixture.events.until((all) =>
        books.cut.length > 0 || all.some((event) => event.kind === "message" && event.message === said)
      );
    }
    assertEquals(books.cut, ["slow0"]);
    await fixture.events.until(() => fixture.closes("slow0").length === 1);
    assertEquals(fixture.closes("slow0")[0]?.code, 1006);
  });

  it("14. a handler of evicted that throws is reported, and the socket is cut", async () => {
    const fixture = await start({ maxBackpressureBytes: 8 * MIB, maxQueuedBytes: MIB }, {
      evicted() {
        throw new Error("a fault of ours");
      },
    });
    const { client, socket } = await join(fixture, "a");
    client.pause();
    fillTo(socket, 2 * MIB);
    await fixture.events.until(() => fixture.closes("a").length === 1);
    assertEquals(fixture.events.all.filter(({ kind }) => kind === "failed").length, 1);
  });
}

/** Sends until so much waits for `socket`. */
function fillTo(socket: Socket<Name>, bytes: number): void {
  for (let round = 0; socket.bufferedAmount < bytes; round++) {
    assert(round < MOST_ROUNDS && socket.send(MESSAGE) !== SendStatus.Dropped, "the socket never filled");
  }
}

async function twoTurns(): Promise<void> {
  for (let turn = 0; turn < 4; turn++) await new Promise((resolve) => setImmediate(resolve));
}
