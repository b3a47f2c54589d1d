/**
 * Counts the messages in a stream of bytes that came from a server, by their headers alone, and hands over whole
 * only those that are to be inspected. It trusts nothing: an unexpected header throws.
 * It must never know what a message means, nor write to a connection.
 */

const FIN_BIT = 0x80;
/** Set on a message that is compressed (RFC 7692, section 6). */
export const RSV1_BIT = 0x40;
const CONTROL_BIT = 0x08;
const MASK_BIT = 0x80;
const LENGTH_BITS = 0x7f;
const LENGTH_16 = 126;
const LENGTH_64 = 127;
/** Longest header of a server's frame (RFC 6455, section 5.2, without a mask). */
const LONGEST_HEADER_BYTES = 10;
/** Largest message accepted; contenders have the same limit. */
const MAX_MESSAGE_BYTES = 16 * 1024 * 1024 + 4096;

const CONTINUATION = 0;
export const TEXT = 1;
export const BINARY = 2;

/** Receives the messages that are to be inspected. `payload` is lent for the call. */
export interface ScannerSink {
  /** `sequence` counts the messages of this connection from 0. */
  message(sequence: number, payload: Uint8Array, compressed: boolean): void;
  control(opcode: number, payload: Uint8Array): void;
}

/** How frames are sorted into those that count and others, such as refusals. */
export interface Sorting {
  /** What counts begins with this. Anything else is handed over whole, once. */
  readonly prefix: Uint8Array;
  /** Answers whether a message that begins otherwise counts all the same. `payload` is lent for the call. */
  counts(payload: Uint8Array): boolean;
}

/** What both scanners do: `push` answers how many messages the bytes completed. */
export interface Scanner {
  readonly messages: number;
  push(bytes: Uint8Array, start: number, end: number): number;
}

/** The scanner for WebSocket frames. Fragmented messages are refused: no contender has a reason to send them. */
export class FrameScanner implements Scanner {
  messages = 0;

  readonly #sink: ScannerSink;
  #inspectEvery = 1;
  #nextInspected = 0;
  readonly #firstByte: number;
  readonly #otherFirstByte: number;
  /** Payload size that every message must have, or -1 for any. */
  #expectedBytes = -1;
  #sorting: Sorting | undefined;

  // The frame that earlier bytes began: its header so far, or its payload so far.
  readonly #header = new Uint8Array(LONGEST_HEADER_BYTES);
  #headerBytes = 0;
  #first = 0;
  #length = 0;
  #left = 0;
  #body: Uint8Array | undefined;
  /** Whether that frame may have to be sorted out. */
  #isSuspect = false;

  /** Every message is inspected until `expect` says otherwise; with `deflate`, messages may be compressed. */
  constructor(opcode: number, sink: ScannerSink, deflate = false) {
    this.#otherFirstByte = FIN_BIT | opcode;
    this.#firstByte = this.#otherFirstByte | (deflate ? RSV1_BIT : 0);
    this.#sink = sink;
  }

  /**
   * Counts from 0 again; from now on each message must have `payloadBytes` (-1: any size), and every
   * `inspectEvery`th is inspected. With `sorting`, what it does not let pass is not counted, whatever its size. To be
   * called between messages.
   */
  expect(payloadBytes: number, inspectEvery: number, sorting?: Sorting): void {
    this.#sorting = sorting;
    this.messages = 0;
    this.#nextInspected = 0;
    this.#expectedBytes = payloadBytes;
    this.#inspectEvery = inspectEvery;
  }

  /** Scans `bytes` from `start` to `end`; throws an Error that says what is wrong with the stream. */
  push(bytes: Uint8Array, start: number, end: number): number {
    const before = this.messages;
    let at = start;
    if (this.#left > 0) at = this.#payload(bytes, at, end);
    while (at < end) {
      if (this.#headerBytes > 0) {
        at = this.#resumeHeader(bytes, at, end);
        continue;
      }
      // The plain case: a whole short message that nobody wants to see.
      const second = bytes[at + 1] as number;
      if (
        bytes[at] === this.#firstByte && second < LENGTH_16 && at + 2 + second <= end &&
        this.messages !== this.#nextInspected &&
        (this.#expectedBytes < 0 || second === this.#expectedBytes) &&
        (this.#sorting === undefined || beginsWith(bytes, at + 2, at + 2 + second, this.#sorting.prefix))
      ) {
        this.messages++;
        at += 2 + second;
        continue;
      }
      const size = this.#decode(bytes, at, end);
      if (size === 0) {
        this.#header.set(bytes.subarray(at, end));
        this.#headerBytes = end - at;
        break;
      }
      at = this.#begin(bytes, at + size, end);
    }
    return this.messages - before;
  }

  #resumeHeader(bytes: Uint8Array, start: number, end: number): number {
    let at = start;
    while (at < end) {
      this.#header[this.#headerBytes++] = bytes[at++] as number;
      if (this.#decode(this.#header, 0, this.#headerBytes) > 0) {
        this.#headerBytes = 0;
        return this.#begin(bytes, at, end);
      }
    }
    return at;
  }

  /** Reads a header into `first` and `length`; answers its size, or 0 when it is not complete. */
  #decode(bytes: Uint8Array, at: number, end: number): number {
    if (end - at < 2) return 0;
    const second = bytes[at + 1] as number;
    if ((second & MASK_BIT) !== 0) throw new Error("a frame from the server is masked");
    const short = second & LENGTH_BITS;
    const size = short < LENGTH_16 ? 2 : short < LENGTH_64 ? 4 : LONGEST_HEADER_BYTES;
    if (end - at < size) return 0;
    let length = short;
    if (short >= LENGTH_16) {
      length = 0;
      for (let i = at + 2; i < at + size; i++) length = length * 256 + (bytes[i] as number);
    }
    this.#first = bytes[at] as number;
    this.#length = length;
    return size;
  }

  /** Checks a decoded header and starts on the payload at `at`. */
  #begin(bytes: Uint8Array, at: number, end: number): number {
    const first = this.#first;
    const isControl = (first & CONTROL_BIT) !== 0;
    // Also one of which too little has come to tell.
    this.#isSuspect = this.#sorting !== undefined && !isControl &&
      !beginsWith(bytes, at, Math.min(end, at + this.#length), this.#sorting.prefix);
    if (!isControl) {
      if (first !== this.#firstByte && first !== this.#otherFirstByte) {
        throw new Error(`a frame begins with 0x${first.toString(16)}`);
      }
      if (this.#expectedBytes >= 0 && this.#length !== this.#expectedBytes && !this.#isSuspect) {
        throw new Error(`a message has ${this.#length} bytes instead of ${this.#expectedBytes}`);
      }
    }
    if (this.#length > MAX_MESSAGE_BYTES) throw new Error(`a frame announces ${this.#length} bytes`);
    const isInspected = isControl || this.#isSuspect || this.messages === this.#nextInspected;
    if (end - at >= this.#length) {
      const next = at + this.#length;
      this.#complete(isInspected ? bytes.subarray(at, next) : undefined);
      return next;
    }
    this.#body = isInspected ? new Uint8Array(this.#length) : undefined;
    this.#left = this.#length;
    return this.#payload(bytes, at, end);
  }

  #payload(bytes: Uint8Array, at: number, end: number): number {
    const next = Math.min(end, at + this.#left);
    this.#body?.set(bytes.subarray(at, next), this.#length - this.#left);
    this.#left -= next - at;
    if (this.#left === 0) this.#complete(this.#body);
    return next;
  }

  #complete(payload: Uint8Array | undefined): void {
    if ((this.#first & CONTROL_BIT) !== 0) {
      this.#sink.control(this.#first & ~FIN_BIT, payload as Uint8Array);
      return;
    }
    if (this.#isSuspect && this.#isSortedOut(payload as Uint8Array)) return;
    const sequence = this.messages++;
    if (payload === undefined || sequence !== this.#nextInspected) return;
    // Before the sink, which may call `expect`.
    this.#nextInspected = sequence + this.#inspectEvery;
    this.#sink.message(sequence, payload, (this.#first & RSV1_BIT) !== 0);
  }

  #isSortedOut(payload: Uint8Array): boolean {
    const sorting = this.#sorting as Sorting; // without it nothing is suspect
    if (beginsWith(payload, 0, payload.length, sorting.prefix)) return false;
    return !sorting.counts(payload);
  }
}

function beginsWith(bytes: Uint8Array, start: number, end: number, prefix: Uint8Array): boolean {
  if (end - start < prefix.length) return false;
  for (let i = 0; i < prefix.length; i++) if (bytes[start + i] !== prefix[i]) return false;
  return true;
}

/**
 * The scanner for messages of one size without framing. Between messages, what begins with the first byte of
 * `interjection`, which no message may begin with, is that, and skipped.
 */
export class RawScanner implements Scanner {
  messages = 0;

  readonly #sink: ScannerSink;
  readonly #inspectEvery: number;
  readonly #body: Uint8Array;
  readonly #interjection: Uint8Array;
  #filled = 0;
  /** Bytes of an interjection that are still to come. */
  #skipped = 0;

  constructor(
    messageBytes: number,
    inspectEvery: number,
    sink: ScannerSink,
    interjection: Uint8Array = new Uint8Array(),
  ) {
    this.#body = new Uint8Array(messageBytes);
    this.#inspectEvery = inspectEvery;
    this.#sink = sink;
    this.#interjection = interjection;
  }

  push(bytes: Uint8Array, start: number, end: number): number {
    const before = this.messages;
    const size = this.#body.length;
    let at = start;
    while (at < end) {
      if (this.#filled === 0 && this.#skipped === 0 && bytes[at] === this.#interjection[0]) {
        this.#skipped = this.#interjection.length;
      }
      if (this.#skipped > 0) {
        const skipped = Math.min(end - at, this.#skipped);
        this.#skipped -= skipped;
        at += skipped;
        continue;
      }
      const next = Math.min(end, at + size - this.#filled);
      const isInspected = this.messages % this.#inspectEvery === 0;
      if (isInspected) this.#body.set(bytes.subarray(at, next), this.#filled);
      this.#filled += next - at;
      at = next;
      if (this.#filled < size) break;
      this.#filled = 0;
      const sequence = this.messages++;
      if (isInspected) this.#sink.message(sequence, this.#body, false);
    }
    return this.messages - before;
  }
}

/**
 * The scanner for messages of one size in a stream that is cut into binary frames without regard to them, fragments
 * included: NATS does so.
 */
export class StreamScanner implements Scanner {
  readonly #sink: ScannerSink;
  readonly #inner: RawScanner;
  readonly #header = new Uint8Array(LONGEST_HEADER_BYTES);
  #headerBytes = 0;
  #left = 0;
  /** The payload so far of the control frame that is under way. */
  #control: number[] | undefined;

  constructor(messageBytes: number, inspectEvery: number, sink: ScannerSink, interjection: Uint8Array) {
    this.#sink = sink;
    this.#inner = new RawScanner(messageBytes, inspectEvery, sink, interjection);
  }

  get messages(): number {
    return this.#inner.messages;
  }

  push(bytes: Uint8Array, start: number, end: number): number {
    const before = this.messages;
    let at = start;
    while (at < end) {
      if (this.#left === 0) {
        this.#header[this.#headerBytes++] = bytes[at++] as number;
        this.#begin();
        continue;
      }
      const next = Math.min(end, at + this.#left);
      if (this.#control === undefined) this.#inner.push(bytes, at, next);
      else this.#control.push(...bytes.subarray(at, next));
      this.#left -= next - at;
      at = next;
      if (this.#left === 0) this.#completeControl();
    }
    return this.messages - before;
  }

  /** Begins on the payload once the header is complete. */
  #begin(): void {
    if (this.#headerBytes < 2) return;
    const [first = 0, second = 0] = this.#header;
    if ((second & MASK_BIT) !== 0) throw new Error("a frame from the server is masked");
    const size = second < LENGTH_16 ? 2 : second < LENGTH_64 ? 4 : LONGEST_HEADER_BYTES;
    if (this.#headerBytes < size) return;
    let length = second;
    if (size > 2) {
      length = 0;
      for (let i = 2; i < size; i++) length = length * 256 + (this.#header[i] as number);
    }
    if (length > MAX_MESSAGE_BYTES) throw new Error(`a frame announces ${length} bytes`);
    this.#headerBytes = 0;
    this.#left = length;
    const isControl = (first & CONTROL_BIT) !== 0;
    const opcode = first & ~FIN_BIT;
    if (!isControl && opcode !== BINARY && opcode !== CONTINUATION) {
      throw new Error(`a frame begins with 0x${first.toString(16)}`);
    }
    this.#control = isControl ? [first] : undefined;
    if (length === 0) this.#completeControl();
  }

  #completeControl(): void {
    const [first, ...payload] = this.#control ?? [];
    this.#control = undefined;
    if (first !== undefined) this.#sink.control(first & ~FIN_BIT, Uint8Array.from(payload));
  }
}
