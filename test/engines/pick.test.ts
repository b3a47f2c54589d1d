import { describe, it } from "node:test";
import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import { EngineUnavailable, pickEngine } from "../../server/engines/pick.ts";
import { runtime, whyNot } from "../helpers/runtime.ts";

describe("the choice of an engine", () => {
  it("takes the native engine of the runtime, and ts where there is none", async () => {
    const native = { node: await whyNot("uws") === false ? "uws" : "ts", bun: "bun", deno: "ts" }[runtime];
    assertEquals((await pickEngine("auto")).name, native);
  });

  it("finds ts on every runtime", async () => {
    assertEquals((await pickEngine("ts")).name, "ts");
  });

  for (const [name, home] of [["bun", "bun"], ["uws", "node"]] as const) {
    it(
      `says in one line why ${name} cannot run elsewhere, and what to do`,
      { skip: runtime === home },
      async () => {
        const { message } = await assertRejects(() => pickEngine(name), EngineUnavailable);
        assertMatch(message, new RegExp(`^engine "${name}" [^\\n]* use "npm run server[^\\n]*$`));
      },
    );
  }
});
