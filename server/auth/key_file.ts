/**
 * Files that hold keys, and the error for keys that cannot be used. Its messages name files, lines and lengths, never
 * a part of what was read, and carry no cause that might.
 */
import type { Buffer } from "node:buffer";
import { readFileSync } from "node:fs";

/** Keys cannot be used as they are configured; `message` says which and why in one line, without any part of a key. */
export class KeyError extends Error {
  override readonly name = "KeyError";
}

/**
 * Reads a whole file.
 * @throws {KeyError} when it cannot be read
 */
export function readKeyFile(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    throw new KeyError(`cannot read ${file}: ${(error as { code?: string }).code ?? "unknown error"}`);
  }
}
