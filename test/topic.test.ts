/** Names of topics and of patterns. */
import { describe, it } from "node:test";
import { assert, assertEquals, assertFalse } from "@std/assert";
import { Patterns } from "../server/patterns.ts";
import { isPattern, isTopic, OwnTopic } from "../server/topic.ts";

const topics = ["a", "a.b", ".", "a..b", "a.", ".a", "A-Z_0:/@=,;", "a".repeat(200)];
const wildcards = ["*", ">", "a.*", "*.a", "a.*.b", "*.*", "a.>", "*.>", ".>", "*..*", `${"a.".repeat(99)}*`];
const neither = [
  "",
  "a*",
  "*a",
  "**",
  ">>",
  ">.a",
  "a.>.b",
  "a>",
  "*>",
  "a b",
  "ä",
  "{user}",
  "a\n",
  "a".repeat(201),
];
const long = `${"a".repeat(198)}.`;

describe("a topic", () => {
  it("has no wildcards", () => {
    assertEquals(topics.filter((text) => !isTopic(text)), []);
    assertEquals([...wildcards, ...neither].filter(isTopic), []);
  });
});

describe("a pattern", () => {
  it("is a topic, or one with * as a token or > as the last", () => {
    assertEquals([...topics, ...wildcards].filter((text) => !isPattern(text)), []);
    assertEquals(neither.filter(isPattern), []);
  });

  it("is text of at most 200 characters", () => {
    assert(isPattern(`${long}*`));
    assertFalse(isPattern(`a${long}*`));
    assertFalse(isPattern(undefined) || isPattern(1) || isPattern(["a"]));
  });
});

describe("a topic of the server's own", () => {
  it("is no topic that a client can name, no pattern, and is matched by none", () => {
    const patterns = new Patterns();
    for (const pattern of [">", "*"]) patterns.add(pattern);
    for (const topic of Object.values(OwnTopic)) {
      assertFalse(isTopic(topic) || isPattern(topic), topic);
      assertFalse(patterns.matches(topic), topic);
      assertEquals(patterns.matching(topic), []);
      const stranger = topic.slice(1);
      assertEquals([patterns.matches(stranger), patterns.matching(stranger).length], [true, 2]);
    }
  });
});
