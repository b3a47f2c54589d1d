// The codec against ws's Receiver and Sender, cell by cell: nanoseconds per message and how many times as long the
// others take. Usage: node --expose-gc --import tsx bench/codec.bench.ts [--quick] [--cell=TEXT] [--json] [--views] [--choices]
//
// What is compared: text arrives as a string (ws: the event's Buffer and `toString()`, as its users do), binary and
// raw text as each codec hands bytes over: ws a Buffer, ours a range of the chunk; with --views our sink makes a
// Uint8Array of that range for every message, as a program would that cannot work with ranges. ws's Receiver is a Writable with its
// defaults (allowSynchronousEvents), written to as its socket's data event does. Its Sender writes to a socket that
// encodes strings, as net.Socket does in the end, and keeps a reference to buffers: that favours ws, because the
// kernel has yet to gather them, while our frames are already one piece.
//
// Chunks are masked in place, so a chunk that is decoded twice is masked with its key again: the payload and the key
// are such that it is ASCII both ways. We also move fragments together in the chunk: where there are fragments, the
// chunk is copied afresh before each push, for every contender, and that copy is in the figures. Each contender is checked on bytes of its own before it is timed.

import { Buffer } from "node:buffer";
import { spawnSync } from "node:child_process";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { Decoder } from "../server/codec/decoder.ts";
import { decoderSettings } from "../server/codec/header.ts";
import type { Sink } from "../server/codec/sink.ts";
import { Opcode } from "../server/codec/opcode.ts";
import { NO_MASK, randomMaskKey } from "../server/codec/mask.ts";
import {
  BY_REFERENCE_FROM_BYTES,
  FIN,
  frameHeaderBytes,
  maxTextFrameBytes,
  writeBinaryFrame,
  writeFrame,
  writeHeader,
  writeTextFrame,
} from "../server/codec/frame.ts";
import { assertBytes, type Cell, type Contender, readOptions, runTable } from "./codec/table.ts";
import { rivals, type Ws, type WsSocket } from "./codec/rivals.ts";
import { partCells } from "./codec/parts.ts";

const SIZES = [0, 16, 125, 1_024, 16_384, 65_536, 1_048_576];
const FRAGMENTS = 4;
const CHUNK_BYTES = 65_536;
const MAX_MESSAGES_PER_CHUNK = 64;
const MAX_PAYLOAD_BYTES = 1 << 26;
/** Four bytes below 0x20: lower-case letters stay ASCII. */
const KEY = 0x0b060d03;

interface Shape {
  readonly kind: "text" | "binary" | "raw text";
  readonly masked: boolean;
  readonly fragmented: boolean;
  readonly payload: Uint8Array;
  readonly messages: number;
}

function letters(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, at) => 97 + at % 26);
}

/** One message's frames. */
function framed({ kind, masked, fragmented, payload }: Shape): Uint8Array {
  const key = masked ? KEY : NO_MASK;
  const opcode = kind === "binary" ? Opcode.Binary : Opcode.Text;
  const target = new Uint8Array(payload.length + FRAGMENTS * 14);
  if (!fragmented) {
    return target.slice(0, writeFrame(target, 0, FIN | opcode, payload, 0, payload.length, key));
  }
  let end = 0;
  for (let index = 0; index < FRAGMENTS; index++) {
    const [from, to] = part(payload.length, index);
    const first = (index === 0 ? opcode : 0) | (index === FRAGMENTS - 1 ? FIN : 0);
    end = writeFrame(target, end, first, payload, from, to, key);
  }
  return target.slice(0, end);
}

function part(length: number, index: number): [number, number] {
  return [Math.floor(length * index / FRAGMENTS), Math.floor(length * (index + 1) / FRAGMENTS)];
}

function chunkOf(shape: Shape): Buffer {
  return Buffer.concat(Array.from({ length: shape.messages }, () => framed(shape)));
}

function* shapes(kinds: readonly Shape["kind"][]): Iterable<[string, Shape]> {
  for (const size of SIZES) {
    const many = Math.max(2, Math.min(MAX_MESSAGES_PER_CHUNK, Math.floor(CHUNK_BYTES / Math.max(size, 1))));
    for (const masked of [true, false]) {
      for (const fragmented of [false, true]) {
        for (const messages of [1, many]) {
          for (const kind of kinds) {
            const name = `${size} ${kind} ${masked ? "masked" : "unmasked"} ` +
              `${fragmented ? "fragmented" : "whole"} ${messages > 1 ? "many" : "one"}`;
            yield [name, { kind, masked, fragmented, payload: letters(size), messages }];
          }
        }
      }
    }
  }
}

/** What the program was given last, so that nothing is optimized away, and what it is checked by. */
const program = { received: 0, last: null as string | Uint8Array | null };

function receive(message: string | Uint8Array): void {
  program.received++;
  program.last = message;
}

const views = process.argv.includes("--views");
const range = { start: 0, end: 0 };

function receiveBytes(_connection: Decoder, bytes: Uint8Array, start: number, end: number): void {
  if (views) {
    receive(new Uint8Array(bytes.buffer, bytes.byteOffset + start, end - start));
  } else {
    range.start = start;
    range.end = end;
    receive(bytes);
  }
}

/** The bytes received last. */
function lastBytes(bytes: Uint8Array, contender: string): Uint8Array {
  return contender === "ours" && !views ? bytes.subarray(range.start, range.end) : bytes;
}

const sink: Sink<Decoder> = {
  text: (_connection, text) => receive(text),
  textBytes: receiveBytes,
  binary: receiveBytes,
  ping: () => {},
  pong: () => {},
  close: () => {},
  error: (_connection, error) => {
    throw error;
  },
};

function decodeContender(name: string, shape: Shape, push: (chunk: Buffer) => void): Contender {
  const chunk = chunkOf(shape);
  const expected = shape.kind === "text" ? Buffer.from(shape.payload).toString() : shape.payload;
  const check = () => {
    program.received = 0;
    push(chunkOf(shape));
    const { last, received } = program;
    if (received !== shape.messages) throw new Error(`${name}: ${received} messages of ${shape.messages}`);
    if (typeof expected === "string" ? last !== expected : !(last instanceof Uint8Array)) {
      throw new Error(`${name}: wrong message`);
    }
    if (last instanceof Uint8Array) assertBytes(lastBytes(last, name), shape.payload, name);
  };
  const template = Buffer.from(chunk);
  const run = shape.fragmented
    ? () => {
      chunk.set(template, 0);
      push(chunk);
    }
    : () => push(chunk);
  return { name, check, run };
}

function decodeCell([name, shape]: [string, Shape]): Cell {
  const settings = decoderSettings({
    role: shape.masked ? "server" : "client",
    maxPayloadBytes: MAX_PAYLOAD_BYTES,
    maxFragments: 1_024,
    rawText: shape.kind === "raw text",
  });
  const decoder = new Decoder(settings);
  const theirs = rivals.map((ws) => {
    const receiver = new ws.Receiver({ isServer: shape.masked, maxPayload: MAX_PAYLOAD_BYTES });
    if (shape.kind === "text") receiver.on("message", (data) => receive(data.toString()));
    else receiver.on("message", receive);
    receiver.on("error", (error) => {
      throw error;
    });
    return decodeContender(ws.name, shape, (chunk) => receiver.write(chunk));
  });
  const ours = decodeContender("ours", shape, (chunk) => decoder.push(chunk, sink));
  return { name: `decode ${name}`, messages: shape.messages, contenders: [ours, ...theirs] };
}

const outbox = Buffer.alloc(8 << 20);

/** Reads a stream of frames back, for the check: the payloads of all messages, joined. */
function payloadsOf(stream: Uint8Array, masked: boolean): Uint8Array {
  const payloads: Uint8Array[] = [];
  const settings = decoderSettings({
    ...{ role: masked ? "server" : "client", maxPayloadBytes: MAX_PAYLOAD_BYTES, maxFragments: 1_024 },
    rawText: true,
  });
  const keep = (_connection: Decoder, bytes: Uint8Array, start: number, end: number) => {
    payloads.push(bytes.slice(start, end));
  };
  new Decoder(settings).push(Uint8Array.from(stream), { ...sink, binary: keep, textBytes: keep });
  return Buffer.concat(payloads);
}

/** Encodes all messages of a shape and answers how many bytes came of it. */
function encodeOurs(shape: Shape, text: string, parts: readonly Uint8Array[]): number {
  const { kind, masked, fragmented, payload, messages } = shape;
  const opcode = kind === "binary" ? Opcode.Binary : Opcode.Text;
  let end = 0;
  let referenced = 0;
  for (let count = 0; count < messages; count++) {
    const key = masked ? randomMaskKey() : NO_MASK;
    if (fragmented) {
      for (let index = 0; index < FRAGMENTS; index++) {
        const fragment = parts[index] as Uint8Array; // one for each
        const first = (index === 0 ? opcode : 0) | (index === FRAGMENTS - 1 ? FIN : 0);
        if (masked || fragment.length < BY_REFERENCE_FROM_BYTES) {
          end = writeFrame(outbox, end, first, fragment, 0, fragment.length, key);
        } else {
          end = writeHeader(outbox, end, first, fragment.length);
          program.last = fragment;
          referenced += fragment.length;
        }
      }
    } else if (kind === "text") {
      end = writeTextFrame(outbox, end, text, key);
    } else if (masked || payload.length < BY_REFERENCE_FROM_BYTES) {
      end = writeBinaryFrame(outbox, end, payload, key);
    } else {
      end = writeHeader(outbox, end, FIN | opcode, payload.length);
      program.last = payload;
      referenced += payload.length;
    }
  }
  return end + referenced;
}

interface CountingSocket extends WsSocket {
  bytes: number;
  kept: Uint8Array[] | null;
}

function countingSocket(): CountingSocket {
  return {
    bytes: 0,
    kept: null,
    cork() {},
    uncork() {},
    write(data) {
      if (typeof data === "string") {
        const length = outbox.write(data, this.bytes);
        if (this.kept !== null) this.kept.push(outbox.slice(this.bytes, this.bytes + length));
        this.bytes += length;
      } else {
        if (this.kept !== null) this.kept.push(data);
        this.bytes += data.length;
      }
    },
  };
}

function encodeTheirs(
  ws: Ws,
  shape: Shape,
  text: string,
  parts: readonly Uint8Array[],
  expected: Uint8Array,
): Contender {
  const { kind, masked, fragmented, payload, messages } = shape;
  const socket = countingSocket();
  const sender = new ws.Sender(socket, {});
  const data = kind === "text" ? text : payload;
  const run = () => {
    socket.bytes = 0;
    for (let count = 0; count < messages; count++) {
      if (!fragmented) {
        sender.send(data, { binary: kind === "binary", compress: false, fin: true, mask: masked });
        continue;
      }
      for (let index = 0; index < FRAGMENTS; index++) {
        const fin = index === FRAGMENTS - 1;
        sender.send(parts[index] as Uint8Array, {
          binary: kind === "binary",
          compress: false,
          fin,
          mask: masked,
        });
      }
    }
  };
  const check = () => {
    const kept: Uint8Array[] = [];
    socket.kept = kept;
    run();
    socket.kept = null;
    assertBytes(
      payloadsOf(Buffer.concat(kept.map((bytes) => Uint8Array.from(bytes))), masked),
      expected,
      ws.name,
    );
  };
  return { name: ws.name, check, run };
}

function encodeCell([name, shape]: [string, Shape]): Cell {
  const { masked, payload, messages, kind, fragmented } = shape;
  // A string built in one piece, as a program's would be after its first use.
  const text = Buffer.from(payload).toString();
  const parts = Array.from(
    { length: FRAGMENTS },
    (_, index) => Buffer.from(payload.slice(...part(payload.length, index))),
  );
  const expected = Buffer.concat(Array.from({ length: messages }, () => payload));
  const ours: Contender = {
    name: "ours",
    check: () => {
      const bytes = encodeOurs(shape, text, parts);
      const frames = fragmented ? FRAGMENTS : 1;
      const size = payload.length / frames;
      if (!masked && kind === "binary" && size >= BY_REFERENCE_FROM_BYTES) {
        // Payloads by reference: the count of everything is what there is to check.
        const whole = messages * frames * (frameHeaderBytes(size, false) + size);
        if (bytes !== whole) throw new Error(`ours: ${bytes} bytes of ${whole}`);
        return;
      }
      assertBytes(payloadsOf(outbox.subarray(0, bytes), masked), expected, "ours");
    },
    run: () => {
      program.received += encodeOurs(shape, text, parts);
    },
  };
  const theirs = rivals.map((ws) => encodeTheirs(ws, shape, text, parts, expected));
  return { name: `encode ${name}`, messages, contenders: [ours, ...theirs] };
}

function* cells(): Iterable<Cell> {
  const wanted = (name: string) => name.includes(options.filter);
  for (const shape of shapes(options.quick ? ["text", "binary"] : ["text", "raw text", "binary"])) {
    if (wanted(`decode ${shape[0]}`)) yield decodeCell(shape);
  }
  for (const shape of shapes(["text", "binary"])) {
    const [name, { fragmented, kind, messages, payload }] = shape;
    // Text is fragmented as bytes, so that is the binary cell; and the outbox has a size.
    if (fragmented && kind === "text") continue;
    if (messages * maxTextFrameBytes(payload.length) > outbox.length) continue;
    if (wanted(`encode ${name}`)) yield encodeCell(shape);
  }
  yield* partCells(options.filter, process.argv.includes("--choices"));
}

/**
 * A process for each group of cells: in one process for all, JavaScriptCore stops compiling after a few hundred cells
 * and interprets what comes late, whoever's it is.
 */
function runGroups(): void {
  const groups = ["decode", "encode"].flatMap((way) => SIZES.map((size) => `${way} ${size} `));
  groups.push("mask ", "utf8 ", "prepare ", "flate ");
  const runtime = "Deno" in globalThis ? ["run", "--allow-all"] : process.execArgv;
  const behind: string[] = [];
  let cellCount = 0;
  for (const group of groups) {
    const args = [...runtime, fileURLToPath(import.meta.url), ...process.argv.slice(2), `--cell=${group}`];
    const { stdout, status } = spawnSync(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
    if (status !== 0) throw new Error(`${group}: exit code ${status}`);
    const lines = stdout.toString().split("\n");
    const table = lines.filter((line) =>
      /^(?:decode|encode|mask|utf8|prepare|deflate|inflate|choice)\b/.test(line)
    );
    cellCount += table.length;
    behind.push(...lines.filter((line) => line.startsWith("behind:")));
    console.log(table.join("\n"));
  }
  console.log(
    `\n${cellCount} cells, ${cellCount - behind.length} in which the first contender is ahead of all.`,
  );
  for (const line of behind) console.log(line);
}

const options = readOptions();
if (options.filter === "") {
  runGroups();
} else {
  if (!options.json) console.log("ns per message");
  await runTable(cells(), options);
}
