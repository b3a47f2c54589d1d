/**
 * A small inflater (RFC 1951) with the history of permessage-deflate (RFC 7692 section 7.2.2). It is our own so that it
 * can hold a server to the window it promised: zlib decodes a reference beyond the window, this one refuses it. It must
 * never know of frames or connections.
 */

const WINDOW_BYTES = 32_768;
const LONGEST_CODE_BITS = 15;
const END_OF_BLOCK = 256;
const LENGTH_BASE = new Uint16Array(29);
const LENGTH_EXTRA = new Uint8Array(29);
const DISTANCE_BASE = new Uint16Array(30);
const DISTANCE_EXTRA = new Uint8Array(30);
const CODE_LENGTH_ORDER = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
const FLUSH_TAIL_BYTES = 4;

fillBases();

function fillBases(): void {
  let base = 3;
  for (let code = 0; code < 28; code++) {
    const extra = code < 8 ? 0 : (code >> 2) - 1;
    LENGTH_BASE[code] = base;
    LENGTH_EXTRA[code] = extra;
    base += 1 << extra;
  }
  LENGTH_BASE[28] = 258;
  base = 1;
  for (let code = 0; code < 30; code++) {
    const extra = code < 4 ? 0 : (code >> 1) - 1;
    DISTANCE_BASE[code] = base;
    DISTANCE_EXTRA[code] = extra;
    base += 1 << extra;
  }
}

/** A prefix code as one table: the next `bits` bits of input give symbol * 16 + length of the code, or 0 for none. */
interface PrefixCode {
  readonly bits: number;
  readonly table: Uint16Array;
}

function buildCode(lengths: Uint8Array): PrefixCode {
  const counts = new Uint16Array(LONGEST_CODE_BITS + 1);
  let bits = 1;
  for (const length of lengths) {
    if (length === 0) continue;
    counts[length] = (counts[length] ?? 0) + 1;
    if (length > bits) bits = length;
  }
  const next = new Uint16Array(LONGEST_CODE_BITS + 2);
  let code = 0;
  for (let length = 1; length <= LONGEST_CODE_BITS; length++) {
    code = (code + (counts[length - 1] ?? 0)) << 1;
    next[length] = code;
    if (code + (counts[length] ?? 0) > 1 << length) throw new RangeError("a prefix code has too many codes");
  }
  const table = new Uint16Array(1 << bits);
  for (let symbol = 0; symbol < lengths.length; symbol++) {
    const length = lengths[symbol] ?? 0;
    if (length === 0) continue;
    const value = next[length] ?? 0;
    next[length] = value + 1;
    let reversed = 0;
    for (let bit = 0; bit < length; bit++) reversed |= ((value >> bit) & 1) << (length - 1 - bit);
    for (let at = reversed; at < table.length; at += 1 << length) table[at] = (symbol << 4) | length;
  }
  return { bits, table };
}

function fixedCodes(): [PrefixCode, PrefixCode] {
  const lengths = new Uint8Array(288).fill(8, 0, 144).fill(9, 144, 256).fill(7, 256, 280).fill(8, 280);
  return [buildCode(lengths), buildCode(new Uint8Array(30).fill(5))];
}

const FIXED = fixedCodes();

/** Inflates the messages of one direction of one connection, in order. */
export class Inflater {
  readonly #windowBytes: number;
  readonly #takeover: boolean;
  #in: Uint8Array = new Uint8Array(0);
  #at = 0;
  #hold = 0;
  #held = 0;
  #out = new Uint8Array(2 * WINDOW_BYTES);
  #end = 0;

  /** `windowBits` and `takeover` are what the server promised for its own direction. */
  constructor(windowBits: number, takeover: boolean) {
    this.#windowBytes = 1 << windowBits;
    this.#takeover = takeover;
  }

  /**
   * One message's payload, without the 00 00 ff ff that RFC 7692 section 7.2.1 takes off.
   * @throws RangeError when the data is corrupt or reaches back beyond the window.
   */
  message(compressed: Uint8Array): Uint8Array {
    this.#in = new Uint8Array(compressed.length + FLUSH_TAIL_BYTES);
    this.#in.set(compressed);
    this.#in.set([0, 0, 0xff, 0xff], compressed.length);
    this.#at = this.#hold = this.#held = 0;
    const keep = this.#takeover ? Math.min(this.#end, WINDOW_BYTES) : 0;
    this.#out.copyWithin(0, this.#end - keep, this.#end);
    this.#end = keep;
    while (this.#at < this.#in.length || this.#held >= 8) {
      if (this.#block()) break;
    }
    return this.#out.slice(keep, this.#end);
  }

  /** Reads one block; true when it was marked as the last. */
  #block(): boolean {
    const final = this.#bits(1) === 1;
    const type = this.#bits(2);
    if (type === 0) this.#stored();
    else if (type === 1) this.#compressed(FIXED[0], FIXED[1]);
    else if (type === 2) this.#dynamic();
    else throw new RangeError("block type 3");
    return final;
  }

  #stored(): void {
    this.#bits(this.#held & 7);
    const length = this.#bits(16);
    if (this.#bits(16) !== (length ^ 0xffff)) throw new RangeError("a stored block's length does not match");
    this.#room(length);
    for (let index = 0; index < length; index++) this.#out[this.#end++] = this.#bits(8);
  }

  #dynamic(): void {
    const literals = this.#bits(5) + 257;
    const distances = this.#bits(5) + 1;
    const count = this.#bits(4) + 4;
    const order = new Uint8Array(CODE_LENGTH_ORDER.length);
    for (let index = 0; index < count; index++) order[CODE_LENGTH_ORDER[index] ?? 0] = this.#bits(3);
    const code = buildCode(order);
    const lengths = new Uint8Array(literals + distances);
    let at = 0;
    while (at < lengths.length) {
      const symbol = this.#symbol(code);
      if (symbol < 16) {
        lengths[at++] = symbol;
        continue;
      }
      if (symbol === 16 && at === 0) throw new RangeError("a repeat of no code length");
      const value = symbol === 16 ? lengths[at - 1] ?? 0 : 0;
      const repeat = symbol === 16
        ? 3 + this.#bits(2)
        : symbol === 17
        ? 3 + this.#bits(3)
        : 11 + this.#bits(7);
      if (at + repeat > lengths.length) throw new RangeError("too many code lengths");
      lengths.fill(value, at, at + repeat);
      at += repeat;
    }
    this.#compressed(buildCode(lengths.subarray(0, literals)), buildCode(lengths.subarray(literals)));
  }

  #compressed(literals: PrefixCode, distances: PrefixCode): void {
    for (;;) {
      const symbol = this.#symbol(literals);
      if (symbol < END_OF_BLOCK) {
        if (this.#end === this.#out.length) this.#room(1);
        this.#out[this.#end++] = symbol;
        continue;
      }
      if (symbol === END_OF_BLOCK) return;
      const which = symbol - END_OF_BLOCK - 1;
      if (which >= LENGTH_BASE.length) throw new RangeError(`length code ${symbol}`);
      const length = (LENGTH_BASE[which] ?? 0) + this.#bits(LENGTH_EXTRA[which] ?? 0);
      const how = this.#symbol(distances);
      if (how >= DISTANCE_BASE.length) throw new RangeError(`distance code ${how}`);
      const distance = (DISTANCE_BASE[how] ?? 0) + this.#bits(DISTANCE_EXTRA[how] ?? 0);
      if (distance > this.#end) throw new RangeError("a reference reaches before the start of the history");
      if (distance > this.#windowBytes) {
        throw new RangeError(
          `a reference ${distance} bytes back, beyond the window of ${this.#windowBytes} bytes`,
        );
      }
      this.#room(length);
      for (let index = 0; index < length; index++, this.#end++) {
        this.#out[this.#end] = this.#out[this.#end - distance] ?? 0;
      }
    }
  }

  #symbol(code: PrefixCode): number {
    while (this.#held < code.bits && this.#at < this.#in.length) this.#fill();
    const entry = code.table[this.#hold & ((1 << code.bits) - 1)] ?? 0;
    const length = entry & 15;
    if (length === 0 || length > this.#held) {
      throw new RangeError("no such code, or the data ends inside one");
    }
    this.#hold >>>= length;
    this.#held -= length;
    return entry >> 4;
  }

  #bits(count: number): number {
    while (this.#held < count) this.#fill();
    const value = this.#hold & ((1 << count) - 1);
    this.#hold >>>= count;
    this.#held -= count;
    return value;
  }

  #fill(): void {
    if (this.#at >= this.#in.length) throw new RangeError("the data ends inside a block");
    this.#hold |= (this.#in[this.#at++] ?? 0) << this.#held;
    this.#held += 8;
  }

  #room(more: number): void {
    if (this.#end + more <= this.#out.length) return;
    const larger = new Uint8Array(Math.max(2 * this.#out.length, this.#end + more));
    larger.set(this.#out.subarray(0, this.#end));
    this.#out = larger;
  }
}
