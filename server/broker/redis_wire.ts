/**
 * What the broker's keys and channels in Redis are called, and how a publication is written there: a place in ASCII,
 * then the data as MessagePack. A topic's keys share a hash tag, so that a cluster keeps them together.
 */
import { Buffer } from "node:buffer";
import { Packr } from "msgpackr";
import { type Member, memberKey, type Publication } from "./broker.ts";

const packr = new Packr({
  useRecords: false,
  mapsAsObjects: true,
  // Integers that a number holds exactly come as numbers; the type declarations leave this value out.
  int64AsType: "auto" as "bigint",
  // What Redis sent is read in place, and a publication lives longer than the chunk it came in.
  copyBuffers: true,
});

const SPACE = 0x20;
const LINE_FEED = "\n";

export function pack(data: unknown): Buffer {
  return packr.pack(data);
}

/** The names of one broker's keys and channels in Redis. */
export class RedisNames {
  private readonly prefix: string;
  private readonly channelStart: string;
  private readonly presenceStart: string;

  /** `prefix` keeps several installations in one Redis apart. */
  constructor(prefix: string) {
    this.prefix = prefix;
    this.channelStart = `${prefix}t:{`;
    this.presenceStart = `${prefix}e:{`;
  }

  place(topic: string): string {
    return `${this.prefix}p:{${topic}}`;
  }

  history(topic: string): string {
    return `${this.prefix}h:{${topic}}`;
  }

  /** Deadlines, members and counts. */
  presence(topic: string): readonly [string, string, string] {
    return [`${this.prefix}d:{${topic}}`, `${this.prefix}m:{${topic}}`, `${this.prefix}c:{${topic}}`];
  }

  /** Where the topic's publications go. */
  channel(topic: string): string {
    return `${this.channelStart}${topic}}`;
  }

  /** Where those who joined and left are told. */
  presenceChannel(topic: string): string {
    return `${this.presenceStart}${topic}}`;
  }

  /** The channels of all topics that `pattern` matches, and of some others: a star in a glob does not stop at dots. */
  glob(pattern: string): string {
    const tokens = pattern.split(".").map((token) => token === "*" || token === ">" ? "*" : token);
    return `${escapeGlob(this.channelStart)}${tokens.join(".")}}`;
  }

  /** Whose publications go over a channel; undefined for another's channel. */
  topicOf(channel: string): string | undefined {
    return channel.startsWith(this.channelStart) ? channel.slice(this.channelStart.length, -1) : undefined;
  }

  /** Whose presence a channel tells of. */
  presenceTopicOf(channel: string): string | undefined {
    return channel.startsWith(this.presenceStart) ? channel.slice(this.presenceStart.length, -1) : undefined;
  }
}

/** Topics and patterns have no characters that mean something in a glob, but a prefix may. */
function escapeGlob(text: string): string {
  return text.replaceAll(/[\\*?[\]]/g, "\\$&");
}

/** Reads "epoch offset data"; undefined when it is not that. */
export function readPublication(topic: string, message: Buffer): Publication | undefined {
  const first = message.indexOf(SPACE);
  const second = message.indexOf(SPACE, first + 1);
  if (first < 0 || second < 0) return undefined;
  const offset = Number(message.toString("latin1", first + 1, second));
  if (!Number.isSafeInteger(offset)) return undefined;
  const epoch = message.toString("latin1", 0, first);
  return toPublication(topic, epoch, offset, message, second + 1);
}

/** Reads "time data", as a history keeps it. */
export function readEntry(
  topic: string,
  epoch: string,
  offset: number,
  entry: Buffer,
): Publication | undefined {
  return toPublication(topic, epoch, offset, entry, entry.indexOf(SPACE) + 1);
}

function toPublication(
  topic: string,
  epoch: string,
  offset: number,
  bytes: Buffer,
  start: number,
): Publication | undefined {
  try {
    return { topic, data: packr.unpack(bytes.subarray(start)), epoch, offset };
  } catch {
    // Not ours: somebody else publishes here. It counts as lost.
    return undefined;
  }
}

/** A member as Redis keeps it: its key as a JSON string, so without line feeds; a line feed; its session. */
export function writeMember(member: Member): string {
  return `${JSON.stringify(memberKey(member))}${LINE_FEED}${member.session}`;
}

/** The reverse of {@link writeMember}. */
export function readMember(text: string): Member {
  const end = text.indexOf(LINE_FEED);
  const key = JSON.parse(text.slice(0, end)) as string; // writeMember's
  return { user: key.startsWith("u") ? key.slice(1) : undefined, session: text.slice(end + 1) };
}

/** Reads "joined" or "left", a line feed, and the member. */
export function readPresence(text: string): { readonly isJoin: boolean; readonly member: Member } {
  const end = text.indexOf(LINE_FEED);
  return { isJoin: text.slice(0, end) === "joined", member: readMember(text.slice(end + 1)) };
}
