/** The tool finds each planted fault, in the test that is for it, and nothing on the same server without the fault. */
import { after, before, describe, it } from "node:test";
import { assert, assertEquals, assertMatch } from "@std/assert";
import type { Settings } from "../../scripts/test_server/settings.ts";
import { groupOf, type Result } from "../../scripts/test_server/test.ts";
import { allTests } from "../../scripts/test_server/tests/mod.ts";
import { type Fault, type FaultyEcho, startFaultyEcho } from "../helpers/faulty_echo.ts";
import { runtime } from "../helpers/runtime.ts";
import { type RelayFault, startFaultyServer } from "./faulty_server.ts";
import { runOn, saying } from "./setup.ts";

/** Faults that show by nothing coming, and how long that is waited for. */
const SILENT: readonly (Fault | RelayFault)[] = [
  "ping not answered",
  "TCP left open",
  "drops every tenth message",
  "ten connections at most",
];
const IMPATIENT_MS = 2_000;
const PATIENT_MS = 10_000;
/** So many servers run at once: those with a fault that shows by waiting should wait together. */
const AT_ONCE = 8;
const DAY_MS = 86_400_000;

/** Each fault, the test that must find it, and what it says. */
const FOUND: readonly (readonly [Fault | RelayFault, string, RegExp])[] = [
  ["accept hash wrong", "connection.accept", /wrong Sec-WebSocket-Accept/],
  ["extension not offered", "connection.extras", /extension that was not offered/],
  ["certificate expired", "tls.dates", /expired on Jan {2}1 00:00:00 2021/],
  ["certificate of another", "tls.name", /for DNS:elsewhere\.example, not for 127\.0\.0\.1/],
  ["any version accepted", "handshake.unknown-version", /accepts it with 101/],
  ["any version accepted", "handshake.no-version", /accepts it with 101/],
  ["keys not needed", "handshake.no-key", /accepts it with 101/],
  ["POST accepted", "handshake.method", /accepts it with 101/],
  ["ping not answered", "ping.answer", /nothing came in time/],
  ["pong with another payload", "ping.payload", /"test-server" came back changed/],
  ["pong without payload", "ping.payload", /"test-server" came back changed/],
  ["close not echoed", "close.answer", /1000 was not answered: the server ended TCP without a close frame/],
  ["close code changed", "close.code", /1000 was answered with 3999/],
  ["TCP left open", "close.tcp", /leaves TCP open/],
  ["close codes not checked", "close.unlawful-codes", /999 was answered with 999/],
  ["close answered twice", "close.answer", /a frame after the close frame/],
  ["text comes back as binary", "echo.text", /came back as a binary message/],
  ["last byte wrong", "echo.json", /came back changed, from byte/],
  ["binary corrupted", "echo.binary", /came back changed, from byte 200 on/],
  ["masks its frames", "echo.text", /a masked frame from the server/],
  ["RSV sent", "echo.text", /a reserved bit that nothing gives a meaning/],
  ["long lengths sent", "echo.text", /a length not in the fewest octets/],
  ["garbage for compressed", "compression.round-trip", /cannot be inflated/],
  ["bad window bits accepted", "compression.bad-offers", /server_max_window_bits=7" is accepted/],
  [
    "large messages drop the connection",
    "size.large-messages",
    /of 65536 bytes did not come back: the server/,
  ],
  ["drops every tenth message", "rapid.messages", /20 of 200 messages were lost, number 9 first/],
  ["swaps neighbours", "rapid.messages", /the order is lost/],
  ["echoes twice", "rapid.messages", /a message came back twice/],
  ["drops every tenth message", "latency.steady", /1 of 10 messages were not answered/],
  ["every fifth connection reset", "reconnect.after-loss", /reconnecting the \w+ time failed/],
  ["ten connections at most", "concurrent.connections", /\d of 20 connections worked; another: no answer/],
  // Only OpenSSL still speaks it.
  ...(runtime === "node" ? [["TLS 1.1 accepted", "tls.old-versions", /TLS 1\.1 is accepted/] as const] : []),
];

async function find(fault: Fault | RelayFault, test: string): Promise<Result | undefined> {
  const server = await startFaultyServer(fault);
  try {
    return (await runOn(server.url, [test], {
      timeoutMs: SILENT.includes(fault) ? IMPATIENT_MS : PATIENT_MS,
    }))[0];
  } finally {
    await server.close();
  }
}

describe("test-server on a server with a planted fault", () => {
  const results = new Map<number, Result | undefined>();
  before(async () => {
    const queue = [...FOUND.entries()].sort(([, [one]], [, [other]]) =>
      Number(SILENT.includes(other)) - Number(SILENT.includes(one))
    );
    const work = async (): Promise<void> => {
      for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
        const [index, [fault, test]] = next;
        results.set(index, await find(fault, test));
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
  });

  for (const [index, [fault, test, says]] of FOUND.entries()) {
    it(`finds with ${test}: ${fault}`, () => {
      const result = results.get(index);
      assertEquals(result?.status, "failed", result?.what);
      assertMatch(result?.what ?? "", says);
      assert((result?.onFailure ?? "").length > 0, "it says what to do");
    });
  }
});

describe("test-server on a right server", () => {
  let server: FaultyEcho;
  before(async () => {
    server = await startFaultyEcho();
  });
  after(() => server.close());

  it("passes every test that does not ask for TLS or Millrace", async () => {
    const results = await runOn(server.url, [...new Set(allTests.map(({ name }) => groupOf(name)))]);
    assertEquals(saying(results, "failed"), {});
    const skipped = Object.keys(saying(results, "skipped"));
    assertEquals(skipped, allTests.map(({ name }) => name).filter((name) => /^(tls|millrace)\./.test(name)));
  });

  it("does not mind one that answers in fragments", async () => {
    const fragmenting = await startFaultyEcho("answers in fragments");
    try {
      assertEquals(saying(await runOn(fragmenting.url, ["echo", "size", "rapid"]), "failed"), {});
    } finally {
      await fragmenting.close();
    }
  });

  it("takes a server that gives other messages back for no echo server, and finds no fault with it", async () => {
    const other = await startFaultyEcho("messages answered with another");
    try {
      const results = await runOn(other.url, ["echo", "rapid", "latency", "concurrent"]);
      assertEquals(saying(results, "failed"), {});
      assertMatch(
        saying(results, "skipped")["echo.text"] ?? "",
        /does not echo: it answered a message with another/,
      );
      assertEquals(Object.keys(saying(results, "passed")), ["latency.steady", "concurrent.connections"]);
    } finally {
      await other.close();
    }
  });
});

describe("test-server on TLS", () => {
  let server: Awaited<ReturnType<typeof startFaultyServer>>;
  before(async () => {
    server = await startFaultyServer("TLS");
  });
  after(() => server.close());

  const run = (changes: Partial<Settings>, ...names: string[]) => runOn(server.url, names, changes);

  it("passes a certificate that is believed, made out to the host and not about to expire", async () => {
    const results = await run({}, "connection", "tls", "ping");
    assertEquals(saying(results, "failed"), {});
    assertEquals(saying(results, "skipped"), {});
  });

  it("finds a certificate that is not believed, and sends nothing over such a connection", async () => {
    const results = await run({ trust: {} }, "connection.open", "tls", "ping.answer");
    assertEquals(Object.keys(saying(results, "failed")), ["connection.open", "tls.chain"]);
    assertMatch(saying(results, "failed")["tls.chain"] ?? "", /signed by itself/);
    assertEquals(Object.keys(saying(results, "skipped")), ["ping.answer"]);
  });

  it("believes any certificate with --insecure, and says what it did not look at", async () => {
    const results = await run({ trust: { insecure: true } }, "connection.open", "tls", "ping.answer");
    assertEquals(saying(results, "failed"), {});
    assertEquals(Object.keys(saying(results, "skipped")), ["tls.chain", "tls.name"]);
  });

  it("finds a certificate that is about to expire, thirteen days before, and none at fourteen", async () => {
    const end = Date.parse("2126-10-29T15:50:15Z");
    const at = (days: number) => run({ now: () => end - days * DAY_MS }, "tls.dates");
    const [late, early] = await Promise.all([at(13), at(14)]);
    assertMatch(saying(late, "failed")["tls.dates"] ?? "", /expires in 13 days/);
    assertEquals(saying(early, "failed"), {});
  });
});
