/**
 * What the broker's subjects and streams in NATS are called, and how publications are written there: the epoch, the
 * offset of the first and how many there are in ASCII, then their data as one MessagePack array.
 */
import { Buffer } from "node:buffer";
import { Packr } from "msgpackr";
import type { Publication } from "./broker.ts";

const packr = new Packr({
  useRecords: false,
  mapsAsObjects: true,
  // Integers that a number holds exactly come as numbers; the type declarations leave this value out.
  int64AsType: "auto" as "bigint",
  copyBuffers: true,
});

const SPACE = 0x20;

/** Stands for a token without characters, which NATS does not know; no topic has it. */
const EMPTY_TOKEN = "~";

function toSubject(topicOrPattern: string): string {
  return topicOrPattern.split(".").map((token) => token === "" ? EMPTY_TOKEN : token).join(".");
}

/** The names of one broker's subjects and streams. */
export class NatsNames {
  private readonly prefix: string;

  /** `prefix` keeps several installations in one NATS apart: letters, digits, - and _. */
  constructor(prefix: string) {
    this.prefix = prefix;
  }

  stream(kind: string): string {
    return `${this.prefix}_${kind}`;
  }

  /** Where a topic's publications are stored. */
  stored(kind: string, topicOrPattern: string): string {
    return `${this.prefix}.t.${kind}.${toSubject(topicOrPattern)}`;
  }

  /** Where what has been stored goes on to the nodes. */
  delivered(topicOrPattern: string): string {
    return `${this.prefix}.d.${toSubject(topicOrPattern)}`;
  }

  /** The topic of a delivered subject. */
  topicOf(subject: string): string {
    const tokens = subject.slice(this.prefix.length + ".d.".length).split(".");
    return tokens.map((token) => token === EMPTY_TOKEN ? "" : token).join(".");
  }

  presence(topic: string, session: string): string {
    return `${this.prefix}.m.${toSubject(topic)}.${session === "*" ? "*" : tokenOf(session)}`;
  }

  presenceOfAll(): string {
    return `${this.prefix}.m.>`;
  }
}

function tokenOf(session: string): string {
  return Buffer.from(session).toString("base64url");
}

/** Publications that were stored together; none in a marker, which only says where the topic is. */
export interface Entry {
  readonly epoch: string;
  /** Of the first publication, or of the next one. */
  readonly first: number;
  readonly data: readonly unknown[];
}

export function writeEntry({ epoch, first, data }: Entry): Uint8Array {
  const place = Buffer.from(`${epoch} ${first} ${data.length} `, "latin1");
  return data.length === 0 ? place : Buffer.concat([place, packr.pack(data)]);
}

/** Undefined when it is not one of ours. */
export function readEntry(bytes: Uint8Array): Entry | undefined {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const ends = [buffer.indexOf(SPACE)];
  for (let field = 1; field < 3; field++) ends.push(buffer.indexOf(SPACE, (ends[field - 1] as number) + 1));
  const [epochEnd = -1, firstEnd = -1, countEnd = -1] = ends;
  const first = Number(buffer.toString("latin1", epochEnd + 1, firstEnd));
  const count = Number(buffer.toString("latin1", firstEnd + 1, countEnd));
  if (countEnd < 0 || !Number.isSafeInteger(first) || !Number.isSafeInteger(count)) return undefined;
  try {
    const data: unknown = count === 0 ? [] : packr.unpack(buffer.subarray(countEnd + 1));
    if (!Array.isArray(data) || data.length !== count) return undefined;
    return { epoch: buffer.toString("latin1", 0, epochEnd), first, data };
  } catch {
    return undefined;
  }
}

export function publicationsOf(topic: string, { epoch, first, data }: Entry): Publication[] {
  return data.map((value, index) => ({ topic, data: value, epoch, offset: first + index }));
}
