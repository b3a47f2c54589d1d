/**
 * Names of topics and patterns: as types, so that an application says once what its topics carry, and as checks, so
 * that a bad name is the caller's error and never a message to the server. It knows nothing of connections.
 */

/** The topics that a name stands for: `prices.*` and `prices.>` for all that begin with `prices.`. */
type NameOf<Key extends string> = Key extends `${infer Before}*${infer After}`
  ? `${Before}${string}${NameOf<After>}`
  : Key extends `${infer Before}>` ? `${Before}${string}`
  : Key;

/**
 * The topics and patterns that may be named, of an application whose topics are `Topics`: an object type with a topic
 * or a pattern as each key, and what it carries as the value. A type cannot count tokens: `a.*` admits `a.b.c`.
 */
export type Topic<Topics extends object> = NameOf<keyof Topics & string>;

/** What a topic carries: what its own key says, else what each key that it matches says. */
export type DataOf<Topics extends object, Name extends string> = Name extends keyof Topics ? Topics[Name]
  : { [Key in keyof Topics & string]: Name extends NameOf<Key> ? Topics[Key] : never }[keyof Topics & string];

const TOPIC = /^[\w\-.:/@=,;]{1,200}$/;
/** A token that stands for others. */
const WILD = /(^|\.)(?:\*(?=\.|$)|>$)/g;

/** Whether a name stands for several topics. */
export function isPattern(name: string): boolean {
  return !TOPIC.test(name);
}

/** @throws {TypeError} when `name` is not a topic, nor a pattern where `orPattern` says that one will do */
export function checkTopic(name: string, orPattern?: boolean): void {
  if (!TOPIC.test(orPattern ? name.replace(WILD, "$1x") : name)) throw new TypeError(`not a topic: ${name}`);
}

/** Whether a topic is one of those that a pattern stands for. */
export function matches(pattern: string, topic: string): boolean {
  const [wanted, tokens] = [pattern.split("."), topic.split(".")];
  return (wanted.at(-1) === ">" || wanted.length === tokens.length) &&
    wanted.every((token, index) => token === tokens[index] || (index < tokens.length && /[*>]/.test(token)));
}
