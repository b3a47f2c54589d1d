// Masking sixteen bytes at a time: one WebAssembly function of a few dozen instructions, assembled here byte by
// byte, because no JavaScript engine vectorizes the XOR loop and the copy in and out of its memory costs less
// than that loop. Only mask.ts may call it; where SIMD is missing, `maskTile` is null and the loops do the work.

/** The tile: what is copied in, masked and copied out at a time. It stays within the first-level cache. */
export const TILE_BYTES = 16_384;

/** Masks `memory[0, end)` (in steps of 64 bytes) and answers whether a byte of the result has its high bit set. */
export type MaskTile = (end: number, key: number) => number;

// Value types and section numbers of the WebAssembly binary format, as far as they are needed.
const I32 = 0x7f;
const V128 = 0x7b;
const Section = { Type: 1, Function: 3, Memory: 5, Export: 7, Code: 10 } as const;

// Instructions.
const LOCAL_GET = 0x20;
const LOCAL_SET = 0x21;
const LOCAL_TEE = 0x22;
const LOOP_VOID = [0x03, 0x40];
const END = 0x0b;
const BR_IF_INNERMOST = [0x0d, 0x00];
const I32_CONST_64 = [0x41, 0xc0, 0x00];
const I32_ADD = 0x6a;
const I32_LESS_UNSIGNED = 0x49;
const V128_LOAD = [0xfd, 0x00];
const V128_STORE = [0xfd, 0x0b];
const V128_XOR = [0xfd, 0x51];
const V128_OR = [0xfd, 0x50];
const I32X4_SPLAT = [0xfd, 0x11];
const I8X16_BITMASK = [0xfd, 0x64];
const ALIGN_16 = 4;

// Locals: the two parameters, then our own.
const END_OFFSET = 0;
const KEY = 1;
const OFFSET = 2;
const WIDE_KEY = 3;
const SEEN = 4;
const WORD = 5;

function section(id: number, body: number[]): number[] {
  return [id, body.length, ...body];
}

/** Loads 16 bytes at `memory[offset + at]`, masks, stores them back and gathers their bits. */
function maskSixteen(at: number): number[] {
  return [
    ...[LOCAL_GET, OFFSET],
    ...[LOCAL_GET, OFFSET],
    ...[...V128_LOAD, ALIGN_16, at],
    ...[LOCAL_GET, WIDE_KEY, ...V128_XOR],
    ...[LOCAL_TEE, WORD],
    ...[...V128_STORE, ALIGN_16, at],
    ...[LOCAL_GET, SEEN, LOCAL_GET, WORD, ...V128_OR, LOCAL_SET, SEEN],
  ];
}

function moduleBytes(): Uint8Array<ArrayBuffer> {
  const body = [
    ...[2, 1, I32, 3, V128],
    ...[LOCAL_GET, KEY, ...I32X4_SPLAT, LOCAL_SET, WIDE_KEY],
    ...LOOP_VOID,
    ...maskSixteen(0),
    ...maskSixteen(16),
    ...maskSixteen(32),
    ...maskSixteen(48),
    ...[LOCAL_GET, OFFSET, ...I32_CONST_64, I32_ADD, LOCAL_TEE, OFFSET],
    ...[LOCAL_GET, END_OFFSET, I32_LESS_UNSIGNED, ...BR_IF_INNERMOST],
    END,
    ...[LOCAL_GET, SEEN, ...I8X16_BITMASK],
    END,
  ];
  // The body's length needs two bytes of LEB128: it is between 128 and 16,383.
  const code = [(body.length & 0x7f) | 0x80, body.length >> 7, ...body];
  return new Uint8Array([
    ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
    ...section(Section.Type, [1, 0x60, 2, I32, I32, 1, I32]),
    ...section(Section.Function, [1, 0]),
    ...section(Section.Memory, [1, 0x01, 1, 1]),
    ...section(Section.Export, [2, 1, 0x6d, 2, 0, 1, 0x66, 0, 0]),
    ...[Section.Code, ((code.length + 1) & 0x7f) | 0x80, (code.length + 1) >> 7, 1, ...code],
  ]);
}

interface Exports {
  readonly m: WebAssembly.Memory;
  readonly f: MaskTile;
}

function load(): Exports | null {
  const bytes = moduleBytes();
  // Validation fails where SIMD is not there; WebAssembly itself is absent under V8's --jitless.
  if (typeof WebAssembly === "undefined" || !WebAssembly.validate(bytes)) return null;
  // The cast is to the two exports declared above, byte for byte.
  return new WebAssembly.Instance(new WebAssembly.Module(bytes)).exports as unknown as Exports;
}

const loaded = load();

/** The vector loop, or null where the runtime has none. */
export const maskTile: MaskTile | null = loaded === null ? null : loaded.f;

/** The memory `maskTile` works on, one page; nothing is kept in it between calls. */
export const tile: Uint8Array = loaded === null
  ? new Uint8Array(0)
  : new Uint8Array(loaded.m.buffer, 0, TILE_BYTES);
