/** What the brokers are built of: patterns, history, presence, shards. */
import { describe, it } from "node:test";
import { assert, assertEquals, assertGreater, assertLess, assertThrows } from "@std/assert";
import type { Publication } from "../../server/broker/broker.ts";
import { History } from "../../server/broker/history.ts";
import { Patterns } from "../../server/patterns.ts";
import { RedisNames } from "../../server/broker/redis_wire.ts";
import { Shards } from "../../server/broker/shards.ts";
import { seededRandom } from "../helpers/random.ts";

/** The rule, as plainly as it can be written. */
function matchesPlainly(pattern: string, topic: string): boolean {
  const [patternTokens, tokens] = [pattern.split("."), topic.split(".")];
  for (const [index, token] of patternTokens.entries()) {
    if (index >= tokens.length) return false;
    if (token === ">") return true;
    if (token !== "*" && token !== tokens[index]) return false;
  }
  return patternTokens.length === tokens.length;
}

/** The rule of Redis's globs, as far as we use it. */
function globMatches(glob: string, channel: string): boolean {
  const expression = glob.replaceAll(
    /\\(.)|([*])|([^\\*])/g,
    (_, escaped: string, star: string, other: string) =>
      star !== undefined ? "[^]*" : (escaped ?? other).replaceAll(/[^\w]/g, "\\$&"),
  );
  return new RegExp(`^${expression}$`).test(channel);
}

describe("patterns", () => {
  it("match like the rule, over 20,000 random changes and topics; globs match at least as much", () => {
    const random = seededRandom(7);
    const patterns = new Patterns();
    const names = new RedisNames("a*[b]\\:");
    const known = new Set<string>();
    const token = (wild: boolean) => random.pick(wild ? ["a", "b", "c", "*", "*"] : ["a", "b", "c"]);
    let matched = 0;
    for (let step = 0; step < 20_000; step++) {
      const tokens = Array.from({ length: 1 + random.below(4) }, () => token(true));
      if (random.chance(0.3)) tokens.push(">");
      const pattern = tokens.join(".");
      if (random.chance(0.5)) {
        assertEquals(patterns.add(pattern), !known.has(pattern) && known.add(pattern).size > 0);
      } else assertEquals(patterns.delete(pattern), known.delete(pattern));
      while (known.size > 12) {
        const [oldest = ""] = known;
        known.delete(oldest);
        patterns.delete(oldest);
      }
      const topic = Array.from({ length: 1 + random.below(5) }, () => token(false)).join(".");
      const expected = [...known].filter((one) => matchesPlainly(one, topic));
      assertEquals(patterns.matches(topic), expected.length > 0, `${topic} and ${[...known].join(" ")}`);
      for (const one of expected) {
        assert(globMatches(names.glob(one), names.channel(topic)), `${one} ${topic}`);
      }
      if (expected.length > 0) matched++;
      assertEquals(patterns.size, known.size);
    }
    assertGreater(matched, 1_000);
    assert(!globMatches(names.glob("a.*"), names.channel("b.a")));
  });
});

describe("a history in memory", () => {
  for (const messages of [1, 2, 7, 8, 9, 100]) {
    it(`keeps what a plain list would, with ${messages} messages for 10 s`, () => {
      const random = seededRandom(messages);
      const history = new History({ messages, seconds: 10 });
      let list: { publication: Publication; at: number }[] = [];
      let [now, offset] = [0, 0];
      for (let step = 0; step < 3_000; step++) {
        if (random.chance(0.05)) now += random.below(12_000);
        now += random.below(300);
        if (random.chance(0.7)) {
          const publication = { topic: "t", epoch: "e", offset: ++offset, data: offset };
          history.add(publication, now);
          list.push({ publication, at: now });
        }
        list = list.slice(-messages);
        if (random.chance(0.3)) history.expire(now);
        const since = random.below(offset + 1);
        const limit = random.below(20);
        const page = history.page({ epoch: "e", offset }, { epoch: "e", offset: since }, limit, now);
        list = list.filter(({ at }) => at > now - 10_000);
        const after = list.map(({ publication }) => publication).filter((publication) =>
          publication.offset > since
        );
        assertEquals(page.messages, after.slice(0, limit));
        assertEquals(page.complete, offset - since === after.length);
      }
    });
  }
});

describe("shards", () => {
  const topics = Array.from({ length: 20_000 }, (_, index) => `topic.${index}`);
  const names = Array.from({ length: 8 }, (_, index) => `redis-${index}.internal:6379`);
  const shards = (count: number) => new Shards(names.slice(0, count), names.slice(0, count));

  for (let count = 1; count < 8; count++) {
    it(`share topics out evenly among ${count}, and a further one takes its share and moves nothing else`, () => {
      const [before, after] = [shards(count), shards(count + 1)];
      const newcomer = names[count];
      let moved = 0;
      const counts = new Map<string, number>();
      for (const topic of topics) {
        const server = before.of(topic);
        counts.set(server, (counts.get(server) ?? 0) + 1);
        if (after.of(topic) === server) continue;
        assertEquals(after.of(topic), newcomer);
        moved++;
      }
      const share = topics.length / (count + 1);
      assertGreater(moved, share * 0.9);
      assertLess(moved, share * 1.1);
      for (const owned of counts.values()) {
        assertGreater(owned, topics.length / count * 0.9);
        assertLess(owned, topics.length / count * 1.1);
      }
    });
  }

  it("do not depend on the order of the servers, and refuse one that is named twice", () => {
    const reversed = new Shards(names.toReversed(), names.toReversed());
    for (const topic of topics.slice(0, 500)) assertEquals(reversed.of(topic), shards(8).of(topic));
    assertThrows(() => new Shards(["a", "b"], ["same", "same"]), RangeError);
  });
});
