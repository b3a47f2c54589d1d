/**
 * The common shape of a case: send octets, wait for the events that one of its answers lists, end the connection, and
 * judge both. Here stands, once, what each ending is worth.
 */
import { type Case, type CloseResult, type Context, type Outcome, Verdict } from "./case.ts";
import { closePayload, frame, Opcode, toBytes } from "./frame.ts";
import type { RequestOptions } from "./handshake.ts";
import type { Wire, WireEvent } from "./wire.ts";

/** How long the server may take to end TCP after both close frames (RFC 6455 section 7.1.1). */
const TCP_END_MS = 1_000;
const SHOWN_BYTES = 32;
const SHOWN_EVENTS = 6;

/** How a connection is meant to end. */
export interface Ending {
  /**
   * Who is to send the first close frame. `server` means that the server must fail the connection; `either` that the
   * case's close frame is itself wrong, so that an answer and a plain drop are both lawful.
   */
  readonly by: "client" | "server" | "either";
  /** Codes the server's close frame may carry. An empty close frame is no wrong code. */
  readonly codes: readonly number[];
  /** A wrong code fails the case instead of being non-strict. Autobahn does so in section 7. */
  readonly codeMatters?: boolean;
}

/** We close with 1000 and get 1000 back. */
export const CLEAN: Ending = { by: "client", codes: [1000] };
/** The server fails the connection for a protocol error. */
export const PROTOCOL_ERROR: Ending = { by: "server", codes: [1002] };
/** The server fails the connection for data that is not UTF-8. */
export const INVALID_DATA: Ending = { by: "server", codes: [1007] };

/** One lawful, or tolerable, list of events. */
export interface Answer {
  readonly verdict: Verdict;
  readonly events: readonly Expected[];
  /** Said about the case when this answer is the one that came. */
  readonly remark?: string;
  /** With this answer the server went on instead of failing the connection: the case then closes it, cleanly. */
  readonly wentOn?: boolean;
}

/** An event to expect; text and bytes compare as octets. */
export interface Expected {
  readonly kind: WireEvent["kind"];
  readonly payload: Uint8Array;
}

/** A text message to expect. */
export function text(payload: string | Uint8Array): Expected {
  return { kind: "text", payload: toBytes(payload) };
}
/** A binary message to expect. */
export function binary(payload: Uint8Array): Expected {
  return { kind: "binary", payload };
}
/** A pong to expect. */
export function pong(payload: string | Uint8Array = ""): Expected {
  return { kind: "pong", payload: toBytes(payload) };
}
/** The answers of a case that has just one right one. */
export function only(...events: Expected[]): Answer[] {
  return [{ verdict: Verdict.Ok, events }];
}
/** What comes before a fault may be lost when the connection is failed at once: then Autobahn calls it non-strict. */
export function orNothing(...events: Expected[]): Answer[] {
  return [{ verdict: Verdict.Ok, events }, {
    verdict: Verdict.NonStrict,
    events: [],
    remark: "what preceded the fault was not answered",
  }];
}

/** A case of the common shape. */
export interface Exchange {
  readonly id: string;
  readonly description: string;
  readonly expectation: string;
  readonly handshake?: RequestOptions;
  readonly alone?: boolean;
  readonly patience?: number;
  /** Sends what the case is about. A close frame sent here must be announced by `sendRawClose` or `noteClose`. */
  play(wire: Wire, context: Context): Promise<void>;
  readonly answers: readonly Answer[];
  readonly ending: Ending;
  /** The RFC leaves open what happens: anything lawful on the wire is informational. */
  readonly open?: boolean;
}

/** Makes a runnable case of it. */
export function exchange(spec: Exchange): Case {
  return { ...spec, run: (context) => runExchange(spec, context) };
}

async function runExchange(spec: Exchange, context: Context): Promise<Outcome> {
  const wire = await context.open(spec.handshake);
  await spec.play(wire, context);
  const waitMs = context.timeoutMs * (spec.patience ?? 1);
  const mustFail = spec.ending.by === "server";
  const wentOn = () =>
    spec.answers.some((answer) => answer.wentOn === true && same(wire.events, answer.events));
  const complete = () => !mustFail && !wire.closeSent && matches(wire, spec.answers);
  await wire.until(() => wire.over || !isPrefix(wire, spec.answers) || complete() || wentOn(), waitMs);
  const ending = wentOn() && !wire.over ? CLEAN : spec.ending;
  if (ending.by === "client" && !wire.closeSent && !wire.over) await wire.sendClose(1000);
  await finish(wire, context.timeoutMs);
  const outcome = judge(wire, spec.answers, ending);
  if (spec.open !== true) return outcome;
  const soften = (verdict: Verdict) => verdict === Verdict.Ok ? verdict : Verdict.Informational;
  if (wire.violations.length > 0 || !wire.over) return outcome;
  return {
    ...outcome,
    behavior: Verdict.Informational,
    close: { ...outcome.close, verdict: soften(outcome.close.verdict) },
  };
}

/**
 * Sees a connection to its end: waits for the server's close frame if ours is out, answers one that came first, waits
 * for the server to end TCP, and gives up where it does not.
 */
export async function finish(wire: Wire, timeoutMs: number): Promise<void> {
  if (wire.closeSent) await wire.until(() => wire.serverClose !== undefined, timeoutMs);
  if (wire.serverClose !== undefined) {
    if (!wire.closeSent) {
      const { code } = wire.serverClose;
      await wire.sendRawClose(
        frame({ opcode: Opcode.Close, payload: code === null ? "" : closePayload(code) }),
      );
    }
    await wire.until(() => wire.ended, TCP_END_MS);
  }
  wire.destroy();
}

/** Both verdicts on a finished connection. A violation on the wire fails the behaviour whatever else came. */
export function judge(wire: Wire, answers: readonly Answer[], ending: Ending): Outcome {
  const close = judgeClose(wire, ending);
  const answer = answers.find(({ events }) => same(wire.events, events));
  const seen = describe(wire.events);
  let behavior: Verdict = answer?.verdict ?? Verdict.Failed;
  let what = answer === undefined
    ? `${seen}; expected ${answers.map(({ events }) => describe(events)).join(", or ")}`
    : answer.remark === undefined
    ? seen
    : `${seen}: ${answer.remark}`;
  if (wire.violations.length > 0) {
    behavior = Verdict.Failed;
    what = `${what}; wire: ${wire.violations.join("; ")}`;
  }
  return { behavior, what, close, log: wire.log };
}

/** An outcome for a case that judges its events by itself. */
export function conclude(wire: Wire, behavior: Verdict, what: string, ending: Ending): Outcome {
  const broken = wire.violations.length > 0;
  return {
    behavior: broken ? Verdict.Failed : behavior,
    what: broken ? `${what}; wire: ${wire.violations.join("; ")}` : what,
    close: judgeClose(wire, ending),
    log: wire.log,
  };
}

/**
 * The verdict on the ending:
 *
 * - `failed`: the server did not fail a connection it must fail, closed one it must not, or dropped TCP instead of
 *   answering a lawful close frame (section 5.5.1, a MUST). Autobahn: FAILED, UNCLEAN.
 * - `non-strict`: a wrong code, or TCP left open after both close frames. Autobahn: WRONG CODE, FAILED BY CLIENT.
 * - `informational`: failed by dropping TCP without a close frame, or with an empty one: to send one that says why is
 *   only a SHOULD (section 7.1.7). Autobahn says OK here and lets it go unseen.
 * - `ok`: the rest.
 */
function judgeClose(wire: Wire, ending: Ending): CloseResult {
  const by = wire.closedByUs
    ? "client"
    : wire.serverClose !== undefined || droppedByServer(wire)
    ? "server"
    : "nobody";
  const code = wire.serverClose?.code;
  const result = (verdict: Verdict, what: string): CloseResult => ({ verdict, by, code, what });
  if (by === "nobody") return result(Verdict.Failed, "the server left the connection open");
  if (ending.by === "client" && by === "server") {
    return result(
      Verdict.Failed,
      code === undefined
        ? `dropped by the server without a close frame and without cause (${howEnded(wire)})`
        : `closed by the server without cause, with ${codeName(code)}`,
    );
  }
  if (ending.by === "server" && by === "client") {
    return result(Verdict.Failed, "the server did not fail the connection");
  }
  if (code === undefined) {
    if (ending.by === "client") return result(Verdict.Failed, `close frame not answered (${howEnded(wire)})`);
    if (!droppedByServer(wire)) return result(Verdict.Failed, "neither a close frame nor an end of TCP");
    return result(Verdict.Informational, `dropped without a close frame (${howEnded(wire)})`);
  }
  if (code !== null && !ending.codes.includes(code)) {
    const verdict = ending.codeMatters ? Verdict.Failed : Verdict.NonStrict;
    return result(verdict, `wrong code: ${codeName(code)} instead of ${ending.codes.join(" or ")}`);
  }
  if (!droppedByServer(wire)) return result(Verdict.NonStrict, `${codeName(code)}, but TCP was left open`);
  if (code === null && ending.by !== "client") {
    return result(Verdict.Informational, "failed with an empty close frame, which does not say why");
  }
  return result(Verdict.Ok, `${codeName(code)}, then ${howEnded(wire)}`);
}

function droppedByServer(wire: Wire): boolean {
  return wire.tcpEnd === "fin" || wire.tcpEnd === "reset";
}

function howEnded(wire: Wire): string {
  if (wire.tcpEnd === "fin") return "TCP closed";
  return wire.tcpEnd === "reset" ? "TCP reset" : "TCP left open";
}

function codeName(code: number | null): string {
  return code === null ? "an empty close frame" : String(code);
}

/** The very same events in the same order. */
export function same(events: readonly WireEvent[], expected: readonly Expected[]): boolean {
  return events.length === expected.length && startsWith(expected, events);
}

function matches(wire: Wire, answers: readonly Answer[]): boolean {
  // The longest answer decides, so that an empty one does not end the wait for a fuller one.
  const longest = answers.reduce(
    (one, other) => other.events.length > one.events.length ? other : one,
    answers[0] ?? NONE,
  );
  return same(wire.events, longest.events);
}

const NONE: Answer = { verdict: Verdict.Ok, events: [] };

function isPrefix(wire: Wire, answers: readonly Answer[]): boolean {
  return wire.violations.length === 0 && answers.some(({ events }) => startsWith(events, wire.events));
}

function startsWith(expected: readonly Expected[], events: readonly WireEvent[]): boolean {
  return events.every((event, index) => {
    const wanted = expected[index];
    return wanted !== undefined && wanted.kind === event.kind && equalBytes(wanted.payload, event.payload);
  });
}

/** Octet by octet. */
export function equalBytes(one: Uint8Array, other: Uint8Array): boolean {
  if (one.length !== other.length) return false;
  for (let index = 0; index < one.length; index++) if (one[index] !== other[index]) return false;
  return true;
}

/** Events in one line, long ones shortened. */
export function describe(events: readonly Expected[]): string {
  if (events.length === 0) return "nothing";
  const shown = events.slice(0, SHOWN_EVENTS).map(({ kind, payload }) => {
    if (payload.length === 0) return `empty ${kind}`;
    if (payload.length > SHOWN_BYTES) return `${kind} of ${payload.length} bytes`;
    const printable = kind !== "binary" && payload.every((byte) => byte >= 0x20 && byte < 0x7f);
    return `${kind} ${printable ? JSON.stringify(new TextDecoder().decode(payload)) : toHex(payload)}`;
  });
  const more = events.length - shown.length;
  return more > 0 ? `${shown.join(", ")} and ${more} more` : shown.join(", ");
}

function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
