/** Section 7: the closing handshake, its payload and its codes (RFC 6455 sections 5.5.1 and 7). */
import { type Case, Verdict } from "../case.ts";
import { type Answer, type Ending, exchange, only, text } from "../exchange.ts";
import { closePayload, concat, fragments, frame, hex, Opcode, toBytes } from "../frame.ts";

const HELLO = "Hello World!";
const LONGEST_REASON_BYTES = 123;
const LARGE_MESSAGE_BYTES = 256 * 1024;

/** Codes an endpoint may send (section 7.4, and the registry up to 1011). */
const VALID_CODES = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999];
/** Codes nobody may send: reserved ones, and those below 1000 and from 1016 to 2999. */
const INVALID_CODES = [0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999];
/** Codes of which the RFC says nothing. */
const UNDEFINED_CODES = [5000, 65_535];

const NORMAL: Ending = { by: "client", codes: [1000], codeMatters: true };
const BAD_CLOSE: Ending = { by: "either", codes: [1002], codeMatters: true };

const hello = frame({ opcode: Opcode.Text, payload: HELLO });
const large = new Uint8Array(LARGE_MESSAGE_BYTES).fill(0x2a);
const ping = frame({ opcode: Opcode.Ping });
const close = (payload: Uint8Array = closePayload(1000)): Uint8Array =>
  frame({ opcode: Opcode.Close, payload });

interface Row {
  readonly id: string;
  readonly description: string;
  readonly expectation: string;
  readonly frames: readonly Uint8Array[];
  /** Nothing comes back before the close frame, if absent. */
  readonly answers?: readonly Answer[];
  readonly ending: Ending;
  readonly open?: boolean;
}

const CLEAN_CLOSE = "A close frame with 1000 comes back and nothing after it; TCP ends.";
const REFUSED = "The connection is failed: a close frame with 1002, or TCP dropped.";

const basic: readonly Row[] = [
  {
    id: "7.1.1",
    description: "A text message, then a close frame.",
    expectation: `The echo. ${CLEAN_CLOSE}`,
    frames: [hello, close()],
    answers: only(text(HELLO)),
    ending: NORMAL,
  },
  {
    id: "7.1.2",
    description: "Two close frames.",
    expectation: `${CLEAN_CLOSE} The second is ignored.`,
    frames: [close(), close()],
    ending: NORMAL,
  },
  {
    id: "7.1.3",
    description: "A close frame, then a ping.",
    expectation: `${CLEAN_CLOSE} No pong.`,
    frames: [close(), ping],
    ending: NORMAL,
  },
  {
    id: "7.1.4",
    description: "A close frame, then a text message.",
    expectation: `${CLEAN_CLOSE} No echo.`,
    frames: [close(), hello],
    ending: NORMAL,
  },
  {
    id: "7.1.5",
    description: "The first fragment of a text message, a close frame, then the last fragment.",
    expectation: `${CLEAN_CLOSE} No echo.`,
    frames: [...fragments(Opcode.Text, "fragment1fragment2", 9).toSpliced(1, 0, close())],
    ending: NORMAL,
  },
  {
    id: "7.1.6",
    description: "A text message of 256 KiB, a short one, a close frame and a ping, all at once.",
    expectation: "Both echoes may come before the close frame, or be cut off by it.",
    frames: [frame({ opcode: Opcode.Text, payload: large }), hello, close(), ping],
    answers: [[text(large), text(HELLO)], [text(large)], []].map((events) => ({
      verdict: Verdict.Ok,
      events,
    })),
    ending: NORMAL,
    open: true,
  },
  {
    id: "7.3.1",
    description: "A close frame without payload.",
    expectation: "An empty close frame or one with 1000; TCP ends.",
    frames: [close(new Uint8Array(0))],
    ending: NORMAL,
  },
  {
    id: "7.3.2",
    description: "A close frame with a payload of one byte.",
    expectation: REFUSED,
    frames: [close(toBytes("a"))],
    ending: BAD_CLOSE,
  },
  {
    id: "7.3.3",
    description: "A close frame with a code and no reason.",
    expectation: CLEAN_CLOSE,
    frames: [close()],
    ending: NORMAL,
  },
  {
    id: "7.3.4",
    description: "A close frame with a code and a reason.",
    expectation: CLEAN_CLOSE,
    frames: [close(closePayload(1000, "Hello World!"))],
    ending: NORMAL,
  },
  {
    id: "7.3.5",
    description: "A close frame with the longest reason, 123 bytes.",
    expectation: CLEAN_CLOSE,
    frames: [close(closePayload(1000, "*".repeat(LONGEST_REASON_BYTES)))],
    ending: NORMAL,
  },
  {
    id: "7.3.6",
    description: "A close frame with a reason of 124 bytes, one too many.",
    expectation: REFUSED,
    frames: [close(closePayload(1000, "*".repeat(LONGEST_REASON_BYTES + 1)))],
    ending: BAD_CLOSE,
  },
  {
    id: "7.5.1",
    description: "A close frame with a reason that is not UTF-8.",
    expectation: "The connection is failed: a close frame with 1007 or 1002, or TCP dropped.",
    frames: [close(closePayload(1000, concat([hex("cebae1bdb9cf83cebcceb5eda080"), toBytes("edited")])))],
    ending: { ...BAD_CLOSE, codes: [1007, 1002] },
  },
];

const codes: readonly Row[] = [
  ...VALID_CODES.map((code, index): Row => ({
    id: `7.7.${index + 1}`,
    description: `A close frame with the valid code ${code}.`,
    expectation: "A close frame with the same code or 1000; TCP ends.",
    frames: [close(closePayload(code))],
    ending: { ...NORMAL, codes: [code, 1000] },
  })),
  ...INVALID_CODES.map((code, index): Row => ({
    id: `7.9.${index + 1}`,
    description: `A close frame with the invalid code ${code}.`,
    expectation: REFUSED,
    frames: [close(closePayload(code))],
    ending: BAD_CLOSE,
  })),
  ...UNDEFINED_CODES.map((code, index): Row => ({
    id: `7.13.${index + 1}`,
    description: `A close frame with the undefined code ${code}.`,
    expectation: "The RFC does not say.",
    frames: [close(closePayload(code))],
    ending: { by: "either", codes: [code, 1000, 1002] },
    open: true,
  })),
];

/** 7.1.1 to 7.13.2. */
export const closingCases: readonly Case[] = [...basic, ...codes].map((row) =>
  exchange({
    id: row.id,
    description: row.description,
    expectation: row.expectation,
    play: (wire) => {
      const octets = wire.note(row.frames);
      wire.noteClose();
      return wire.write(octets);
    },
    answers: row.answers ?? only(),
    ending: row.ending,
    ...(row.open === true ? { open: true } : {}),
  })
);
