/** What a topic may be called. A name of the whole house, like a close code: it imports nothing, so every room may ask. */

const MAX_TOPIC_LENGTH = 200;
const TOPIC = new RegExp(`^[A-Za-z0-9_\\-.:/@=,;]{1,${MAX_TOPIC_LENGTH}}$`);

/** The rule in words, for error messages. */
export const TOPIC_RULE = `A topic is 1 to ${MAX_TOPIC_LENGTH} characters of A-Z a-z 0-9 _ - . : / @ = , ;`;

export function isTopic(topic: unknown): topic is string {
  return typeof topic === "string" && TOPIC.test(topic);
}
