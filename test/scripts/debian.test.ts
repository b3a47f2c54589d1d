import { describe, it } from "node:test";
import process from "node:process";
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { findProgram, installMissing, type Machine, whyMissing } from "../../scripts/debian.ts";

const programs = [
  { program: "one", package: "first", neededFor: "the first thing" },
  { program: "two", package: "second", neededFor: "the second thing" },
];
const packages = new Map(programs.map(({ program, package: name }) => [name, program]));

interface Trial {
  readonly commands: string[];
  readonly lines: string[];
}

/** Tries it on a machine where `apt` may fail; what it installs without failing is there afterwards. */
function tryOn(
  given: { has?: string[]; whyNot?: string; apt?: (command: string, nth: number) => string | undefined },
): Trial {
  const installed = new Set(given.has);
  const commands: string[] = [];
  const lines: string[] = [];
  const machine: Machine = {
    has: (program) => installed.has(program),
    whyNot: given.whyNot,
    apt(...args) {
      commands.push(args.join(" "));
      const failure = given.apt?.(args.join(" "), commands.length);
      if (failure === undefined && args[0] === "install") installed.add(packages.get(args[1] ?? "") ?? "");
      return failure;
    },
    say: (line) => lines.push(line),
  };
  installMissing(programs, machine);
  return { commands, lines };
}

const skipped = (lines: readonly string[]) => lines.filter((line) => line.startsWith("NOT TESTED"));

describe("the programs that tests need", () => {
  it("cost nothing and no word when all are there", () => {
    assertEquals(tryOn({ has: ["one", "two"] }), { commands: [], lines: [] });
  });

  it("are installed when they are missing, and only those", () => {
    const { commands, lines } = tryOn({ has: ["one"] });
    assertEquals(commands, ["install second"]);
    assertEquals(skipped(lines), []);
  });

  it("are not installed where that is not allowed; each gets a line with what is not tested and why", () => {
    const { commands, lines } = tryOn({ whyNot: "only root may install it" });
    assertEquals(commands, []);
    assertEquals(lines.length, 2);
    assertMatch(lines[0] ?? "", /^NOT TESTED: the first thing: one is missing .*first.*only root/);
    assertMatch(lines[1] ?? "", /^NOT TESTED: the second thing: two is missing .*second.*only root/);
  });

  it("are asked for again after an update of the package lists, which is made once", () => {
    const stale = tryOn({ apt: (_, nth) => nth === 1 ? "E: Unable to locate package first" : undefined });
    assertEquals(stale.commands, ["install first", "update", "install first", "install second"]);
    assertEquals(skipped(stale.lines), []);
  });

  it("do not stand in each other's way: a package that is not to be had leaves the others", () => {
    const { commands, lines } = tryOn({
      apt: (command) => command === "install first" ? "E: Unable to locate package first" : undefined,
    });
    assertEquals(commands, ["install first", "update", "install first", "install second"]);
    assertEquals(skipped(lines).length, 1);
    assertStringIncludes(skipped(lines)[0] ?? "", "E: Unable to locate package first");
  });

  it("are given up when nothing can be fetched, without a second update", () => {
    const { commands, lines } = tryOn({ apt: () => "E: no network" });
    assertEquals(commands, ["install first", "update", "install second"]);
    assertEquals(skipped(lines).length, 2);
  });

  it("are said to be missing when a package is installed that does not have them", () => {
    const lines: string[] = [];
    const machine = { has: () => false, whyNot: undefined, apt: () => undefined };
    installMissing(programs, { ...machine, say: (line) => void lines.push(line) });
    assertStringIncludes(skipped(lines)[0] ?? "", "first does not have it");
  });

  it("are found with their path, and give a reason to skip when they are not", () => {
    assertEquals(findProgram("sh")?.endsWith("/sh"), true);
    assertEquals(whyMissing("sh"), false);
    assertEquals(findProgram("millrace-has-no-such-program"), undefined);
    assertMatch(String(whyMissing("millrace-has-no-such-program")), /^NOT TESTED: /);
  });

  it("are looked for where Debian puts servers too", { skip: process.platform !== "linux" }, () => {
    const path = process.env["PATH"];
    process.env["PATH"] = "";
    try {
      assertEquals(findProgram("ldconfig")?.endsWith("/sbin/ldconfig"), true);
      assertEquals(findProgram("sh"), undefined);
    } finally {
      process.env["PATH"] = path ?? "";
    }
  });
});
