/** Files that a test makes and that are gone after it. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Runs `use` with the path of a file with that content. */
export async function withFile(
  content: string | Uint8Array,
  use: (path: string, rewrite: (content: string | Uint8Array) => void) => void | Promise<void>,
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "millrace-test-"));
  const path = join(folder, "file");
  const write = (next: string | Uint8Array) => writeFileSync(path, next);
  try {
    write(content);
    await use(path, write);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
