/**
 * The keys of the HTTP API, from a file with one on each line. They are kept and compared as digests, all of them for
 * every request, so that the time an answer takes says nothing about a key. Never knows what a key is used for.
 */
import { createHash, timingSafeEqual } from "node:crypto";
import { bearerToken } from "./credentials.ts";
import { KeyError, readKeyFile } from "./key_file.ts";

const MIN_KEY_LENGTH = 16;
/** Every request is compared with every key. */
const MAX_KEYS = 100;

/** A set of API keys. */
export class ApiKeys {
  /** Accepts nothing. */
  static readonly none: ApiKeys = new ApiKeys(undefined);

  private readonly file: string | undefined;
  private digests: readonly Uint8Array[] = [];

  private constructor(file: string | undefined) {
    this.file = file;
    this.reload();
  }

  /**
   * Reads the keys of a file: one per line, at least 16 visible ASCII characters each; blank lines and lines that
   * start with `#` are left out.
   * @throws {KeyError} when it cannot be read, or a line is no key
   */
  static fromFile(file: string): ApiKeys {
    return new ApiKeys(file);
  }

  /** Reads the file again. @throws {KeyError} as {@link fromFile}; the old keys stay */
  reload(): void {
    if (this.file !== undefined) this.digests = readDigests(this.file);
  }

  /** Whether an Authorization header carries one of the keys as a bearer token. */
  accepts(authorization: string | undefined): boolean {
    const key = bearerToken(authorization);
    return key !== undefined && this.has(key);
  }

  /** Whether a text is one of the keys. */
  has(key: string): boolean {
    const digest = digestOf(key);
    let accepted = false;
    for (const known of this.digests) {
      if (timingSafeEqual(digest, known)) accepted = true;
    }
    return accepted;
  }
}

function digestOf(key: string): Uint8Array {
  return createHash("sha256").update(key).digest();
}

function readDigests(file: string): readonly Uint8Array[] {
  const digests: Uint8Array[] = [];
  for (const [index, line] of readKeyFile(file).toString("utf8").split("\n").entries()) {
    const key = line.trim();
    if (key === "" || key.startsWith("#")) continue;
    const place = `line ${index + 1} of ${file}`;
    if (!/^[!-~]+$/.test(key)) throw new KeyError(`${place} has characters that an API key cannot have`);
    if (key.length < MIN_KEY_LENGTH) {
      throw new KeyError(`${place} is shorter than the ${MIN_KEY_LENGTH} characters of an API key`);
    }
    digests.push(digestOf(key));
  }
  if (digests.length === 0) throw new KeyError(`${file} holds no API key`);
  if (digests.length > MAX_KEYS) throw new KeyError(`${file} holds more than ${MAX_KEYS} API keys`);
  return digests;
}
