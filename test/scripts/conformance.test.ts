/**
 * The conformance runner proves itself: it finds nothing wrong with a right server, finds every fault planted in that
 * server, and says of an independent implementation what is known of it.
 */
import { execFile } from "node:child_process";
import { type AddressInfo, createServer, type Server } from "node:net";
import process from "node:process";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { assert, assertEquals, assertMatch, assertRejects, assertStringIncludes } from "@std/assert";
import type { Case, Result, Verdict } from "../../scripts/conformance/case.ts";
import { ALL_CASES, selectCases } from "../../scripts/conformance/cases/mod.ts";
import { makeReport, type Report, reportText } from "../../scripts/conformance/report.ts";
import { runCases } from "../../scripts/conformance/run.ts";
import { parseTarget } from "../../scripts/conformance/target.ts";
import { type Fault, type FaultyEcho, startFaultyEcho } from "../helpers/faulty_echo.ts";
import { startWsEcho, type WsEcho } from "../helpers/ws_echo.ts";

const LONG = process.env.MILLRACE_LONG !== undefined;
/** Everything but the bulk cases, and one of each kind of those. */
const QUICK = "1,2,3,4,5,6,7,10,14,9.1.1,9.3.5,9.7.2,12.1.3,12.4.11,13.5.4".split(",");
const TIMEOUT_MS = 2_000;
/** Bun ends a test after five seconds if it is not told otherwise. */
const WHOLE_RUN = { timeout: 120_000 };

function run(url: string, cases: readonly Case[], timeoutMs = TIMEOUT_MS): Promise<Result[]> {
  return runCases(cases, { target: parseTarget(url), timeoutMs, parallel: 8 });
}

function idsWith(results: readonly Result[], verdict: Verdict): string[] {
  return results.filter((result) => result.verdict === verdict).map(({ id }) => id);
}

/** One case on a server of its own with one fault. */
async function runOn(fault: Fault, id: string): Promise<Result | undefined> {
  const server = await startFaultyEcho(fault);
  try {
    return (await run(server.url, selectCases([id]), TIMEOUT_MS / 2))[0];
  } finally {
    await server.close();
  }
}

/** Each fault, the number of a case that must find it, and the verdict it must come to. */
const FOUND: readonly (readonly [Fault, string, Verdict])[] = [
  ["accept hash wrong", "14.5.15", "failed"],
  ["any version accepted", "14.5.5", "failed"],
  ["bad window bits accepted", "14.6.3", "failed"],
  ["close answered late by a message", "7.1.4", "failed"],
  ["close answered twice", "7.1.1", "failed"],
  ["close codes not checked", "7.9.4", "failed"],
  ["close not echoed", "7.7.1", "failed"],
  ["close of one byte accepted", "7.3.2", "failed"],
  ["close reason not checked", "7.5.1", "failed"],
  ["close reason sent not UTF-8", "7.3.3", "failed"],
  ["context kept", "14.7.16", "failed"],
  ["continuation of nothing accepted", "5.9", "failed"],
  ["control frames fragmented", "5.1", "failed"],
  ["echoes twice", "1.1.2", "failed"],
  ["extension not offered", "1.1.2", "failed"],
  ["fails by dropping TCP", "4.1.1", "informational"],
  ["fails with 1000", "4.1.1", "non-strict"],
  ["fragments mixed", "5.18", "failed"],
  ["high bit of length ignored", "14.2.4", "failed"],
  ["keys not needed", "14.5.1", "failed"],
  ["last byte wrong", "1.2.2", "failed"],
  ["length cut to 16 bits", "1.1.7", "failed"],
  ["long control frames accepted", "2.5", "failed"],
  ["long lengths accepted", "14.2.1", "non-strict"],
  ["long lengths sent", "1.1.1", "failed"],
  ["masks its frames", "1.2.2", "failed"],
  ["no mask check", "14.1.1", "failed"],
  ["no UTF-8 check", "6.3.2", "failed"],
  ["ping not answered", "2.1", "failed"],
  ["pong after the message", "5.19", "failed"],
  ["pong without payload", "2.3", "failed"],
  ["reserved opcodes ignored", "4.2.3", "failed"],
  ["RSV ignored", "3.2", "failed"],
  ["RSV of continuations ignored", "14.7.2", "failed"],
  ["RSV sent", "1.1.2", "failed"],
  ["TCP left open", "7.1.1", "non-strict"],
  ["text comes back as binary", "1.1.2", "failed"],
  ["UTF-8 checked at the end", "6.4.3", "non-strict"],
  ["window ignored", "14.7.17", "failed"],
];

describe("the conformance runner on a right server", () => {
  let server: FaultyEcho;
  before(async () => {
    server = await startFaultyEcho();
  });
  after(() => server.close());

  it("finds no case failed and none non-strict", WHOLE_RUN, async () => {
    const cases = LONG ? ALL_CASES : selectCases(QUICK);
    const results = await run(server.url, cases);
    assertEquals(results.map(({ id }) => id), cases.map(({ id }) => id));
    const wrong = results.filter(({ verdict }) => verdict === "failed" || verdict === "non-strict");
    assertEquals(wrong.map(({ id, what, close }) => ({ id, what, close: close.what })), []);
    assertEquals(idsWith(results, "informational"), [
      "7.1.6",
      "7.13.1",
      "7.13.2",
      "14.4.4",
      "14.4.5",
      "14.4.6",
      "14.7.15",
    ]);
  });

  it("says ok of every case that is to find a planted fault", async () => {
    const ids = new Set(FOUND.map(([, id]) => id));
    const results = await run(server.url, ALL_CASES.filter(({ id }) => ids.has(id)));
    assertEquals(results.length, ids.size);
    assertEquals(idsWith(results, "ok").length, ids.size);
  });

  it("does not mind a server that answers in fragments", async () => {
    assertEquals((await runOn("answers in fragments", "1.1.7"))?.verdict, "ok");
  });

  it("reports for each case who closed, the code and what was on the wire", async () => {
    const [clean, failed] = await run(server.url, selectCases(["1.1.2", "3.1"]));
    assertEquals(clean?.close, { verdict: "ok", by: "client", code: 1000, what: "1000, then TCP closed" });
    assertEquals(failed?.close, { verdict: "ok", by: "server", code: 1002, what: "1002, then TCP closed" });
    assertMatch(failed?.log.at(-2) ?? "", /^< FIN opcode 8, 2 bytes 03ea|^> /);
    assertEquals(clean?.what, "text of 125 bytes");
  });
});

describe("the conformance runner on a server with a planted fault", () => {
  // All at once: several of them can only be found by waiting.
  let found: Promise<Result | undefined>[] = [];
  before(() => {
    found = FOUND.map(([fault, id]) => runOn(fault, id));
  });

  for (const [index, [fault, id, verdict]] of FOUND.entries()) {
    it(`finds in case ${id}: ${fault} (${verdict})`, async () => {
      const result = await found[index];
      assertEquals(result?.verdict, verdict, `${result?.what}; ${result?.close.what}`);
    });
  }

  it("shows a connection failed by dropping TCP as such, with the behaviour ok", async () => {
    const server = await startFaultyEcho("fails by dropping TCP");
    try {
      const results = await run(server.url, selectCases(["3.1"]));
      const [result] = results;
      assertEquals(result?.behavior, "ok");
      assertEquals(result?.close.verdict, "informational");
      assertMatch(result?.close.what ?? "", /^dropped without a close frame/);
      assertEquals(makeReport(server.url, results, 1, "").droppedWithoutClose, 1);
    } finally {
      await server.close();
    }
  });
});

describe("the conformance runner on npm's ws", () => {
  let server: WsEcho;
  before(async () => {
    server = await startWsEcho();
  });
  after(() => server.close());

  it("finds the verdicts ws is known to have", WHOLE_RUN, async () => {
    const results = await run(server.url, LONG ? ALL_CASES : selectCases(QUICK));
    // Deno's zlib lets this piece of corrupt data pass; on Node and Bun ws fails the connection.
    const failed = "Deno" in globalThis ? ["14.7.4"] : [];
    assertEquals(idsWith(results, "failed"), failed);
    assertEquals(idsWith(results, "non-strict"), [
      "6.4.1",
      "6.4.2",
      "6.4.3",
      "6.4.4",
      "14.2.1",
      "14.2.2",
      "14.2.3",
      "14.5.12",
      "14.5.13",
      "14.6.6",
      "14.6.16",
    ]);
    // ws refuses a message of 65,536 fragments with 1008, to protect its memory.
    const limits = LONG ? ["9.3.1", "9.4.1"] : [];
    assertEquals(idsWith(results, "informational"), [
      "7.1.6",
      "7.13.1",
      "7.13.2",
      ...limits,
      "14.4.4",
      "14.4.5",
      "14.4.6",
    ]);
  });
});

describe("the conformance command", () => {
  let server: FaultyEcho;
  before(async () => {
    server = await startFaultyEcho("pong without payload");
  });
  after(() => server.close());

  it("exits with 0 without a failed case and writes JSON to standard output", async () => {
    const { code, stdout, stderr } = await command(server.url, "--only", "1.1,2.1", "--json", "-");
    assertEquals(code, 0, stderr);
    const report = JSON.parse(stdout) as Report;
    assertEquals(report.summary, { ok: 9, informational: 0, "non-strict": 0, failed: 0 });
    assertEquals(report.cases[8]?.id, "2.1");
    assertEquals(stderr, "", "nothing but the report on a pipe");
  });

  it("exits with 1 when a case failed, and names it", async () => {
    const { code, stdout } = await command(server.url, "--only", "2.1,2.2");
    assertEquals(code, 1);
    assertStringIncludes(stdout, "2.2  failed  A ping with a text payload.");
    assertStringIncludes(stdout, 'happened: empty pong; expected pong "Hello, world!"');
  });

  it("exits with 2 on wrong use", async () => {
    const wrong = [[], ["http://127.0.0.1/"], [server.url, "--only", "77"], [
      server.url,
      "--timeout",
      "soon",
    ]];
    for (const { code, stderr } of await Promise.all(wrong.map((args) => command(...args)))) {
      assertEquals(code, 2, stderr);
      assertMatch(stderr, /^conformance: /m);
    }
  });

  it("rejects when what listens is no WebSocket server", async () => {
    const silent = createServer(() => {});
    const refusing = createServer((socket) => socket.end("HTTP/1.1 404 Not Found\r\n\r\n"));
    try {
      const cases = selectCases(["1.1.1"]);
      const port = await listen(silent);
      await assertRejects(() => run(`ws://127.0.0.1:${port}/`, cases, 50), Error, "no answer");
      await assertRejects(() => run(`wss://127.0.0.1:${port}/`, cases, 50), Error, "no connection in 50 ms");
      const other = await listen(refusing);
      await assertRejects(() => run(`ws://127.0.0.1:${other}/`, cases), Error, "status 404");
    } finally {
      silent.close();
      refusing.close();
    }
  });

  it("rejects when nobody listens", async () => {
    const gone = await startFaultyEcho();
    await gone.close();
    await assertRejects(() => run(gone.url, selectCases(["1.1.1"])));
  });
});

describe("the text report", () => {
  it("lists what is not ok and sums up by section and verdict", async () => {
    const server = await startFaultyEcho("fails with 1000");
    try {
      const text = reportText(
        makeReport(server.url, await run(server.url, selectCases(["1.1.1", "3.1"])), 1_500, ""),
      );
      assert(!text.includes("1.1.1  "), "an ok case is not listed");
      assertStringIncludes(text, "wrong code: 1000 instead of 1002; started by server (non-strict)");
      assertStringIncludes(text, "2 cases in 1.5 s: 1 ok, 1 non-strict");
    } finally {
      await server.close();
    }
  });
});

async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return (server.address() as AddressInfo).port;
}

interface Finished {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the command in a process of the runtime that runs the test. */
function command(...args: string[]): Promise<Finished> {
  const script = fileURLToPath(new URL("../../scripts/conformance.ts", import.meta.url));
  const before = "Deno" in globalThis
    ? ["run", "-A", "--no-check"]
    : "Bun" in globalThis
    ? []
    : ["--import", "tsx"];
  return new Promise((resolve) => {
    execFile(process.execPath, [...before, script, ...args], (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code ?? -1), stdout, stderr });
    });
  });
}
