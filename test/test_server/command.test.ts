/** The command: what its arguments mean, what it prints, its exit codes, and a JUnit report that an XML parser takes. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { assert, assertEquals, assertMatch, assertStringIncludes, assertThrows } from "@std/assert";
import { SaxesParser } from "saxes";
import { type Command, HELP, readCommand } from "../../scripts/test_server/command.ts";
import { escapeXml, junitXml } from "../../scripts/test_server/junit.ts";
import { makeReport, type Report, reportText } from "../../scripts/test_server/report.ts";
import type { Result } from "../../scripts/test_server/test.ts";
import { allTests } from "../../scripts/test_server/tests/mod.ts";
import { type FaultyEcho, startFaultyEcho } from "../helpers/faulty_echo.ts";
import { runtime } from "../helpers/runtime.ts";
import { runScript, stopProcesses } from "../helpers/server.ts";
import { fixture } from "./faulty_server.ts";
import { runOn, saying } from "./setup.ts";

const URL_HERE = "ws://127.0.0.1:1/ws";

function read(...args: string[]): Command {
  const command = readCommand(args);
  assert(command !== "help" && "settings" in command);
  return command;
}

describe("the arguments of test-server", () => {
  it("choose the quick tests, all of them, or some by name and group", () => {
    const names = (...args: string[]) => read(URL_HERE, ...args).tests.map(({ name }) => name);
    assertEquals(names("--test-all").length, allTests.length);
    assertEquals(names(), allTests.filter(({ quick }) => quick).map(({ name }) => name));
    assertEquals(names("--test", "close.tcp", "--test", "echo.json"), ["close.tcp", "echo.json"]);
    assertEquals(names("--test", "ping").length, 3);
    assertThrows(
      () => read(URL_HERE, "--test", "pong"),
      RangeError,
      "there is no test pong; groups are connection",
    );
    assertThrows(() => read(URL_HERE, "--test", "ping", "--test-all"), TypeError, "not both");
  });

  it("make the headers of handshakes", () => {
    const { headers, subprotocols } = read(
      ...[URL_HERE, "--token", "abc", "--origin", "https://a.example", "--header", "host: b.example"],
      ...["--header", "Cookie: c=1:2", "--subprotocol", "x", "--subprotocol", "y"],
    ).settings;
    assertEquals(headers, {
      Host: "b.example",
      Cookie: "c=1:2",
      Authorization: "Bearer abc",
      Origin: "https://a.example",
    });
    assertEquals(subprotocols, ["x", "y"]);
  });

  it("set bounds, in seconds, numbers and bytes", () => {
    const { settings } = read(URL_HERE, "--duration", "0.5", "--timeout-seconds", "3", "--connections", "7");
    assertEquals([settings.durationMs, settings.timeoutMs, settings.connections], [500, 3_000, 7]);
  });

  const wrong: readonly (readonly [string[], string])[] = [
    [[], "exactly one URL is needed"],
    [[URL_HERE, URL_HERE], "exactly one URL is needed"],
    [["localhost:9001"], "not a ws: or wss: URL"],
    [["nonsense"], "not a URL: nonsense; right would be"],
    [["http://127.0.0.1/"], "not a ws: or wss: URL"],
    [[URL_HERE, "--duration", "soon"], "--duration soon: must be a number above 0"],
    [[URL_HERE, "--connections", "0"], "--connections 0: must be a number above 0, at most 10000"],
    [[URL_HERE, "--messages", "1.5"], "--messages 1.5: must be a whole number"],
    [[URL_HERE, "--header", "no colon"], "must be 'Name: value'"],
    [[URL_HERE, "--header", "Sec-WebSocket-Key: x"], "the tests write that one themselves"],
    [[URL_HERE, "--token", "a\r\nEvil: 1"], "has a control character"],
    [[URL_HERE, "--subprotocol", "a, b"], "has characters that a header may not have there"],
    [[URL_HERE, "--topic", "a b"], "must be tokens of"],
    [[URL_HERE, "--ca", "/no/such/file"], "--ca /no/such/file: cannot be read"],
    [[URL_HERE, "--ca", fixture("localhost.key.pem")], "has no certificate in PEM form"],
    [[URL_HERE, "--no-such-flag"], "--no-such-flag"],
  ];
  for (const [args, says] of wrong) {
    it(`that are wrong are told: ${JSON.stringify(args.slice(-2)).replaceAll(/[^ -~]/g, "?")}`, () => {
      assertStringIncludes(assertThrows(() => readCommand(args), Error).message, says);
    });
  }

  it("are all in the help, which names the tests that are not quick", () => {
    const flags: readonly string[] = HELP.match(/--[a-z-]+/g) ?? [];
    for (const flag of ["--test-all", "--duration", "--junit", "--insecure", "--ca", "--origin"]) {
      assert(flags.includes(flag), flag);
    }
    assertStringIncludes(HELP, "close.unlawful-codes");
    assertEquals(readCommand(["--help"]), "help");
    assertEquals("list" in Object(readCommand(["--list", "--test", "ping"])), true);
  });
});

const NOT_XML = "\u0000\u001b\ufffe\ud800";
const AWKWARD = `<&>"' ]]> ${NOT_XML} é 🏔\r\n\ttab`;
const RESULTS: readonly Result[] = (["passed", "failed", "skipped"] as const).map((status) => ({
  name: `group.${status}`,
  checks: "What it checks.",
  section: "RFC 6455, 1",
  status,
  what: AWKWARD,
  notes: status === "passed" ? [AWKWARD] : [],
  figures: {},
  ...(status === "failed" ? { onFailure: "Do this.", log: [`< ${AWKWARD}`] } : {}),
  durationMs: 12,
}));
const REPORT: Report = makeReport(
  `ws://127.0.0.1/?a=1&b=<"`,
  { kind: { name: "unknown", why: "" }, results: RESULTS },
  1_234,
  "2026-01-02T03:04:05.678Z",
);

describe("the JUnit report", () => {
  it("is well-formed XML whatever the server said, and gives it back", () => {
    const texts: string[] = [];
    const seen: Record<string, string>[] = [];
    const parser = new SaxesParser();
    parser.on("error", (error) => {
      throw error;
    });
    parser.on("opentag", ({ name, attributes }) => seen.push({ tag: name, ...attributes }));
    parser.on("text", (text) => texts.push(text));
    parser.write(junitXml(REPORT)).close();
    const suite = seen.find(({ tag }) => tag === "testsuite");
    assertEquals(suite?.["name"], `test-server ws://127.0.0.1/?a=1&b=<"`);
    assertEquals([suite?.["tests"], suite?.["failures"], suite?.["skipped"]], ["3", "1", "1"]);
    assertEquals(suite?.["timestamp"], "2026-01-02T03:04:05");
    const readable = AWKWARD.replace(NOT_XML, "\ufffd".repeat(4));
    assertEquals(seen.find(({ tag }) => tag === "failure")?.["message"], readable);
    assertEquals(seen.find(({ tag }) => tag === "skipped")?.["message"], readable);
    assert(texts.some((text) => text.includes(`Do this.\n< ${readable}`)));
    assertEquals(seen.filter(({ tag }) => tag === "testcase").map(({ name }) => name), [
      "group.passed",
      "group.failed",
      "group.skipped",
    ]);
  });

  it("escapes nothing that need not be", () => {
    assertEquals(escapeXml("plain text, é 🏔 it's"), "plain text, é 🏔 it's");
  });
});

describe("the text report", () => {
  it("has a line for each test, what to do about a failed one, and the sum", () => {
    const text = reportText(REPORT);
    assertMatch(text, /^ {2}FAILED {2}group\.failed/m);
    assertMatch(text, /^ {10}to do: {3}Do this\.$/m);
    assertMatch(text, /^1 passed, 1 failed, 1 skipped in 1\.2 s$/m);
  });

  it("says once why a whole group was skipped", async () => {
    const server = await startFaultyEcho();
    try {
      const results = await runOn(server.url, ["tls"]);
      const text = reportText(
        makeReport(server.url, { kind: { name: "echo", greetings: 0 }, results }, 1, ""),
      );
      assertMatch(text, /^ {2}skipped tls \(5 tests\) +the URL is ws:, without TLS$/m);
    } finally {
      await server.close();
    }
  });
});

describe("test-server where nothing listens", () => {
  it("finds that in connection.open and skips the rest", async () => {
    const gone = await startFaultyEcho();
    await gone.close();
    const results = await runOn(gone.url, ["connection", "ping"]);
    assertEquals(Object.keys(saying(results, "failed")), ["connection.open"]);
    assertMatch(saying(results, "failed")["connection.open"] ?? "", /ECONNREFUSED|refused|Failed to connect/);
    assertEquals(Object.keys(saying(results, "skipped")).length, 5);
  });
});

describe("the command test-server", { skip: runtime !== "node" }, () => {
  let server: FaultyEcho;
  let folder: string;
  before(async () => {
    server = await startFaultyEcho("pong without payload");
    folder = mkdtempSync(join(tmpdir(), "millrace-"));
  });
  after(async () => {
    await Promise.all([server.close(), stopProcesses()]);
    rmSync(folder, { recursive: true });
  });

  async function run(on: "node" | "bun", ...args: string[]) {
    const { output, errorOutput, exitCode } = runScript(on, "scripts/test-server.ts", args);
    const code = await exitCode();
    const all = output.all.join("");
    return { code, stdout: errorOutput() === "" ? all : "", stderr: errorOutput() };
  }

  it("exits with 0, 1 and 2, and writes JSON and JUnit", async () => {
    const junit = join(folder, "report.xml");
    const [good, bad, wrong] = await Promise.all([
      run("bun", server.url, "--test", "ping.answer", "--json"),
      run("node", server.url, "--test", "ping", "--junit", junit),
      run("node", "http://127.0.0.1/"),
    ]);
    assertEquals(good.code, 0, good.stderr);
    const report = JSON.parse(good.stdout) as Report;
    assertEquals(report.summary, { passed: 1, failed: 0, skipped: 0 });
    assertEquals([report.server, report.tests[0]?.name], ["echo", "ping.answer"]);
    assertEquals(bad.code, 1);
    assertStringIncludes(bad.stdout, "FAILED  ping.payload");
    assertStringIncludes(readFileSync(junit, "utf8"), '<failure type="finding"');
    assertEquals(wrong.code, 2);
    assertMatch(wrong.stderr, /^test-server: not a ws: or wss: URL/);
  });
});
