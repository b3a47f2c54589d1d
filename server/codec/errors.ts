// The peer's fault: what it did wrong and the close code that says so. Our caller's bugs are TypeError and
// RangeError, never this. Knows nothing of frames; only of codes.

/** The close codes the codec itself can give as a reason to fail a connection (RFC 6455 section 7.4.1). */
export const FaultCode = {
  /** Framing, masking, opcodes, close payloads: the peer does not speak the protocol. */
  Protocol: 1002,
  /** Text that is not UTF-8, or compressed data that does not inflate. */
  InvalidPayload: 1007,
  /** A message, or the number of its fragments, above our limits. */
  TooBig: 1009,
} as const;
export type FaultCode = typeof FaultCode[keyof typeof FaultCode];

/** A peer broke the protocol. `code` is the close code to send before the connection ends. */
export class ProtocolError extends Error {
  override name = "ProtocolError";
  readonly code: FaultCode;

  constructor(code: FaultCode, message: string) {
    super(message);
    this.code = code;
  }
}
