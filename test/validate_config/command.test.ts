/** The command as an operator runs it, and real configurations, which must not be complained about. */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { after, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { assert, assertEquals, assertGreater, assertMatch, assertStringIncludes } from "@std/assert";
import { answer } from "../../scripts/validate_config/command.ts";
import { everyRule } from "../../scripts/validate_config/rules/all.ts";
import { readHaproxy } from "../../scripts/validate_config/haproxy_tree.ts";
import { validate } from "../../scripts/validate_config/validate.ts";
import { runtime } from "../helpers/runtime.ts";
import { RIGHT, RIGHT_MILLRACE } from "./right.ts";
import { changed, KNOWN, Workbench } from "./workbench.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const bench = new Workbench();
after(() => bench.remove());

function run(...args: string[]): { status: number; stdout: string; stderr: string } {
  const { exit: status, stdout, stderr } = answer(args);
  return { status, stdout, stderr };
}

describe("the command validate-config", () => {
  it("prints what it answers, and ends with its exit code", {
    skip: runtime === "node" ? false : "a process of Node: Node's run has it",
  }, () => {
    const path = bench.write(
      "haproxy",
      changed(RIGHT.haproxy, [["timeout tunnel 90s", "timeout tunnel 35s"]]),
    );
    for (const args of [[path], [path, "--type", "apache"]]) {
      const script = join(root, "scripts/validate-config.ts");
      const command = ["--import", "tsx", script, ...args];
      const { status, stdout, stderr } = spawnSync(process.execPath, command, {
        cwd: root,
        encoding: "utf8",
      });
      assertEquals({ status, stdout, stderr }, run(...args));
      assertGreater(status ?? 0, 0);
    }
  });

  it("ends with 0 for a right file, and names the program that it has recognised", () => {
    const { status, stdout } = run(bench.write("haproxy", RIGHT.haproxy));
    assertMatch(stdout, /^haproxy, 1 file: 0 errors, 0 warnings, 1 note$/m);
    assertEquals(status, 0);
  });

  it("ends with 1 for a warning, and tells place, reason and right lines as text", () => {
    const path = bench.write(
      "nginx",
      changed(RIGHT.nginx, [["proxy_read_timeout 90s;", "proxy_read_timeout 35s;"]]),
    );
    const { status, stdout } = run(path);
    assertEquals(status, 1);
    assertStringIncludes(
      stdout,
      `${path}:38: warning: proxy_read_timeout ends a silent connection after 35 s`,
    );
    assertStringIncludes(stdout, "[idle-timeout]\n    Healthy connections");
    assertStringIncludes(stdout, "\n    + proxy_read_timeout 70s;\n");
  });

  it("writes the same as JSON, compares with Millrace's file and flags, and leaves rules out", () => {
    const path = bench.write("nginx", changed(RIGHT.nginx, [["server_tokens off;", ""]]));
    const millrace = join(bench.folder, "millrace.json");
    writeFileSync(millrace, JSON.stringify(RIGHT_MILLRACE));
    const { status, stdout } = run(
      path,
      "--json",
      "--skip",
      "server-tokens,sticky",
      "--millrace",
      millrace,
      "--",
      "--port",
      "9",
    );
    assertEquals(status, 1);
    const report = JSON.parse(stdout) as { summary: object; findings: { rule: string; fix: string[] }[] };
    assertEquals(report.summary, { error: 1, warning: 0, note: 0 });
    assertEquals(report.findings.map(({ rule }) => rule), ["server-address"]);
  });

  it("passes on what Millrace refuses of its own options", () => {
    const { status, stdout } = run(
      bench.write("haproxy", RIGHT.haproxy),
      "--",
      "--heartbeat-seconds",
      "many",
    );
    assertEquals(status, 1);
    assertMatch(stdout, /heartbeatSeconds must be .*\[millrace-options\]/);
  });

  it("ends with 2 for wrong use, with what would be right", () => {
    const file = bench.write("nginx", RIGHT.nginx);
    const cases: readonly (readonly [RegExp, ...string[]])[] = [
      [/does not exist/, "/nonexistent/nginx.conf"],
      [/--type must be nginx or haproxy/, file, "--type", "apache"],
      [/no rule nothing; --list/, file, "--skip", "nothing"],
    ];
    for (const [says, ...args] of cases) {
      const { status, stdout, stderr } = run(...args);
      assertEquals([status, stdout], [2, ""]);
      assertMatch(stderr, says);
    }
  });
});

/** Certificates of other machines are not here. */
const ELSEWHERE = ["certificate-file"];

function complaints(program: "nginx" | "haproxy", path: string): string[] {
  const { findings } = validate(program, [path], KNOWN, undefined);
  return findings.filter(({ severity, rule }) => severity !== "note" && !ELSEWHERE.includes(rule))
    .map(({ place, rule, what }) => `${place.file}:${place.line}: ${rule}: ${what}`);
}

const REAL = [
  ["nginx", "/etc/nginx/nginx.conf"],
  ["nginx", "/etc/nginx/sites-available/default"],
  ["haproxy", "/etc/haproxy/haproxy.cfg"],
  ["nginx", join(root, "deploy/nginx/nginx.conf")],
  ["haproxy", join(root, "deploy/haproxy")],
] as const;

describe("validate-config on real configurations", () => {
  for (const [program, path] of REAL) {
    const skip = !existsSync(path) && `NOT TESTED: there is no ${path}`;
    it(`finds nothing to complain about in ${path.replace(root, "")}`, { skip }, () => {
      assertEquals(complaints(program, path), []);
    });
  }

  it("finds every section of Debian's haproxy.cfg", {
    skip: !existsSync(REAL[2][1]) && "NOT TESTED: no haproxy.cfg",
  }, () => {
    assertEquals(readHaproxy([REAL[2][1]]).sections.map(({ kind }) => kind), ["global", "defaults"]);
  });
});

describe("docs/validate-config.md", () => {
  it("has a row for every rule, with its severity and what it finds, and no other", () => {
    const page = readFileSync(join(root, "docs/validate-config.md"), "utf8");
    const rows = page.split("\n").filter((line) => line.startsWith("| `")).map((line) =>
      line.split("|").slice(1, -1).map((cell) => cell.trim())
    );
    assert(rows.length > 0);
    assertEquals(
      rows.map(([id, severity, finds]) => `${id} ${severity} ${finds}`),
      everyRule.map(({ id, severity, finds }) => `\`${id}\` ${severity} ${finds}`),
    );
  });
});
