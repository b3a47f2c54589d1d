/**
 * The notation in which contenders are named on the command line, and what contenders say they can do.
 */
import { describe, it } from "node:test";
import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import type { Launch } from "../../bench/contender.ts";
import { builtIn, contenderNamed, isPicked, parseContender } from "../../bench/contenders.ts";
import type { Cell } from "../../bench/result.ts";
import { setupOf } from "../../bench/run.ts";

function launch(
  name: string,
  workload: Cell["workload"],
  parameters: Cell["parameters"] = {},
): Launch | string {
  return parseContender(name).launch(setupOf({ workload, parameters }));
}

function command(
  name: string,
  workload: Cell["workload"],
  parameters: Cell["parameters"] = {},
): readonly string[] {
  const answer = launch(name, workload, parameters);
  if (typeof answer === "string") throw new Error(answer);
  return answer.command;
}

describe("a contender's specification", () => {
  it("is a name with a command line whose quotes group words", () => {
    const contender = parseContender(`mine=/opt/server --port {port} --name "a b"`);
    assertEquals([contender.name, contender.protocol], ["mine", "bare"]);
    assertEquals(command(`mine=/opt/server --port {port} --name "a b"`, "echo"), [
      ...["/opt/server", "--port", "{port}", "--name", "a b"],
    ]);
  });

  it("may name the protocol that the server speaks", () => {
    assertEquals(parseContender("mine:millrace=/opt/server").protocol, "millrace");
    assertThrows(() => parseContender("mine:smoke=/opt/server"), RangeError, "smoke");
  });

  it("may be a built-in name, told to publish for the fan-out only", () => {
    assert(command("ws", "fanout").includes("--publish"));
    assert(!command("ws", "echo").includes("--publish"));
    assertThrows(() => parseContender("nobody"), RangeError, "needs a command");
  });

  it("is refused for the fan-out when it has no framing", () => {
    assertEquals(parseContender("tcp-node").protocol, "tcp");
    assertEquals(launch("tcp-node", "fanout"), "a raw TCP echo has no fan-out");
    assertEquals(launch("mine:tcp=/opt/server", "fanout"), "the tcp protocol has no fan-out");
  });
});

describe("the built-in contenders", () => {
  it("have names of their own, picked by whole words", () => {
    assertEquals(new Set(builtIn.map(({ name }) => name)).size, builtIn.length);
    assert(isPicked("engine-ts-node", "ts") && isPicked("ws-bufferutil", "ws") && isPicked("ws", "ws"));
    assert(!isPicked("uws-bare", "ws") && !isPicked("nats", "ts"));
  });

  it("say what they cannot do instead of being measured at something else", () => {
    assertStringIncludes(String(launch("deno-bare", "echo", { deflate: "on" })), "no compression");
    assertStringIncludes(String(launch("socketio", "echo", { binary: true })), "two messages");
    assertStringIncludes(String(launch("server-bun", "echo", { binary: true })), "text");
    assertStringIncludes(String(launch("ws", "server")), "no formats");
  });

  it("start the whole server without the guards that would refuse the load, or with limits that are only checked", () => {
    const without = command("server-ts-node", "server");
    assertEquals(without[without.indexOf("--message-rate") + 1], "0");
    assertEquals(without[without.indexOf("--handshake-rate") + 1], "0");
    const checked = command("server-ts-node", "server", { rates: true });
    assert(Number(checked[checked.indexOf("--message-rate") + 1]) > 1e6);
  });

  it("speak the format that a cell asks for", () => {
    const answer = contenderNamed("server-bun").launch(
      setupOf({ workload: "server", parameters: { format: "msgpack" } }),
    );
    assertEquals(typeof answer === "string" ? answer : answer.protocol, "millrace-msgpack");
  });
});
