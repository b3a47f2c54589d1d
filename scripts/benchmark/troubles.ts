/**
 * What a server said or did against the load: refusals, close codes, gaps, wrong bytes; counted, for they are evidence
 * and not the end of a run. It must never know the load.
 */
import { ConnectionLost, PeerClosed, UpgradeRefused } from "../../bench/load/faults.ts";
import { closeTable } from "../../server/close.ts";

/** Reasons kept of the faults that have no code. */
const MOST_WRONG = 5;

/** Counts, by what was said. */
export interface TroubleCounts {
  /** Error replies to commands, by their code. */
  readonly refusals: Readonly<Record<string, number>>;
  /** Connections that the server ended, by close code; `lost` without one. */
  readonly closes: Readonly<Record<string, number>>;
  /** Handshakes refused, by HTTP status, or by the error that connecting ended with. */
  readonly handshakes: Readonly<Record<string, number>>;
  /** Messages that the server says it left out, by its reason. */
  readonly gaps: Readonly<Record<string, number>>;
  /** What was against the protocol, or other than what was sent. */
  readonly wrong: readonly string[];
}

export class Troubles implements TroubleCounts {
  readonly refusals: Record<string, number> = {};
  readonly closes: Record<string, number> = {};
  readonly handshakes: Record<string, number> = {};
  readonly gaps: Record<string, number> = {};
  readonly wrong: string[] = [];

  /** An open connection has failed. */
  ended(reason: string, error: Error): void {
    if (error instanceof PeerClosed) count(this.closes, String(error.code));
    else if (error instanceof ConnectionLost) count(this.closes, "lost");
    else if (this.wrong.length < MOST_WRONG) this.wrong.push(reason);
  }

  /** A connection did not come about. */
  notOpened(error: Error & { code?: string }): void {
    const what = error instanceof UpgradeRefused
      ? `HTTP ${error.status}`
      : error instanceof PeerClosed
      ? `close code ${error.code}`
      : error.code ?? error.message;
    count(this.handshakes, what);
  }

  refused(code: string): void {
    count(this.refusals, code);
  }

  gap(missed: number, reason: string): void {
    count(this.gaps, reason, missed);
  }
}

function count(counts: Record<string, number>, key: string, more = 1): void {
  counts[key] = (counts[key] ?? 0) + more;
}

/** All of `counts` together. */
export function total(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((sum, each) => sum + each, 0);
}

/** A close code with its meaning, where it is one of the table. */
export function closeText(code: string): string {
  const known = closeTable[Number(code)]?.reason;
  return code === "lost" ? "without a close frame" : known === undefined ? code : `${code} (${known})`;
}
