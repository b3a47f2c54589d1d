/**
 * Runs cases against one server, several at a time, and turns whatever happens to one of them, an exception included,
 * into a result. Prints nothing.
 */
import { performance } from "node:perf_hooks";
import { clearTimeout, setTimeout } from "node:timers";
import {
  type Case,
  type Context,
  HandshakeFault,
  type Outcome,
  type Result,
  Verdict,
  worse,
} from "./case.ts";
import { faultOf, readAnswer, request, type RequestOptions } from "./handshake.ts";
import type { Target } from "./target.ts";
import { Wire } from "./wire.ts";

/** What a run needs to know. */
export interface RunOptions {
  readonly target: Target;
  /** Waiting time for one reply, in milliseconds. */
  readonly timeoutMs: number;
  /** How many cases may be under way at once; those marked `alone` never share. */
  readonly parallel: number;
  /** Called after every case, in the order of finishing. */
  readonly onResult?: (result: Result, done: number, total: number) => void;
}

const SWITCHING_PROTOCOLS = 101;
/** Silence that is believed. Long enough for a server that fails fast to have done so. */
const QUIET_MS = 250;
/** A case is ended by force after this many timeouts times its patience. */
const DEADLINE_TIMEOUTS = 4;
const DEADLINE_EXTRA_MS = 2_000;

/**
 * Runs the cases and resolves with the results in the order of `cases`. Rejects only when there is no WebSocket server at
 * all: no TCP connection, or no 101 to a plain opening handshake.
 */
export async function runCases(cases: readonly Case[], options: RunOptions): Promise<Result[]> {
  await probe(options);
  const results = new Map<Case, Result>();
  const shared = cases.filter((each) => each.alone !== true);
  const alone = cases.filter((each) => each.alone === true);
  const work = async (queue: Case[]): Promise<void> => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const result = await runCase(next, options);
      results.set(next, result);
      options.onResult?.(result, results.size, cases.length);
    }
  };
  await Promise.all(Array.from({ length: options.parallel }, () => work(shared)));
  await work(alone);
  return cases.flatMap((each) => results.get(each) ?? []);
}

async function probe({ target, timeoutMs }: RunOptions): Promise<void> {
  const wire = await Wire.connect(target, timeoutMs);
  await wire.write(request(target));
  await wire.until(() => wire.head !== undefined, timeoutMs);
  const status = wire.head?.status;
  wire.destroy();
  if (status === SWITCHING_PROTOCOLS) return;
  const answer = status === undefined ? "no answer" : `status ${status}`;
  throw new Error(`no WebSocket server at ${target.authority}${target.resource}: ${answer}`);
}

async function runCase(one: Case, options: RunOptions): Promise<Result> {
  const wires: Wire[] = [];
  const { target, timeoutMs } = options;
  const connect = async (): Promise<Wire> => {
    const wire = await Wire.connect(target, timeoutMs);
    wires.push(wire);
    return wire;
  };
  const context: Context = {
    target,
    timeoutMs,
    quietMs: QUIET_MS,
    connect,
    open: async (handshake) => openWebSocket(await connect(), target, timeoutMs, handshake),
  };
  const deadlineMs = DEADLINE_TIMEOUTS * timeoutMs * (one.patience ?? 1) + DEADLINE_EXTRA_MS;
  const timer = setTimeout(() => wires.forEach((wire) => wire.destroy()), deadlineMs);
  const started = performance.now();
  let outcome: Outcome;
  try {
    outcome = await one.run(context);
  } catch (error) {
    outcome = broken(error, wires);
  } finally {
    clearTimeout(timer);
    for (const wire of wires) wire.destroy();
  }
  const durationMs = Math.round((performance.now() - started) * 10) / 10;
  const { id, description, expectation } = one;
  return {
    id,
    description,
    expectation,
    verdict: worse(outcome.behavior, outcome.close.verdict),
    durationMs,
    ...outcome,
  };
}

/** Sends the request, checks the response and sets the wire up for what was agreed. */
async function openWebSocket(
  wire: Wire,
  target: Target,
  timeoutMs: number,
  options: RequestOptions = {},
): Promise<Wire> {
  await wire.write(request(target, options));
  await wire.until(() => wire.head !== undefined, timeoutMs);
  if (wire.head === undefined) throw new HandshakeFault("no answer to the opening handshake", wire.log);
  const fault = faultOf(wire.head);
  if (fault !== undefined) throw new HandshakeFault(`opening handshake: ${fault}`, wire.log);
  const deflate = readAnswer(wire.head.headers.get("sec-websocket-extensions"), options.offer ?? "");
  if (typeof deflate === "string") throw new HandshakeFault(`opening handshake: ${deflate}`, wire.log);
  if (deflate !== undefined) wire.agreeOn(deflate);
  return wire;
}

/** A case that could not be played to its end has failed, and says why. */
function broken(error: unknown, wires: readonly Wire[]): Outcome {
  const wire = wires.at(-1);
  const what = error instanceof HandshakeFault ? error.message : `the case broke off: ${String(error)}`;
  return {
    behavior: Verdict.Failed,
    what,
    close: { verdict: Verdict.Ok, by: "nobody", code: wire?.serverClose?.code, what: "not judged" },
    log: wire?.log ?? [],
  };
}
