/** All cases in the order of their numbers, and the choice of some of them by number. */
import type { Case } from "../case.ts";
import { closingCases } from "./closing.ts";
import { contentCases, parameterCases } from "./compression.ts";
import { fragmentationCases } from "./fragmentation.ts";
import { framingCases } from "./framing.ts";
import { autoFragmentCases, limitCases } from "./limits.ts";
import { ownDeflateCases } from "./own_deflate.ts";
import { ownFrameCases } from "./own_frames.ts";
import { ownHandshakeCases } from "./own_handshake.ts";
import { pingCases } from "./pings.ts";
import { opcodeCases, reservedBitCases } from "./reserved.ts";
import { utf8Cases } from "./utf8.ts";

/** The whole suite. 1 to 13 are numbered as Autobahn numbers them; 14 is ours. */
export const ALL_CASES: readonly Case[] = [
  ...framingCases,
  ...pingCases,
  ...reservedBitCases,
  ...opcodeCases,
  ...fragmentationCases,
  ...utf8Cases,
  ...closingCases,
  ...limitCases,
  ...autoFragmentCases,
  ...contentCases,
  ...parameterCases,
  ...ownFrameCases,
  ...ownHandshakeCases,
  ...ownDeflateCases,
];

/** What each section is about. */
export const SECTIONS: Readonly<Record<string, string>> = {
  1: "Framing",
  2: "Pings and pongs",
  3: "Reserved bits",
  4: "Opcodes",
  5: "Fragmentation",
  6: "UTF-8",
  7: "Close handling",
  9: "Limits and performance",
  10: "Auto-fragmentation",
  12: "Compression: kinds of content",
  13: "Compression: parameters",
  14: "Beyond Autobahn",
};

/**
 * The cases whose number is one of `prefixes` or continues one: `5` means all of section 5, `12.1` the eighteen of
 * 12.1, `6.4.2` one case. A leading `-` leaves cases out; with nothing but those, the rest is everything else.
 * @throws RangeError when a prefix names no case.
 */
export function selectCases(prefixes: readonly string[]): Case[] {
  const wanted = prefixes.filter((prefix) => !prefix.startsWith("-"));
  const unwanted = prefixes.filter((prefix) => prefix.startsWith("-")).map((prefix) => prefix.slice(1));
  for (const prefix of [...wanted, ...unwanted]) {
    if (!ALL_CASES.some(({ id }) => covers(prefix, id))) {
      throw new RangeError(`no case has the number ${prefix}`);
    }
  }
  return ALL_CASES.filter(({ id }) =>
    (wanted.length === 0 || wanted.some((prefix) => covers(prefix, id))) &&
    !unwanted.some((prefix) => covers(prefix, id))
  );
}

function covers(prefix: string, id: string): boolean {
  return id === prefix || id.startsWith(`${prefix}.`);
}
