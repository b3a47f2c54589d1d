import process from "node:process";
import { describe, it } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { readProcessFigures } from "../../server/observe/process_figures.ts";

describe("the figures of the process", () => {
  it("go without the memory when connections have taken the last file descriptor", () => {
    assert((readProcessFigures().memory?.residentBytes ?? 0) > 0);
    const { memoryUsage } = process;
    try {
      // As Node and Bun do then.
      process.memoryUsage = Object.assign(() => {
        throw new Error("EMFILE: too many open files, uv_resident_set_memory");
      }, memoryUsage);
      const { memory, userCpuSeconds } = readProcessFigures();
      assertEquals(memory, undefined);
      assert(userCpuSeconds > 0);
    } finally {
      process.memoryUsage = memoryUsage;
    }
  });
});
