/** Section 14.1 to 14.4, beyond Autobahn: masks, lengths, control frames and endings (RFC 6455 sections 5 and 7). */
import { type Case, type Context, type Outcome, Verdict } from "../case.ts";
import {
  binary,
  CLEAN,
  conclude,
  type Ending,
  exchange,
  type Expected,
  finish,
  only,
  pong,
  PROTOCOL_ERROR,
  text,
} from "../exchange.ts";
import { closePayload, frame, type FrameSpec, hex, Opcode, toBytes } from "../frame.ts";

const HELLO = "Hello";
const ping = frame({ opcode: Opcode.Ping });
const TOO_BIG: Ending = { by: "server", codes: [1009, 1002] };
const BAD_CLOSE: Ending = { by: "either", codes: [1002] };
const REFUSED = "The connection is failed with 1002.";
const MANY_FRAMES = 100;

function refused(id: string, description: string, ...frames: FrameSpec[]): Case {
  return exchange({
    id,
    description: `${description}, then a ping.`,
    expectation: REFUSED,
    play: (wire) => wire.send(...frames.map(frame), ping),
    answers: only(),
    ending: PROTOCOL_ERROR,
  });
}

const maskCases: readonly Case[] = [
  refused("14.1.1", "An unmasked text frame", { opcode: 1, payload: HELLO, mask: false }),
  refused("14.1.2", "An unmasked text frame without payload", { opcode: 1, mask: false }),
  refused("14.1.3", "An unmasked ping", { opcode: 9, payload: HELLO, mask: false }),
  refused("14.1.4", "A masked fragment, then an unmasked one", { opcode: 1, payload: HELLO, fin: false }, {
    opcode: 0,
    payload: HELLO,
    mask: false,
  }),
  exchange({
    id: "14.1.5",
    description: "An unmasked close frame.",
    expectation: "The connection is failed with 1002 or TCP dropped.",
    play: (wire) => wire.sendRawClose(frame({ opcode: 8, payload: closePayload(1000), mask: false })),
    answers: only(),
    ending: BAD_CLOSE,
  }),
  exchange({
    id: "14.1.6",
    description: "A text frame with the mask 00 00 00 00, which is lawful.",
    expectation: "The same message comes back; clean close.",
    play: (wire) => wire.send(frame({ opcode: 1, payload: HELLO, mask: new Uint8Array(4) })),
    answers: only(text(HELLO)),
    ending: CLEAN,
  }),
];

/** Accepting a longer form of the length harms nobody, but "the minimal number of bytes MUST be used" (section 5.2). */
function longerLength(id: string, description: string, spec: FrameSpec, echo: Expected): Case {
  return exchange({
    id,
    description,
    expectation: `${REFUSED} Accepting it is non-strict.`,
    play: (wire) => wire.send(frame(spec)),
    answers: [
      ...only(),
      {
        verdict: Verdict.NonStrict,
        events: [echo],
        remark: "accepted in spite of its longer length",
        wentOn: true,
      },
    ],
    ending: PROTOCOL_ERROR,
  });
}

function claimed(id: string, length: bigint, name: string, whenOpen: Verdict): Case {
  const description = `The header of a binary frame that claims ${name} bytes, and 16 bytes of it.`;
  const expectation = whenOpen === Verdict.Failed
    ? "The connection is failed on the header, with 1002 or 1009: the highest bit must be 0."
    : `The connection is failed on the header, with 1009 or 1002. Waiting for the rest is ${whenOpen}.`;
  return {
    id,
    description,
    expectation,
    run: async (context: Context): Promise<Outcome> => {
      const wire = await context.open();
      await wire.send(frame({ opcode: 2, payload: new Uint8Array(16), claimedLength: length }));
      await wire.until(() => wire.over, context.quietMs);
      if (wire.over) {
        await finish(wire, context.timeoutMs);
        return conclude(
          wire,
          wire.events.length === 0 ? Verdict.Ok : Verdict.Failed,
          "refused on the header",
          TOO_BIG,
        );
      }
      wire.destroy();
      const outcome = conclude(wire, whenOpen, "the server waits for the rest", TOO_BIG);
      return { ...outcome, close: { ...outcome.close, verdict: whenOpen } };
    },
  };
}

const cuttable = [frame({ opcode: 1, payload: HELLO }), frame({ opcode: 9, payload: "cut" })] as const;
const CUTTABLE_BYTES = cuttable[0].length + cuttable[1].length;

const lengthCases: readonly Case[] = [
  longerLength("14.2.1", "5 bytes of text with a 16-bit length.", {
    opcode: 1,
    payload: HELLO,
    lengthBytes: 2,
  }, text(HELLO)),
  longerLength("14.2.2", "5 bytes of text with a 64-bit length.", {
    opcode: 1,
    payload: HELLO,
    lengthBytes: 8,
  }, text(HELLO)),
  longerLength(
    "14.2.3",
    "200 bytes with a 64-bit length.",
    { opcode: 2, payload: new Uint8Array(200).fill(7), lengthBytes: 8 },
    binary(new Uint8Array(200).fill(7)),
  ),
  claimed("14.2.4", 2n ** 63n, "2^63", Verdict.Failed),
  claimed("14.2.5", 2n ** 63n - 1n, "2^63 - 1", Verdict.NonStrict),
  claimed("14.2.6", 2n ** 53n, "2^53", Verdict.NonStrict),
  claimed("14.2.7", 2n ** 31n, "2^31", Verdict.Informational),
  ...[125, 126, 65_536].map((bytes, index) =>
    exchange({
      id: `14.2.${8 + index}`,
      description: `A binary frame of ${bytes} bytes, its header octet by octet.`,
      expectation: "The same message comes back; clean close.",
      play: async (wire) => {
        const octets = wire.note([frame({ opcode: 2, payload: new Uint8Array(bytes).fill(0xfe) })]);
        const headerBytes = octets.length - bytes;
        await wire.writeChopped(octets.subarray(0, headerBytes), 1);
        await wire.write(octets.subarray(headerBytes));
      },
      answers: only(binary(new Uint8Array(bytes).fill(0xfe))),
      ending: CLEAN,
    })
  ),
  exchange({
    id: "14.2.11",
    description: `${MANY_FRAMES} text frames in one write.`,
    expectation: "All come back in order; clean close.",
    play: (wire) =>
      wire.send(
        ...Array.from({ length: MANY_FRAMES }, (_, index) => frame({ opcode: 1, payload: String(index) })),
      ),
    answers: only(...Array.from({ length: MANY_FRAMES }, (_, index) => text(String(index)))),
    ending: CLEAN,
  }),
  exchange({
    id: "14.2.12",
    description: "A text frame and a ping, cut in two at every byte.",
    expectation: "Echo and pong for each cut; clean close.",
    play: async (wire) => {
      const octets = wire.note([...cuttable]);
      for (let cut = 1; cut < octets.length; cut++) {
        await wire.writeChopped(octets.subarray(0, cut), cut);
        await wire.writeChopped(octets.subarray(cut), octets.length);
      }
    },
    answers: only(...Array.from({ length: CUTTABLE_BYTES - 1 }, () => [text(HELLO), pong("cut")]).flat()),
    ending: CLEAN,
  }),
];

const controlCases: readonly Case[] = [
  refused("14.3.1", "A ping of 126 bytes", { opcode: 9, payload: new Uint8Array(126) }),
  refused("14.3.2", "A pong of 126 bytes", { opcode: 10, payload: new Uint8Array(126) }),
  refused("14.3.3", "A ping of 65,536 bytes", { opcode: 9, payload: new Uint8Array(65_536) }),
  longerLength("14.3.4", "A ping of 4 bytes with a 16-bit length.", {
    opcode: 9,
    payload: "ping",
    lengthBytes: 2,
  }, pong("ping")),
  longerLength("14.3.5", "A ping of 4 bytes with a 64-bit length.", {
    opcode: 9,
    payload: "ping",
    lengthBytes: 8,
  }, pong("ping")),
  exchange({
    id: "14.3.6",
    description: "A close frame without FIN.",
    expectation: "The connection is failed with 1002 or TCP dropped.",
    play: (wire) => wire.sendRawClose(frame({ opcode: 8, payload: closePayload(1000), fin: false })),
    answers: only(),
    ending: BAD_CLOSE,
  }),
  refused("14.3.7", "A binary frame inside a fragmented text message", {
    opcode: 1,
    payload: HELLO,
    fin: false,
  }, {
    opcode: 2,
    payload: HELLO,
  }),
  refused("14.3.8", "A text fragment inside a fragmented text message", {
    opcode: 1,
    payload: HELLO,
    fin: false,
  }, {
    opcode: 1,
    payload: HELLO,
    fin: false,
  }),
];

function badClose(id: string, description: string, payload: Uint8Array, codes: readonly number[]): Case {
  return exchange({
    id,
    description: `A close frame with ${description}.`,
    expectation: `The connection is failed with ${codes.join(" or ")}, or TCP dropped.`,
    play: (wire) => wire.sendRawClose(frame({ opcode: 8, payload })),
    answers: only(),
    ending: { by: "either", codes, codeMatters: true },
  });
}

function registered(id: string, code: number): Case {
  return exchange({
    id,
    description: `A close frame with ${code}, registered with IANA after the RFC.`,
    expectation: "The code echoed, 1000, or 1002 from a server that does not know it.",
    play: (wire) => wire.sendClose(code),
    answers: only(),
    ending: { by: "either", codes: [code, 1000, 1002] },
    open: true,
  });
}

const endingCases: readonly Case[] = [
  badClose("14.4.1", "a payload of one byte", hex("03"), [1002]),
  badClose("14.4.2", "the code 1015, which no frame may carry", closePayload(1015), [1002]),
  badClose("14.4.3", "a reason that ends inside a character", closePayload(1000, hex("e282")), [1007, 1002]),
  registered("14.4.4", 1012),
  registered("14.4.5", 1013),
  registered("14.4.6", 1014),
  exchange({
    id: "14.4.7",
    description: "A close frame, octet by octet.",
    expectation: "A close frame with 1001 or 1000 comes back.",
    play: (wire) => {
      const octets = wire.note([frame({ opcode: 8, payload: closePayload(1001, "going") })]);
      wire.noteClose();
      return wire.writeChopped(octets, 1);
    },
    answers: only(),
    ending: { by: "client", codes: [1001, 1000] },
  }),
  {
    id: "14.4.8",
    description: "TCP ended by the client without a close frame.",
    expectation: "The server ends TCP too (section 7.1.4 and 7.2.1).",
    run: async (context) => {
      const wire = await context.open();
      await wire.send(frame({ opcode: 1, payload: toBytes(HELLO) }));
      await wire.until(() => wire.events.length > 0, context.timeoutMs);
      wire.end();
      await wire.until(() => wire.ended, context.timeoutMs);
      wire.destroy();
      const right = wire.tcpEnd === "fin" || wire.tcpEnd === "reset";
      const outcome = conclude(
        wire,
        right ? Verdict.Ok : Verdict.NonStrict,
        right ? "TCP ended" : "TCP left half open",
        CLEAN,
      );
      return {
        ...outcome,
        close: { verdict: Verdict.Ok, by: "client", code: wire.serverClose?.code, what: "by TCP" },
      };
    },
  },
];

/** 14.1.1 to 14.4.8. */
export const ownFrameCases: readonly Case[] = [...maskCases, ...lengthCases, ...controlCases, ...endingCases];
