/** `npm run check`: format, lint and types, all of them even when the first one fails. Prints what is wrong, and a count. */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));

const checks: readonly (readonly [string, readonly string[]])[] = [
  ["deno", ["fmt", "--check"]],
  ["deno", ["lint"]],
  ["tsc", ["--noEmit"]],
];

let failed = 0;
for (const [program, args] of checks) {
  const { status, stdout, stderr } = spawnSync(join(root, "node_modules", ".bin", program), args, {
    cwd: root,
    encoding: "utf8",
  });
  const name = [program, ...args].join(" ");
  console.log(`${status === 0 ? "ok    " : "FAILED"} ${name}`);
  if (status === 0) continue;
  failed++;
  process.stdout.write(`${stdout}\n${stderr}\n`);
}
console.log(`${checks.length - failed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
