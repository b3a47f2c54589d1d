/** Who may come in: each limit at it, below and above, and what is remembered of those who have left. */
import { describe, it } from "node:test";
import { assert, assertEquals, assertInstanceOf, assertThrows } from "@std/assert";
import {
  ConnectionLimits,
  type ConnectionSettings,
  MAX_REMEMBERED_ADDRESSES,
  Place,
} from "../../server/limits/connections.ts";
import { ManualClock } from "../helpers/manual_clock.ts";
import { seededRandom } from "../helpers/random.ts";

const OFF: ConnectionSettings = {
  maxConnections: 0,
  maxConnectionsPerAddress: 0,
  maxPendingHandshakes: 0,
  handshakeRate: undefined,
};

function create(settings: Partial<ConnectionSettings>) {
  const clock = new ManualClock();
  const limits = new ConnectionLimits({ ...OFF, ...settings }, clock);
  const arrive = (address = "a"): Place => {
    const place = limits.arrive(address);
    assertInstanceOf(place, Place);
    return place;
  };
  const refused = (address = "a"): [string, number] | "admitted" => {
    const refusal = limits.arrive(address);
    return refusal instanceof Place ? "admitted" : [refusal.kind, refusal.retryAfterSeconds];
  };
  return { clock, limits, arrive, refused };
}

describe("connection limits", () => {
  it("let in as many connections as allowed in total, and one more when one has left", () => {
    const { arrive, refused, limits } = create({ maxConnections: 3 });
    const places = ["a", "b", "c"].map(arrive);
    assertEquals(limits.places, 3);
    assertEquals(refused("d"), ["full", 10]);
    assertEquals(limits.places, 3);
    places[1]?.release();
    arrive("d");
    assertEquals(refused("e"), ["full", 10]);
  });

  it("let in as many connections as allowed from one address, and others from elsewhere", () => {
    const { arrive, refused } = create({ maxConnectionsPerAddress: 2 });
    const [first] = [arrive("a"), arrive("a")];
    assertEquals(refused("a"), ["address", 10]);
    arrive("b");
    first.release();
    arrive("a");
    assertEquals(refused("a"), ["address", 10]);
  });

  it("let as many handshakes be under way as allowed, and more when one is opened or given up", () => {
    const { arrive, refused, limits } = create({ maxPendingHandshakes: 2 });
    const [first, second] = [arrive("a"), arrive("b")];
    assertEquals(refused("c"), ["pending", 1]);
    first.opened();
    assertEquals([limits.places, limits.pendingHandshakes], [2, 1]);
    arrive("c");
    assertEquals(refused("d"), ["pending", 1]);
    second.release();
    assertEquals([limits.places, limits.pendingHandshakes], [2, 1]);
    arrive("d");
    assertEquals(refused("e"), ["pending", 1]);
    first.release();
    assertEquals(refused("e"), ["pending", 1], "an open connection that leaves is no handshake");
  });

  it("let an address try as often as its rate allows, and say when it may try again", () => {
    const { arrive, refused, clock } = create({ handshakeRate: { perSecond: 2, burst: 3 } });
    for (let time = 0; time < 3; time++) arrive("a").release();
    assertEquals(refused("a"), ["handshake_rate", 1]);
    arrive("b");
    clock.advance(499);
    assertEquals(refused("a"), ["handshake_rate", 1]);
    clock.advance(1);
    arrive("a");
    assertEquals(refused("a"), ["handshake_rate", 1]);
  });

  it("count a handshake that is refused for another reason against its address' rate", () => {
    const { arrive, refused } = create({ maxConnections: 1, handshakeRate: { perSecond: 1, burst: 2 } });
    const place = arrive("a");
    assertEquals(refused("b"), ["full", 10]);
    assertEquals(refused("b"), ["full", 10]);
    assertEquals(refused("b"), ["handshake_rate", 1]);
    place.release();
    assertEquals(refused("b"), ["handshake_rate", 1]);
  });

  it("hold a place from the handshake on: of a thousand that come together one gets the only place", () => {
    for (
      const settings of [{ maxConnections: 1 }, { maxConnectionsPerAddress: 1 }, { maxPendingHandshakes: 1 }]
    ) {
      const { limits } = create(settings);
      const answers = Array.from({ length: 1_000 }, () => limits.arrive("a"));
      assertEquals(answers.filter((answer) => answer instanceof Place).length, 1);
    }
  });

  it("take a place back once, however often it is released, and open it once", () => {
    const { arrive, refused, limits } = create({ maxConnections: 2, maxConnectionsPerAddress: 2 });
    const [first] = [arrive(), arrive()];
    first.opened();
    first.opened();
    assertEquals(limits.pendingHandshakes, 1);
    first.release();
    first.release();
    assertEquals([limits.places, limits.pendingHandshakes], [1, 1]);
    arrive();
    assertEquals(refused(), ["full", 10]);
    assertThrows(() => first.opened(), TypeError);
  });

  it("let everybody in when they are off, and remember nobody", () => {
    const { arrive, limits } = create({});
    const places = Array.from({ length: 1_000 }, (_, index) => arrive(`${index % 3}`));
    assertEquals([limits.places, limits.pendingHandshakes, limits.remembered], [1_000, 1_000, 0]);
    for (const place of places) place.release();
    assertEquals([limits.places, limits.pendingHandshakes], [0, 0]);
  });

  it("remember nothing of 100,000 addresses that came and went, once their buckets are full", () => {
    const { arrive, limits, clock } = create({
      maxConnections: 100_000,
      maxConnectionsPerAddress: 1,
      maxPendingHandshakes: 100_000,
      handshakeRate: { perSecond: 1, burst: 5 },
    });
    const places = Array.from({ length: 100_000 }, (_, index) => arrive(`address ${index}`));
    for (const place of places) place.opened();
    assertEquals(limits.remembered, 200_000);
    for (const place of places) place.release();
    assertEquals(limits.remembered, 100_000);
    clock.advance(21_000);
    assertEquals([limits.remembered, limits.places, limits.pendingHandshakes], [0, 0, 0]);
  });

  it("remember the handshakes of so many addresses and no more", () => {
    const { arrive, refused, limits } = create({ handshakeRate: { perSecond: 1, burst: 1 } });
    arrive("first").release();
    for (let index = 1; index < MAX_REMEMBERED_ADDRESSES; index++) arrive(`${index}`).release();
    assertEquals(refused("first"), ["handshake_rate", 1], "still there, and now the last that was seen");
    arrive("one more").release();
    assertEquals(limits.remembered, MAX_REMEMBERED_ADDRESSES);
    assertEquals(refused("first"), ["handshake_rate", 1]);
    assertEquals(refused("1"), "admitted");
    limits.stop();
    assertEquals(limits.remembered, 0);
  });

  it("agree with a count of who is there after any sequence of coming, opening and leaving", () => {
    const settings = { maxConnections: 20, maxConnectionsPerAddress: 6, maxPendingHandshakes: 8 };
    const { limits } = create(settings);
    const random = seededRandom(4);
    const there: { place: Place; address: string; pending: boolean }[] = [];
    const seen = new Map<string, number>();
    for (let step = 0; step < 20_000; step++) {
      const chosen = there.length > 0 ? random.pick(there) : undefined;
      const leaves = random.chance(0.5);
      if (chosen === undefined || random.chance(0.5)) {
        const address = random.pick(["a", "b", "c", "d", "e"]);
        const answer = limits.arrive(address);
        const expected = there.length >= settings.maxConnections
          ? "full"
          : there.filter((other) => other.address === address).length >= settings.maxConnectionsPerAddress
          ? "address"
          : there.filter((other) => other.pending).length >= settings.maxPendingHandshakes
          ? "pending"
          : "admitted";
        assertEquals(answer instanceof Place ? "admitted" : answer.kind, expected);
        seen.set(expected, (seen.get(expected) ?? 0) + 1);
        if (answer instanceof Place) there.push({ place: answer, address, pending: true });
      } else if (leaves) {
        chosen.place.release();
        there.splice(there.indexOf(chosen), 1);
      } else {
        chosen.place.opened();
        chosen.pending = false;
      }
      assertEquals(limits.places, there.length);
      assertEquals(limits.pendingHandshakes, there.filter((other) => other.pending).length);
      assertEquals(limits.remembered, new Set(there.map(({ address }) => address)).size);
    }
    for (const answer of ["full", "address", "pending", "admitted"]) {
      assert((seen.get(answer) ?? 0) > 100, answer);
    }
  });

  it("are made of rates only", () => {
    assertThrows(() => create({ handshakeRate: { perSecond: 1, burst: 0 } }), RangeError);
  });
});
