/** Permissions: what each pattern covers, against a model that splits; subjects that cannot be a token; sharing. */
import { describe, it } from "node:test";
import { assert, assertEquals, assertFalse, assertStrictEquals, assertThrows } from "@std/assert";
import {
  Action,
  type Grants,
  MAX_PATTERNS_PER_ACTION,
  parseGrants,
  Permissions,
} from "../../server/auth/permissions.ts";
import { seededRandom } from "../helpers/random.ts";

const nothing: Grants = { subscribe: [], publish: [], presence: [], history: [], broadcast: false };

function subscribing(patterns: readonly string[], user?: string): Permissions {
  return Permissions.of({ ...nothing, subscribe: patterns }, user);
}

describe("permissions", () => {
  const cases: [pattern: string, covered: readonly string[], notCovered: readonly string[]][] = [
    ["news", ["news"], ["News", "new", "newss", "news.", "news.a", ".news", "*", ">"]],
    ["news.a", ["news.a"], ["news", "news.ab", "news.a.b", "news.*", "news.>", "*.a"]],
    ["*", ["news", "-", "*"], ["news.a", ">", "*.*", "news.*"]],
    ["news.*", ["news.a", "news.abc", "news.*", "news."], ["news", "news.a.b", "news.>", "*.a", "news.*.*"]],
    ["*.a", ["b.a", "*.a", ".a"], ["a", "b.b", "*.*", "*.>", ">"]],
    ["a.*.c", ["a.b.c", "a.*.c", "a..c"], ["a.c", "a.b.c.d", "a.b.*", "a.>", "a.*.>"]],
    ["news.>", ["news.a", "news.a.b", "news.*", "news.>", "news.*.>", "news."], [
      "news",
      "new.a",
      "*.a",
      ">",
    ]],
    ["*.>", ["a.b", "a.b.c", "*.*", "*.>", "a.>"], ["a", "*", ">"]],
    [">", ["a", "a.b", "*", "*.*", ">", "a.>", "."], []],
  ];
  for (const [pattern, covered, notCovered] of cases) {
    it(`with ${pattern} cover ${covered.join(" ")} and not ${notCovered.join(" ")}`, () => {
      const permissions = subscribing([pattern]);
      assertEquals(covered.filter((topic) => !permissions.allows("subscribe", topic)), []);
      assertEquals(notCovered.filter((topic) => permissions.allows("subscribe", topic)), []);
    });
  }

  it("are for one action each", () => {
    for (const granted of Object.values(Action)) {
      const permissions = Permissions.of({ ...nothing, [granted]: ["a"] }, undefined);
      for (const asked of Object.values(Action)) {
        assertEquals(permissions.allows(asked, "a"), asked === granted);
      }
      assertFalse(permissions.broadcast);
    }
    assert(Permissions.of({ ...nothing, broadcast: true }, undefined).broadcast);
  });

  it("agree with a model that splits topics at their dots", () => {
    const random = seededRandom(4);
    const coversTokens = (grant: readonly string[], asked: readonly string[]): boolean => {
      if (grant[0] === ">") return asked.length > 0;
      if (grant.length === 0 || asked.length === 0) return grant.length === asked.length;
      const same = grant[0] === "*" ? asked[0] !== ">" : grant[0] === asked[0];
      return same && coversTokens(grant.slice(1), asked.slice(1));
    };
    const text = (tokens: readonly string[]) =>
      [
        ...Array.from({ length: random.below(4) }, () => random.pick(tokens)),
        random.pick([...tokens, ">"]),
      ].join(".");
    let covered = 0;
    for (let i = 0; i < 20_000; i++) {
      const [grant, asked] = [text(["a", "ab", "*", "", "{user}"]), text(["a", "ab", "b", "*", ""])];
      const expected = coversTokens(grant.replaceAll("{user}", "b").split("."), asked.split("."));
      if (grant === "" || asked === "") continue;
      assertEquals(subscribing([grant], "b").allows("subscribe", asked), expected, `${grant} ${asked}`);
      if (expected) covered++;
    }
    assert(covered > 1_000, `only ${covered} pairs covered each other`);
  });
});

describe("{user} in a pattern", () => {
  it("is the subject, as a token or as a part of one", () => {
    const permissions = subscribing(["users.{user}.>", "inbox-{user}", "{user}", "{user}-{user}"], "ann");
    for (const topic of ["users.ann.a", "users.ann.>", "inbox-ann", "ann", "ann-ann"]) {
      assert(permissions.allows("subscribe", topic), topic);
    }
    for (const topic of ["users.bob.a", "users.*.a", "users.annie.a", "inbox-an", "inbox-annie", "an", "*"]) {
      assertFalse(permissions.allows("subscribe", topic), topic);
    }
  });

  const unusable = [
    "*",
    ">",
    "a.b",
    "a.*",
    "{user}",
    "ann@example.com",
    "",
    ".",
    "ann smith",
    "ännchen",
    "a".repeat(201),
  ];
  for (const user of [...unusable, undefined]) {
    it(`matches nothing when the subject is ${JSON.stringify(user)?.slice(0, 20)}`, () => {
      const permissions = subscribing(["users.{user}.>", "{user}", "x{user}", "{user}.>", "open"], user);
      const asked = [
        "users.a.b",
        "users..b",
        "users.*.b",
        "users.>",
        "a",
        "a.b",
        "x",
        "xa",
        "*",
        ">",
        "users.{user}.b",
      ];
      for (const topic of [...asked, `users.${user}.b`, `${user}`, `x${user}`, `${user}.a`]) {
        assertFalse(permissions.allows("subscribe", topic), topic);
      }
      assert(permissions.allows("subscribe", "open"));
    });
  }

  it("is what it says for names with the other characters of topics", () => {
    for (const user of ["auth0:5f3", "ann@example", "a/b", "A_b-c=d,e;f"]) {
      assert(subscribing(["users.{user}"], user).allows("subscribe", `users.${user}`), user);
    }
  });
});

describe("sets of permissions", () => {
  const open = { ...nothing, subscribe: ["news.>"] };
  const own = { ...nothing, subscribe: ["news.>", "users.{user}"] };

  it("are one object for all subjects when no pattern names the user", () => {
    const permissions = Permissions.of(open, undefined);
    assertStrictEquals(permissions.as("ann"), permissions);
    assertStrictEquals(permissions.as("a.b"), permissions);
  });

  it("are compiled once and then given to one subject after another", () => {
    const configured = Permissions.of(own, undefined);
    const [ann, bob] = [configured.as("ann"), configured.as("bob")];
    assert(ann.allows("subscribe", "users.ann") && bob.allows("subscribe", "users.bob"));
    assertFalse(ann.allows("subscribe", "users.bob") || bob.allows("subscribe", "users.ann"));
    assertStrictEquals(configured.as("a.b"), configured);
    assertFalse(ann.as(undefined).allows("subscribe", "users.ann"));
  });

  it("allow together what either allows", () => {
    const token = Permissions.of({ ...nothing, publish: ["x.{user}"], broadcast: true }, "ann");
    const third = Permissions.of({ ...nothing, history: [">"] }, undefined);
    const configured = Permissions.of(own, undefined);
    const sets = [
      configured.as("ann").union(token).union(third),
      third.union(token.union(configured.as("ann"))),
      configured.union(third).as("ann").union(token),
    ];
    for (const both of sets) {
      for (
        const [action, topic] of [["subscribe", "news.a"], ["subscribe", "users.ann"], [
          "publish",
          "x.ann",
        ]] as const
      ) {
        assert(both.allows(action, topic), topic);
      }
      assert(both.broadcast && both.allows("history", ">"));
      assertFalse(both.allows("publish", "news.a") || both.allows("subscribe", "x.ann"));
    }
    assertFalse(configured.broadcast || configured.allows("history", "a"));
  });
});

describe("grants", () => {
  it("are read from an object in which anything may be left out", () => {
    assertEquals(parseGrants({}), nothing);
    const grants = {
      subscribe: ["a", "b.*", "{user}.>"],
      publish: [">"],
      presence: [],
      history: ["*"],
      broadcast: true,
    };
    assertEquals(parseGrants(grants), grants);
  });

  const wrong: [name: string, value: unknown, problem: RegExp][] = [
    ["null", null, /must be an object/],
    ["text", "a", /must be an object/],
    ["a list", [], /must be an object/],
    ["a list that is text", { subscribe: "a" }, /^subscribe must be a list/],
    ["a number among the patterns", { publish: ["a", 1] }, /^publish .* place 2/],
    ["an empty pattern", { publish: [""] }, /^publish .* place 1/],
    ["a wildcard within a token", { history: ["a*"] }, /^history .* place 1/],
    ["{user} beside a wildcard", { history: ["{user}*"] }, /^history .* place 1/],
    ["> before the end", { presence: ["a", ">.a"] }, /^presence .* place 2/],
    ["another placeholder", { presence: ["{name}"] }, /^presence .* place 1/],
    ["an action that is none", { subscribe: ["a"], publsh: [] }, /not for "publsh"/],
    ["a name every object has", JSON.parse(`{"__proto__": ["a"]}`), /not for "__proto__"/],
    ["broadcast that is no boolean", { broadcast: "true" }, /^broadcast must be/],
    ["a pattern too many", { subscribe: Array(MAX_PATTERNS_PER_ACTION + 1).fill("a") }, /more than 128/],
  ];
  for (const [name, value, problem] of wrong) {
    it(`are refused with ${name}`, () => {
      const parsed = parseGrants(value);
      assert("problem" in parsed, "accepted");
      assert(problem.test(parsed.problem), parsed.problem);
      assertFalse(parsed.problem.includes("\n"));
    });
  }

  it("may have as many patterns as the limit says", () => {
    assertFalse("problem" in parseGrants({ subscribe: Array(MAX_PATTERNS_PER_ACTION).fill("a") }));
  });

  it("that nobody has checked are the caller's bug", () => {
    assertThrows(() => subscribing(["a*"]), TypeError, "subscribe");
  });
});
