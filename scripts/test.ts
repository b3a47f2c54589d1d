/**
 * `npm test`: the same test files on Node, then on Bun and Deno at once, and a line that counts them all.
 * What a runtime printed is shown only when something failed. `--only node,bun` picks runtimes, `--long` adds the tests
 * that take minutes; further arguments pick files by a part of their path. Debian programs that tests need are installed
 * first, where that may be done.
 */
import { Buffer } from "node:buffer";
import { spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { installMissing } from "./debian.ts";

const long = process.argv.includes("--long");
const root = fileURLToPath(new URL("..", import.meta.url));
const local = (program: string) => join(root, "node_modules", ".bin", program);

interface Runner {
  readonly name: string;
  command(files: readonly string[], report: string): readonly [string, readonly string[]];
}

const runners: readonly Runner[] = [
  {
    name: "node",
    command: (files, report) => [process.execPath, [
      // Files mostly wait for their servers: three at a time are quicker on two cores, and no more in each other's way.
      ...["--expose-gc", "--import", "tsx", "--test", "--test-concurrency=3"],
      ...["--test-reporter=spec", "--test-reporter-destination=stdout"],
      ...["--test-reporter=junit", `--test-reporter-destination=${report}`],
      ...files,
    ]],
  },
  {
    name: "bun",
    command: (
      files,
      report,
    ) => [local("bun"), [
      "test",
      "--timeout=60000",
      "--reporter=junit",
      `--reporter-outfile=${report}`,
      ...files,
    ]],
  },
  {
    name: "deno",
    command: (files, report) => [
      local("deno"),
      ["test", "--allow-all", "--no-check", `--junit-path=${report}`, ...files],
    ],
  },
];

function isNode({ name }: Runner): boolean {
  return name === "node";
}

interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

/** Counts the cases of a JUnit report: what failed and what was skipped carries an element that says so. */
function countCases(report: string): Counts {
  const counts = { passed: 0, failed: 0, skipped: 0 };
  for (
    const [testCase] of report.matchAll(/<testcase\b(?:"[^"]*"|[^>"])*(?:\/>|(?<!\/)>[^]*?<\/testcase>)/g)
  ) {
    if (/<(failure|error)\b/.test(testCase)) counts.failed++;
    else if (/<skipped\b/.test(testCase)) counts.skipped++;
    else counts.passed++;
  }
  return counts;
}

function readReport(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    // A runner that died before it could write has run nothing; its exit code counts as the failure.
    return "";
  }
}

async function run(runner: Runner, files: readonly string[], folder: string): Promise<Counts> {
  const report = join(folder, `${runner.name}.xml`);
  const [program, args] = runner.command(files, report);
  const started = performance.now();
  const child = spawn(program, args, {
    cwd: root,
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, NO_COLOR: "1", ...(long ? { MILLRACE_LONG: "1" } : {}) },
  });
  const said: Buffer[] = [];
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk: Buffer) => said.push(chunk));
  child.on("error", (error) => said.push(Buffer.from(`${error.message}\n`)));
  const status = await new Promise<number | null>((resolve) => child.on("close", resolve));
  const counts = countCases(readReport(report));
  if (status !== 0 && counts.failed === 0) counts.failed = 1;
  if (counts.failed > 0) process.stdout.write(Buffer.concat(said));
  const seconds = Math.round((performance.now() - started) / 1000);
  const { passed, failed, skipped } = counts;
  console.log(
    `${runner.name.padEnd(4)} ${passed} passed, ${failed} failed, ${skipped} skipped in ${seconds} s`,
  );
  return counts;
}

function testFiles(parts: readonly string[]): string[] {
  return readdirSync(join(root, "test"), { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".test.ts"))
    .map((file) => join("test", file))
    .filter((file) => parts.length === 0 || parts.some((part) => file.includes(part)))
    .sort();
}

const args = process.argv.slice(2).filter((arg) => arg !== "--long");
const onlyAt = args.indexOf("--only");
const only = onlyAt < 0 ? runners.map((runner) => runner.name) : (args.splice(onlyAt, 2)[1] ?? "").split(",");
const files = testFiles(args);
installMissing();
const folder = mkdtempSync(join(tmpdir(), "millrace-test-"));
try {
  const picked = runners.filter((runner) => only.includes(runner.name));
  // Node keeps two files going; the others one each, so they share the machine.
  const results: Counts[] = [];
  for (const together of [picked.filter(isNode), picked.filter((runner) => !isNode(runner))]) {
    results.push(...await Promise.all(together.map((runner) => run(runner, files, folder))));
  }
  const sum = (key: keyof Counts) => results.reduce((total, counts) => total + counts[key], 0);
  if (results.length === 0 || files.length === 0) {
    console.error(
      "test: nothing to run; --only takes node, bun, deno, and other arguments are parts of file names",
    );
    process.exitCode = 2;
  } else {
    console.log(`${sum("passed")} passed, ${sum("failed")} failed, ${sum("skipped")} skipped`);
    process.exitCode = sum("failed") === 0 ? 0 : 1;
  }
} finally {
  rmSync(folder, { recursive: true });
}
