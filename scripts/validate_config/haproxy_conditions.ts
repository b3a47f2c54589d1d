/**
 * What HAProxy's conditions (`if …`, `unless …`) say about a request of which the path is known and whether it asks for
 * a WebSocket. Three-valued: most criteria depend on more than that.
 */
import type { HaproxyLine } from "./haproxy_tree.ts";

/** What is known of a request. */
export interface Request {
  readonly path: string;
  readonly isUpgrade: boolean;
}

/** Undefined for "it depends". */
export type Verdict = boolean | undefined;

/** Conditions that HAProxy has without an acl line. */
const PREDEFINED: Readonly<Record<string, Verdict>> = {
  TRUE: true,
  FALSE: false,
  HTTP: true,
  METH_GET: true,
  METH_POST: false,
};
const PREDEFINED_NAMES =
  /^(TRUE|FALSE|HTTP(_1\.[01]|_2\.0|_3\.0|_CONTENT|_URL_(ABS|SLASH|STAR))?|LOCALHOST|METH_[A-Z]+|RDP_COOKIE|REQ_CONTENT|WAIT_END)$/;

/** One `name`, or `{ criterion }`, possibly negated. */
interface Term {
  readonly isNegated: boolean;
  readonly name: string | undefined;
  readonly criterion: readonly string[];
}

/** The words behind `if` or `unless`, and which of them it was; undefined when a line has no condition. */
export function conditionOf(
  args: readonly string[],
): { words: readonly string[]; isNegated: boolean } | undefined {
  const at = args.findLastIndex((word) => word === "if" || word === "unless");
  return at === -1 ? undefined : { words: args.slice(at + 1), isNegated: args[at] === "unless" };
}

/** Terms in lists to be joined by "and", lists to be joined by "or". */
function parse(words: readonly string[]): Term[][] {
  const lists: Term[][] = [[]];
  let isNegated = false;
  for (let at = 0; at < words.length; at++) {
    const word = words[at] ?? "";
    if (word === "or" || word === "||") lists.push([]);
    else if (word === "!") isNegated = !isNegated;
    else {
      const bare = word.replace(/^!/, "");
      if (bare !== word) isNegated = !isNegated;
      const end = bare === "{" ? words.indexOf("}", at) : -1;
      const criterion = end === -1 ? [] : words.slice(at + 1, end);
      lists.at(-1)?.push({ isNegated, name: bare === "{" ? undefined : bare, criterion });
      if (end !== -1) at = end;
      isNegated = false;
    }
  }
  return lists;
}

/** Names in a condition that no acl line and not HAProxy itself defines. */
export function undefinedNames(args: readonly string[], acls: readonly HaproxyLine[]): string[] {
  const condition = conditionOf(args);
  if (condition === undefined) return [];
  return parse(condition.words).flat().flatMap(({ name }) => name ?? [])
    .filter((name) => !PREDEFINED_NAMES.test(name) && !acls.some(({ args }) => args[0] === name));
}

function and(verdicts: readonly Verdict[]): Verdict {
  if (verdicts.includes(false)) return false;
  return verdicts.includes(undefined) ? undefined : true;
}

function not(verdict: Verdict): Verdict {
  return verdict === undefined ? undefined : !verdict;
}

function or(verdicts: readonly Verdict[]): Verdict {
  return not(and(verdicts.map(not)));
}

/** Whether a line with a condition holds for a request; true for one without. */
export function holds(args: readonly string[], acls: readonly HaproxyLine[], request: Request): Verdict {
  const condition = conditionOf(args);
  if (condition === undefined) return true;
  const verdict = or(
    parse(condition.words).map((terms) => and(terms.map((term) => termHolds(term, acls, request)))),
  );
  return condition.isNegated ? not(verdict) : verdict;
}

function termHolds(
  { isNegated, name, criterion }: Term,
  acls: readonly HaproxyLine[],
  request: Request,
): Verdict {
  const lines = name === undefined
    ? [criterion]
    : acls.filter(({ args }) => args[0] === name).map(({ args }) => args.slice(1));
  const verdict = lines.length === 0
    ? PREDEFINED[name ?? ""]
    : or(lines.map((words) => criterionHolds(words, request)));
  return isNegated ? not(verdict) : verdict;
}

const METHOD_OF: Readonly<Record<string, string>> = {
  path: "str",
  path_beg: "beg",
  path_end: "end",
  path_sub: "sub",
  path_dir: "dir",
  path_reg: "reg",
};

function criterionHolds([criterion = "", ...rest]: readonly string[], request: Request): Verdict {
  const values: string[] = [];
  let method = METHOD_OF[criterion];
  let isCaseless = false;
  for (let at = 0; at < rest.length; at++) {
    const word = rest[at] ?? "";
    if (word === "-i") isCaseless = true;
    else if (word === "-m") method = rest[++at];
    else if (word === "-f" || word === "-M") return undefined;
    else if (word !== "--") values.push(word);
  }
  if (/^(req\.)?hdr(_sub|_beg|_dom)?\((upgrade|connection)[,)]/i.test(criterion)) {
    return request.isUpgrade && values.some((value) => /^(websocket|upgrade)$/i.test(value));
  }
  if (METHOD_OF[criterion] === undefined) return undefined;
  const fold = (text: string) => isCaseless ? text.toLowerCase() : text;
  const path = fold(request.path);
  return or(values.map((value) => pathMatches(path, fold(value), method)));
}

function pathMatches(path: string, value: string, method: string | undefined): Verdict {
  switch (method) {
    case "str":
      return path === value;
    case "beg":
      return path.startsWith(value);
    case "end":
      return path.endsWith(value);
    case "sub":
      return path.includes(value);
    case "dir":
      return `${path}/`.includes(`/${value.replaceAll(/^\/|\/$/g, "")}/`);
    case "reg":
      try {
        return new RegExp(value).test(path);
      } catch {
        return undefined; // A pattern of PCRE that JavaScript does not have.
      }
    default:
      return undefined;
  }
}

/** Whether a condition speaks of upgrades or of a path that is usual for WebSockets. */
export function textOfCondition(args: readonly string[], acls: readonly HaproxyLine[]): string {
  const condition = conditionOf(args);
  if (condition === undefined) return "";
  const names = new Set(condition.words.map((word) => word.replace(/^!/, "")));
  const used = acls.filter(({ args: [name = ""] }) => names.has(name)).flatMap(({ args }) => args);
  return [...condition.words, ...used].join(" ");
}
