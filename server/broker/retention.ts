/** How much of which topics is kept, as the operator writes it: `news.>:100:300` keeps 100 messages for 300 seconds. */
import { Patterns } from "../patterns.ts";
import { isPattern, PATTERN_RULE } from "../topic.ts";
import type { Retention, RetentionOf } from "./broker.ts";

const MAX_MESSAGES = 100_000;
const MAX_SECONDS = 30 * 86_400;
const NONE: Retention = { messages: 0, seconds: 0 };

interface Rule {
  readonly pattern: string;
  readonly retention: Retention;
}

/** A rule, or what is wrong with its text. Colons are characters of topics: the last two count. */
export function parseRetention(text: string): Rule | { readonly problem: string } {
  const [, pattern, messagesText, secondsText] = /^(.*):(\d+):(\d+)$/.exec(text) ?? [];
  if (pattern === undefined) return { problem: "must be pattern:messages:seconds, as in news.>:100:300" };
  if (!isPattern(pattern)) return { problem: PATTERN_RULE };
  const retention = { messages: Number(messagesText), seconds: Number(secondsText) };
  if (retention.messages > MAX_MESSAGES || retention.seconds > MAX_SECONDS) {
    return { problem: `at most ${MAX_MESSAGES} messages for ${MAX_SECONDS} seconds can be kept` };
  }
  return { pattern, retention };
}

/**
 * The first rule whose pattern matches decides; without one nothing is kept.
 * @throws {TypeError} for a text that {@link parseRetention} finds wrong
 */
export function retentions(texts: readonly string[]): RetentionOf {
  const rules = texts.map((text) => {
    const rule = parseRetention(text);
    if ("problem" in rule) throw new TypeError(`a retention ${rule.problem}`);
    const patterns = new Patterns();
    patterns.add(rule.pattern);
    return { patterns, retention: rule.retention };
  });
  return (topic) => rules.find(({ patterns }) => patterns.matches(topic))?.retention ?? NONE;
}
