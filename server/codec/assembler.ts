// Messages from frames: the payload of a message that did not arrive as one whole frame in one chunk, and the
// frame that is cut off at the end of a chunk. It exists only while there is such a thing, so an idle connection
// has none. It keeps bytes, never rules: what a frame may be is the decoder's to say.

import { Opcode } from "./opcode.ts";
import { copyBytes, MAX_CONTROL_PAYLOAD_BYTES, MAX_HEADER_BYTES } from "./frame.ts";
import { applyMask, type MaskKey, NO_MASK, NON_ASCII_BITS, rotateKey } from "./mask.ts";
import { asciiBits, UTF8_ACCEPT, UTF8_REJECT, validateUtf8 } from "./utf8.ts";
import { Buffer } from "node:buffer";

/** How much room is made ahead of the bytes that have come, however much a header announces. */
const ROOM_PER_RECEIVED_BYTE = 8;
/** The first room: fragments of a byte each do not make the buffer grow at every step. */
const LEAST_ROOM_BYTES = 64;
/** From here on the runtime moves bytes faster than a loop (bench cell `choice/encode/binary`). */
const MOVE_FROM_BYTES = 16;
/** A spare assembler keeps a buffer up to this size. */
const RETAINED_BYTES = 65_536;

const EMPTY = new Uint8Array(0);

/** A message in the making, and the frame that is not complete yet. */
export class Assembler {
  // The message. `opcode` is Continuation while there is none.
  opcode: Opcode = Opcode.Continuation;
  compressed = false;
  fragments = 0;
  bytes: Uint8Array = EMPTY;
  length = 0;
  // Where the message has begun in the chunk that is being pushed, its fragments are moved together there, in
  // `run[runStart, runEnd)`, and nothing is copied unless the chunk ends first. `length` is 0 as long.
  run: Uint8Array | null = null;
  runStart = 0;
  runEnd = 0;
  /** What `applyMask` answers, gathered: whether all of the text is ASCII. */
  bits = 0;
  utf8: number = UTF8_ACCEPT;

  // The frame whose payload is not complete.
  frameOpen = false;
  frameOpcode: Opcode = Opcode.Continuation;
  frameFin = false;
  remainingBytes = 0;
  maskKey: MaskKey = NO_MASK;

  // A header that is not complete, and the payload of a control frame that is not complete.
  headerBytes = 0;
  header: Uint8Array | null = null;
  control: Uint8Array | null = null;
  controlBytes = 0;

  /** Keeps the first bytes of a header that the chunk ends in, and answers the `headerBytes` there are of it. */
  holdHeader(chunk: Uint8Array, start: number, end: number): Uint8Array {
    const header = this.header ??= new Uint8Array(MAX_HEADER_BYTES);
    for (let at = start; at < end; at++) header[this.headerBytes++] = chunk[at] as number; // below `end`
    return header;
  }

  /** A data frame begins a message. */
  beginMessage(opcode: Opcode, compressed: boolean): void {
    this.opcode = opcode;
    this.compressed = compressed;
    this.fragments = 0;
    this.length = 0;
    this.run = null;
    this.bits = 0;
    this.utf8 = UTF8_ACCEPT;
  }

  /** A frame of the message, or a control frame in between, begins. */
  beginFrame(opcode: Opcode, fin: boolean, payloadBytes: number, maskKey: MaskKey): void {
    this.frameOpen = true;
    this.frameOpcode = opcode;
    this.frameFin = fin;
    this.remainingBytes = payloadBytes;
    this.maskKey = maskKey;
    this.controlBytes = 0;
  }

  /**
   * Takes `chunk[start, end)`, unmasked in place, as the next part of the open frame. Answers false as soon as a text
   * can no longer become valid UTF-8. The chunk is referred to until `settle`.
   */
  append(chunk: Uint8Array, start: number, end: number): boolean {
    const taken = end - start;
    const checked = this.opcode === Opcode.Text && !this.compressed;
    let bits = 0;
    if (this.maskKey !== NO_MASK) {
      bits = applyMask(chunk, start, end, this.maskKey);
      this.maskKey = rotateKey(this.maskKey, taken);
    } else if (checked) {
      bits = asciiBits(chunk, start, end);
    }
    this.remainingBytes -= taken;
    if (checked) {
      this.bits |= bits;
      if ((bits & NON_ASCII_BITS) !== 0 || this.utf8 !== UTF8_ACCEPT) {
        this.utf8 = validateUtf8(this.utf8, chunk, start, end);
        if (this.utf8 === UTF8_REJECT) return false;
      }
    }
    if (this.run !== null) {
      moveDown(chunk, this.runEnd, start, end);
      this.runEnd += taken;
    } else if (this.length === 0) {
      this.run = chunk;
      this.runStart = start;
      this.runEnd = end;
    } else {
      this.keep(chunk, start, end);
    }
    return true;
  }

  /** How much of the message has come. */
  get receivedBytes(): number {
    return this.run === null ? this.length : this.runEnd - this.runStart;
  }

  /** The chunk ends: what is only in it is copied. */
  settle(): void {
    if (this.run === null) return;
    this.keep(this.run, this.runStart, this.runEnd);
    this.run = null;
  }

  private keep(source: Uint8Array, start: number, end: number): void {
    this.makeRoom(end - start);
    copyBytes(this.bytes, this.length, source, start, end);
    this.length += end - start;
  }

  /** Takes `chunk[start, end)` as the next part of the open control frame. */
  appendControl(chunk: Uint8Array, start: number, end: number): void {
    this.control ??= new Uint8Array(MAX_CONTROL_PAYLOAD_BYTES);
    if (this.maskKey !== NO_MASK) {
      applyMask(chunk, start, end, this.maskKey);
      this.maskKey = rotateKey(this.maskKey, end - start);
    }
    copyBytes(this.control, this.controlBytes, chunk, start, end);
    this.controlBytes += end - start;
    this.remainingBytes -= end - start;
  }

  /** Whether nothing is kept any more, so that the decoder can let go of this. */
  isIdle(): boolean {
    return this.opcode === Opcode.Continuation && !this.frameOpen && this.headerBytes === 0;
  }

  /**
   * Room for `taken` more bytes. It grows to what is announced at once when most of that has come, and otherwise
   * in proportion to what has come: linear in time, and a header alone allocates nothing.
   */
  private makeRoom(taken: number): void {
    const needed = this.length + taken;
    const room = this.bytes.length;
    if (needed <= room) return;
    const announced = needed + this.remainingBytes;
    const ahead = Math.max(needed * ROOM_PER_RECEIVED_BYTE, LEAST_ROOM_BYTES);
    const grown = Math.max(Math.min(announced, ahead), Math.min(room * 2, ahead), needed);
    const bytes = Buffer.allocUnsafeSlow(Math.max(grown, LEAST_ROOM_BYTES));
    copyBytes(bytes, 0, this.bytes, 0, this.length);
    this.bytes = bytes;
  }
}

/** Moves `bytes[start, end)` to `to`, which is not behind it. */
function moveDown(bytes: Uint8Array, to: number, start: number, end: number): void {
  if (end - start >= MOVE_FROM_BYTES) bytes.copyWithin(to, start, end);
  else while (start < end) bytes[to++] = bytes[start++] as number; // below `end`
}

// Most messages in fragments begin and end within one chunk, so one spare serves a process.
let spare: Assembler | null = null;

/** An assembler with nothing in it. */
export function takeAssembler(): Assembler {
  const taken = spare;
  if (taken === null) return new Assembler();
  spare = null;
  return taken;
}

/** Hands back an assembler that nothing refers to any more. */
export function giveBackAssembler(assembler: Assembler): void {
  if (assembler.bytes.length > RETAINED_BYTES) assembler.bytes = EMPTY;
  assembler.opcode = Opcode.Continuation;
  assembler.length = 0;
  assembler.run = null;
  assembler.frameOpen = false;
  assembler.headerBytes = 0;
  spare = assembler;
}
