// What a frame is: the four-bit opcode of RFC 6455 section 5.2. Knows nothing of lengths, masks or messages.

/** The opcodes of RFC 6455 section 11.8. Every other value is reserved and refused. */
export const Opcode = {
  Continuation: 0x0,
  Text: 0x1,
  Binary: 0x2,
  Close: 0x8,
  Ping: 0x9,
  Pong: 0xa,
} as const;
export type Opcode = typeof Opcode[keyof typeof Opcode];

/** Whether an opcode (0 to 15) is a control frame's, defined or reserved (RFC 6455 section 5.5). */
export function isControl(opcode: number): boolean {
  return opcode >= Opcode.Close;
}

/** Whether an opcode (0 to 15) has no meaning yet (RFC 6455 section 5.2). */
export function isReserved(opcode: number): boolean {
  return opcode > Opcode.Pong || (opcode > Opcode.Binary && opcode < Opcode.Close);
}
