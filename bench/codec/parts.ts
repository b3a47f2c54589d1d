// The parts of the codec: masking, UTF-8, prepared frames and compression against what ws does in their place, and the cells that
// chose the codec's own thresholds (`choice/...`), where the first contender is the plain way.

import { Buffer, isUtf8 } from "node:buffer";
import { constants, createDeflateRaw, deflateRawSync } from "node:zlib";
import { applyMask, maskPlain, maskWords } from "../../server/codec/mask.ts";
import {
  asciiBits,
  decodeText,
  shortAscii,
  validatePlain,
  writeShortAscii,
  writeUtf8,
} from "../../server/codec/utf8.ts";
import { compressedLimitBytes, Deflater, Inflater } from "../../server/codec/deflate.ts";
import { copyBytes, FIN, framePayload, prepareFrame } from "../../server/codec/frame.ts";
import { Opcode } from "../../server/codec/opcode.ts";
import { assertBytes, type Cell, type Contender } from "./table.ts";
import { rivals } from "./rivals.ts";

const SIZES = [16, 125, 1_024, 16_384, 65_536, 1_048_576];
const KEY = 0x0b060d03;
const KEY_BYTES = Buffer.from([0x03, 0x0d, 0x06, 0x0b]);

/** What was made last, so that nothing is optimized away. */
let last: unknown = null;

function contender<Result>(name: string, run: () => Result, right: (result: Result) => boolean): Contender {
  return {
    name,
    check: () => {
      if (!right(run())) throw new Error(`${name}: wrong output`);
    },
    run: () => {
      last = run();
    },
  };
}

function letters(length: number): Buffer {
  return Buffer.from(Uint8Array.from({ length }, (_, at) => 97 + at % 26));
}

type Mask = (bytes: Buffer) => unknown;

function maskContender(name: string, length: number, mask: Mask): Contender {
  const expected = letters(length);
  maskPlain(expected, 0, length, KEY);
  const bytes = letters(length);
  const check = () => {
    const copy = letters(length);
    mask(copy);
    assertBytes(copy, expected, name);
  };
  return { name, check, run: () => void mask(bytes) };
}

function* maskCells(): Iterable<Cell> {
  for (const size of SIZES) {
    const ours = maskContender("ours", size, (bytes) => applyMask(bytes, 0, bytes.length, KEY));
    const theirs = rivals.map((ws) => maskContender(ws.name, size, (bytes) => ws.unmask(bytes, KEY_BYTES)));
    yield { name: `mask ${size} bytes`, messages: 1, contenders: [ours, ...theirs] };
  }
  for (const size of [12, 16, 24, 32, 64]) {
    const plain = maskContender("plain", size, (bytes) => maskPlain(bytes, 0, bytes.length, KEY));
    const words = maskContender("words", size, (bytes) => maskWords(bytes, 0, bytes.length, KEY));
    yield { name: `choice/mask/words ${size}`, messages: 1, contenders: [plain, words] };
  }
}

function* utf8Cells(): Iterable<Cell> {
  for (const [kind, unit] of [["ascii", "a"], ["mixed", "aé€😀"]] as const) {
    for (const size of SIZES) {
      const text = unit.repeat(Math.ceil(size / Buffer.byteLength(unit)));
      const bytes = Buffer.from(text);
      const same = (result: string | undefined) => result === text;
      const decode = () => decodeText(bytes, 0, bytes.length, asciiBits(bytes, 0, bytes.length));
      const validated = rivals.slice(0, 1).map((ws) => {
        return contender(ws.name, () => ws.isValidUTF8(bytes) ? bytes.toString() : undefined, same);
      });
      yield {
        name: `utf8 decode ${kind} ${size} bytes`,
        messages: 1,
        contenders: [contender("ours", decode, same), ...validated],
      };
      const target = Buffer.alloc(bytes.length * 3 + 8);
      const whole = (length: number) => target.subarray(0, length).equals(bytes);
      const ours = contender("ours", () => writeUtf8(target, 0, text), whole);
      // ws's Sender encodes with Buffer.from.
      const theirs = contender("ws", () => Buffer.from(text), (made) => made.equals(bytes));
      yield { name: `utf8 encode ${kind} ${size} bytes`, messages: 1, contenders: [ours, theirs] };
    }
  }
}

function* utf8Choices(): Iterable<Cell> {
  for (const size of [2, 3, 4, 8, 12, 16, 32, 40, 64]) {
    const bytes = letters(size);
    const text = bytes.toString();
    const same = (result: string) => result === text;
    const plain = contender("plain", () => shortAscii(bytes, 0, size), same);
    const runtime = contender("runtime", () => bytes.toString("latin1", 0, size), same);
    yield { name: `choice/utf8/short text ${size}`, messages: 1, contenders: [plain, runtime] };
    const target = Buffer.alloc(256);
    const right = (length: number) => length === size;
    const write = contender("plain", () => writeShortAscii(target, 0, text), right);
    const runtimeWrite = contender("runtime", () => target.write(text, 0, 256, "utf8"), right);
    yield { name: `choice/utf8/short write ${size}`, messages: 1, contenders: [write, runtimeWrite] };
    const valid = contender("plain", () => validatePlain(0, bytes, 0, size), (state) => state === 0);
    const native = contender("runtime", () => isUtf8(bytes.subarray(0, size)), (answer) => answer);
    yield { name: `choice/utf8/validate ${size}`, messages: 1, contenders: [valid, native] };
    const copy = contender("loop/copyBytes", () => copyBytes(target, 0, bytes, 0, size), right);
    const set = contender("runtime", () => target.set(bytes, 0), () => true);
    yield { name: `choice/encode/binary ${size}`, messages: 1, contenders: [copy, set] };
  }
  for (const size of [256, 1_024, 4_096]) {
    const text = letters(size).toString();
    const right = (made: Uint8Array) => made.length > size;
    const ours = contender("ours", () => prepareFrame(text), right);
    const from = contender("Buffer.from", () => Buffer.concat([KEY_BYTES, Buffer.from(text)]), right);
    yield { name: `choice/encode/prepared ${size}`, messages: 1, contenders: [ours, from] };
  }
}

/** What ws's users send to many: the list of its `Sender.frame`, which refers to the payload where ours copies it. */
function* preparedCells(): Iterable<Cell> {
  for (const size of SIZES) {
    const bytes = letters(size);
    const text = bytes.toString();
    const kinds = [["text", text, Opcode.Text], ["binary", bytes, Opcode.Binary]] as const;
    for (const [kind, message, opcode] of kinds) {
      const expected = framePayload(FIN | opcode, bytes);
      const isExpected = (made: Uint8Array) => Buffer.compare(made, expected) === 0;
      const options = { fin: true, opcode, mask: false, readOnly: true, rsv1: false };
      const ours = contender("ours", () => prepareFrame(message), isExpected);
      const theirs = rivals.slice(0, 1).map((ws) =>
        contender(
          ws.name,
          () => ws.Sender.frame(typeof message === "string" ? Buffer.from(message) : message, options),
          (parts) => isExpected(Buffer.concat(parts)),
        )
      );
      yield { name: `prepare ${kind} ${size} bytes`, messages: 1, contenders: [ours, ...theirs] };
    }
  }
}

const RECORD = JSON.stringify({
  type: "message",
  topic: "a.b",
  data: { name: "someone", at: "2024-01-01", list: [1, 2] },
});

function* deflateCells(): Iterable<Cell> {
  for (const size of [125, 1_024, 16_384, 65_536]) {
    const payload = Buffer.from(RECORD.repeat(Math.ceil(size / RECORD.length)).slice(0, size));
    const shared = new Deflater({ contextTakeover: false });
    const inflater = new Inflater(false);
    const packed = Buffer.from(output.subarray(0, shared.deflate(payload, output)));
    const roundTrip = (bytes: Uint8Array) => {
      const length = inflater.inflate(bytes, 0, bytes.length, size);
      return length === size && payload.equals(inflater.takeOutput().subarray(0, length));
    };
    const ours = contender("ours", () => output.subarray(0, shared.deflate(payload, output)), roundTrip);
    const oneShot = contender(
      "one-shot",
      () => deflateRawSync(payload, { level: 1, finishFlush: constants.Z_SYNC_FLUSH }).subarray(0, -4),
      roundTrip,
    );
    const contenders = [
      ours,
      ...rivals.slice(0, 1).map((ws) => wsDeflate(ws, payload, roundTrip)),
      streamed(payload, roundTrip),
    ];
    yield {
      name: `deflate ${size} bytes`,
      messages: 1,
      contenders: [...contenders, oneShot],
    };
    const unpack = () => {
      const length = inflater.inflate(packed, 0, packed.length, size);
      inflater.giveBackOutput(inflater.takeOutput());
      return length;
    };
    const theirs = rivals.slice(0, 1).map((ws) => wsInflate(ws, packed, size));
    yield {
      name: `inflate ${size} bytes`,
      messages: 1,
      contenders: [contender("ours", unpack, (length) => length === size), ...theirs],
    };
    const levels = [1, 6].map((level) => {
      const deflater = new Deflater({ contextTakeover: false, level });
      const length = deflater.deflate(payload, output);
      return contender(`level ${level} (${length} B)`, () => deflater.deflate(payload, output), () => true);
    });
    yield { name: `choice/deflate/level ${size}`, messages: 1, contenders: levels };
  }
}

const output = Buffer.alloc(compressedLimitBytes(1 << 20));

interface WsDeflating {
  accept(configurations: object[]): object;
  compress(data: Uint8Array, fin: boolean, done: (error: Error | null, result: Uint8Array) => void): void;
  decompress(data: Uint8Array, fin: boolean, done: (error: Error | null, result: Uint8Array) => void): void;
}

/** ws's own compressor with the same settings: no takeover, level 1. */
function wsCompressor(ws: (typeof rivals)[number]): WsDeflating {
  const options = { isServer: true, threshold: 0, zlibDeflateOptions: { level: 1 }, maxPayload: 1 << 24 };
  // The type of rivals.ts says only what the other cells need.
  const deflate = new ws.PerMessageDeflate(options) as WsDeflating;
  deflate.accept([{ server_no_context_takeover: [true], client_no_context_takeover: [true] }]);
  return deflate;
}

function wsDeflate(
  ws: (typeof rivals)[number],
  payload: Buffer,
  right: (bytes: Uint8Array) => boolean,
): Contender {
  const compressor = wsCompressor(ws);
  const compress = () =>
    new Promise<Uint8Array>((resolve, reject) => {
      compressor.compress(payload, true, (error, result) => error === null ? resolve(result) : reject(error));
    });
  return asynchronous(ws.name, compress, right);
}

function wsInflate(ws: (typeof rivals)[number], packed: Buffer, size: number): Contender {
  const compressor = wsCompressor(ws);
  const inflate = () =>
    new Promise<Uint8Array>((resolve, reject) => {
      compressor.decompress(
        packed,
        true,
        (error, result) => error === null ? resolve(result) : reject(error),
      );
    });
  return asynchronous(ws.name, inflate, (result) => result.length === size);
}

/** zlib's documented stream, flushed after each message and reset. */
function streamed(payload: Buffer, right: (bytes: Uint8Array) => boolean): Contender {
  const stream = createDeflateRaw({ level: 1 });
  let parts: Buffer[] = [];
  stream.on("data", (part: Buffer) => parts.push(part));
  const compress = () =>
    new Promise<Uint8Array>((resolve) => {
      parts = [];
      stream.write(payload);
      stream.flush(constants.Z_SYNC_FLUSH, () => {
        stream.reset();
        resolve(Buffer.concat(parts).subarray(0, -4));
      });
    });
  return asynchronous("stream", compress, right);
}

function asynchronous(
  name: string,
  run: () => Promise<Uint8Array>,
  right: (bytes: Uint8Array) => boolean,
): Contender {
  return {
    name,
    check: async () => {
      if (!right(await run())) throw new Error(`${name}: wrong output`);
    },
    run: async () => {
      last = await run();
    },
  };
}

/** All cells whose name contains the filter. */
export function* partCells(filter: string, choices: boolean): Iterable<Cell> {
  for (const cells of [maskCells(), utf8Cells(), utf8Choices(), preparedCells(), deflateCells()]) {
    for (const cell of cells) {
      if (cell.name.includes(filter) && (choices || !cell.name.startsWith("choice/"))) yield cell;
    }
  }
  if (last === undefined) throw new Error("nothing was measured");
}
