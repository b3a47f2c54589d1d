/**
 * The byte sequences of section 6.5 to 6.23, in the order and with the numbers of Autobahn, which took them from Markus
 * Kuhn's UTF-8 decoder stress test. Data only.
 */

/** Sequences of one subsection, in hexadecimal; those starting with `!` are not UTF-8. */
export interface Utf8Group {
  readonly name: string;
  readonly sequences: readonly string[];
}

const KOSME = "ceba e1bdb9 cf83 cebc ceb5".replaceAll(" ", "");
/** Ends of a character in KOSME, in bytes: a prefix up to one of these is valid. */
const KOSME_ENDS = [2, 5, 7, 9, 11];

function prefixes(): string[] {
  return Array.from({ length: KOSME.length / 2 }, (_, index) => {
    const digits = KOSME.slice(0, 2 * (index + 1));
    return KOSME_ENDS.includes(index + 1) ? digits : `!${digits}`;
  });
}

const twoDigits = (value: number): string => value.toString(16).padStart(2, "0");

/** Every byte from `from` up to, but not including, `to`, each followed by `after`. */
function run(from: number, to: number, after = ""): string {
  return Array.from({ length: to - from }, (_, index) => twoDigits(from + index) + after).join("");
}

/** The last two code points of every plane, which are no characters but lawful UTF-8 (RFC 3629). */
function nonCharacters(): string[] {
  const found = ["efbfbe", "efbfbf"];
  for (let plane = 1; plane <= 16; plane++) {
    for (const low of [0xfffe, 0xffff]) {
      const bytes = new TextEncoder().encode(String.fromCodePoint(plane * 0x10000 + low));
      found.push(Array.from(bytes, twoDigits).join(""));
    }
  }
  return found;
}

const MISSING_LAST = [
  "c0",
  "e080",
  "f08080",
  "f8808080",
  "fc80808080",
  "df",
  "efbf",
  "f7bfbf",
  "fbbfbfbf",
  "fdbfbfbfbf",
];

const invalid = (sequences: readonly string[]): string[] => sequences.map((digits) => `!${digits}`);

/** 6.5 first, 6.23 last. */
export const UTF8_GROUPS: readonly Utf8Group[] = [
  {
    name: "some valid sequences",
    sequences: [
      "68656c6c6f24776f726c64",
      "68656c6c6fc2a2776f726c64",
      "68656c6c6fe282ac776f726c64",
      "68656c6c6ff0a4ada2776f726c64",
      KOSME,
    ],
  },
  { name: "all prefixes of a valid string of several-byte characters", sequences: prefixes() },
  { name: "the first sequence of a length", sequences: ["00", "c280", "e0a080", "f0908080"] },
  { name: "the first sequence of length 5 and 6", sequences: invalid(["f888808080", "fc8480808080"]) },
  { name: "the last sequence of a length", sequences: ["7f", "dfbf", "efbfbf", "f48fbfbf"] },
  {
    name: "the last sequence of length 4, 5 and 6",
    sequences: invalid(["f7bfbfbf", "fbbfbfbfbf", "fdbfbfbfbfbf"]),
  },
  { name: "other borders", sequences: ["ed9fbf", "ee8080", "efbfbd", "f48fbfbf", "!f4908080"] },
  {
    name: "unexpected continuation bytes",
    sequences: invalid([
      "80",
      "bf",
      "80bf",
      "80bf80",
      "80bf80bf",
      "80bf80bf80",
      "80bf80bf80bf",
      run(0x80, 0xbf),
    ]),
  },
  {
    name: "lonely start bytes",
    sequences: invalid([
      run(0xc0, 0xdf, "20"),
      run(0xe0, 0xef, "20"),
      run(0xf0, 0xf7, "20"),
      run(0xf8, 0xfb, "20"),
      run(0xfc, 0xfd, "20"),
    ]),
  },
  { name: "sequences without their last byte", sequences: invalid(MISSING_LAST) },
  { name: "incomplete sequences in a row", sequences: invalid([MISSING_LAST.join("")]) },
  { name: "impossible bytes", sequences: invalid(["fe", "ff", "fefeffff"]) },
  {
    name: "overlong ASCII",
    sequences: invalid(["c0af", "e080af", "f08080af", "f8808080af", "fc80808080af"]),
  },
  {
    name: "the largest overlong sequences",
    sequences: invalid(["c1bf", "e09fbf", "f08fbfbf", "f887bfbfbf", "fc83bfbfbfbf"]),
  },
  { name: "overlong NUL", sequences: invalid(["c080", "e08080", "f0808080", "f880808080", "fc8080808080"]) },
  {
    name: "single UTF-16 surrogates",
    sequences: invalid(["eda080", "edadbf", "edae80", "edafbf", "edb080", "edbe80", "edbfbf"]),
  },
  {
    name: "paired UTF-16 surrogates",
    sequences: invalid([
      "eda080edb080",
      "eda080edbfbf",
      "edadbfedb080",
      "edadbfedbfbf",
      "edae80edb080",
      "edae80edbfbf",
      "edafbfedb080",
      "edafbfedbfbf",
    ]),
  },
  { name: "code points that are no characters", sequences: nonCharacters() },
  {
    name: "Unicode specials",
    sequences: ["efbfb9", "efbfba", "efbfbb", "efbfbc", "efbfbd", "efbfbe", "efbfbf"],
  },
];
