/** Section 1: text and binary messages at every border of the length field (RFC 6455 section 5.2). */
import type { Case } from "../case.ts";
import { binary, CLEAN, exchange, only, text } from "../exchange.ts";
import { frame, Opcode } from "../frame.ts";

const SIZES_BYTES = [0, 125, 126, 127, 128, 65_535, 65_536];
/** Autobahn's piece size for the eighth case. */
const CHOP_BYTES = 997;
const STAR = 0x2a;
const NOT_UTF8 = 0xfe;

function sized(section: number, opcode: number): Case[] {
  const isText = opcode === Opcode.Text;
  const kind = isText ? "text" : "binary";
  const sizes = [...SIZES_BYTES.map((bytes) => ({ bytes, chop: 0 })), { bytes: 65_536, chop: CHOP_BYTES }];
  return sizes.map(({ bytes, chop }, index) => {
    const payload = new Uint8Array(bytes).fill(isText ? STAR : NOT_UTF8);
    return exchange({
      id: `1.${section}.${index + 1}`,
      description: `A ${kind} message of ${bytes} bytes${
        chop === 0 ? "" : `, written in pieces of ${chop} bytes`
      }.`,
      expectation: "The same message comes back; clean close.",
      play: (wire) => {
        const octets = wire.note([frame({ opcode, payload })]);
        return chop === 0 ? wire.write(octets) : wire.writeChopped(octets, chop);
      },
      answers: only(isText ? text(payload) : binary(payload)),
      ending: CLEAN,
    });
  });
}

/** 1.1.1 to 1.2.8. */
export const framingCases: readonly Case[] = [...sized(1, Opcode.Text), ...sized(2, Opcode.Binary)];
