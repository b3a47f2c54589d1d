/** Every mistake that scripts/validate_config knows, in a file with it and in one without it, and broken files. */
import { readFileSync } from "node:fs";
import { after, describe, it } from "node:test";
import { assert, assertEquals, assertGreater, assertMatch } from "@std/assert";
import type { Finding } from "../../scripts/validate_config/finding.ts";
import { rules } from "../../scripts/validate_config/rules/all.ts";
import { whyMissing } from "../../scripts/debian.ts";
import { runtime } from "../helpers/runtime.ts";
import { type Broken, brokenHaproxy, brokenNginx } from "./broken.ts";
import { haproxyMistakes } from "./haproxy_mistakes.ts";
import { nginxMistakes } from "./nginx_mistakes.ts";
import { type Mistake, RIGHT } from "./right.ts";
import { changed, refusals, Workbench } from "./workbench.ts";

const bench = new Workbench();
after(() => bench.remove());

/** Notes that the right configurations deserve. */
const RIGHT_NOTES = ["sticky"];

function lineOf({ place }: Finding): string {
  return readFileSync(place.file, "utf8").split("\n")[place.line - 1] ?? "";
}

function worthTelling(findings: readonly Finding[]): string[] {
  return findings.filter(({ severity }) => severity !== "note").map(({ rule, what }) => `${rule}: ${what}`);
}

/** Fewer files would mean that the tests above have not run. */
const MANY = 50;

/** The files with a mistake, for the real program. */
const written: { program: "nginx" | "haproxy"; path: string; isRefused: boolean }[] = [];

function testMistake(program: "nginx" | "haproxy", mistake: Mistake): void {
  const {
    rule,
    severity,
    change,
    setup = [],
    at = change.at(-1)?.[1] ?? Object.keys(mistake.millrace ?? {})[0] ?? "",
    known = {},
    millrace,
  } = mistake;
  const rightMillrace = mistake.rightMillrace ?? (millrace === undefined ? undefined : {});
  const right = changed(RIGHT[program], setup);
  const before = bench.write(program, right);
  const path = bench.write(program, changed(right, change));
  // Without a change it is the right one, or a setup that others have, too.
  if (change.length > 0) written.push({ program, path, isRefused: mistake.isRefused === true });
  const without = bench.findings(program, before, known.nowMs === undefined ? known : {}, rightMillrace);
  const clean = without.filter((finding) =>
    finding.rule === rule && !(rule === "sticky" && severity === "error" && finding.severity === "note")
  );
  assertEquals(clean, [], "the right configuration has it, too");
  const findings = bench.findings(program, path, known, millrace);
  const found = findings.filter((finding) => finding.rule === rule);
  assertGreater(found.length, 0, `not found; only ${JSON.stringify(findings.map((one) => one.rule))}`);
  assert(found.every((one) => one.severity === severity), JSON.stringify(found));
  const [first] = found;
  assert(first !== undefined && lineOf(first).includes(at), `another line: ${first && lineOf(first)}`);
  // One mistake is one finding: it does not make other rules speak up.
  const others = findings.filter((one) =>
    one.rule !== rule && one.severity !== "note" && !without.some(({ what }) => what === one.what)
  );
  assertEquals(others.map((one) => `${one.rule}: ${one.what}`), []);
}

describe("validate-config", () => {
  for (const program of ["nginx", "haproxy"] as const) {
    const mistakes = program === "nginx" ? nginxMistakes : haproxyMistakes;
    it(`finds nothing wrong with a right configuration of ${program}, with Millrace's and without`, () => {
      const path = bench.write(program, RIGHT[program]);
      for (const findings of [bench.findings(program, path, {}), bench.findings(program, path, {}, {})]) {
        assertEquals(worthTelling(findings), []);
        assertEquals([...new Set(findings.map(({ rule }) => rule))], RIGHT_NOTES);
      }
    });

    for (const [index, mistake] of mistakes.entries()) {
      const { rule, severity, change, millrace, known } = mistake;
      const shown = JSON.stringify(change.at(-1)?.[1] ?? millrace ?? known);
      it(`${program} ${index}: finds ${rule} (${severity}) when there is ${shown}`, () =>
        testMistake(program, mistake));
    }

    it(`has a mistake in the tests for every rule about ${program}`, () => {
      const known = new Set(mistakes.map(({ rule }) => rule));
      const needed = rules.filter((rule) =>
        rule[program] !== undefined && !NOT_FOR[program].includes(rule.id)
      );
      assertEquals(needed.map(({ id }) => id).filter((id) => !known.has(id)), []);
    });
  }
});

/** Rules that are about both programs and cannot be broken with this one. */
const NOT_FOR = {
  nginx: ["proxy-protocol"],
  haproxy: ["certificate-name"],
};

function testBroken(program: "nginx" | "haproxy", { change, says, at }: Broken): void {
  const path = bench.write(program, changed(RIGHT[program], change));
  written.push({ program, path, isRefused: true });
  const findings = bench.findings(program, path, {});
  const [first] = findings;
  assert(first !== undefined, "nothing found");
  assertEquals(findings.filter(({ rule }) => !["syntax", "fragment"].includes(rule)), []);
  assertMatch(findings.map(({ what }) => what).join("\n"), says);
  const one = findings.find(({ what }) => says.test(what)) ?? first;
  assert(lineOf(one).includes(at), `another line: ${lineOf(one)}`);
}

describe("validate-config on broken files", () => {
  for (const [program, broken] of [["nginx", brokenNginx], ["haproxy", brokenHaproxy]] as const) {
    for (const one of broken) {
      it(`says ${one.says.source} of ${program} with ${JSON.stringify(one.change[0]?.[1])}`, () =>
        testBroken(program, one));
    }
  }
});

describe("validate-config agrees with the real program on what is broken", () => {
  for (const program of ["nginx", "haproxy"] as const) {
    const skip = runtime === "node" ? whyMissing(program) : "a separate process: Node's run has it";
    it(
      `${program} refuses the files that are said to be broken, and takes the others`,
      { skip },
      async () => {
        const files = written.filter((one) => one.program === program);
        files.push({ program, path: bench.write(program, RIGHT[program]), isRefused: false });
        assertGreater(files.length, MANY);
        const said = await refusals(program, files.map(({ path }) => path));
        const wrong = files.filter(({ isRefused }, index) => (said[index] !== undefined) !== isRefused);
        assertEquals(
          wrong.map(({ path }) =>
            `${said[files.findIndex((one) => one.path === path)] ?? "taken"}\n${readFileSync(path, "utf8")}`
          ),
          [],
        );
      },
    );
  }
});
