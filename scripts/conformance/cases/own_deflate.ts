/** Section 14.6 and 14.7, beyond Autobahn: offers to decline, and wrong or odd compressed frames (RFC 7692). */
import { type Case, type Context, type Outcome, Verdict } from "../case.ts";
import { Deflater } from "../deflate.ts";
import {
  CLEAN,
  conclude,
  type Ending,
  equalBytes,
  exchange,
  type Expected,
  finish,
  INVALID_DATA,
  only,
  pong,
  PROTOCOL_ERROR,
  text,
} from "../exchange.ts";
import { concat, fragments, frame, hex, Opcode, Rsv1 } from "../frame.ts";
import { faultOf, readAnswer, request } from "../handshake.ts";
import { noise } from "../payloads.ts";
import type { Wire } from "../wire.ts";
import { NOT_AGREED } from "./compression.ts";
import { refusal } from "./own_handshake.ts";

const OFFER = "permessage-deflate";
const BAD_REQUEST = 400;

interface OfferRow {
  readonly parameters: string;
  readonly why: string;
  /** What accepting it is worth. `failed` if absent. */
  readonly whenAccepted?: Verdict;
}

/** Section 7.1: a parameter with an invalid name, an invalid value or given twice makes the server decline the offer. */
const INVALID_OFFERS: readonly OfferRow[] = [
  { parameters: "server_max_window_bits", why: "no value" },
  { parameters: 'server_max_window_bits=""', why: "an empty value" },
  { parameters: "server_max_window_bits=7", why: "below 8" },
  { parameters: "server_max_window_bits=16", why: "above 15" },
  { parameters: "server_max_window_bits=1000000000", why: "far above 15" },
  { parameters: "server_max_window_bits=010", why: "a leading zero", whenAccepted: Verdict.NonStrict },
  { parameters: "server_max_window_bits=10; server_max_window_bits=12", why: "given twice" },
  { parameters: 'client_max_window_bits=""', why: "an empty value" },
  { parameters: "client_max_window_bits=7", why: "below 8" },
  { parameters: "client_max_window_bits=16", why: "above 15" },
  { parameters: "client_max_window_bits; client_max_window_bits=15", why: "given twice" },
  { parameters: "server_no_context_takeover=true", why: "a value where none may be" },
  { parameters: "server_no_context_takeover; server_no_context_takeover", why: "given twice" },
  { parameters: "client_no_context_takeover=1", why: "a value where none may be" },
  { parameters: "x_unknown_parameter", why: "an unknown parameter" },
];

async function runInvalidOffer(row: OfferRow, context: Context): Promise<Outcome> {
  const offer = `${OFFER}; ${row.parameters}`;
  const wire = await context.connect();
  await wire.write(request(context.target, { offer }));
  await wire.until(() => wire.head !== undefined, context.timeoutMs);
  if (wire.head === undefined) return refusal(wire, Verdict.NonStrict, "no response");
  if (wire.head.status === BAD_REQUEST) return refusal(wire, Verdict.Ok, "refused with 400");
  const fault = faultOf(wire.head);
  if (fault !== undefined) return refusal(wire, Verdict.NonStrict, fault);
  const answer = wire.head.headers.get("sec-websocket-extensions") ?? "";
  if (answer !== "") return refusal(wire, row.whenAccepted ?? Verdict.Failed, `accepted with ${answer}`);
  await wire.send(frame({ opcode: Opcode.Text, payload: "Hello" }));
  await wire.until(() => wire.events.length > 0 || wire.hopeless, context.timeoutMs);
  if (!wire.over) await wire.sendClose(1000);
  await finish(wire, context.timeoutMs);
  const right = wire.events.length === 1;
  return conclude(
    wire,
    right ? Verdict.Ok : Verdict.Failed,
    right ? "declined" : "declined, but no echo",
    CLEAN,
  );
}

const invalidOfferCases: readonly Case[] = INVALID_OFFERS.map((row, index) => ({
  id: `14.6.${index + 1}`,
  description: `An offer of permessage-deflate with ${row.parameters}: ${row.why}.`,
  expectation: "A 101 without the extension and an uncompressed echo, or a 400.",
  run: (context: Context) => runInvalidOffer(row, context),
}));

/** Lawful offers a server may take or leave, but must not refuse. */
const ODD_OFFERS: readonly OfferRow[] = [
  {
    parameters: "permessage-deflate; server_max_window_bits=7, permessage-deflate",
    why: "an invalid element, then a valid one",
  },
  { parameters: 'permessage-deflate; server_max_window_bits="10"', why: "a quoted value" },
  { parameters: "x-millrace-unknown; a=1, permessage-deflate", why: "an unknown extension first" },
  {
    parameters: "permessage-deflate;client_max_window_bits=10",
    why: "no blanks, a value for the client's window",
  },
];

const oddOfferCases: readonly Case[] = ODD_OFFERS.map(({ parameters, why }, index) => ({
  id: `14.6.${INVALID_OFFERS.length + index + 1}`,
  description: `The offer ${parameters}: ${why}.`,
  expectation: "A 101, with the extension or without; what is agreed was offered. A 400 is non-strict.",
  run: async (context: Context): Promise<Outcome> => {
    const wire = await context.connect();
    await wire.write(request(context.target, { offer: parameters }));
    await wire.until(() => wire.head !== undefined, context.timeoutMs);
    const fault = wire.head === undefined ? "no response" : faultOf(wire.head);
    if (fault !== undefined) return refusal(wire, Verdict.NonStrict, fault);
    const answer = wire.head?.headers.get("sec-websocket-extensions");
    const agreed = readAnswer(answer, parameters);
    if (typeof agreed === "string") return refusal(wire, Verdict.Failed, agreed);
    await wire.sendClose(1000);
    await finish(wire, context.timeoutMs);
    return conclude(wire, Verdict.Ok, `answered with ${answer ?? "no extension"}`, CLEAN);
  },
}));

interface FrameRow {
  readonly description: string;
  readonly frames: readonly Uint8Array[];
  readonly events?: readonly Expected[];
  readonly ending?: Ending;
  readonly octets?: boolean;
}

/** "Hello" compressed in the ways of RFC 7692 section 7.2.3. */
const HELLO_DEFLATED = hex("f248cdc9c90700");
const HELLO_STORED = hex("00 0500 faff 48656c6c6f 00");
const HELLO_FINAL = hex("f348cdc9c9070000");
const HELLO_TWO_BLOCKS = hex("f2480500 0000ffff cac9c90700");
/** A stored block of one byte, ff, which no text may hold. */
const NOT_UTF8_STORED = hex("00 0100 feff ff 00");
/** Block type 3, which does not exist. */
const CORRUPT = hex("0eff00ff");

const compressed = (payload: Uint8Array, more: object = {}): Uint8Array =>
  frame({ opcode: Opcode.Text, payload, rsv: Rsv1, ...more });
const continued = (payload: Uint8Array, fin = true): Uint8Array => frame({ opcode: 0, payload, fin });
const EMPTY = new Uint8Array(0);

const FRAME_ROWS: readonly FrameRow[] = [
  { description: "A ping with RSV1.", frames: [frame({ opcode: 9, rsv: Rsv1 })], ending: PROTOCOL_ERROR },
  {
    description: "A continuation with RSV1.",
    frames: [
      compressed(HELLO_DEFLATED.subarray(0, 3), { fin: false }),
      frame({ opcode: 0, payload: HELLO_DEFLATED.subarray(3), rsv: Rsv1 }),
    ],
    ending: PROTOCOL_ERROR,
  },
  {
    description: "A text frame with RSV2, which has no meaning here either.",
    frames: [frame({ opcode: 1, payload: "Hello", rsv: 2 })],
    ending: PROTOCOL_ERROR,
  },
  {
    description: "Compressed data that is corrupt.",
    frames: [compressed(CORRUPT)],
    ending: { by: "server", codes: [1007, 1002] },
  },
  {
    description: "Compressed text that is not UTF-8.",
    frames: [compressed(NOT_UTF8_STORED)],
    ending: INVALID_DATA,
  },
  {
    description: "An uncompressed message, which stays lawful.",
    frames: [frame({ opcode: 1, payload: "Hello" })],
    events: [text("Hello")],
  },
  { description: "A compressed message.", frames: [compressed(HELLO_DEFLATED)], events: [text("Hello")] },
  { description: "An empty compressed message.", frames: [compressed(hex("00"))], events: [text("")] },
  { description: "A stored block.", frames: [compressed(HELLO_STORED)], events: [text("Hello")] },
  {
    description: "A block marked as the last one.",
    frames: [compressed(HELLO_FINAL)],
    events: [text("Hello")],
  },
  { description: "Two blocks.", frames: [compressed(HELLO_TWO_BLOCKS)], events: [text("Hello")] },
  {
    description: "A compressed message in fragments with a ping between, the last one empty.",
    frames: [
      compressed(HELLO_DEFLATED.subarray(0, 3), { fin: false }),
      frame({ opcode: 9, payload: "between" }),
      continued(HELLO_DEFLATED.subarray(3), false),
      continued(EMPTY),
    ],
    events: [pong("between"), text("Hello")],
  },
  {
    description: "A compressed message, octet by octet.",
    frames: [compressed(HELLO_DEFLATED)],
    events: [text("Hello")],
    octets: true,
  },
  {
    description: "Compressed and uncompressed messages by turns.",
    frames: [compressed(HELLO_DEFLATED), frame({ opcode: 1, payload: "plain" }), compressed(HELLO_STORED)],
    events: [text("Hello"), text("plain"), text("Hello")],
  },
];

/** Runs `run` where the extension was agreed on, and reports that it was not otherwise. */
function whenAgreed(
  id: string,
  description: string,
  expectation: string,
  offer: string,
  run: (wire: Wire, context: Context) => Promise<Outcome>,
): Case {
  return {
    id,
    description,
    expectation: `${expectation} A server without the extension is informational.`,
    run: async (context) => {
      const wire = await context.open({ offer });
      if (wire.deflate !== undefined) return run(wire, context);
      await wire.sendClose(1000);
      await finish(wire, context.timeoutMs);
      return conclude(wire, Verdict.Informational, NOT_AGREED, CLEAN);
    },
  };
}

function frameCase(row: FrameRow, index: number): Case {
  const id = `14.7.${index + 1}`;
  const ending = row.ending ?? CLEAN;
  const expectation = ending === CLEAN
    ? "The messages come back; clean close."
    : `The connection is failed with ${ending.codes.join(" or ")}.`;
  return whenAgreed(id, row.description, expectation, OFFER, (wire, context) =>
    exchange({
      id,
      description: row.description,
      expectation,
      play: () => {
        const octets = wire.note(row.frames);
        return row.octets === true ? wire.writeChopped(octets, 1) : wire.write(octets);
      },
      answers: only(...row.events ?? []),
      ending,
    }).run({ ...context, open: () => Promise.resolve(wire) }));
}

const HALF_BYTES = 4096;

/** Sends messages one after the other and gives back the echoes' sizes on the wire, or what went wrong. */
async function echoSizes(
  wire: Wire,
  payloads: readonly Uint8Array[],
  context: Context,
): Promise<number[] | string> {
  if (wire.deflate === undefined) return NOT_AGREED;
  const deflater = new Deflater(wire.deflate);
  const sizes: number[] = [];
  for (const payload of payloads) {
    await wire.send(...fragments(Opcode.Binary, await deflater.message(payload), Infinity, Rsv1));
    await wire.until(() => wire.events.length > sizes.length || wire.hopeless, context.timeoutMs);
    const echo = wire.events[sizes.length];
    if (echo === undefined || !equalBytes(echo.payload, payload)) break;
    sizes.push(echo.wireBytes);
  }
  deflater.close();
  if (!wire.over) await wire.sendClose(1000);
  await finish(wire, context.timeoutMs);
  return sizes.length === payloads.length ? sizes : "an echo is missing or differs";
}

/**
 * Noise cannot be compressed but by reference to an earlier copy. So the size of an echo tells whether the server
 * reached back further than it promised, whatever a decoder would let pass.
 */
function promiseCase(
  id: string,
  description: string,
  offer: string,
  payloads: readonly Uint8Array[],
  least: number,
): Case {
  const expectation = `The last echo takes at least ${least} bytes: it may not refer to the copy.`;
  return whenAgreed(id, description, expectation, offer, async (wire, context) => {
    const sizes = await echoSizes(wire, payloads, context);
    if (typeof sizes === "string") return conclude(wire, Verdict.Failed, sizes, CLEAN);
    const size = sizes.at(-1) ?? 0;
    return conclude(
      wire,
      size >= least ? Verdict.Ok : Verdict.Failed,
      `the last echo took ${size} bytes`,
      CLEAN,
    );
  });
}

/** RFC 7692 section 7.2.3.2: the second "Hello" is a reference to the first. */
const takeover: Case = whenAgreed(
  "14.7.15",
  "Two compressed messages, the second referring to the first.",
  "Both come back; clean close.",
  OFFER,
  async (wire, context) => {
    if (wire.deflate?.clientTakeover !== true) {
      await wire.sendClose(1000);
      await finish(wire, context.timeoutMs);
      return conclude(
        wire,
        Verdict.Informational,
        "the server does not let the client keep its context",
        CLEAN,
      );
    }
    return exchange({
      id: "",
      description: "",
      expectation: "",
      play: () => wire.send(compressed(HELLO_DEFLATED), compressed(hex("f200110000"))),
      answers: only(text("Hello"), text("Hello")),
      ending: CLEAN,
    }).run({ ...context, open: () => Promise.resolve(wire) });
  },
);

const half = noise(HALF_BYTES);
/** Most of the noise: an echo that is shorter must refer to the copy. */
const MOST_OF_HALF_BYTES = 3_686;
const MOST_OF_BOTH_BYTES = 2 * MOST_OF_HALF_BYTES;

/** 14.6.1 to 14.7.18. */
export const ownDeflateCases: readonly Case[] = [
  ...invalidOfferCases,
  ...oddOfferCases,
  ...FRAME_ROWS.map(frameCase),
  takeover,
  promiseCase(
    "14.7.16",
    "The same noise twice, under server_no_context_takeover.",
    `${OFFER}; server_no_context_takeover`,
    [half, half],
    MOST_OF_HALF_BYTES,
  ),
  promiseCase(
    "14.7.17",
    "A message of noise and its copy 4,096 bytes on, under server_max_window_bits=9.",
    `${OFFER}; server_max_window_bits=9`,
    [concat([half, half])],
    MOST_OF_BOTH_BYTES,
  ),
  promiseCase(
    "14.7.18",
    "The same noise twice in two messages, under server_max_window_bits=10.",
    `${OFFER}; server_max_window_bits=10`,
    [half, half],
    MOST_OF_HALF_BYTES,
  ),
];
