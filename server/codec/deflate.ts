// Compression of messages (RFC 7692 section 7.2): raw DEFLATE without its last four bytes, in one synchronous call.
// A shared compressor keeps nothing between messages and serves any number of connections; a dedicated one keeps
// its window. Knows nothing of frames or of what was negotiated.
//
// zlib's streams are driven through their native handle: a stream's own way takes a turn of the thread pool per
// message, and the one-shot functions set a compressor up each time (bench cell `deflate 125`, contenders `stream`
// and `one-shot`). The one-shot functions are the plain version, and what is used where the handle is not.

import { Buffer } from "node:buffer";
import { constants, createDeflateRaw, createInflateRaw, deflateRawSync, inflateRawSync } from "node:zlib";
import { Opcode } from "./opcode.ts";
import { FIN, framePayload, prepareFrame, RSV1 } from "./frame.ts";
import { type MaskKey, NO_MASK } from "./mask.ts";

/** The largest window, which is the default (RFC 7692 section 7.1.2). */
export const MAX_WINDOW_BITS = 15;
/** The smallest window zlib's raw compressor can keep to; its decompressor also takes 8. */
export const MIN_DEFLATE_WINDOW_BITS = 9;
/** The smallest window there is. */
export const MIN_WINDOW_BITS = 8;

/** Level 1 is up to five times as fast as 6, for a result up to half as long again (bench cell `choice/deflate/level`). */
export const DEFAULT_LEVEL = 1;
export const DEFAULT_MEMORY_LEVEL = 8;

/** Why a message did not inflate, in place of its length. */
export const InflateFault = {
  /** It goes on beyond the limit. Inflating stopped there. */
  TooBig: -1,
  /** It is not DEFLATE. */
  Invalid: -2,
} as const;

/** What every compressed message ends in, and no frame carries (RFC 7692 section 7.2.1). */
const TAIL = new Uint8Array([0x00, 0x00, 0xff, 0xff]);
const EMPTY_MESSAGE = 0x00;

/** A message may hold this many final blocks; each costs a reset, so that tiny ones would be a lever. */
const MAX_FINAL_BLOCKS = 16;
const FIRST_OUTPUT_BYTES = 16_384;
const RETAINED_OUTPUT_BYTES = 262_144;

/** The most compressed bytes that a message of so many bytes can be: zlib's own bound for any settings. */
export function compressedLimitBytes(messageBytes: number): number {
  return messageBytes + (messageBytes >> 3) + (messageBytes >> 6) + 64;
}

/** Whether compressing is worth its time: a helper for engines, which own the threshold. */
export function isWorthDeflating(payloadBytes: number, thresholdBytes: number): boolean {
  return payloadBytes >= thresholdBytes && payloadBytes > 0;
}

/** What a dedicated compressor keeps per connection, by zlib's documentation. */
export function deflaterBytes(windowBits: number, memoryLevel: number = DEFAULT_MEMORY_LEVEL): number {
  return (1 << (windowBits + 2)) + (1 << (memoryLevel + 9));
}

/** What a dedicated decompressor keeps per connection, by zlib's documentation. */
export function inflaterBytes(windowBits: number): number {
  return (1 << windowBits) + 7_168;
}

/** The native half of a zlib stream: not documented, the same in Node, Bun and Deno. */
interface Handle {
  /** Runs until input or output is used up; what is left of both is in the stream's `_writeState`. */
  writeSync(
    flush: number,
    input: Uint8Array,
    inputAt: number,
    inputBytes: number,
    output: Uint8Array,
    outputAt: number,
    outputBytes: number,
  ): void;
  reset(): void;
  onerror: (message: string, errno: number) => void;
}

interface DirectStream {
  readonly _handle: Handle;
  /** Output bytes left, then input bytes left. */
  readonly _writeState: Uint32Array;
  close(): void;
}

/** A zlib stream run synchronously. */
class Direct {
  private readonly stream: DirectStream;
  private used = false;
  failed = false;
  outputLeft = 0;
  inputLeft = 0;

  constructor(stream: DirectStream) {
    this.stream = stream;
    stream._handle.onerror = () => this.failed = true;
  }

  run(
    input: Uint8Array,
    at: number,
    bytes: number,
    output: Uint8Array,
    outputAt: number,
    room: number,
  ): void {
    this.used = true;
    const { _handle, _writeState } = this.stream;
    _handle.writeSync(constants.Z_SYNC_FLUSH, input, at, bytes, output, outputAt, room);
    this.outputLeft = _writeState[0] as number; // two elements
    this.inputLeft = _writeState[1] as number;
  }

  reset(): void {
    if (!this.used) return;
    this.stream._handle.reset();
    this.used = false;
    this.failed = false;
  }

  close(): void {
    this.stream.close();
  }
}

/** A stream whose handle can be driven, or null. The cast is checked member by member. */
function direct(stream: unknown): Direct | null {
  const candidate = stream as Partial<DirectStream>;
  const usable = typeof candidate._handle?.writeSync === "function" &&
    typeof candidate._handle.reset === "function" && candidate._writeState instanceof Uint32Array;
  return usable ? new Direct(candidate as DirectStream) : null;
}

let spareOutput: Uint8Array | null = null;

function takeSpareOutput(atLeastBytes: number): Uint8Array {
  const output = spareOutput;
  spareOutput = null;
  if (output !== null && output.length >= atLeastBytes) return output;
  return Buffer.allocUnsafeSlow(Math.max(atLeastBytes, FIRST_OUTPUT_BYTES));
}

function giveBackSpareOutput(output: Uint8Array): void {
  if (output.length <= RETAINED_OUTPUT_BYTES) spareOutput = output;
}

function checkWindowBits(windowBits: number, least: number): void {
  if (!(Number.isInteger(windowBits) && windowBits >= least && windowBits <= MAX_WINDOW_BITS)) {
    throw new RangeError(`window bits are ${least} to ${MAX_WINDOW_BITS}`);
  }
}

/** What a window of the plain version still holds. */
function lastBytes(history: Uint8Array, next: Uint8Array, windowBits: number): Uint8Array {
  const window = 1 << windowBits;
  if (next.length >= window) return Buffer.from(next.subarray(next.length - window));
  return Buffer.concat([history.subarray(Math.max(0, history.length + next.length - window)), next]);
}

/** A window as a block that is not compressed, to go before a message: Deno ignores `dictionary` for raw data. */
function stored(window: Uint8Array): Uint8Array {
  const length = window.length;
  if (length === 0) return window;
  const header = [0x00, length & 0xff, length >> 8, ~length & 0xff, (~length >> 8) & 0xff];
  return Buffer.concat([Uint8Array.from(header), window]);
}

/**
 * Inflates messages. Shared (`contextTakeover` false): one for any number of connections. Dedicated: one for each,
 * which takes memory from the first message on and gives it back in `release`.
 */
export class Inflater {
  readonly contextTakeover: boolean;
  readonly windowBits: number;
  /** Uses the one-shot functions: the plain version, also for tests. */
  readonly plain: boolean;
  private stream: Direct | null = null;
  private output: Uint8Array | null = null;
  private history: Uint8Array = new Uint8Array(0);

  /** Throws RangeError unless `windowBits` is 8 to 15. */
  constructor(contextTakeover: boolean, windowBits: number = MAX_WINDOW_BITS, plain = false) {
    checkWindowBits(windowBits, MIN_WINDOW_BITS);
    this.contextTakeover = contextTakeover;
    this.windowBits = windowBits;
    this.plain = plain;
  }

  /**
   * Inflates one message's payload, `bytes[start, end)` of all its frames together. Answers the length, at most
   * `maxBytes`, or an `InflateFault`; the bytes are in `takeOutput`. Never inflates more than a byte beyond the limit.
   */
  inflate(bytes: Uint8Array, start: number, end: number, maxBytes: number): number {
    if (!this.plain) this.stream ??= direct(createInflateRaw({ windowBits: this.windowBits }));
    const stream = this.stream;
    if (stream === null) return this.inflatePlain(bytes.subarray(start, end), maxBytes);
    if (!this.contextTakeover) stream.reset();
    let length = this.run(stream, bytes, start, end, 0, maxBytes);
    // The window must be at the end of the last block before the next message; without takeover there is none.
    if (this.contextTakeover && length >= 0) {
      length = this.run(stream, TAIL, 0, TAIL.length, length, maxBytes);
    }
    return length;
  }

  private run(
    stream: Direct,
    bytes: Uint8Array,
    start: number,
    end: number,
    written: number,
    maxBytes: number,
  ): number {
    let output = this.output ?? takeSpareOutput(FIRST_OUTPUT_BYTES);
    this.output = output;
    let at = start;
    for (let finalBlocks = 0; finalBlocks < MAX_FINAL_BLOCKS;) {
      const room = Math.min(output.length, maxBytes + 1) - written;
      stream.run(bytes, at, end - at, output, written, room);
      if (stream.failed) return InflateFault.Invalid;
      written += room - stream.outputLeft;
      if (written > maxBytes) return InflateFault.TooBig;
      at = end - stream.inputLeft;
      if (stream.outputLeft === 0) {
        const grown = Buffer.allocUnsafeSlow(Math.min(output.length * 4, maxBytes + 1));
        grown.set(output.subarray(0, written), 0);
        this.output = output = grown;
      } else if (at === end) {
        return written;
      } else {
        // Room and input are left: a final block ended the stream (RFC 7692 section 7.2.3.4).
        finalBlocks++;
        stream.reset();
        if (bytes === TAIL) return written;
      }
    }
    return InflateFault.Invalid;
  }

  private inflatePlain(payload: Uint8Array, maxBytes: number): number {
    const history = this.history;
    const window = stored(history);
    const { windowBits } = this;
    const maxOutputLength = history.length + maxBytes;
    try {
      const whole = Buffer.concat([window, payload, TAIL]);
      const inflated = inflateRawSync(whole, {
        finishFlush: constants.Z_SYNC_FLUSH,
        maxOutputLength,
        windowBits,
      });
      this.output = inflated.subarray(history.length);
      if (this.contextTakeover) this.history = lastBytes(history, this.output, windowBits);
      return this.output.length;
    } catch (error) {
      const tooBig = error instanceof RangeError && "code" in error && error.code === "ERR_BUFFER_TOO_LARGE";
      return tooBig ? InflateFault.TooBig : InflateFault.Invalid;
    }
  }

  /** What the last `inflate` wrote, for the caller to lend out; to be given back. */
  takeOutput(): Uint8Array {
    const output = this.output;
    if (output === null) throw new TypeError("nothing was inflated");
    this.output = null;
    return output;
  }

  /** The output is free again. */
  giveBackOutput(output: Uint8Array): void {
    giveBackSpareOutput(output);
  }

  /** Frees the window of a dedicated inflater, at the end of its connection; nothing for a shared one. */
  releaseIfDedicated(): void {
    if (this.contextTakeover) this.release();
  }

  /** Frees native memory. The inflater may be used again, from an empty window. */
  release(): void {
    this.stream?.close();
    this.stream = null;
    this.output = null;
    this.history = new Uint8Array(0);
  }
}

/** How a deflater compresses. */
export interface DeflaterOptions {
  /** Keep the window between messages: a dedicated compressor. */
  contextTakeover: boolean;
  /** 9 to 15. */
  windowBits?: number;
  /** 0 to 9. */
  level?: number;
  /** 1 to 9; with the window bits, what decides `deflaterBytes`. */
  memoryLevel?: number;
  /** Use the one-shot functions: the plain version, also for tests. */
  plain?: boolean;
}

/** Deflates messages; shared or dedicated as `Inflater`. */
export class Deflater {
  readonly contextTakeover: boolean;
  private readonly windowBits: number;
  private readonly level: number;
  private readonly memoryLevel: number;
  private readonly plain: boolean;
  private stream: Direct | null = null;
  private history: Uint8Array = new Uint8Array(0);

  /** Throws RangeError unless `windowBits` is 9 to 15; zlib throws for the others. */
  constructor(options: DeflaterOptions) {
    this.contextTakeover = options.contextTakeover;
    this.windowBits = options.windowBits ?? MAX_WINDOW_BITS;
    checkWindowBits(this.windowBits, MIN_DEFLATE_WINDOW_BITS);
    this.level = options.level ?? DEFAULT_LEVEL;
    this.memoryLevel = options.memoryLevel ?? DEFAULT_MEMORY_LEVEL;
    this.plain = options.plain ?? false;
  }

  /**
   * The compressed frame of a message: an array of its own. Without takeover it serves every connection that
   * negotiated `server_no_context_takeover` and at least this window, and a message that would not shrink comes
   * uncompressed. With takeover it is for this connection and in this order only.
   */
  prepareFrame(message: string | Uint8Array, maskKey: MaskKey = NO_MASK): Uint8Array {
    const text = typeof message === "string";
    const payload = text ? Buffer.from(message) : message;
    const output = takeSpareOutput(compressedLimitBytes(payload.length));
    const length = this.deflate(payload, output);
    const opcode = text ? Opcode.Text : Opcode.Binary;
    const shrank = this.contextTakeover || length < payload.length;
    const frame = shrank
      ? framePayload(FIN | RSV1 | opcode, output.subarray(0, length), maskKey)
      : prepareFrame(message, maskKey);
    giveBackSpareOutput(output);
    return frame;
  }

  /**
   * Compresses one message into `output`, which has room for `compressedLimitBytes`, and answers the length of what
   * a frame with RSV1 carries.
   */
  deflate(payload: Uint8Array, output: Uint8Array): number {
    if (payload.length === 0) {
      // zlib has nothing to flush; an empty stored block it is (RFC 7692 section 7.2.3.6).
      output[0] = EMPTY_MESSAGE;
      return 1;
    }
    const { windowBits, level, memoryLevel: memLevel } = this;
    if (!this.plain) this.stream ??= direct(createDeflateRaw({ windowBits, level, memLevel }));
    if (this.stream === null) return this.deflatePlain(payload, output);
    if (!this.contextTakeover) this.stream.reset();
    this.stream.run(payload, 0, payload.length, output, 0, output.length);
    if (this.stream.failed || this.stream.outputLeft === 0) throw new RangeError("no room for the message");
    return output.length - this.stream.outputLeft - TAIL.length;
  }

  private deflatePlain(payload: Uint8Array, output: Uint8Array): number {
    const { windowBits, level, memoryLevel: memLevel, history } = this;
    const deflated = deflateRawSync(payload, {
      ...{ windowBits, level, memLevel, finishFlush: constants.Z_SYNC_FLUSH },
      ...(this.contextTakeover && history.length > 0 ? { dictionary: history } : {}),
    });
    if (this.contextTakeover) this.history = lastBytes(history, payload, windowBits);
    output.set(deflated.subarray(0, -TAIL.length), 0);
    return deflated.length - TAIL.length;
  }

  /** Frees native memory. The deflater may be used again; with takeover only for a new connection. */
  release(): void {
    this.stream?.close();
    this.stream = null;
    this.history = new Uint8Array(0);
  }
}
