/** Sections 9 and 10: large messages, many fragments, small writes, many messages, and fragments a sender may choose. */
import { type Case, type Context, type Outcome, Verdict } from "../case.ts";
import { CLEAN, conclude, type Ending, equalBytes, finish } from "../exchange.ts";
import { fragments, frame, Opcode } from "../frame.ts";
import { json, noise } from "../payloads.ts";
import type { Wire } from "../wire.ts";

const KIB = 1024;
const MIB = 1024 * KIB;
const SIZES_BYTES = [64 * KIB, 256 * KIB, MIB, 4 * MIB, 8 * MIB, 16 * MIB];
const FRAGMENTED_BYTES = 4 * MIB;
const FRAGMENT_SIZES_BYTES = [64, 256, KIB, 4 * KIB, 16 * KIB, 64 * KIB, 256 * KIB, MIB, 4 * MIB];
const CHOPPED_BYTES = MIB;
const CHOP_SIZES_BYTES = [64, 128, 256, 512, 1024, 2048];
const ROUND_TRIPS = 1_000;
const ROUND_TRIP_SIZES_BYTES = [0, 16, 64, 256, 1024, 4096];
/** Bulk cases may take this many timeouts. */
const PATIENCE = 15;
const WRITE_BYTES = 64 * KIB;
/** Too big a message (1009), or too many fragments for the server's policy (1008): both are a server's to decide. */
const LIMIT_CODES: readonly number[] = [1009, 1008];

/** The data of all bulk cases so far, cut to size; distinct everywhere, so that no mixed-up order goes unseen. */
let textData: Uint8Array = new Uint8Array(0);
let binaryData: Uint8Array = new Uint8Array(0);

function data(opcode: number, bytes: number): Uint8Array {
  if (opcode === Opcode.Text) {
    if (textData.length < bytes) textData = json(bytes);
    return textData.subarray(0, bytes);
  }
  if (binaryData.length < bytes) binaryData = noise(bytes);
  return binaryData.subarray(0, bytes);
}

interface Bulk {
  readonly id: string;
  readonly opcode: number;
  readonly bytes: number;
  readonly how: string;
  send(wire: Wire, payload: Uint8Array): Promise<void>;
}

function kindOf(opcode: number): "text" | "binary" {
  return opcode === Opcode.Text ? "text" : "binary";
}

function sizeName(bytes: number): string {
  if (bytes >= MIB) return `${bytes / MIB} MiB`;
  return bytes >= KIB ? `${bytes / KIB} KiB` : `${bytes} bytes`;
}

function bulkCase(bulk: Bulk): Case {
  const kind = kindOf(bulk.opcode);
  return {
    id: bulk.id,
    description: `A ${kind} message of ${sizeName(bulk.bytes)}${bulk.how}.`,
    expectation: "The same message comes back; clean close. A refusal with 1009 or 1008 is informational.",
    alone: true,
    patience: PATIENCE,
    run: (context) => runBulk(bulk, context),
  };
}

async function runBulk(bulk: Bulk, context: Context): Promise<Outcome> {
  const wire = await context.open();
  const payload = data(bulk.opcode, bulk.bytes);
  await bulk.send(wire, payload);
  await wire.until(() => wire.events.length > 0 || wire.hopeless, PATIENCE * context.timeoutMs);
  const code = wire.serverClose?.code ?? 0;
  if (LIMIT_CODES.includes(code) && wire.events.length === 0) {
    await finish(wire, context.timeoutMs);
    const ending: Ending = { by: "server", codes: LIMIT_CODES };
    return conclude(wire, Verdict.Informational, `refused with ${code}: over the server's limit`, ending);
  }
  if (!wire.over) await wire.sendClose(1000);
  await finish(wire, context.timeoutMs);
  const [echo] = wire.events;
  const right = wire.events.length === 1 && echo?.kind === kindOf(bulk.opcode) &&
    equalBytes(echo.payload, payload);
  const what = right
    ? "echoed whole"
    : echo === undefined
    ? "no echo"
    : `${wire.events.length} events, the first a ${echo.kind} of ${echo.payload.length} bytes that differs`;
  return conclude(wire, right ? Verdict.Ok : Verdict.Failed, what, CLEAN);
}

async function writeInParts(wire: Wire, octets: Uint8Array): Promise<void> {
  for (let at = 0; at < octets.length; at += WRITE_BYTES) {
    await wire.write(octets.subarray(at, at + WRITE_BYTES));
  }
}

function sized(section: number, opcode: number): Case[] {
  return SIZES_BYTES.map((bytes, index) =>
    bulkCase({
      id: `9.${section}.${index + 1}`,
      opcode,
      bytes,
      how: " in one frame",
      send: (wire, payload) => writeInParts(wire, wire.note([frame({ opcode, payload })])),
    })
  );
}

function fragmented(section: number, opcode: number): Case[] {
  return FRAGMENT_SIZES_BYTES.map((fragmentBytes, index) =>
    bulkCase({
      id: `9.${section}.${index + 1}`,
      opcode,
      bytes: FRAGMENTED_BYTES,
      how: ` in fragments of ${sizeName(fragmentBytes)}`,
      send: (wire, payload) => writeInParts(wire, wire.note(fragments(opcode, payload, fragmentBytes))),
    })
  );
}

function chopped(section: number, opcode: number): Case[] {
  return CHOP_SIZES_BYTES.map((chopBytes, index) =>
    bulkCase({
      id: `9.${section}.${index + 1}`,
      opcode,
      bytes: CHOPPED_BYTES,
      how: ` in writes of ${chopBytes} bytes`,
      send: (wire, payload) => wire.writeChopped(wire.note([frame({ opcode, payload })]), chopBytes),
    })
  );
}

async function runRoundTrips(opcode: number, bytes: number, context: Context): Promise<Outcome> {
  const wire = await context.open();
  const payload = data(opcode, bytes);
  const deadlineMs = PATIENCE * context.timeoutMs;
  let echoed = 0;
  for (; echoed < ROUND_TRIPS && !wire.over; echoed++) {
    await wire.send(frame({ opcode, payload }));
    if (!await wire.until(() => wire.events.length > 0 || wire.hopeless, deadlineMs)) break;
    const echo = wire.events.shift();
    if (echo?.kind !== kindOf(opcode) || !equalBytes(echo.payload, payload)) break;
  }
  if (!wire.over) await wire.sendClose(1000);
  await finish(wire, context.timeoutMs);
  const right = echoed === ROUND_TRIPS && wire.events.length === 0;
  return conclude(wire, right ? Verdict.Ok : Verdict.Failed, `${echoed} of ${ROUND_TRIPS} echoed`, CLEAN);
}

function roundTrips(section: number, opcode: number): Case[] {
  return ROUND_TRIP_SIZES_BYTES.map((bytes, index) => ({
    id: `9.${section}.${index + 1}`,
    description: `${ROUND_TRIPS} ${kindOf(opcode)} messages of ${
      sizeName(bytes)
    }, one after the other's echo.`,
    expectation: "Every message comes back; clean close.",
    alone: true,
    patience: PATIENCE,
    run: (context: Context) => runRoundTrips(opcode, bytes, context),
  }));
}

/** 9.1.1 to 9.8.6. */
export const limitCases: readonly Case[] = [
  ...sized(1, Opcode.Text),
  ...sized(2, Opcode.Binary),
  ...fragmented(3, Opcode.Text),
  ...fragmented(4, Opcode.Binary),
  ...chopped(5, Opcode.Text),
  ...chopped(6, Opcode.Binary),
  ...roundTrips(7, Opcode.Text),
  ...roundTrips(8, Opcode.Binary),
];

/** 10.1.1: a size that divides nothing evenly. */
export const autoFragmentCases: readonly Case[] = [
  bulkCase({
    id: "10.1.1",
    opcode: Opcode.Text,
    bytes: 64 * KIB,
    how: " in fragments of 1,300 bytes",
    send: (wire, payload) => wire.send(...fragments(Opcode.Text, payload, 1_300)),
  }),
];
