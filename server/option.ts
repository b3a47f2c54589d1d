/**
 * The kinds of option: how a value is read from text or JSON, what is said about one that cannot be used, and how it is
 * written back. Which options there are is the matter of options.ts.
 */
import { parseRate, type Rate, rateText } from "./limits/token_bucket.ts";

/** A value, or what is wrong, to follow the name of the option. */
export type Checked<Value> = { readonly value: Value } | { readonly problem: string };

/** One option. */
export interface OptionSpec<Value> {
  /** What it is for, in one line. */
  readonly help: string;
  readonly default: Value;
  /** What stands for the value in the help: a unit, or the choices. */
  readonly form: string;
  /** Shown as `***` wherever options are printed. */
  readonly secret: boolean;
  /** A flag that needs no value. */
  readonly isSwitch: boolean;
  /** Reads a value, which may be text for every kind. */
  read(value: unknown): Checked<Value>;
  /** The value as text that `read` takes. */
  write(value: Value): string;
}

/** The value of an option that a spec describes. */
export type ValueOf<Spec> = Spec extends OptionSpec<infer Value> ? Value : never;

const common = { secret: false, isSwitch: false, write: String };

function mustBe(form: string, value: unknown): { problem: string } {
  return { problem: `must be ${form}, not ${JSON.stringify(value)}` };
}

/** A whole number from `min` to `max`. */
export function integer(
  value: number,
  unit: string,
  min: number,
  max: number,
  help: string,
): OptionSpec<number> & { readonly min: number; readonly max: number } {
  return {
    ...common,
    ...{ help, default: value, form: unit || "number", min, max },
    read(given) {
      const number = typeof given === "string" && /^-?\d+$/.test(given) ? Number(given) : given;
      if (typeof number === "number" && Number.isInteger(number) && number >= min && number <= max) {
        return { value: number };
      }
      return mustBe(`a whole number from ${min} to ${max}${unit && ` ${unit}`}`, given);
    },
  };
}

/** One of a few words. */
export function choice<const Word extends string>(
  value: NoInfer<Word>,
  words: readonly Word[],
  help: string,
): OptionSpec<Word> {
  return {
    ...common,
    ...{ help, default: value, form: words.join("|") },
    read(given) {
      const word = words.find((word) => word === given);
      return word === undefined ? mustBe(`one of ${words.join(", ")}`, given) : { value: word };
    },
  };
}

/** Text of the form that `pattern` checks; `rule` completes "must be …". */
export function text(value: string, pattern: RegExp, rule: string, help: string): OptionSpec<string> {
  return {
    ...common,
    ...{ help, default: value, form: "text" },
    read: (given) =>
      typeof given === "string" && pattern.test(given) ? { value: given } : mustBe(rule, given),
  };
}

/** The path of a file, or nothing. */
export function file(help: string): OptionSpec<string> {
  return { ...text("", /^/, "the path of a file", help), form: "file" };
}

/** Text that is shown nowhere. */
export function secret(help: string): OptionSpec<string> {
  return {
    ...common,
    ...{ help, default: "", form: "text", secret: true },
    read: (given) => typeof given === "string" ? { value: given } : { problem: "must be text" },
  };
}

/** On or off; the flag alone turns it on. */
export function toggle(help: string): OptionSpec<boolean> {
  return {
    ...common,
    ...{ help, default: false, form: "true|false", isSwitch: true },
    read(given) {
      if (given === true || given === "true") return { value: true };
      if (given === false || given === "false") return { value: false };
      return mustBe("true or false", given);
    },
  };
}

/** Several values: a JSON array, or text with spaces between them. `problemOf` says what is wrong with one. */
export function list(
  form: string,
  problemOf: (item: string) => string | undefined,
  help: string,
): OptionSpec<readonly string[]> {
  return {
    ...common,
    ...{ help, default: [], form },
    read(given) {
      const items = typeof given === "string" ? given.split(/\s+/).filter((item) => item !== "") : given;
      if (!Array.isArray(items) || items.some((item) => typeof item !== "string")) {
        return mustBe("a list of texts", given);
      }
      for (const item of items as string[]) {
        const problem = problemOf(item);
        if (problem !== undefined) return { problem: `has ${JSON.stringify(item)}: ${problem}` };
      }
      return { value: items as string[] };
    },
    write: (items) => items.join(" "),
  };
}

/** So much a second, with a burst: `N` or `N:burst`; 0 is no limit, which is null here. */
export function rate(value: string, unit: string, help: string): OptionSpec<Rate | null> {
  const write = (given: Rate | null) => rateText(given ?? undefined);
  const read = (given: unknown): Checked<Rate | null> => {
    const isRate = typeof given === "object";
    const checked = parseRate(isRate ? write(given as Rate | null) : String(given));
    return "problem" in checked ? checked : { value: checked.value ?? null };
  };
  const checked = read(value);
  if ("problem" in checked) throw new TypeError(`the default of a rate ${checked.problem}`);
  return { ...common, help, default: checked.value, form: `${unit}/s[:burst]`, read, write };
}
