/** The command line of the benchmark: what it takes, and how it says what is wrong. */
import { describe, it } from "node:test";
import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { BENCHMARKS, type Options, readOptions } from "../../scripts/benchmark/options.ts";

const TARGET = ["ws://127.0.0.1:1/"];

function read(...args: string[]): Options {
  return readOptions([...TARGET, ...args]) as Options;
}

const wrong: readonly [args: string[], message: string][] = [
  [[], "exactly one URL is needed"],
  [["ws://127.0.0.1:1/", "ws://127.0.0.1:1/"], "exactly one URL is needed"],
  [["http://127.0.0.1/"], "expected ws://"],
  [["nonsense"], "not a URL"],
  [["ws://192.0.2.1/"], "--i-own-this-server"],
  [["ws://127.0.0.1.example.com/"], "--i-own-this-server"],
  [["wss://localhost.example.com/"], "--i-own-this-server"],
  [[...TARGET, "--benchmark", "speed"], "expected one of all, connections"],
  [[...TARGET, "--protocol", "mqtt"], "--protocol mqtt"],
  [[...TARGET, "--format", "xml"], "--format xml"],
  [[...TARGET, "--connections", "0"], "--connections 0"],
  [[...TARGET, "--connections", "2.5"], "--connections 2.5"],
  [[...TARGET, "--duration", "0"], "--duration 0"],
  [[...TARGET, "--rate", "fast"], "--rate fast"],
  [[...TARGET, "--header", "no colon"], "expected 'NAME: VALUE'"],
  [[...TARGET, "--header", "A: b\r\nC: d"], "expected 'NAME: VALUE'"],
  [[...TARGET, "--token", "a b"], "--token"],
  [[...TARGET, "--topic", "a b"], "--topic a b"],
  [[...TARGET, "--ca", "/nowhere/at/all.pem"], "--ca /nowhere/at/all.pem"],
  [[...TARGET, "--expect-p99-ms", "10"], "needs a --rate"],
  [[...TARGET, "--expect-rate", "10", "--benchmark", "memory"], "needs the benchmark knee or throughput"],
  [[...TARGET, "--unknown"], "--unknown"],
];

describe("the options of the benchmark", () => {
  for (const [args, message] of wrong) {
    it(`refuse ${args.join(" ").replace(/\s+/g, " ")}`, () => {
      const error = assertThrows(() => readOptions(args), Error);
      assertStringIncludes((error as Error).message, message);
    });
  }

  it("take other machines only from who says that they are theirs", () => {
    for (const url of ["ws://127.9.9.9/", "ws://localhost:9001/ws", "wss://[::1]/"]) {
      assertEquals((readOptions([url]) as Options).url.href, url);
    }
    const own = readOptions(["ws://192.0.2.1/", "--i-own-this-server"]) as Options;
    assertEquals(own.url.hostname, "192.0.2.1");
  });

  it("run everything by default, and what is asked for in the order of the benchmarks", () => {
    assertEquals(read().benchmarks, BENCHMARKS);
    assertEquals(read("--benchmark", "knee", "--benchmark", "throughput").benchmarks, ["throughput", "knee"]);
    assertEquals(read("--benchmark", "knee", "--benchmark", "all").benchmarks, BENCHMARKS);
  });

  it("send a token as a header beside the others", () => {
    assertEquals(read("--header", "Origin: https://example.com", "--token", "abc").headers, [
      "Origin: https://example.com",
      "Authorization: Bearer abc",
    ]);
  });

  it("leave the shares of the capacity to those who name no rate", () => {
    assertEquals([read().rates, read().shares], [[], [0.25, 0.5, 0.75]]);
    assertEquals([read("--rate", "10", "--rate", "20").rates, read("--rate", "10").shares], [[10, 20], []]);
  });

  it("answer --help whatever else is there", () => {
    assertEquals(readOptions(["--help"]), "help");
  });
});
