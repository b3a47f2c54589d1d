/** Section 5: fragmented messages, lawful and not (RFC 6455 section 5.4). */
import type { Case } from "../case.ts";
import { type Cut, CUTS, sendCut } from "../cut.ts";
import {
  type Answer,
  CLEAN,
  type Ending,
  exchange,
  only,
  orNothing,
  pong,
  PROTOCOL_ERROR,
  text,
} from "../exchange.ts";
import { frame, Opcode } from "../frame.ts";

const start = (payload: string): Uint8Array => frame({ opcode: Opcode.Text, payload, fin: false });
const middle = (payload: string): Uint8Array => frame({ opcode: Opcode.Continuation, payload, fin: false });
const last = (payload: string): Uint8Array => frame({ opcode: Opcode.Continuation, payload });
const whole = (payload: string): Uint8Array => frame({ opcode: Opcode.Text, payload });
const ping = (payload: string): Uint8Array => frame({ opcode: Opcode.Ping, payload });

const ONE = "fragment1";
const TWO = "fragment2";
const BOTH = text(ONE + TWO);
const PING = "ping payload";

function simple(
  number: number,
  description: string,
  frames: readonly Uint8Array[],
  answers: readonly Answer[],
  ending: Ending,
  cut: Cut = "one write",
): Case {
  const fails = ending.by === "server";
  return exchange({
    id: `5.${number}`,
    description: `${description}; ${cut}.`,
    expectation: fails ? "The connection is failed with 1002." : "Echoes and pongs in order; clean close.",
    play: (wire) => sendCut(wire, frames, cut),
    answers,
    ending,
  });
}

/** The same octets in three cuts, as three cases in a row. */
function inThreeCuts(
  first: number,
  description: string,
  frames: readonly Uint8Array[],
  answers: readonly Answer[],
  ending: Ending,
): Case[] {
  return CUTS.map((cut, index) => simple(first + index, description, frames, answers, ending, cut));
}

const FRAGMENTS = ["fragment1", "fragment2", "fragment3", "fragment4", "fragment5"] as const;

/** A message in five fragments with two pings between them; the first pong must not wait for the message's end. */
function pingsBetween(number: number, cut: Cut): Case {
  const [one, two, three, four, five] = FRAGMENTS;
  return exchange({
    id: `5.${number}`,
    description:
      `Five text fragments with a ping after the second and the fourth, a pause after the first ping; ${cut}.`,
    expectation: "The first pong at once, the second in its turn, then the message.",
    play: async (wire, { timeoutMs }) => {
      await sendCut(wire, [start(one), middle(two), ping("pongme 1!")], cut);
      await wire.until(() => wire.events.length > 0, timeoutMs);
      await sendCut(wire, [middle(three), middle(four), ping("pongme 2!"), last(five)], cut);
    },
    answers: only(pong("pongme 1!"), pong("pongme 2!"), text(FRAGMENTS.join(""))),
    ending: CLEAN,
  });
}

const NOTHING_TO_CONTINUE = "non-continuation payload";

/** 5.1 to 5.20. */
export const fragmentationCases: readonly Case[] = [
  simple(
    1,
    "A ping in two fragments",
    [frame({ opcode: 9, payload: ONE, fin: false }), last(TWO)],
    only(),
    PROTOCOL_ERROR,
  ),
  simple(
    2,
    "A pong in two fragments",
    [frame({ opcode: 10, payload: ONE, fin: false }), last(TWO)],
    only(),
    PROTOCOL_ERROR,
  ),
  ...inThreeCuts(3, "A text message in two fragments", [start(ONE), last(TWO)], only(BOTH), CLEAN),
  ...inThreeCuts(
    6,
    "A text message in two fragments with a ping between them",
    [start(ONE), ping(PING), last(TWO)],
    only(pong(PING), BOTH),
    CLEAN,
  ),
  ...inThreeCuts(
    9,
    "A continuation with FIN of nothing, then a text message",
    [last(NOTHING_TO_CONTINUE), whole("Hello, world!")],
    only(),
    PROTOCOL_ERROR,
  ),
  ...inThreeCuts(
    12,
    "A continuation without FIN of nothing, then a text message",
    [middle(NOTHING_TO_CONTINUE), whole("Hello, world!")],
    only(),
    PROTOCOL_ERROR,
  ),
  simple(
    15,
    "A text message in two fragments, a continuation without FIN of nothing, a text message",
    [start(ONE), last(TWO), middle("fragment3"), whole("fragment4")],
    orNothing(BOTH),
    PROTOCOL_ERROR,
  ),
  simple(
    16,
    "Twice: a continuation without FIN of nothing, then a text message in two fragments",
    [
      middle("fragment1"),
      start("fragment2"),
      last("fragment3"),
      middle("fragment1"),
      start("fragment2"),
      last("fragment3"),
    ],
    only(),
    PROTOCOL_ERROR,
  ),
  simple(
    17,
    "Twice: a continuation with FIN of nothing, then a text message in two fragments",
    [
      last("fragment1"),
      start("fragment2"),
      last("fragment3"),
      last("fragment1"),
      start("fragment2"),
      last("fragment3"),
    ],
    only(),
    PROTOCOL_ERROR,
  ),
  simple(18, "Two fragments, both with the opcode of text", [start(ONE), whole(TWO)], only(), PROTOCOL_ERROR),
  pingsBetween(19, "one write"),
  pingsBetween(20, "octet by octet"),
];
