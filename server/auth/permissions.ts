/**
 * Who may do what to which topics: patterns that are compiled once, shared by everybody they hold for, and asked for
 * every subscription and publication. Patterns are compared in place, so that asking allocates nothing.
 * Never learns where a grant came from, and never checks that a topic is one: the caller has.
 */
import { isPattern, isTopic, PATTERN_RULE } from "../topic.ts";

/** What a permission is asked for. */
export const Action = {
  Subscribe: "subscribe",
  Publish: "publish",
  Presence: "presence",
  History: "history",
} as const;
export type Action = typeof Action[keyof typeof Action];

/** Patterns by action. In a pattern, `{user}` as a token or as part of one stands for the subject. */
export interface Grants extends Readonly<Record<Action, readonly string[]>> {
  /** Whether messages to everybody may be sent. */
  readonly broadcast: boolean;
}

/** The most patterns that one action may have in one set of grants: a check may have to look at each. */
export const MAX_PATTERNS_PER_ACTION = 128;

const actions = Object.values(Action);
const USER = "{user}";
/** The subject of everybody whose name cannot stand in a pattern, and of those without one. */
const NOBODY = "";

const ONE = "*";
const REST = ">";

/** A topic, or the pieces of a pattern that is more: `*`, `>`, `{user}`, and the text between them. */
type Pattern = string | readonly string[];

/** The one list of patterns that covers everything; lists are compared with it by identity. */
const EVERYTHING: readonly Pattern[] = [[REST]];

/**
 * Reads grants as they stand in a claim or in the configuration: an object with any of the lists `subscribe`,
 * `publish`, `presence` and `history`, and with `broadcast`. What is left out is not granted.
 * @returns the grants, or in one line what is wrong
 */
export function parseGrants(value: unknown): Grants | { readonly problem: string } {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return { problem: "grants must be an object of lists of patterns" };
  }
  const lists: Record<Action, readonly string[]> = { subscribe: [], publish: [], presence: [], history: [] };
  let broadcast = false;
  for (const [name, granted] of Object.entries(value as Record<string, unknown>)) {
    if (name === "broadcast") {
      if (typeof granted !== "boolean") return { problem: "broadcast must be true or false" };
      broadcast = granted;
      continue;
    }
    const action = actions.find((known) => known === name);
    if (action === undefined) {
      return {
        problem: `grants are for ${actions.join(", ")} and broadcast, not for ${JSON.stringify(name)}`,
      };
    }
    const problem = listProblem(granted);
    if (problem !== undefined) return { problem: `${action} ${problem}` };
    // It is a list of strings, or there would have been a problem.
    lists[action] = [...granted as readonly string[]];
  }
  return { ...lists, broadcast };
}

function listProblem(list: unknown): string | undefined {
  if (!Array.isArray(list)) return "must be a list of patterns";
  if (list.length > MAX_PATTERNS_PER_ACTION) return `has more than ${MAX_PATTERNS_PER_ACTION} patterns`;
  const at = list.findIndex((pattern) => !isGrantPattern(pattern));
  return at < 0 ? undefined : `has a pattern that is none, at place ${at + 1}. ${PATTERN_RULE}`;
}

function isGrantPattern(pattern: unknown): boolean {
  return typeof pattern === "string" && isPattern(pattern.replaceAll(USER, "u"));
}

/** Compiled grants, the same object for everybody they were given to. */
interface Rules extends Readonly<Record<Action, readonly Pattern[]>> {
  readonly broadcast: boolean;
  readonly namesUser: boolean;
}

function compileList(patterns: readonly string[]): readonly Pattern[] {
  if (patterns.includes(REST)) return EVERYTHING;
  return [...new Set(patterns)].map((text) => {
    const pieces = text.split(/(\*|>|\{user\})/).filter((piece) => piece !== "");
    return isTopic(text) ? text : pieces;
  });
}

function compile(grants: Grants): Rules {
  for (const action of actions) {
    const problem = listProblem(grants[action]);
    if (problem !== undefined) throw new TypeError(`${action} ${problem}`);
  }
  return {
    subscribe: compileList(grants.subscribe),
    publish: compileList(grants.publish),
    presence: compileList(grants.presence),
    history: compileList(grants.history),
    broadcast: grants.broadcast,
    namesUser: actions.some((action) => grants[action].some((pattern) => pattern.includes(USER))),
  };
}

/**
 * Whether `user` can be one token, or part of one, as it stands. A name with a dot or a wildcard would turn a grant of
 * one's own topics into a grant of others'.
 */
function canBeToken(user: string | undefined): user is string {
  return isTopic(user) && !user.includes(".");
}

/** What one subject may do. Immutable; equal ones that do not name the user are one object where they can be. */
export class Permissions {
  /** Whether messages to everybody may be sent. */
  readonly broadcast: boolean;
  private readonly rules: Rules;
  private readonly user: string;
  /** What is granted besides. */
  private readonly others: Permissions | undefined;

  private constructor(rules: Rules, user: string, others: Permissions | undefined) {
    this.broadcast = rules.broadcast || others?.broadcast === true;
    this.rules = rules;
    this.user = user;
    this.others = others;
  }

  /**
   * Compiles grants for a subject. If the subject cannot stand in one token as it is (or there is none), every pattern
   * with `{user}` matches nothing.
   * @throws {TypeError} for grants that {@link parseGrants} would refuse
   */
  static of(grants: Grants, user: string | undefined): Permissions {
    const rules = compile(grants);
    return new Permissions(rules, rules.namesUser && canBeToken(user) ? user : NOBODY, undefined);
  }

  /** The same grants for another subject, without compiling again: this very object when no pattern names the user. */
  as(user: string | undefined): Permissions {
    const others = this.others?.as(user);
    const name = this.rules.namesUser && canBeToken(user) ? user : NOBODY;
    if (name === this.user && others === this.others) return this;
    return new Permissions(this.rules, name, others);
  }

  /** What either of two sets allows. */
  union(other: Permissions): Permissions {
    const others = other.others === undefined ? this : this.union(other.others);
    return new Permissions(other.rules, other.user, others);
  }

  /**
   * Whether `action` is allowed on a topic, or on everything that a pattern (in a subscription) can match: one single
   * grant must cover it all.
   * @param topic what `isTopic` or `isPattern` has let through
   */
  allows(action: Action, topic: string): boolean {
    return this.coversEverything(action) || this.coversTopic(action, topic);
  }

  private coversEverything(action: Action): boolean {
    if (this.rules[action] === EVERYTHING) return true;
    return this.others !== undefined && this.others.coversEverything(action);
  }

  private coversTopic(action: Action, topic: string): boolean {
    const patterns = this.rules[action];
    for (let i = 0; i < patterns.length; i++) {
      const pattern = patterns[i] as Pattern;
      if (typeof pattern === "string" ? pattern === topic : covers(pattern, this.user, topic)) return true;
    }
    return this.others !== undefined && this.others.coversTopic(action, topic);
  }
}

/** Whether the pieces of a pattern cover everything that `topic`, which may be a pattern, can match. */
function covers(pattern: readonly string[], user: string, topic: string): boolean {
  let at = 0;
  for (let i = 0; i < pattern.length; i++) {
    const piece = pattern[i] as string;
    if (piece === REST) return true;
    if (piece === ONE) {
      if (topic.startsWith(REST, at)) return false;
      const dot = topic.indexOf(".", at);
      at = dot < 0 ? topic.length : dot;
    } else {
      const text = piece === USER ? user : piece;
      if (text === NOBODY || !topic.startsWith(text, at)) return false;
      at += text.length;
    }
  }
  return at === topic.length;
}
