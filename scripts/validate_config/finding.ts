/**
 * What the validator says: a place, what is wrong there, why that matters and the lines that would be right. Knows no
 * program and no rule.
 */

/** How bad it is. Notes do not count for the exit code. */
export const severities = ["error", "warning", "note"] as const;
export type Severity = typeof severities[number];

/** A line of a file; lines count from 1. */
export interface Place {
  readonly file: string;
  readonly line: number;
}

/** What a rule or a reader has found. */
export interface Hit {
  readonly place: Place;
  /** One sentence about this very place. */
  readonly what: string;
  /** Lines that would be right; may be empty where only the operator can know. */
  readonly fix: readonly string[];
}

/** A hit with what its rule says about all of its kind. */
export interface Finding extends Hit {
  readonly rule: string;
  readonly severity: Severity;
  readonly why: string;
}
