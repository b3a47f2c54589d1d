/**
 * The notation in which contenders are named on the command line.
 */
import { describe, it } from "node:test";
import { assertEquals, assertThrows } from "@std/assert";
import { parseContender } from "../../bench/contenders.ts";

describe("a contender's specification", () => {
  it("is a name with a command line whose quotes group words", () => {
    assertEquals(parseContender(`mine=/opt/server --port {port} --name "a b"`, "echo"), {
      name: "mine",
      protocol: "bare",
      command: ["/opt/server", "--port", "{port}", "--name", "a b"],
    });
  });

  it("may name the protocol that the server speaks", () => {
    assertEquals(parseContender("mine:millrace=/opt/server", "fanout").protocol, "millrace");
    assertThrows(() => parseContender("mine:smoke=/opt/server", "fanout"), RangeError, "smoke");
  });

  it("may be a built-in name, told to publish for the fan-out only", () => {
    assertEquals(parseContender("ws", "fanout").command.at(-1), "--publish");
    assertEquals(parseContender("ws", "echo").command.at(-1), "{port}");
    assertThrows(() => parseContender("nobody", "echo"), RangeError, "needs a command");
  });

  it("is refused for the fan-out when it has no framing", () => {
    assertEquals(parseContender("tcp-node", "echo").protocol, "tcp");
    assertThrows(() => parseContender("tcp-node", "fanout"), RangeError, "no fan-out");
  });
});
