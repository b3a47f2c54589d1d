/**
 * Patterns of topics as a trie of tokens: which of them match a topic is found out in one walk. `*` stands for one
 * token, `>` at the end for one or more. Who asked for a pattern is not known here.
 */
import { isOwnTopic } from "./topic.ts";

interface Node {
  readonly children: Map<string, Node>;
  /** The pattern that ends here. */
  pattern: string | undefined;
}

const ONE_TOKEN = "*";
const REST = ">";

function createNode(): Node {
  return { children: new Map(), pattern: undefined };
}

export class Patterns {
  private readonly root = createNode();
  private readonly patterns = new Set<string>();

  get size(): number {
    return this.patterns.size;
  }

  [Symbol.iterator](): IterableIterator<string> {
    return this.patterns.values();
  }

  /** Whether it was not there before. */
  add(pattern: string): boolean {
    if (this.patterns.has(pattern)) return false;
    this.patterns.add(pattern);
    let node = this.root;
    for (const token of pattern.split(".")) {
      let child = node.children.get(token);
      if (child === undefined) node.children.set(token, child = createNode());
      node = child;
    }
    node.pattern = pattern;
    return true;
  }

  /** Whether it was there. */
  delete(pattern: string): boolean {
    if (!this.patterns.delete(pattern)) return false;
    remove(this.root, pattern.split("."), 0);
    return true;
  }

  /** Whether any pattern matches; a topic of the server's own is matched by none. */
  matches(topic: string): boolean {
    return this.patterns.size > 0 && !isOwnTopic(topic) && visit(this.root, topic, 0, () => true);
  }

  /** Every pattern that matches. */
  matching(topic: string): readonly string[] {
    const found: string[] = [];
    if (isOwnTopic(topic)) return found;
    visit(this.root, topic, 0, (pattern) => {
      found.push(pattern);
      return false;
    });
    return found;
  }
}

/** Calls `found` for the patterns below `node` that match `topic` from `start` on, until it answers true. */
function visit(node: Node, topic: string, start: number, found: (pattern: string) => boolean): boolean {
  const rest = node.children.get(REST)?.pattern;
  if (rest !== undefined && found(rest)) return true;
  const dot = topic.indexOf(".", start);
  const token = dot < 0 ? topic.slice(start) : topic.slice(start, dot);
  for (const child of [node.children.get(ONE_TOKEN), node.children.get(token)]) {
    if (child === undefined) continue;
    if (dot >= 0) {
      if (visit(child, topic, dot + 1, found)) return true;
    } else if (child.pattern !== undefined && found(child.pattern)) return true;
  }
  return false;
}

function remove(node: Node, tokens: readonly string[], depth: number): void {
  if (depth === tokens.length) {
    node.pattern = undefined;
    return;
  }
  const token = tokens[depth] as string; // depth < length
  const child = node.children.get(token);
  if (child === undefined) return;
  remove(child, tokens, depth + 1);
  if (child.pattern === undefined && child.children.size === 0) node.children.delete(token);
}
