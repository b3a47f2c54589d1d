/**
 * What a test of the tool is and what it can come to. Everything an operator reads about a test stands in its own place;
 * this file knows no single one.
 */
import type { Stage } from "./stage.ts";

/** What has to be there before a test can say anything, each including the ones before it. */
export const Need = {
  Nothing: 0,
  /** Something listens. */
  Tcp: 1,
  /** TCP, or TLS with a certificate that is believed. */
  Link: 2,
  /** An opening handshake goes through. */
  WebSocket: 3,
} as const;
export type Need = typeof Need[keyof typeof Need];

/** One thing that the tool looks at. */
export interface Test {
  /** Group and name, as in `ping.payload`. */
  readonly name: string;
  /** What it looks at, in one sentence. */
  readonly checks: string;
  /** Where that is asked for, as in `RFC 6455, 5.5.3`. */
  readonly section: string;
  /** For an operator: what to do when it fails. */
  readonly onFailure: string;
  /** Among those that run without `--test` and `--test-all`: harmless for any server, and quick. */
  readonly quick: boolean;
  readonly need: Need;
  /** It sends messages and must get them back, which not every server does. */
  readonly echo?: boolean;
  /** It is about Millrace's own protocol. */
  readonly millrace?: boolean;
  /** @throws Finding when the server is at fault, Skip when nothing can be said. */
  run(stage: Stage): Promise<Passed>;
}

/** A test that found no fault. */
export interface Passed {
  /** What was seen, in one line. */
  readonly what: string;
  /** What is lawful and worth knowing, a limit for instance. */
  readonly notes?: readonly string[];
  /** Measured values; units are last in their names. */
  readonly figures?: Readonly<Record<string, number>>;
}

export type Status = "passed" | "failed" | "skipped";

/** A test that has been run, or why it was not. */
export interface Result {
  readonly name: string;
  readonly checks: string;
  readonly section: string;
  readonly status: Status;
  /** What was seen; why it was skipped. */
  readonly what: string;
  readonly notes: readonly string[];
  readonly figures: Readonly<Record<string, number>>;
  /** What to do; only with `failed`. */
  readonly onFailure?: string;
  /** Frames in both directions, shortened; only with `failed`. */
  readonly log?: readonly string[];
  readonly durationMs: number;
}

/** The server is at fault. The message says what it did. */
export class Finding extends Error {
  override readonly name = "Finding";
}

/** Nothing can be said about this server here. The message says why. */
export class Skip extends Error {
  override readonly name = "Skip";
}

/** The group of a test: what stands before the dot. */
export function groupOf(name: string): string {
  return name.slice(0, name.indexOf("."));
}
