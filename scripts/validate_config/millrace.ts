/** Millrace's own configuration, as far as a proxy in front of it must agree with it. Knows no proxy. */
import { resolve } from "node:path";
import process from "node:process";
import { readConfig } from "../../server/config.ts";
import type { OptionName, Options } from "../../server/options.ts";
import { OptionsError } from "../../server/resolve.ts";
import { readText } from "./files.ts";
import type { Hit, Place } from "./finding.ts";

export interface Millrace {
  readonly options: Options;
  /** Where an option is set: its line of the file, else the first line of it. */
  placeOf(name: OptionName): Place;
}

/** A configuration, or what Millrace would refuse of it. */
export type ReadMillrace = { readonly millrace: Millrace } | { readonly problems: readonly Hit[] };

/**
 * Reads a file as `--config` would, and flags before it. The environment is not read: it is that of another machine.
 * @param file undefined when there are only flags
 */
export function readMillrace(file: string | undefined, flags: readonly string[]): ReadMillrace {
  const path = file === undefined ? "Millrace's flags" : resolve(process.cwd(), file);
  const read = file === undefined ? { text: "" } : readText(path);
  const lines = "text" in read ? read.text.split("\n") : [];
  const placeOf = (name: string): Place => {
    const index = lines.findIndex((line) => line.includes(`"${name}"`));
    return { file: path, line: index === -1 ? 1 : index + 1 };
  };
  try {
    const { options } = readConfig([...flags, ...(file === undefined ? [] : ["--config", path])], {});
    return { millrace: { options, placeOf } };
  } catch (error) {
    if (!(error instanceof OptionsError)) throw error;
    return {
      problems: error.problems.map((what) => {
        const named = [...what.matchAll(/\b[a-z]+[A-Za-z]*\b/g)].map(([word]) => placeOf(word)).find((
          { line },
        ) => line > 1);
        return { place: named ?? { file: path, line: 1 }, what, fix: [] };
      }),
    };
  }
}
