/**
 * What a topic and a pattern of topics may be called. Names of the whole house, like a close code: it imports nothing,
 * so every room may ask.
 */

const MAX_TOPIC_LENGTH = 200;
/** What a topic is, as a regular expression for JSON Schema too. */
export const TOPIC_PATTERN = `^[A-Za-z0-9_\\-.:/@=,;]{1,${MAX_TOPIC_LENGTH}}$`;
const TOPIC = new RegExp(TOPIC_PATTERN);
/** Tokens hold no dot, so there is one way only to read a text: the check takes linear time. */
const TOKENS = /^(?:(?:\*|[A-Za-z0-9_\-:/@=,;]*)\.)*(?:\*|>|[A-Za-z0-9_\-:/@=,;]*)$/;

/** The rule in words, for error messages. */
export const TOPIC_RULE = `A topic is 1 to ${MAX_TOPIC_LENGTH} characters of A-Z a-z 0-9 _ - . : / @ = , ;`;

/** The rule of patterns in words, for error messages. */
export const PATTERN_RULE =
  `A pattern is 1 to ${MAX_TOPIC_LENGTH} characters: a topic whose tokens, between dots, may be * (one token) and whose last may be > (one or more tokens)`;

/**
 * Topics of the server's own. No client can name one, for they are none by the rule above, and no pattern matches one.
 */
export const OwnTopic = {
  /** What each node says of itself while somebody watches. */
  Nodes: "$nodes",
  /** Says to all nodes that somebody watches. */
  Watch: "$watch",
} as const;
const OWN_SIGN = 0x24; // $

/** Whether a name is that of a topic of the server's own. */
export function isOwnTopic(name: string): boolean {
  return name.charCodeAt(0) === OWN_SIGN;
}

export function isTopic(topic: unknown): topic is string {
  return typeof topic === "string" && TOPIC.test(topic);
}

/** Whether `pattern` is a topic, or one with wildcards: `*` in place of a token, `>` in place of the last. */
export function isPattern(pattern: unknown): pattern is string {
  return typeof pattern === "string" && pattern.length >= 1 && pattern.length <= MAX_TOPIC_LENGTH &&
    TOKENS.test(pattern);
}
