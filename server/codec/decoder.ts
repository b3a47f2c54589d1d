// Frames from chunks (RFC 6455 section 5), for one connection: bytes in; whole messages, pings, pongs and the
// peer's close out, to a sink that all connections share. Never writes, never knows a socket, and holds nothing
// while no frame or message is incomplete.

import { isControl, Opcode } from "./opcode.ts";
import { FaultCode, ProtocolError } from "./errors.ts";
import { FIN, MAX_CONTROL_PAYLOAD_BYTES } from "./frame.ts";
import type { Sink } from "./sink.ts";
import { type DecoderSettings, header, readHeader, refuse } from "./header.ts";
import { applyMask, type MaskKey, NO_MASK, NON_ASCII_BITS, readMaskKey } from "./mask.ts";
import { asciiBits, decodeText, decodeValid, isValidUtf8, UTF8_ACCEPT } from "./utf8.ts";
import { type Assembler, giveBackAssembler, takeAssembler } from "./assembler.ts";
import { closeReasonIsValid, NO_STATUS, readCloseCode } from "./closing.ts";
import { InflateFault, type Inflater } from "./deflate.ts";

const FIN_TEXT = FIN | Opcode.Text;
const FIN_BINARY = FIN | Opcode.Binary;

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
};

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
   * Takes the next bytes from the peer, `chunk[0, end)`, which are changed in place and not kept, and calls the sink for everything
   * they complete. What the sink throws is thrown from here, once the rest of the chunk has been delivered: if more
   * than one call threw, as an AggregateError. May not be called from a sink for the same connection.
   */
  push(chunk: Uint8Array, sink: Sink<this>, end: number = chunk.length): void {
    const { maskBit, maxPayloadBytes } = this.settings;
    const keyBytes = maskBit === 0 ? 0 : 4;
    let position = 0;
    let failures: unknown[] | null = null;
    while (position < end && !this.ended) {
      const before = position;
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
        if (header.fault !== null) this.fail(sink, header.fault);
        else if (found.bytes !== null) this.deliver(sink, found.bytes);
      } catch (error) {
        failures ??= [];
        failures.push(error);
        // Not the sink's: there was no memory for a frame, and it would be tried for ever.
        if (position === before) this.stop();
      }
    }
    if (this.assembler !== null) this.assembler.settle();
    if (failures !== null) throw failures.length === 1 ? failures[0] : new AggregateError(failures);
  }

  /** Takes one frame, or the part of one that is there. Answers the next position; `found` has the outcome. */
  private step(chunk: Uint8Array, position: number, end: number): number {
    const held = this.assembler;
    if (held !== null && held.frameOpen) return this.continueFrame(held, chunk, position, end);
    let payloadStart: number;
    let maskKey: MaskKey = NO_MASK;
    if (held !== null && held.headerBytes > 0) {
      // A header that began in an earlier chunk: byte by byte until it is whole or wrong.
      let headerBytes = 0;
      while (headerBytes === 0 && position < end) {
        const begun = held.holdHeader(chunk, position, ++position);
        headerBytes = readHeader(this.settings, this.inflater !== null, held, begun, 0, held.headerBytes);
      }
      if (headerBytes <= 0) return position;
      if (this.settings.maskBit !== 0) maskKey = readMaskKey(held.header as Uint8Array, headerBytes - 4);
      held.headerBytes = 0;
      payloadStart = position;
    } else {
      const headerBytes = readHeader(this.settings, this.inflater !== null, held, chunk, position, end);
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
  private beginFrame(chunk: Uint8Array, start: number, end: number, maskKey: MaskKey): number {
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
    found.bytes = held.run ?? held.bytes;
    found.start = held.run === null ? 0 : held.runStart;
    found.end = found.start + held.receivedBytes;
    this.letGo(held);
    return stop;
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

  private deliverCompressed(
    sink: Sink<this>,
    opcode: Opcode,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): void {
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
    header.fault = null;
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
