/** What the connections of one user share, and what is left of it when they have gone. */
import { describe, it } from "node:test";
import { assert, assertEquals, assertExists, assertThrows } from "@std/assert";
import { MAX_REMEMBERED_USERS, UserLimits } from "../../server/limits/users.ts";
import type { MessageRates } from "../../server/limits/message_guard.ts";
import { ManualClock } from "../helpers/manual_clock.ts";

const OFF: MessageRates = { messages: undefined, bytes: undefined };
const SLOW: MessageRates = { messages: { perSecond: 1, burst: 5 }, bytes: undefined };

function create(maxConnectionsPerUser: number, rates: MessageRates) {
  const clock = new ManualClock();
  const users = new UserLimits({ maxConnectionsPerUser, rates }, clock);
  const join = (user: string) => {
    const buckets = users.join(user);
    assertExists(buckets);
    return buckets;
  };
  return { clock, users, join };
}

describe("user limits", () => {
  it("let a user have as many connections as allowed, and one more when one has left", () => {
    const { users, join } = create(2, OFF);
    join("a");
    join("a");
    assertEquals(users.join("a"), undefined);
    join("b");
    users.leave("a");
    join("a");
    assertEquals(users.join("a"), undefined);
  });

  it("give all connections of a user the same buckets, and another user others", () => {
    const { join } = create(0, SLOW);
    assert(join("a") === join("a"));
    assert(join("a") !== join("b"));
  });

  it("give a user who comes back no fresh buckets before the old ones are full", () => {
    const { clock, users, join } = create(1, SLOW);
    const first = join("a");
    for (let message = 0; message < 5; message++) first.spend(1);
    users.leave("a");
    assertEquals(users.remembered, 1);
    clock.advance(3_999);
    const second = join("a");
    assertEquals(users.join("a"), undefined, "and no more connections than others");
    for (let message = 0; message < 3; message++) {
      assert(second.fits(1, clock.now()));
      second.spend(1);
    }
    assert(!second.fits(1, clock.now()), "three tokens in 3.999 s");
    assertEquals(users.remembered, 1);
  });

  it("forget a user with full buckets at once, and any other when they are full", () => {
    const { clock, users, join } = create(0, SLOW);
    join("a");
    users.leave("a");
    assertEquals(users.remembered, 0);
    join("a").spend(1);
    join("a");
    users.leave("a");
    clock.advance(5_000);
    assertEquals(users.remembered, 1, "a connection is left");
    join("b").spend(1);
    users.leave("b");
    users.leave("a");
    assertEquals(users.remembered, 1);
    clock.advance(1_000);
    assertEquals(users.remembered, 0);
  });

  it("remember so many users without connections and no more", () => {
    const { users, join } = create(0, SLOW);
    for (let user = 0; user <= MAX_REMEMBERED_USERS; user++) {
      join(`${user}`).spend(1);
      users.leave(`${user}`);
    }
    assertEquals(users.remembered, MAX_REMEMBERED_USERS);
    users.stop();
    assertEquals(users.remembered, 0);
  });

  it("remember nobody when nothing is limited", () => {
    const { users, join } = create(0, OFF);
    for (let user = 0; user < 1_000; user++) join(`${user}`).spend(1_000);
    assertEquals(users.remembered, 0);
    users.leave("0");
    assert(join("0").fits(1e9, 0));
  });

  it("count also when only connections are limited, and forget with the last one", () => {
    const { users, join } = create(1, OFF);
    join("a").spend(1_000);
    assertEquals(users.remembered, 1);
    users.leave("a");
    assertEquals(users.remembered, 0);
  });

  it("refuse what is the caller's bug: who leaves without having joined, and what is no rate", () => {
    const { users, join } = create(1, OFF);
    join("a");
    users.leave("a");
    assertThrows(() => users.leave("a"), RangeError);
    const bad = { perSecond: -1, burst: 1 };
    assertThrows(() => create(1, { messages: bad, bytes: undefined }), RangeError);
    assertThrows(() => create(1, { messages: undefined, bytes: bad }), RangeError);
  });
});
