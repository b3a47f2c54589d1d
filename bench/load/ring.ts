/**
 * The messages that the load generator sends: a few different ones, encoded once, laid out so that any number of
 * consecutive ones is a single slice. It must never know a connection.
 */
import { Buffer } from "node:buffer";
import { BINARY, TEXT } from "./scanner.ts";

const FIN_BIT = 0x80;
const MASK_BIT = 0x80;
const LENGTH_16 = 126;
const LENGTH_64 = 127;
const MAX_SHORT_BYTES = 125;
const MAX_16_BIT = 0xffff;
const MASK_BYTES = 4;

/** Different messages in a ring, as long as they fit into this memory; never fewer than two. */
const MOST_MESSAGES = 64;
const FEWEST_MESSAGES = 2;
const RING_BYTES = 8 * 1024 * 1024;

const SEED = 0x5eed;
const TEXT_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/** What a ring is made of. */
export interface RingOptions {
  payloadBytes: number;
  binary: boolean;
  /** False for messages without framing. */
  framed: boolean;
  /** Most messages that one `batch` asks for. */
  longestBatch: number;
  /** Turns data into the message that carries it; must add the same number of bytes to all. */
  wrap: (data: Buffer) => Buffer;
}

/** Message `n` of a connection is message `n` modulo `size` of the ring. */
export class MessageRing {
  readonly longestBatch: number;
  /** What each message carries, before wrapping. */
  readonly data: readonly Buffer[];
  readonly #wire: Uint8Array;
  readonly #messageBytes: number;

  constructor(options: RingOptions) {
    const size = Math.floor(RING_BYTES / Math.max(1, options.payloadBytes));
    const count = Math.min(MOST_MESSAGES, Math.max(FEWEST_MESSAGES, size));
    const random = seededBytes(SEED);
    this.data = Array.from({ length: count }, () => randomData(options, random));
    const wire = this.data.map((data) => {
      const message = options.wrap(data);
      return options.framed ? maskedFrame(options.binary ? BINARY : TEXT, message, random) : message;
    });
    this.longestBatch = options.longestBatch;
    this.#messageBytes = wire[0]?.length ?? 0;
    const copies = count + options.longestBatch;
    this.#wire = Buffer.concat(Array.from({ length: copies }, (_, i) => wire[i % count] as Buffer));
  }

  /** What message `sequence` carries. */
  dataOf(sequence: number): Buffer {
    return this.data[sequence % this.data.length] as Buffer;
  }

  /** The bytes of `count` messages from `sequence` on; `count` is at most `longestBatch`. */
  batch(sequence: number, count: number): Uint8Array {
    const start = (sequence % this.data.length) * this.#messageBytes;
    return this.#wire.subarray(start, start + count * this.#messageBytes);
  }
}

function randomData(options: RingOptions, random: () => number): Buffer {
  const data = Buffer.alloc(options.payloadBytes);
  for (let i = 0; i < data.length; i++) {
    data[i] = options.binary ? random() : TEXT_ALPHABET.charCodeAt(random() % TEXT_ALPHABET.length);
  }
  return data;
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
