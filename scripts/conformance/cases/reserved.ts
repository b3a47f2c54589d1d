/** Sections 3 and 4: reserved bits and reserved opcodes, to which nothing has given a meaning (RFC 6455 section 5.2). */
import type { Case } from "../case.ts";
import { type Cut, sendCut } from "../cut.ts";
import { exchange, only, orNothing, PROTOCOL_ERROR, text } from "../exchange.ts";
import { closePayload, frame, type FrameSpec, Opcode } from "../frame.ts";

const HELLO = "Hello, world!";
const hello = frame({ opcode: Opcode.Text, payload: HELLO });
const ping = frame({ opcode: Opcode.Ping });

interface Row {
  readonly id: string;
  readonly wrong: FrameSpec;
  readonly what: string;
  readonly afterHello: boolean;
  readonly cut?: Cut;
}

const ROWS: readonly Row[] = [
  { id: "3.1", what: "text with RSV = 1", wrong: { opcode: 1, payload: HELLO, rsv: 1 }, afterHello: false },
  { id: "3.2", what: "text with RSV = 2", wrong: { opcode: 1, payload: HELLO, rsv: 2 }, afterHello: true },
  {
    id: "3.3",
    what: "text with RSV = 3",
    wrong: { opcode: 1, payload: HELLO, rsv: 3 },
    afterHello: true,
    cut: "frame by frame",
  },
  {
    id: "3.4",
    what: "text with RSV = 4",
    wrong: { opcode: 1, payload: HELLO, rsv: 4 },
    afterHello: true,
    cut: "octet by octet",
  },
  { id: "3.5", what: "binary with RSV = 5", wrong: { opcode: 2, payload: HELLO, rsv: 5 }, afterHello: false },
  { id: "3.6", what: "ping with RSV = 6", wrong: { opcode: 9, payload: HELLO, rsv: 6 }, afterHello: false },
  {
    id: "3.7",
    what: "close with RSV = 7",
    wrong: { opcode: 8, payload: closePayload(1000), rsv: 7 },
    afterHello: false,
  },
  ...[3, 4, 5, 6, 7].map((opcode, index) => opcodeRow(`4.1.${index + 1}`, opcode, index)),
  ...[11, 12, 13, 14, 15].map((opcode, index) => opcodeRow(`4.2.${index + 1}`, opcode, index)),
];

/** Autobahn's pattern: two bare ones, then three after a message, the last of them octet by octet. */
function opcodeRow(id: string, opcode: number, index: number): Row {
  const payload = index % 2 === 1 ? HELLO : "";
  return {
    id,
    what: `opcode ${opcode} ${payload === "" ? "without" : "with"} payload`,
    wrong: { opcode, payload },
    afterHello: index >= 2,
    ...(index === 4 ? { cut: "octet by octet" as const } : {}),
  };
}

function rowCase(row: Row): Case {
  const cut = row.cut ?? "one write";
  const before = row.afterHello ? "A text message, then " : "";
  return exchange({
    id: row.id,
    description: `${before}${before === "" ? "A frame: " : ""}${row.what}, then a ping; ${cut}.`,
    expectation: `${
      row.afterHello ? "The echo of the message; " : ""
    }the connection is failed with 1002, no pong.`,
    play: async (wire, { timeoutMs }) => {
      const wrong = [frame(row.wrong), ping];
      if (!row.afterHello || cut === "one write") {
        return sendCut(wire, row.afterHello ? [hello, ...wrong] : wrong, cut);
      }
      // Writes may meet again in one read, or not: only after the echo is it sure that the message came by itself.
      await sendCut(wire, [hello], cut);
      await wire.until(() => wire.events.length > 0 || wire.hopeless, timeoutMs);
      return sendCut(wire, wrong, cut);
    },
    answers: row.afterHello ? orNothing(text(HELLO)) : only(),
    ending: PROTOCOL_ERROR,
  });
}

/** 3.1 to 3.7. */
export const reservedBitCases: readonly Case[] = ROWS.filter(({ id }) => id.startsWith("3.")).map(rowCase);
/** 4.1.1 to 4.2.5. */
export const opcodeCases: readonly Case[] = ROWS.filter(({ id }) => id.startsWith("4.")).map(rowCase);
