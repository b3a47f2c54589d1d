/**
 * Which of several independent servers a topic belongs to: the one with the highest hash of topic and server
 * (rendezvous hashing). A further server takes its share from all others evenly, and nothing else moves. Every node
 * must be given the same servers; their order does not matter.
 */

const FNV_OFFSET = 0x811c9dc5;
const FNV_PRIME = 0x01000193;

/** FNV-1a over UTF-16 units, 32 bits. */
function hash(text: string): number {
  let value = FNV_OFFSET;
  for (let index = 0; index < text.length; index++) {
    value = Math.imul(value ^ text.charCodeAt(index), FNV_PRIME);
  }
  return value;
}

/** MurmurHash3's last step: every bit of the input moves about half of the output's. */
function mix(value: number): number {
  let mixed = value;
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}

export class Shards<Server> {
  private readonly servers: readonly Server[];
  private readonly seeds: Int32Array;

  /** `names` are what a topic's server is chosen by: one for each server, lasting and distinct. */
  constructor(servers: readonly Server[], names: readonly string[]) {
    this.servers = servers;
    this.seeds = Int32Array.from(names, (name) => mix(hash(name)));
    if (new Set(this.seeds).size !== servers.length) throw new RangeError("two of the servers are the same");
  }

  of(topic: string): Server {
    let best = 0;
    if (this.servers.length > 1) {
      const topicHash = mix(hash(topic));
      let highest = -1;
      for (let index = 0; index < this.seeds.length; index++) {
        const score = mix(topicHash ^ (this.seeds[index] as number)); // index < length
        if (score <= highest) continue;
        highest = score;
        best = index;
      }
    }
    return this.servers[best] as Server; // there is one at least
  }

  [Symbol.iterator](): IterableIterator<Server> {
    return this.servers.values();
  }
}
