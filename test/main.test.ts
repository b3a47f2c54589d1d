/** The command as a process: what it prints, on which stream, and with which code it ends. */
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { after, describe, it } from "node:test";
import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { helpText } from "../server/config.ts";
import { processEngines, runCommand, stopProcesses, whyNotAsProcess } from "./helpers/server.ts";

for (const engine of processEngines.filter((engine) => engine !== "ts")) {
  describe(`the command, on ${engine}`, { skip: whyNotAsProcess(engine) }, () => {
    after(stopProcesses);

    /** What the command says before it ends by itself: its exit code and the lines on each stream. */
    async function end(flags: readonly string[], environment: Record<string, string> = {}) {
      const run = runCommand(engine, flags, environment);
      const code = await run.exitCode();
      const errors = run.errorOutput();
      const all = run.output.all.join("");
      return {
        code,
        errors: errors.split("\n").slice(0, -1),
        printed: all.length > errors.length ? all : "",
      };
    }

    it("ends with 2 and one line per problem for options that cannot be used", async () => {
      const { code, errors, printed } = await end(["--prot", "1", "--max-errors", "many"], {
        MILLRACE_NOPE: "1",
      });
      assertEquals([code, printed], [2, ""]);
      assertEquals(errors, [
        "millrace: --prot: unknown option; did you mean --port?",
        "millrace: MILLRACE_NOPE: unknown variable; did you mean MILLRACE_NODE?",
        `millrace: --max-errors: maxErrors must be a whole number from 1 to 1000000, not "many"`,
      ]);
    });

    it("ends with 2 and one line for options that contradict each other", async () => {
      const { code, errors } = await end(["--heartbeat-seconds", "5"]);
      assertEquals(code, 2);
      assertEquals(errors, [
        "millrace: heartbeatTimeoutSeconds (10) must be less than heartbeatSeconds (5)",
      ]);
    });

    it("ends with 1 and one line when the port is in use", async () => {
      const other = createServer().listen(0, "127.0.0.1");
      try {
        await once(other, "listening");
        const { port } = other.address() as AddressInfo;
        const { code, errors, printed } = await end(["--port", String(port)]);
        assertEquals([code, errors.length, printed], [1, 1, ""], errors.join("\n"));
        assertMatch(
          errors[0] ?? "",
          new RegExp(`^millrace: cannot listen on 127\\.0\\.0\\.1:${port}: .*in use`),
        );
      } finally {
        other.close();
      }
    });

    it("ends with 1 and one line when it may not have the address", async () => {
      // TEST-NET-1 (RFC 5737) is nobody's address.
      const { code, errors, printed } = await end([
        "--host",
        "192.0.2.1",
        "--port",
        "0",
        "--insecure-anonymous",
      ]);
      assertEquals([code, errors.length, printed], [1, 1, ""], errors.join("\n"));
      assertMatch(errors[0] ?? "", /^millrace: cannot listen on 192\.0\.2\.1:0: /);
    });

    it("ends with 1 and one line when the engine cannot load, and says what to do", async () => {
      const other = engine === "bun" ? "uws" : "bun";
      const { code, errors, printed } = await end(["--engine", other]);
      assertEquals([code, errors.length, printed], [1, 1, ""], errors.join("\n"));
      assertMatch(errors[0] ?? "", new RegExp(`^millrace: engine "${other}" .*: use "npm run server`));
    });

    it("prints its help and its configuration on standard output and ends with 0", async () => {
      const [help, config] = await Promise.all([
        end(["--help"]),
        end(["--print-config", "--port", "77"]),
      ]);
      assertEquals([help.code, help.errors, help.printed], [0, [], helpText()]);
      assertEquals([config.code, config.errors], [0, []]);
      assertMatch(config.printed, /^port = 77 +# --port$/m);
    });

    it("writes JSON lines when standard output is no terminal, the first saying where it listens", async () => {
      const run = runCommand(engine, ["--port", "0"]);
      await run.output.until((all) => all.join("").includes("\n"), "a line");
      run.signal("SIGTERM");
      assertEquals(await run.exitCode(), 0);
      const lines = run.output.all.join("").trimEnd().split("\n").map((line) => JSON.parse(line));
      const [listening] = lines;
      assertMatch(
        listening.msg,
        new RegExp(`^listening on ws://127\\.0\\.0\\.1:[1-9]\\d*/ws engine=${engine}$`),
      );
      assertEquals([listening.level, listening.engine], ["info", engine]);
      assertEquals(listening.msg, `listening on ${listening.url} engine=${engine}`);
      for (const line of lines) assert(typeof line.time === "string" && typeof line.msg === "string");
    });

    it("writes plain text when it is told to", async () => {
      const run = runCommand(engine, ["--port", "0", "--log-format", "text", "--path", "/socket"]);
      await run.output.until((all) => all.join("").includes("\n"), "a line");
      run.signal("SIGTERM");
      await run.exitCode();
      assertMatch(
        run.output.all.join(""),
        new RegExp(`listening on ws://127\\.0\\.0\\.1:\\d+/socket engine=${engine}`),
      );
      assertThrows(() => JSON.parse(run.output.all.join("").split("\n")[0] ?? ""), SyntaxError);
    });
  });
}
