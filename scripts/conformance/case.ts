/**
 * What a conformance case is and what it can come to. A result has two verdicts, as Autobahn's reports have: one for the
 * behaviour (what the server answered) and one for the close (how the connection ended). Knows no single case.
 */
import type { RequestOptions } from "./handshake.ts";
import type { Target } from "./target.ts";
import type { Wire } from "./wire.ts";

/**
 * From best to worst.
 *
 * - `ok`: what the RFC asks for.
 * - `informational`: the RFC leaves it open, or the server lacks something optional; worth knowing, not wrong.
 * - `non-strict`: tolerable, but not what the RFC asks for.
 * - `failed`: against the RFC.
 */
export const Verdict = {
  Ok: "ok",
  Informational: "informational",
  NonStrict: "non-strict",
  Failed: "failed",
} as const;
export type Verdict = typeof Verdict[keyof typeof Verdict];

/** All verdicts, best first. */
export const VERDICTS: readonly Verdict[] = Object.values(Verdict);

/** The worse of two verdicts. */
export function worse(one: Verdict, other: Verdict): Verdict {
  return VERDICTS.indexOf(one) > VERDICTS.indexOf(other) ? one : other;
}

/** How a connection ended. */
export interface CloseResult {
  readonly verdict: Verdict;
  /** Who sent the first close frame, or ended TCP if there was none. */
  readonly by: "client" | "server" | "nobody";
  /** The code in the server's close frame: `null` if that was empty, `undefined` without a close frame. */
  readonly code: number | null | undefined;
  /** One sentence, e.g. "dropped without a close frame". */
  readonly what: string;
}

/** What a case's own code finds out. */
export interface Outcome {
  readonly behavior: Verdict;
  /** What happened, in one line. */
  readonly what: string;
  readonly close: CloseResult;
  /** Frames in both directions, shortened. */
  readonly log: readonly string[];
}

/** A case that has been run. */
export interface Result extends Outcome {
  readonly id: string;
  readonly description: string;
  readonly expectation: string;
  /** The worse of {@link Outcome.behavior} and the verdict on the close. */
  readonly verdict: Verdict;
  readonly durationMs: number;
}

/** What a case may use. */
export interface Context {
  readonly target: Target;
  /** How long to wait for a reply. */
  readonly timeoutMs: number;
  /** How long nothing may happen before "nothing happens" is believed. */
  readonly quietMs: number;
  /** A bare connection; the case does the handshake itself. */
  connect(): Promise<Wire>;
  /** A connection after its opening handshake. Rejects with a {@link HandshakeFault} when that goes wrong. */
  open(options?: RequestOptions): Promise<Wire>;
}

/** A case: the numbers are Autobahn's where Autobahn has the case. */
export interface Case {
  readonly id: string;
  readonly description: string;
  readonly expectation: string;
  /** Moves so much data that nothing else should run beside it. */
  readonly alone?: boolean;
  /** May take this many times the timeout. 1 if absent. */
  readonly patience?: number;
  run(context: Context): Promise<Outcome>;
}

/** The opening handshake that a case needs went wrong. */
export class HandshakeFault extends Error {
  override readonly name = "HandshakeFault";
  readonly log: readonly string[];

  constructor(message: string, log: readonly string[]) {
    super(message);
    this.log = log;
  }
}
