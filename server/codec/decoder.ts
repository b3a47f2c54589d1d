// Frames from chunks (RFC 6455 section 5), for one connection: bytes in; whole messages, pings, pongs and the
// peer's close out, to a sink that all connections share. Never writes, never knows a socket, and holds nothing
// while no frame or message is incomplete.

import { isControl, isReserved, Opcode } from "./opcode.ts";
import { FaultCode, ProtocolError } from "./errors.ts";
import {
  FIN,
  LENGTH_16,
  MASKED,
  MAX_CONTROL_PAYLOAD_BYTES,
  MAX_LENGTH_16_BYTES,
  RSV1,
  RSV2_RSV3,
} from "./frame.ts";
import { applyMask, NO_MASK, NON_ASCII_BITS, readMaskKey } from "./mask.ts";
import { asciiBits, decodeText, decodeValid, isValidUtf8, UTF8_ACCEPT } from "./utf8.ts";
import { type Assembler, giveBackAssembler, takeAssembler } from "./assembler.ts";
import { closeReasonIsValid, NO_STATUS, readCloseCode } from "./closing.ts";
import { compressedLimitBytes, type Inflater, InflateFault } from "./deflate.ts";

/**
 * Where a decoder hands over what it found; one object for all connections. `bytes[start, end)` is lent: it is
 * valid, and may be changed, until the call returns. `connection` is the decoder that was pushed to.
 */
export interface Sink<Connection> {
  /** A text message, valid UTF-8. */
  text(connection: Connection, text: string): void;
  /** A text message as its bytes, valid UTF-8, in place of `text` when the settings say `rawText`. */
  textBytes(connection: Connection, bytes: Uint8Array, start: number, end: number): void;
  /** A binary message. */
  binary(connection: Connection, bytes: Uint8Array, start: number, end: number): void;
  /** A ping: we owe a pong with the same payload (RFC 6455 section 5.5.2). */
  ping(connection: Connection, bytes: Uint8Array, start: number, end: number): void;
  /** A pong, asked for or not. */
  pong(connection: Connection, bytes: Uint8Array, start: number, end: number): void;
  /** The peer's close frame, `NO_STATUS` if it says no code. Nothing comes after it; we owe an echo. */
  close(connection: Connection, code: number, reason: string): void;
  /** The peer broke the protocol. Nothing comes after it; the connection is to be failed with `error.code`. */
  error(connection: Connection, error: ProtocolError): void;
}

/** What all connections of an engine have in common. Made by `decoderSettings`. */
export interface DecoderSettings {
  /** The mask bit that every frame must have: set for a server's decoder, clear for a client's. */
  readonly maskBit: number;
  readonly maxPayloadBytes: number;
  readonly maxFragments: number;
  readonly rawText: boolean;
}

/** The largest limit: sizes stay small integers on every runtime. */
export const MAX_PAYLOAD_LIMIT_BYTES = 0x3fff_ffff;

/** The settings of a role. Throws RangeError for limits that are not positive integers within bounds. */
export function decoderSettings(options: {
  /** Which side we are: a server demands masks and a client refuses them (RFC 6455 section 5.1). */
  role: "server" | "client";
  /** The most bytes of a message: announced, assembled and inflated. At most `MAX_PAYLOAD_LIMIT_BYTES`. */
  maxPayloadBytes: number;
  /** The most frames of one message. */
  maxFragments: number;
  /** Hand text over as validated bytes. */
  rawText?: boolean;
}): DecoderSettings {
  const { role, maxPayloadBytes, maxFragments, rawText = false } = options;
  if (!(Number.isInteger(maxPayloadBytes) && maxPayloadBytes > 0 && maxPayloadBytes <= MAX_PAYLOAD_LIMIT_BYTES)) {
    throw new RangeError(`maxPayloadBytes is an integer from 1 to ${MAX_PAYLOAD_LIMIT_BYTES}`);
  }
  if (!(Number.isInteger(maxFragments) && maxFragments > 0 && maxFragments <= MAX_PAYLOAD_LIMIT_BYTES)) {
    throw new RangeError(`maxFragments is an integer from 1 to ${MAX_PAYLOAD_LIMIT_BYTES}`);
  }
  return { maskBit: role === "server" ? MASKED : 0, maxPayloadBytes, maxFragments, rawText };
}

const FIN_TEXT = FIN | Opcode.Text;
const FIN_BINARY = FIN | Opcode.Binary;
const SIZE_32 = 2 ** 32;

// What a step found, for the push that called it to deliver. Shared by all decoders, because nothing runs between
// the two; `deliver` empties it before it calls the sink.
const found = {
  opcode: Opcode.Continuation as Opcode,
  compressed: false,
  bytes: null as Uint8Array | null,
  start: 0,
  end: 0,
  bits: 0,
  /** The text was validated as it came. */
  validated: false,
  /** What holds the bytes, if it is to be given back after delivery. */
  assembler: null as Assembler | null,
  fault: null as ProtocolError | null,
};

// The header that was read last; as short-lived as `found`.
const header = { opcode: Opcode.Continuation as Opcode, fin: false, compressed: false, payloadBytes: 0 };

function refuse(code: FaultCode, message: string): -1 {
  found.fault = new ProtocolError(code, message);
  return -1;
}

/**
 * A connection's receiving half. Engines extend it, so that the sink's `connection` is their own object. Four
 * fields while idle; chunks are unmasked in place.
 */
export class Decoder {
  readonly settings: DecoderSettings;
  /** What inflates compressed messages; null unless permessage-deflate was negotiated. */
  inflater: Inflater | null = null;
  private assembler: Assembler | null = null;
  private ended = false;

  constructor(settings: DecoderSettings) {
    this.settings = settings;
  }

  /** Whether nothing more will be delivered: after the peer's close, a protocol error or `stop`. */
  get isEnded(): boolean {
    return this.ended;
  }

  /** Delivers nothing more, also of the chunk being pushed, and lets go of what is held. The sink may call it. */
  stop(): void {
    this.ended = true;
    this.assembler = null;
    this.inflater?.releaseIfDedicated();
    this.inflater = null;
  }

  /**
   * Takes the next bytes from the peer, which are changed in place and not kept, and calls the sink for everything
   * they complete. What the sink throws is thrown from here, once the rest of the chunk has been delivered: if more
   * than one call threw, as an AggregateError. May not be called from a sink for the same connection.
   */
  push(chunk: Uint8Array, sink: Sink<this>): void {
    const { maskBit, maxPayloadBytes } = this.settings;
    const keyBytes = maskBit === 0 ? 0 : 4;
    const end = chunk.length;
    let position = 0;
    let failures: unknown[] | null = null;
    while (position < end && !this.ended) {
      try {
        // Nearly all traffic: a short message, whole, in one frame.
        if (this.assembler === null && position + 2 + keyBytes <= end) {
          const first = chunk[position] as number; // these two are below `end`
          const second = chunk[position + 1] as number;
          const payloadBytes = second ^ maskBit;
          const start = position + 2 + keyBytes;
          const stop = start + payloadBytes;
          if (
            payloadBytes <= MAX_CONTROL_PAYLOAD_BYTES && stop <= end && payloadBytes <= maxPayloadBytes &&
            (first === FIN_TEXT || first === FIN_BINARY)
          ) {
            position = stop;
            let bits = NON_ASCII_BITS;
            if (maskBit !== 0) bits = applyMask(chunk, start, stop, readMaskKey(chunk, start - 4));
            if (first === FIN_BINARY) {
              sink.binary(this, chunk, start, stop);
            } else {
              if (maskBit === 0) bits = asciiBits(chunk, start, stop);
              this.deliverText(sink, chunk, start, stop, bits);
            }
            continue;
          }
        }
        position = this.step(chunk, position, end);
        if (found.fault !== null) this.fail(sink, found.fault);
        else if (found.bytes !== null) this.deliver(sink, found.bytes);
      } catch (error) {
        failures ??= [];
        failures.push(error);
      }
    }
    if (failures !== null) throw failures.length === 1 ? failures[0] : new AggregateError(failures);
  }

  /** Takes one frame, or the part of one that is there. Answers the next position; `found` has the outcome. */
  private step(chunk: Uint8Array, position: number, end: number): number {
    const held = this.assembler;
    if (held !== null && held.frameOpen) return this.continueFrame(held, chunk, position, end);
    let payloadStart: number;
    let maskKey: number = NO_MASK;
    if (held !== null && held.headerBytes > 0) {
      // A header that began in an earlier chunk: byte by byte until it is whole or wrong.
      let headerBytes = 0;
      while (headerBytes === 0 && position < end) {
        held.holdHeader(chunk, position, ++position);
        headerBytes = this.readHeader(held.header as Uint8Array, 0, held.headerBytes); // made by holdHeader
      }
      if (headerBytes <= 0) return position;
      if (this.settings.maskBit !== 0) maskKey = readMaskKey(held.header as Uint8Array, headerBytes - 4);
      held.headerBytes = 0;
      payloadStart = position;
    } else {
      const headerBytes = this.readHeader(chunk, position, end);
      if (headerBytes < 0) return position;
      if (headerBytes === 0) {
        this.hold().holdHeader(chunk, position, end);
        return end;
      }
      payloadStart = position + headerBytes;
      if (this.settings.maskBit !== 0) maskKey = readMaskKey(chunk, payloadStart - 4);
    }
    return this.beginFrame(chunk, payloadStart, end, maskKey);
  }

  /** The frame of the header just read begins at `start`: found, if it is whole and stands alone; else assembled. */
  private beginFrame(chunk: Uint8Array, start: number, end: number, maskKey: number): number {
    const { opcode, fin, compressed, payloadBytes } = header;
    const stop = start + payloadBytes;
    const control = isControl(opcode);
    if (stop <= end && (control || (fin && opcode !== Opcode.Continuation))) {
      found.bits = maskKey === NO_MASK ? NON_ASCII_BITS : applyMask(chunk, start, stop, maskKey);
      if (maskKey === NO_MASK && opcode === Opcode.Text) found.bits = asciiBits(chunk, start, stop);
      found.opcode = opcode;
      found.compressed = compressed;
      found.validated = false;
      found.bytes = chunk;
      found.start = start;
      found.end = stop;
      this.letGoIfIdle();
      return stop;
    }
    const held = this.hold();
    if (!control) {
      if (opcode !== Opcode.Continuation) held.beginMessage(opcode, compressed);
      held.fragments++;
    }
    held.beginFrame(opcode, fin, payloadBytes, maskKey);
    return this.continueFrame(held, chunk, start, end);
  }

  /** The open frame's payload goes on at `position`. */
  private continueFrame(held: Assembler, chunk: Uint8Array, position: number, end: number): number {
    const stop = Math.min(position + held.remainingBytes, end);
    if (isControl(held.frameOpcode)) {
      held.appendControl(chunk, position, stop);
      if (held.remainingBytes > 0) return stop;
      held.frameOpen = false;
      found.opcode = held.frameOpcode;
      found.compressed = false;
      found.bytes = held.control;
      found.start = 0;
      found.end = held.controlBytes;
      if (held.isIdle()) this.letGo(held);
      return stop;
    }
    if (!held.append(chunk, position, stop)) {
      refuse(FaultCode.InvalidPayload, "text is not UTF-8");
      return stop;
    }
    if (held.remainingBytes > 0) return stop;
    held.frameOpen = false;
    if (!held.frameFin) return stop;
    if (held.utf8 !== UTF8_ACCEPT) {
      refuse(FaultCode.InvalidPayload, "text ends inside a character");
      return stop;
    }
    found.opcode = held.opcode;
    found.compressed = held.compressed;
    found.bits = held.bits;
    found.validated = true;
    found.bytes = held.bytes;
    found.start = 0;
    found.end = held.length;
    this.letGo(held);
    return stop;
  }

  /**
   * Reads the header in `bytes[at, end)` into `header`. Answers its length, 0 while it is not complete, or -1 when
   * it is wrong, which is said at the first byte that is.
   */
  private readHeader(bytes: Uint8Array, at: number, end: number): number {
    const first = bytes[at] as number; // there is at least one byte
    const opcode = first & 0x0f;
    const control = isControl(opcode);
    const message = this.assembler === null ? Opcode.Continuation : this.assembler.opcode;
    if ((first & RSV2_RSV3) !== 0) return refuse(FaultCode.Protocol, "RSV2 or RSV3 is set");
    if (isReserved(opcode)) return refuse(FaultCode.Protocol, `opcode ${opcode} is reserved`);
    if ((first & RSV1) !== 0 && (this.inflater === null || control || opcode === Opcode.Continuation)) {
      return refuse(FaultCode.Protocol, "RSV1 is set where it means nothing");
    }
    if (control) {
      if ((first & FIN) === 0) return refuse(FaultCode.Protocol, "a control frame is fragmented");
    } else if (opcode === Opcode.Continuation) {
      if (message === Opcode.Continuation) return refuse(FaultCode.Protocol, "nothing to continue");
    } else if (message !== Opcode.Continuation) {
      return refuse(FaultCode.Protocol, "a new message inside a fragmented one");
    }
    if (end - at < 2) return 0;
    const second = bytes[at + 1] as number;
    const { maskBit } = this.settings;
    if ((second & MASKED) !== maskBit) {
      return refuse(FaultCode.Protocol, maskBit === 0 ? "a server's frame is masked" : "a frame is not masked");
    }
    let payloadBytes = second & ~MASKED;
    if (control && payloadBytes > MAX_CONTROL_PAYLOAD_BYTES) {
      return refuse(FaultCode.Protocol, "a control frame has more than 125 bytes");
    }
    let headerBytes = 2;
    if (payloadBytes >= LENGTH_16) {
      headerBytes = payloadBytes === LENGTH_16 ? 4 : 10;
      if (end - at < headerBytes) return 0;
      payloadBytes = readLength(bytes, at, headerBytes);
      if (payloadBytes < 0) return -1;
    }
    if (!control && !this.withinLimits(payloadBytes, first)) return -1;
    if (maskBit !== 0) headerBytes += 4;
    if (end - at < headerBytes) return 0;
    header.opcode = opcode as Opcode; // not reserved, so one of them
    header.fin = (first & FIN) !== 0;
    header.compressed = (first & RSV1) !== 0;
    header.payloadBytes = payloadBytes;
    return headerBytes;
  }

  /** Whether a data frame fits the limits, together with the fragments before it: before a byte is kept. */
  private withinLimits(payloadBytes: number, first: number): boolean {
    const { maxPayloadBytes, maxFragments } = this.settings;
    const held = this.assembler;
    let total = payloadBytes;
    let compressed = (first & RSV1) !== 0;
    let fragments = 1;
    if (held !== null && held.opcode !== Opcode.Continuation) {
      total += held.length;
      compressed = held.compressed;
      fragments += held.fragments;
    }
    if (total > (compressed ? compressedLimitBytes(maxPayloadBytes) : maxPayloadBytes)) {
      refuse(FaultCode.TooBig, `a message has more than ${maxPayloadBytes} bytes`);
      return false;
    }
    if (fragments > maxFragments) {
      refuse(FaultCode.TooBig, `a message has more than ${maxFragments} fragments`);
      return false;
    }
    return true;
  }

  /** Hands over what the step found. The scratch is free again before the sink is called. */
  private deliver(sink: Sink<this>, bytes: Uint8Array): void {
    const { opcode, compressed, start, end, bits, validated, assembler } = found;
    found.bytes = null;
    found.assembler = null;
    try {
      if (compressed) this.deliverCompressed(sink, opcode, bytes, start, end);
      else if (opcode === Opcode.Binary) sink.binary(this, bytes, start, end);
      else if (opcode === Opcode.Text) {
        if (!validated) this.deliverText(sink, bytes, start, end, bits);
        else if (this.settings.rawText) sink.textBytes(this, bytes, start, end);
        else if ((bits & NON_ASCII_BITS) === 0) this.deliverText(sink, bytes, start, end, bits);
        else sink.text(this, decodeValid(bytes, start, end));
      } else if (opcode === Opcode.Ping) sink.ping(this, bytes, start, end);
      else if (opcode === Opcode.Pong) sink.pong(this, bytes, start, end);
      else this.deliverClose(sink, bytes, start, end);
    } finally {
      if (assembler !== null) giveBackAssembler(assembler);
    }
  }

  private deliverText(sink: Sink<this>, bytes: Uint8Array, start: number, end: number, bits: number): void {
    if (this.settings.rawText) {
      if ((bits & NON_ASCII_BITS) === 0 || isValidUtf8(bytes, start, end)) {
        sink.textBytes(this, bytes, start, end);
        return;
      }
    } else {
      const text = decodeText(bytes, start, end, bits);
      if (text !== undefined) {
        sink.text(this, text);
        return;
      }
    }
    this.fail(sink, new ProtocolError(FaultCode.InvalidPayload, "text is not UTF-8"));
  }

  private deliverCompressed(sink: Sink<this>, opcode: Opcode, bytes: Uint8Array, start: number, end: number): void {
    const inflater = this.inflater;
    // RSV1 is refused without an inflater, and only `stop` takes it away.
    if (inflater === null) return;
    const length = inflater.inflate(bytes, start, end, this.settings.maxPayloadBytes);
    if (length === InflateFault.TooBig) {
      this.fail(sink, new ProtocolError(FaultCode.TooBig, "a message inflates to more than the limit"));
    } else if (length === InflateFault.Invalid) {
      this.fail(sink, new ProtocolError(FaultCode.InvalidPayload, "compressed data is not valid"));
    } else {
      const output = inflater.takeOutput();
      try {
        if (opcode === Opcode.Binary) sink.binary(this, output, 0, length);
        else this.deliverText(sink, output, 0, length, asciiBits(output, 0, length));
      } finally {
        inflater.giveBackOutput(output);
      }
    }
  }

  private deliverClose(sink: Sink<this>, bytes: Uint8Array, start: number, end: number): void {
    const code = readCloseCode(bytes, start, end);
    if (code === 0) {
      this.fail(sink, new ProtocolError(FaultCode.Protocol, "a close frame says what none may say"));
    } else if (!closeReasonIsValid(bytes, start, end)) {
      this.fail(sink, new ProtocolError(FaultCode.InvalidPayload, "a close reason is not UTF-8"));
    } else {
      const reason = code === NO_STATUS ? "" : decodeValid(bytes, start + 2, end);
      this.stop();
      sink.close(this, code, reason);
    }
  }

  private fail(sink: Sink<this>, fault: ProtocolError): void {
    found.fault = null;
    found.bytes = null;
    this.stop();
    sink.error(this, fault);
  }

  private hold(): Assembler {
    return this.assembler ??= takeAssembler();
  }

  private letGo(held: Assembler): void {
    this.assembler = null;
    found.assembler = held;
  }

  private letGoIfIdle(): void {
    if (this.assembler !== null && this.assembler.isIdle()) this.letGo(this.assembler);
  }
}

/** A length of two or eight bytes, or -1 if RFC 6455 section 5.2 forbids it: not minimal, or the highest bit set. */
function readLength(bytes: Uint8Array, at: number, headerBytes: number): number {
  // The header is complete up to here.
  if (headerBytes === 4) {
    const length = ((bytes[at + 2] as number) << 8) | (bytes[at + 3] as number);
    if (length > MAX_CONTROL_PAYLOAD_BYTES) return length;
    return refuse(FaultCode.Protocol, "a length takes more bytes than it needs");
  }
  if ((bytes[at + 2] as number) >= 0x80) return refuse(FaultCode.Protocol, "a length has its highest bit set");
  const length = readUint32(bytes, at + 2) * SIZE_32 + readUint32(bytes, at + 6);
  if (length > MAX_LENGTH_16_BYTES) return length;
  return refuse(FaultCode.Protocol, "a length takes more bytes than it needs");
}

function readUint32(bytes: Uint8Array, at: number): number {
  return (((bytes[at] as number) << 24) | ((bytes[at + 1] as number) << 16) |
    ((bytes[at + 2] as number) << 8) | (bytes[at + 3] as number)) >>> 0;
}
