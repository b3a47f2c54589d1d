/**
 * The messages that the load generator sends: a few different ones, encoded once, laid out so that any number of
 * consecutive ones is a single slice. It must never know a connection.
 */
import { Buffer } from "node:buffer";
import { constants, deflateRawSync } from "node:zlib";
import { RSV1_BIT } from "./scanner.ts";

const FIN_BIT = 0x80;
const MASK_BIT = 0x80;
const LENGTH_16 = 126;
const LENGTH_64 = 127;
const MAX_SHORT_BYTES = 125;
const MAX_16_BIT = 0xffff;
const MASK_BYTES = 4;

/** What a compressed message ends with and does not send (RFC 7692, section 7.2.1). */
const EMPTY_BLOCK_BYTES = 4;

/** Different messages in a ring, as long as they fit into this memory; never fewer than two. */
export const MOST_MESSAGES = 64;
const FEWEST_MESSAGES = 2;
const RING_BYTES = 8 * 1024 * 1024;

const SEED = 0x5eed;
const TEXT_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/** What a ring is made of. */
export interface RingOptions {
  payloadBytes: number;
  /** Bytes at random instead of characters at random. */
  binary: boolean;
  content: "random" | "json";
  /** Opcode of the frames; undefined for messages without framing. */
  opcode: number | undefined;
  deflate: boolean;
  /** Most messages that one `batch` asks for. */
  longestBatch: number;
  mostMessages: number;
  /** Turns data into the message that carries it. */
  wrap: (data: Buffer) => Buffer;
  /** Turns data into the message that arrives with it; undefined when that is not always the same. */
  arriving: ((data: Buffer) => Buffer) | undefined;
}

/** Message `n` of a connection is message `n` modulo `size` of the ring. */
export class MessageRing {
  readonly longestBatch: number;
  /** What each message carries, before wrapping. */
  readonly data: readonly Buffer[];
  readonly #arriving: readonly Buffer[] | undefined;
  readonly #wire: Uint8Array;
  /** Where each message begins in `wire`, and at last where it ends. */
  readonly #starts: readonly number[];

  constructor(options: RingOptions) {
    const size = Math.floor(RING_BYTES / Math.max(1, options.payloadBytes));
    const count = Math.min(options.mostMessages, Math.max(FEWEST_MESSAGES, size));
    const random = seededBytes(SEED);
    this.data = Array.from({ length: count }, () => dataOf(options, random));
    this.#arriving = options.arriving && this.data.map(options.arriving);
    const wire = this.data.map((data) => frameOf(options, options.wrap(data), random));
    this.longestBatch = options.longestBatch;
    const copies = Array.from({ length: count + options.longestBatch }, (_, i) => wire[i % count] as Buffer);
    this.#wire = Buffer.concat(copies);
    let end = 0;
    this.#starts = [0, ...copies.map((copy) => end += copy.length)];
  }

  /** What message `sequence` carries. */
  dataOf(sequence: number): Buffer {
    return this.data[sequence % this.data.length] as Buffer;
  }

  /** What arrives for message `sequence`, when that is always the same. */
  arrivingOf(sequence: number): Buffer | undefined {
    return this.#arriving?.[sequence % this.data.length];
  }

  /** The size of every arriving message; -1 when sizes differ or are not known. */
  get arrivingBytes(): number {
    const sizes = new Set(this.#arriving?.map(({ length }) => length));
    const [size] = sizes;
    return sizes.size === 1 && size !== undefined ? size : -1;
  }

  /** The bytes of `count` messages from `sequence` on; `count` is at most `longestBatch`. */
  batch(sequence: number, count: number): Uint8Array {
    const first = sequence % this.data.length;
    return this.#wire.subarray(this.#starts[first], this.#starts[first + count]);
  }
}

function dataOf(options: RingOptions, random: () => number): Buffer {
  if (options.content === "json") return jsonData(options.payloadBytes, random);
  const data = Buffer.alloc(options.payloadBytes);
  for (let i = 0; i < data.length; i++) {
    data[i] = options.binary ? random() : TEXT_ALPHABET.charCodeAt(random() % TEXT_ALPHABET.length);
  }
  return data;
}

/** Text as an API sends it, cut to its size: the same keys again and again, other values. */
function jsonData(bytes: number, random: () => number): Buffer {
  let text = "";
  while (text.length < bytes) {
    const id = random() * 256 + random();
    text += JSON.stringify({
      id,
      user: `user-${random()}`,
      status: random() % 3 === 0 ? "away" : "online",
      price: random() / 100,
      updatedAt: `2026-01-${10 + random() % 20}T12:00:00Z`,
    }) + ",";
  }
  return Buffer.from(text.slice(0, bytes));
}

function frameOf(options: RingOptions, message: Buffer, random: () => number): Buffer {
  if (options.opcode === undefined) return message;
  if (!options.deflate) return maskedFrame(options.opcode, message, random);
  const flushed = deflateRawSync(message, { finishFlush: constants.Z_SYNC_FLUSH });
  return maskedFrame(options.opcode | RSV1_BIT, flushed.subarray(0, -EMPTY_BLOCK_BYTES), random);
}

/** A client's frame (RFC 6455, section 5.2): final, masked with a random key. */
export function maskedFrame(opcode: number, payload: Uint8Array, random: () => number): Buffer {
  const length = payload.length;
  const lengthBytes = length <= MAX_SHORT_BYTES ? 0 : length <= MAX_16_BIT ? 2 : 8;
  const maskAt = 2 + lengthBytes;
  const frame = Buffer.alloc(maskAt + MASK_BYTES + length);
  frame[0] = FIN_BIT | opcode;
  frame[1] = MASK_BIT | (lengthBytes === 0 ? length : lengthBytes === 2 ? LENGTH_16 : LENGTH_64);
  if (lengthBytes === 2) frame.writeUInt16BE(length, 2);
  if (lengthBytes === 8) frame.writeBigUInt64BE(BigInt(length), 2);
  for (let i = 0; i < MASK_BYTES; i++) frame[maskAt + i] = random();
  for (let i = 0; i < length; i++) {
    frame[maskAt + MASK_BYTES + i] = (payload[i] as number) ^ (frame[maskAt + (i % MASK_BYTES)] as number);
  }
  return frame;
}

/** Bytes that are the same in every run (xorshift32); good enough to tell messages apart. */
export function seededBytes(seed: number): () => number {
  let state = seed;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 8) & 0xff;
  };
}
