/** Section 6: text must be UTF-8, whole and in fragments, and a fault should show at the first impossible byte. */
import { type Case, type Context, Verdict } from "../case.ts";
import { CLEAN, exchange, finish, INVALID_DATA, judge, only, text } from "../exchange.ts";
import { concat, fragments, frame, hex, Opcode, toBytes } from "../frame.ts";
import type { Wire } from "../wire.ts";
import { UTF8_GROUPS } from "./utf8_vectors.ts";

const GREEK = hex("cebae1bdb9cf83cebcceb5");
const SURROGATE = hex("eda080");
const BEYOND_UNICODE = hex("f4908080");
const EDITED = toBytes("edited");
const MIXED = "Hello-µ@ßöäüàá-UTF-8!!";
/** The place, within the third part of 6.4.x, of the byte that makes BEYOND_UNICODE impossible. */
const IMPOSSIBLE_AT = GREEK.length + 1;
const FIRST_VECTOR_SECTION = 5;

function valid(
  id: string,
  description: string,
  frames: readonly Uint8Array[],
  payload: Uint8Array | string,
): Case {
  return exchange({
    id,
    description,
    expectation: "The same message comes back; clean close.",
    play: (wire) => wire.send(...frames),
    answers: only(text(payload)),
    ending: CLEAN,
  });
}

function invalid(id: string, description: string, frames: readonly Uint8Array[]): Case {
  return exchange({
    id,
    description,
    expectation: "The connection is failed with 1007; nothing comes back.",
    play: (wire) => wire.send(...frames),
    answers: only(),
    ending: INVALID_DATA,
  });
}

const part = (payload: string, fin: boolean, opcode: number = Opcode.Continuation): Uint8Array =>
  frame({ opcode, payload, fin });

const invalidWhole = concat([GREEK, SURROGATE, EDITED]);

const wholeAndFragmented: readonly Case[] = [
  valid("6.1.1", "A text message without payload.", [frame({ opcode: Opcode.Text })], ""),
  valid("6.1.2", "A text message in three fragments, all empty.", [
    part("", false, Opcode.Text),
    part("", false),
    part("", true),
  ], ""),
  valid("6.1.3", "A text message in three fragments, the first and the last empty.", [
    part("", false, Opcode.Text),
    part("middle frame payload", false),
    part("", true),
  ], "middle frame payload"),
  valid("6.2.1", "A text message with several-byte characters.", [
    frame({ opcode: Opcode.Text, payload: MIXED }),
  ], MIXED),
  valid("6.2.2", "The same in two fragments, cut between characters.", [
    part("Hello-µ@ßöä", false, Opcode.Text),
    part("üàá-UTF-8!!", true),
  ], MIXED),
  valid("6.2.3", "The same in fragments of one byte.", fragments(Opcode.Text, MIXED, 1), MIXED),
  valid("6.2.4", "Greek text in fragments of one byte.", fragments(Opcode.Text, GREEK, 1), GREEK),
  invalid("6.3.1", "A text message with a surrogate in it.", [
    frame({ opcode: Opcode.Text, payload: invalidWhole }),
  ]),
  invalid("6.3.2", "The same in fragments of one byte.", fragments(Opcode.Text, invalidWhole, 1)),
];

/**
 * The text is impossible from its second part on, the third makes the message whole. Failing at the second part is ok,
 * failing at the end non-strict, failing at the first a failure. `ask` waits until the server has seen a part.
 */
function failFast(
  id: string,
  description: string,
  parts: readonly [Uint8Array, Uint8Array, Uint8Array],
  ask: (wire: Wire, context: Context) => Promise<unknown>,
): Case {
  return {
    id,
    description,
    expectation: "The connection is failed with 1007 at the second part; at the last part is non-strict.",
    run: async (context) => {
      const wire = await context.open();
      let sent = 0;
      for (const piece of parts) {
        if (wire.over) break;
        await wire.send(piece);
        sent++;
        if (sent < parts.length) await ask(wire, context);
      }
      await wire.until(() => wire.over || wire.events.length > 0, context.timeoutMs);
      await finish(wire, context.timeoutMs);
      const outcome = judge(wire, only(), INVALID_DATA);
      if (outcome.behavior !== Verdict.Ok || sent === 2) return outcome;
      if (sent === 1) {
        return { ...outcome, behavior: Verdict.Failed, what: "failed before anything was wrong" };
      }
      return { ...outcome, behavior: Verdict.NonStrict, what: "failed only when the message was whole" };
    },
  };
}

/** Between fragments a ping tells at once: a server that answers it has not failed the connection. */
async function askByPing(wire: Wire, { timeoutMs }: Context): Promise<void> {
  const before = wire.events.length;
  await wire.send(frame({ opcode: Opcode.Ping, payload: "alive?" }));
  await wire.until(() => wire.events.length > before || wire.over, timeoutMs);
  if (wire.events[before]?.kind === "pong") wire.events.splice(before, 1);
}

/** Inside a frame only waiting can tell. */
function askBySilence(wire: Wire, { quietMs }: Context): Promise<boolean> {
  return wire.until(() => wire.over, quietMs);
}

const beyond = concat([GREEK, BEYOND_UNICODE, EDITED]);
const BY_CHARACTER = [0, GREEK.length, GREEK.length + BEYOND_UNICODE.length, beyond.length] as const;
const BY_BYTE = [0, IMPOSSIBLE_AT, IMPOSSIBLE_AT + 1, beyond.length] as const;

type Cuts = readonly [number, number, number, number];

function asFragments(cuts: Cuts): [Uint8Array, Uint8Array, Uint8Array] {
  return [
    frame({ opcode: Opcode.Text, payload: beyond.subarray(cuts[0], cuts[1]), fin: false }),
    frame({ opcode: Opcode.Continuation, payload: beyond.subarray(cuts[1], cuts[2]), fin: false }),
    frame({ opcode: Opcode.Continuation, payload: beyond.subarray(cuts[2], cuts[3]) }),
  ];
}

function asChops(cuts: Cuts): [Uint8Array, Uint8Array, Uint8Array] {
  const octets = frame({ opcode: Opcode.Text, payload: beyond });
  const header = octets.length - beyond.length;
  return [
    octets.subarray(0, header + cuts[1]),
    octets.subarray(header + cuts[1], header + cuts[2]),
    octets.subarray(header + cuts[2]),
  ];
}

const failFastCases: readonly Case[] = [
  failFast(
    "6.4.1",
    "A code point beyond Unicode as the second of three fragments.",
    asFragments(BY_CHARACTER),
    askByPing,
  ),
  failFast(
    "6.4.2",
    "The same, the second fragment being the impossible byte alone.",
    asFragments(BY_BYTE),
    askByPing,
  ),
  failFast("6.4.3", "As 6.4.1, in three writes of one frame.", asChops(BY_CHARACTER), askBySilence),
  failFast("6.4.4", "As 6.4.2, in three writes of one frame.", asChops(BY_BYTE), askBySilence),
];

function vectorCases(): Case[] {
  return UTF8_GROUPS.flatMap(({ name, sequences }, group) =>
    sequences.map((sequence, index) => {
      const id = `6.${group + FIRST_VECTOR_SECTION}.${index + 1}`;
      const digits = sequence.replace("!", "");
      const frames = [frame({ opcode: Opcode.Text, payload: hex(digits) })];
      return sequence.startsWith("!")
        ? invalid(id, `Not UTF-8, ${name}: ${digits}.`, frames)
        : valid(id, `UTF-8, ${name}: ${digits}.`, frames, hex(digits));
    })
  );
}

/** 6.1.1 to 6.23.7. */
export const utf8Cases: readonly Case[] = [...wholeAndFragmented, ...failFastCases, ...vectorCases()];
