/** More than one connection: one after the other, after a loss, and many at once. */
import { performance } from "node:perf_hooks";
import type { Wire } from "../../conformance/wire.ts";
import { percentile } from "../percentile.ts";
import { AtLimit, type Stage } from "../stage.ts";
import { Finding, Need, type Passed, Skip, type Test } from "../test.ts";

const ROUNDS = 5;
/** So many handshakes are under way at once. */
const BATCH = 50;

/** Opens again and again; `leave` is how the connection before is given up. */
async function reopened(stage: Stage, leave: (wire: Wire) => Promise<void> | void): Promise<Passed> {
  await leave(await stage.roundTrip("before"));
  const samplesMs: number[] = [];
  for (let round = 1; round <= ROUNDS; round++) {
    const started = performance.now();
    try {
      await leave(await stage.roundTrip(`round ${round}`));
    } catch (error) {
      if (error instanceof AtLimit) throw new Skip(`the server limits handshakes: ${error.message}`);
      const why = error instanceof Error ? error.message : String(error);
      throw new Finding(`reconnecting the ${ORDINALS[round] ?? `${round}th`} time failed: ${why}`);
    }
    samplesMs.push(performance.now() - started);
  }
  const medianMs = percentile(samplesMs, 50);
  return { what: `${ROUNDS} reconnections, median ${medianMs.toFixed(1)} ms`, figures: { medianMs } };
}

const ORDINALS = ["", "first", "second", "third"];

type Opened = { readonly wire: Wire; readonly openMs: number } | { readonly error: unknown };

async function manyAtOnce(stage: Stage): Promise<Passed> {
  const { connections } = stage.settings;
  const results: Opened[] = [];
  while (results.length < connections) {
    const batch = Math.min(BATCH, connections - results.length);
    results.push(
      ...await Promise.all(
        Array.from({ length: batch }, (_, index) => openOne(stage, results.length + index)),
      ),
    );
  }
  const open = results.flatMap((result) => "wire" in result ? [result] : []);
  const errors = results.flatMap((result) => "error" in result ? [result.error] : []);
  const worse = errors.find((error) => !(error instanceof AtLimit));
  if (worse !== undefined) {
    const why = worse instanceof Error ? worse.message : String(worse);
    throw new Finding(`${open.length} of ${connections} connections worked; another: ${why}`);
  }
  const lost = open.filter(({ wire }) => wire.over).length;
  if (lost > 0) throw new Finding(`${lost} of ${open.length} connections ended while others were opened`);
  await Promise.all(open.map(({ wire }) => stage.close(wire)));
  const unclean = open.filter(({ wire }) => wire.serverClose === undefined).length;
  if (unclean > 0) throw new Finding(`${unclean} of ${open.length} close frames were not answered`);
  const [limit] = errors;
  const openMedianMs = percentile(open.map(({ openMs }) => openMs), 50);
  return {
    what: `${open.length} connections open at once, each answered`,
    notes: limit instanceof Error
      ? [`${errors.length} of ${connections} are over a limit: ${limit.message}`]
      : [],
    figures: { connections: open.length, openMedianMs },
  };
}

async function openOne(stage: Stage, index: number): Promise<Opened> {
  const started = performance.now();
  try {
    const wire = await stage.roundTrip(`connection ${index}`);
    return { wire, openMs: performance.now() - started };
  } catch (error) {
    return { error };
  }
}

/** The tests of these groups. */
export const connectionsTests: readonly Test[] = [
  {
    name: "reconnect.after-close",
    checks: "A client that has closed can come back at once, again and again.",
    section: "RFC 6455, 7.2.3",
    onFailure:
      "Something remembers the client: a limit on handshakes, a session that is taken for still open, a proxy that " +
      "keeps a server for dead. Clients meet this after each deployment.",
    quick: true,
    need: Need.WebSocket,
    run: (stage) => reopened(stage, (wire) => stage.close(wire)),
  },
  {
    name: "reconnect.after-loss",
    checks: "A client whose TCP connection was lost without a close frame can come back at once.",
    section: "RFC 6455, 7.2.3",
    onFailure:
      "The server may still take the lost connection for open: let a new one replace it, and let the heartbeat find " +
      "the dead. Or something counts handshakes. Phones meet this in every tunnel.",
    quick: true,
    need: Need.WebSocket,
    run: (stage) => reopened(stage, (wire) => wire.destroy()),
  },
  {
    name: "concurrent.connections",
    checks: "Many connections (--connections) are open at once, answer, and close.",
    section: "RFC 6455, 4.1",
    onFailure:
      "Look at limits: open files of the process (ulimit -n), worker_connections of nginx, maxconn of HAProxy, the " +
      "backlog of the listening socket. A limit that is meant should answer 503 or 429.",
    quick: true,
    need: Need.WebSocket,
    run: manyAtOnce,
  },
];
