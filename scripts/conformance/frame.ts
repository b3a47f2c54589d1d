/**
 * Frames of RFC 6455 section 5.2, written and read octet by octet, for the conformance runner alone. The writer can
 * build every wrong frame a case asks for; the reader takes anything and only notes what it saw. It judges codecs, so
 * it must never import one: not the server's, not that of a library.
 */

/** Opcodes of RFC 6455 section 11.8, by name. */
export const Opcode = { Continuation: 0, Text: 1, Binary: 2, Close: 8, Ping: 9, Pong: 10 } as const;

/** The three reserved bits as the number Autobahn writes: RSV1 is 4, RSV2 is 2, RSV3 is 1. */
export const Rsv1 = 4;

const FIN = 0x80;
const MASKED = 0x80;
const RSV_SHIFT = 4;
const FIRST_CONTROL_OPCODE = 8;
const LARGEST_7_BIT_LENGTH = 125;
const LENGTH_IS_16_BIT = 126;
const LENGTH_IS_64_BIT = 127;
const LARGEST_16_BIT_LENGTH = 0xffff;
const MASK_BYTES = 4;
const LONGEST_HEADER_BYTES = 14;

/** A reply frame longer than this is taken for nonsense, so that a faulty server cannot make the runner allocate. */
const LARGEST_REPLY_BYTES = 128 * 1024 * 1024;

/** What to write. Everything but the opcode has the lawful value as its default. */
export interface FrameSpec {
  readonly opcode: number;
  readonly payload?: Uint8Array | string;
  readonly fin?: boolean;
  /** 0 to 7, RSV1 being 4. */
  readonly rsv?: number;
  /** `false` leaves the frame unmasked; four bytes are used as the key. */
  readonly mask?: boolean | Uint8Array;
  /** Octets of extended length to use even if fewer would do: 2 or 8. */
  readonly lengthBytes?: 2 | 8;
  /** A length to claim instead of the payload's own. Always written in 64 bits. */
  readonly claimedLength?: bigint;
}

/** What was read. Nothing is judged here. */
export interface RawFrame {
  readonly fin: boolean;
  readonly rsv: number;
  readonly opcode: number;
  readonly masked: boolean;
  /** The length was written in the fewest octets, as section 5.2 demands. */
  readonly minimal: boolean;
  readonly payload: Uint8Array;
}

const encoder = new TextEncoder();

/** Text as UTF-8, bytes as they are. */
export function toBytes(payload: Uint8Array | string): Uint8Array {
  return typeof payload === "string" ? encoder.encode(payload) : payload;
}

/** Several byte strings as one. */
export function concat(parts: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const part of parts) length += part.length;
  const whole = new Uint8Array(length);
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}

/** Bytes from hexadecimal digits; blanks are ignored. */
export function hex(digits: string): Uint8Array {
  const pairs = digits.replaceAll(" ", "").match(/../g) ?? [];
  return Uint8Array.from(pairs, (pair) => Number.parseInt(pair, 16));
}

/** The control opcodes are 8 to 15 (section 5.5). */
export function isControl(opcode: number): boolean {
  return opcode >= FIRST_CONTROL_OPCODE;
}

// A fixed start, so that two runs send the same octets in the same order.
let maskState = 0x6d2b79f5;

function nextMaskKey(): Uint8Array {
  maskState ^= maskState << 13;
  maskState ^= maskState >>> 17;
  maskState ^= maskState << 5;
  return new Uint8Array([
    maskState & 0xff,
    (maskState >>> 8) & 0xff,
    (maskState >>> 16) & 0xff,
    maskState >>> 24,
  ]);
}

/** One frame as octets, masked unless told otherwise. */
export function frame(spec: FrameSpec): Uint8Array {
  const payload = toBytes(spec.payload ?? "");
  const key = spec.mask === false ? undefined : spec.mask instanceof Uint8Array ? spec.mask : nextMaskKey();
  const lengthBytes = lengthBytesOf(payload.length, spec);
  const headerBytes = 2 + lengthBytes + (key === undefined ? 0 : MASK_BYTES);
  const out = new Uint8Array(headerBytes + payload.length);
  const view = new DataView(out.buffer);
  out[0] = (spec.fin === false ? 0 : FIN) | ((spec.rsv ?? 0) << RSV_SHIFT) | spec.opcode;
  const maskBit = key === undefined ? 0 : MASKED;
  if (lengthBytes === 0) out[1] = maskBit | payload.length;
  else if (lengthBytes === 2) {
    out[1] = maskBit | LENGTH_IS_16_BIT;
    view.setUint16(2, payload.length);
  } else {
    out[1] = maskBit | LENGTH_IS_64_BIT;
    view.setBigUint64(2, spec.claimedLength ?? BigInt(payload.length));
  }
  if (key === undefined) {
    out.set(payload, headerBytes);
    return out;
  }
  out.set(key, headerBytes - MASK_BYTES);
  for (let index = 0; index < payload.length; index++) {
    out[headerBytes + index] = (payload[index] ?? 0) ^ (key[index & 3] ?? 0);
  }
  return out;
}

function lengthBytesOf(length: number, spec: FrameSpec): 0 | 2 | 8 {
  if (spec.claimedLength !== undefined) return 8;
  if (spec.lengthBytes !== undefined) return spec.lengthBytes;
  if (length <= LARGEST_7_BIT_LENGTH) return 0;
  return length <= LARGEST_16_BIT_LENGTH ? 2 : 8;
}

/** A message as frames of at most `fragmentBytes` each; the last one carries FIN. An empty message is one frame. */
export function fragments(
  opcode: number,
  payload: Uint8Array | string,
  fragmentBytes: number,
  rsv = 0,
): Uint8Array[] {
  const bytes = toBytes(payload);
  const frames: Uint8Array[] = [];
  let offset = 0;
  do {
    const end = Math.min(bytes.length, offset + fragmentBytes);
    frames.push(frame({
      opcode: offset === 0 ? opcode : Opcode.Continuation,
      payload: bytes.subarray(offset, end),
      fin: end === bytes.length,
      rsv: offset === 0 ? rsv : 0,
    }));
    offset = end;
  } while (offset < bytes.length);
  return frames;
}

/** The payload of a close frame: two octets of code, then the reason (section 5.5.1). */
export function closePayload(code: number, reason: Uint8Array | string = ""): Uint8Array {
  return concat([new Uint8Array([code >> 8, code & 0xff]), toBytes(reason)]);
}

/** Cuts a byte stream into frames. Holds at most one unfinished frame. */
export class FrameReader {
  readonly #header = new Uint8Array(LONGEST_HEADER_BYTES);
  #headerBytes = 0;
  #payload: Uint8Array | undefined;
  #payloadBytes = 0;

  /**
   * Reads `chunk` and hands over every frame completed by it, in order.
   * @throws RangeError for a frame longer than any reply can be.
   */
  push(chunk: Uint8Array, onFrame: (frame: RawFrame) => void): void {
    let offset = 0;
    while (offset < chunk.length) {
      if (this.#payload === undefined) {
        this.#header[this.#headerBytes++] = chunk[offset++] ?? 0;
        if (this.#headerBytes < this.#headerLength()) continue;
        this.#payload = new Uint8Array(this.#payloadLength());
        this.#payloadBytes = 0;
      }
      const wanted = Math.min(this.#payload.length - this.#payloadBytes, chunk.length - offset);
      this.#payload.set(chunk.subarray(offset, offset + wanted), this.#payloadBytes);
      this.#payloadBytes += wanted;
      offset += wanted;
      if (this.#payloadBytes < this.#payload.length) return;
      const whole = this.#finish(this.#payload);
      this.#payload = undefined;
      this.#headerBytes = 0;
      onFrame(whole);
    }
  }

  #headerLength(): number {
    if (this.#headerBytes < 2) return 2;
    const second = this.#header[1] ?? 0;
    const length = second & LENGTH_IS_64_BIT;
    const extended = length === LENGTH_IS_64_BIT ? 8 : length === LENGTH_IS_16_BIT ? 2 : 0;
    return 2 + extended + (second & MASKED ? MASK_BYTES : 0);
  }

  #payloadLength(): number {
    const view = new DataView(this.#header.buffer);
    const length = (this.#header[1] ?? 0) & LENGTH_IS_64_BIT;
    if (length === LENGTH_IS_16_BIT) return view.getUint16(2);
    if (length !== LENGTH_IS_64_BIT) return length;
    const long = view.getBigUint64(2);
    if (long > BigInt(LARGEST_REPLY_BYTES)) throw new RangeError(`a reply frame claims ${long} bytes`);
    return Number(long);
  }

  #finish(payload: Uint8Array): RawFrame {
    const [first = 0, second = 0] = this.#header;
    const short = second & LENGTH_IS_64_BIT;
    const least = short === LENGTH_IS_64_BIT
      ? LARGEST_16_BIT_LENGTH + 1
      : short === LENGTH_IS_16_BIT
      ? LENGTH_IS_16_BIT
      : 0;
    const masked = (second & MASKED) !== 0;
    if (masked) {
      const at = this.#headerBytes - MASK_BYTES;
      for (let index = 0; index < payload.length; index++) {
        payload[index] = (payload[index] ?? 0) ^ (this.#header[at + (index & 3)] ?? 0);
      }
    }
    return {
      fin: (first & FIN) !== 0,
      rsv: (first >> RSV_SHIFT) & 7,
      opcode: first & 0x0f,
      masked,
      minimal: payload.length >= least,
      payload,
    };
  }
}
