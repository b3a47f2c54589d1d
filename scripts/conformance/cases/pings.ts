/** Section 2: pings and pongs (RFC 6455 sections 5.5.2 and 5.5.3). */
import type { Case } from "../case.ts";
import { CLEAN, type Ending, exchange, type Expected, only, pong, PROTOCOL_ERROR } from "../exchange.ts";
import { frame, Opcode } from "../frame.ts";

const LONGEST_CONTROL_BYTES = 125;
const MANY = 10;
const OCTET = 1;

interface Row {
  readonly description: string;
  readonly frames: readonly Uint8Array[];
  readonly pongs: readonly Expected[];
  readonly expectation: string;
  readonly ending?: Ending;
  readonly chop?: number;
}

const ping = (payload: string | Uint8Array = ""): Uint8Array => frame({ opcode: Opcode.Ping, payload });
const filled = (bytes: number): Uint8Array => new Uint8Array(bytes).fill(0xfe);
const NOT_UTF8 = new Uint8Array([0x00, 0xff, 0xfe, 0xfd, 0xfc, 0xfb, 0x00, 0xff]);
const PAYLOADS = Array.from({ length: MANY }, (_, index) => `payload-${index}`);
const unsolicited = (payload: string): Uint8Array => frame({ opcode: Opcode.Pong, payload });

const ROWS: readonly Row[] = [
  {
    description: "A ping without payload.",
    frames: [ping()],
    pongs: [pong()],
    expectation: "An empty pong.",
  },
  {
    description: "A ping with a text payload.",
    frames: [ping("Hello, world!")],
    pongs: [pong("Hello, world!")],
    expectation: "A pong with the same payload.",
  },
  {
    description: "A ping with a payload that is not UTF-8.",
    frames: [ping(NOT_UTF8)],
    pongs: [pong(NOT_UTF8)],
    expectation: "A pong with the same payload.",
  },
  {
    description: "A ping with the longest payload, 125 bytes.",
    frames: [ping(filled(LONGEST_CONTROL_BYTES))],
    pongs: [pong(filled(LONGEST_CONTROL_BYTES))],
    expectation: "A pong with the same payload.",
  },
  {
    description: "A ping with 126 bytes, one too many.",
    frames: [ping(filled(LONGEST_CONTROL_BYTES + 1))],
    pongs: [],
    expectation: "The connection is failed with 1002.",
    ending: PROTOCOL_ERROR,
  },
  {
    description: "A ping with 125 bytes, octet by octet.",
    frames: [ping(filled(LONGEST_CONTROL_BYTES))],
    pongs: [pong(filled(LONGEST_CONTROL_BYTES))],
    expectation: "A pong with the same payload.",
    chop: OCTET,
  },
  {
    description: "An unsolicited pong without payload.",
    frames: [unsolicited("")],
    pongs: [],
    expectation: "Nothing comes back; clean close.",
  },
  {
    description: "An unsolicited pong with a payload.",
    frames: [unsolicited("unsolicited pong payload")],
    pongs: [],
    expectation: "Nothing comes back; clean close.",
  },
  {
    description: "An unsolicited pong, then a ping, both with payloads.",
    frames: [unsolicited("unsolicited pong payload"), ping("ping payload")],
    pongs: [pong("ping payload")],
    expectation: "One pong, with the ping's payload.",
  },
  {
    description: "Ten pings, each with its payload, in one write.",
    frames: PAYLOADS.map(ping),
    pongs: PAYLOADS.map((payload) => pong(payload)),
    expectation: "Ten pongs in order. (The RFC would allow to answer the last one only.)",
  },
  {
    description: "Ten pings, each with its payload, octet by octet.",
    frames: PAYLOADS.map(ping),
    pongs: PAYLOADS.map((payload) => pong(payload)),
    expectation: "Ten pongs in order.",
    chop: OCTET,
  },
];

/** 2.1 to 2.11. */
export const pingCases: readonly Case[] = ROWS.map((row, index) =>
  exchange({
    id: `2.${index + 1}`,
    description: row.description,
    expectation: row.expectation,
    play: (wire) => {
      const octets = wire.note(row.frames);
      return row.chop === undefined ? wire.write(octets) : wire.writeChopped(octets, row.chop);
    },
    answers: only(...row.pongs),
    ending: row.ending ?? CLEAN,
  })
);
