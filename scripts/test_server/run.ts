/**
 * Runs tests against one server, one after the other, and turns whatever happens to one of them into a result. Decides
 * which can be run at all. Prints nothing.
 */
import { connect } from "node:net";
import { performance } from "node:perf_hooks";
import { clearTimeout, setTimeout } from "node:timers";
import { type Kind, recognize } from "./kind.ts";
import type { Settings } from "./settings.ts";
import { handshakeProblem, Stage } from "./stage.ts";
import { Finding, Need, type Passed, type Result, Skip, type Test } from "./test.ts";

/** A test is ended by force after this many timeouts, the watch for latency, and this much more. */
const DEADLINE_TIMEOUTS = 4;
const DEADLINE_EXTRA_MS = 15_000;

/** How far one gets with the server, and what it is. */
export interface Reach {
  readonly need: Need;
  /** Why no further. */
  readonly problem: string;
  readonly kind: Kind;
}

/** What a run found. */
export interface Run {
  readonly kind: Kind;
  readonly results: readonly Result[];
}

/** Runs `tests` in their order. Never rejects for what the server does. */
export async function runTests(
  tests: readonly Test[],
  settings: Settings,
  onStart: (test: Test, index: number) => void = () => {},
): Promise<Run> {
  let reach = await howFar(settings);
  const results: Result[] = [];
  for (const [index, test] of tests.entries()) {
    onStart(test, index);
    const skipped = whySkip(test, settings, reach);
    const result = skipped === undefined
      ? await runTest(test, settings, reach.kind)
      : resultOf(test, "skipped", skipped);
    results.push(result);
    // One test must not make the following ones fail for it.
    const listens = result.status !== "failed" || reach.need < Need.Tcp || await accepts(settings);
    if (!listens) {
      reach = { ...reach, need: Need.Nothing, problem: `nothing has listened there since ${test.name}` };
    }
  }
  return { kind: reach.kind, results };
}

/** Tries how far one gets, and finds out what kind of server it is. */
async function howFar(settings: Settings): Promise<Reach> {
  const unknown = (why: string): Kind => ({ name: "unknown", why });
  const only = (need: Need, problem: string): Reach => ({ need, problem, kind: unknown(problem) });
  const stage = new Stage(settings, unknown("not yet known"));
  try {
    if (!await accepts(settings)) {
      return only(Need.Nothing, "nothing can be connected to; see connection.open");
    }
    const wire = await stage.ask();
    const problem = handshakeProblem(wire);
    if (problem !== undefined) return only(Need.Link, problem);
    return { need: Need.WebSocket, problem: "", kind: await recognize(wire, settings) };
  } catch (error) {
    return only(Need.Tcp, messageOf(error));
  } finally {
    stage.destroy();
  }
}

/** Whether something takes TCP connections there. */
function accepts({ target: { host, port }, timeoutMs }: Settings): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const finish = (answer: boolean) => {
      clearTimeout(timer);
      socket.destroy();
      resolve(answer);
    };
    const timer = setTimeout(() => finish(false), timeoutMs);
    socket.once("connect", () => finish(true));
    socket.once("error", () => finish(false));
  });
}

/** Why a test cannot say anything here; undefined when it can. */
function whySkip(test: Test, settings: Settings, { need, problem, kind }: Reach): string | undefined {
  if (test.name.startsWith("tls.") && !settings.target.secure) return "the URL is ws:, without TLS";
  if (test.need > need) return problem;
  if (test.millrace === true && kind.name !== "millrace") {
    return "the server does not speak Millrace's protocol";
  }
  const locked = kind.name === "millrace" && kind.welcome["authRequired"] === true;
  if (locked && (test.millrace === true || test.echo === true)) {
    return "the server takes commands only from those who bring a token: --token";
  }
  if (test.echo === true && kind.name === "unknown") return kind.why;
  return undefined;
}

async function runTest(test: Test, settings: Settings, kind: Kind): Promise<Result> {
  const stage = new Stage(settings, kind);
  const deadlineMs = DEADLINE_TIMEOUTS * settings.timeoutMs + settings.durationMs + DEADLINE_EXTRA_MS;
  const timer = setTimeout(() => stage.destroy(), deadlineMs);
  const started = performance.now();
  let outcome: Passed | Error;
  try {
    outcome = await test.run(stage);
  } catch (error) {
    outcome = error instanceof Error ? error : new Finding(String(error));
  } finally {
    clearTimeout(timer);
    stage.destroy();
  }
  const durationMs = Math.round(performance.now() - started);
  // What is against the RFC in the server's frames counts wherever it is seen, and explains the rest.
  const violations = [...new Set(stage.wires.flatMap((wire) => wire.violations))];
  if (violations.length > 0) outcome = new Finding(`the server sent ${violations.join("; ")}`);
  if (outcome instanceof Skip) return resultOf(test, "skipped", outcome.message, durationMs);
  if (outcome instanceof Error) {
    const log = stage.wires.at(-1)?.log ?? [];
    return { ...resultOf(test, "failed", messageOf(outcome), durationMs), onFailure: test.onFailure, log };
  }
  const { what, notes = [], figures = {} } = outcome;
  return { ...resultOf(test, "passed", what, durationMs), notes, figures };
}

function resultOf(test: Test, status: Result["status"], what: string, durationMs = 0): Result {
  const { name, checks, section } = test;
  return { name, checks, section, status, what, notes: [], figures: {}, durationMs };
}

/** Some errors of a connection have a code and no text. */
function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { code } = error as NodeJS.ErrnoException;
  if (error.message === "") return String(code ?? error.name);
  return code === undefined || error.message.includes(code) ? error.message : `${error.message} (${code})`;
}
