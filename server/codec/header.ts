// The header of a frame, read and judged (RFC 6455 section 5.2): every rule that can be told before the payload, and
// every limit before a byte of it is kept. Knows what message is in progress, never the payload.

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
import type { Assembler } from "./assembler.ts";
import { compressedLimitBytes } from "./deflate.ts";

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
  if (
    !(Number.isInteger(maxPayloadBytes) && maxPayloadBytes > 0 && maxPayloadBytes <= MAX_PAYLOAD_LIMIT_BYTES)
  ) {
    throw new RangeError(`maxPayloadBytes is an integer from 1 to ${MAX_PAYLOAD_LIMIT_BYTES}`);
  }
  if (!(Number.isInteger(maxFragments) && maxFragments > 0 && maxFragments <= MAX_PAYLOAD_LIMIT_BYTES)) {
    throw new RangeError(`maxFragments is an integer from 1 to ${MAX_PAYLOAD_LIMIT_BYTES}`);
  }
  return { maskBit: role === "server" ? MASKED : 0, maxPayloadBytes, maxFragments, rawText };
}

const SIZE_32 = 2 ** 32;

/**
 * The header that was read last, and what is wrong with a frame. One for all decoders: it is used at once, before
 * anything else can run.
 */
export const header = {
  opcode: Opcode.Continuation as Opcode,
  fin: false,
  compressed: false,
  payloadBytes: 0,
  fault: null as ProtocolError | null,
};

/** Notes a fault for the decoder to report. */
export function refuse(code: FaultCode, message: string): -1 {
  header.fault = new ProtocolError(code, message);
  return -1;
}

/**
 * Reads the header in `bytes[at, end)` into `header`. Answers its length, 0 while it is not complete, or -1 when
 * it is wrong, which is said at the first byte that is.
 */
export function readHeader(
  settings: DecoderSettings,
  deflate: boolean,
  held: Assembler | null,
  bytes: Uint8Array,
  at: number,
  end: number,
): number {
  const first = bytes[at] as number; // there is at least one byte
  const opcode = first & 0x0f;
  const control = isControl(opcode);
  const message = held === null ? Opcode.Continuation : held.opcode;
  if ((first & RSV2_RSV3) !== 0) return refuse(FaultCode.Protocol, "RSV2 or RSV3 is set");
  if (isReserved(opcode)) return refuse(FaultCode.Protocol, `opcode ${opcode} is reserved`);
  if ((first & RSV1) !== 0 && (!deflate || control || opcode === Opcode.Continuation)) {
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
  const { maskBit } = settings;
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
  if (!control && !withinLimits(settings, held, payloadBytes, first)) return -1;
  if (maskBit !== 0) headerBytes += 4;
  if (end - at < headerBytes) return 0;
  header.opcode = opcode as Opcode; // not reserved, so one of them
  header.fin = (first & FIN) !== 0;
  header.compressed = (first & RSV1) !== 0;
  header.payloadBytes = payloadBytes;
  return headerBytes;
}

/** Whether a data frame fits the limits, together with the fragments before it: before a byte is kept. */
function withinLimits(
  settings: DecoderSettings,
  held: Assembler | null,
  payloadBytes: number,
  first: number,
): boolean {
  const { maxPayloadBytes, maxFragments } = settings;
  let total = payloadBytes;
  let compressed = (first & RSV1) !== 0;
  let fragments = 1;
  if (held !== null && held.opcode !== Opcode.Continuation) {
    total += held.receivedBytes;
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

/** A length of two or eight bytes, or -1 if RFC 6455 section 5.2 forbids it: not minimal, or the highest bit set. */
function readLength(bytes: Uint8Array, at: number, headerBytes: number): number {
  // The header is complete up to here.
  if (headerBytes === 4) {
    const length = ((bytes[at + 2] as number) << 8) | (bytes[at + 3] as number);
    if (length > MAX_CONTROL_PAYLOAD_BYTES) return length;
    return refuse(FaultCode.Protocol, "a length takes more bytes than it needs");
  }
  if ((bytes[at + 2] as number) >= 0x80) {
    return refuse(FaultCode.Protocol, "a length has its highest bit set");
  }
  const length = readUint32(bytes, at + 2) * SIZE_32 + readUint32(bytes, at + 6);
  if (length > MAX_LENGTH_16_BYTES) return length;
  return refuse(FaultCode.Protocol, "a length takes more bytes than it needs");
}

function readUint32(bytes: Uint8Array, at: number): number {
  return (((bytes[at] as number) << 24) | ((bytes[at + 1] as number) << 16) |
    ((bytes[at + 2] as number) << 8) | (bytes[at + 3] as number)) >>> 0;
}
