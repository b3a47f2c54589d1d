/**
 * The patterns that a node has subscribed to, as a trie of tokens: whether any of them matches a topic is found out in
 * one walk. `*` stands for one token, `>` at the end for one or more. Who asked for a pattern is not known here.
 */

interface Node {
  readonly children: Map<string, Node>;
  /** Whether a pattern ends here. */
  isEnd: boolean;
}

const ONE_TOKEN = "*";
const REST = ">";

function createNode(): Node {
  return { children: new Map(), isEnd: false };
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
    node.isEnd = true;
    return true;
  }

  /** Whether it was there. */
  delete(pattern: string): boolean {
    if (!this.patterns.delete(pattern)) return false;
    remove(this.root, pattern.split("."), 0);
    return true;
  }

  matches(topic: string): boolean {
    return matches(this.root, topic, 0);
  }
}

/** Whether a pattern below `node` matches the tokens of `topic` from index `start` on. */
function matches(node: Node, topic: string, start: number): boolean {
  if (node.children.has(REST)) return true;
  const dot = topic.indexOf(".", start);
  const token = dot < 0 ? topic.slice(start) : topic.slice(start, dot);
  const any = node.children.get(ONE_TOKEN);
  if (any !== undefined && matchesAfter(any, topic, dot)) return true;
  const same = node.children.get(token);
  return same !== undefined && matchesAfter(same, topic, dot);
}

function matchesAfter(node: Node, topic: string, dot: number): boolean {
  return dot < 0 ? node.isEnd : matches(node, topic, dot + 1);
}

function remove(node: Node, tokens: readonly string[], depth: number): void {
  if (depth === tokens.length) {
    node.isEnd = false;
    return;
  }
  const token = tokens[depth] as string; // depth < length
  const child = node.children.get(token);
  if (child === undefined) return;
  remove(child, tokens, depth + 1);
  if (!child.isEnd && child.children.size === 0) node.children.delete(token);
}
