/** Configurations as files in a folder of the tests' own, and the real programs' word on them. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Finding } from "../../scripts/validate_config/finding.ts";
import { readMillrace } from "../../scripts/validate_config/millrace.ts";
import type { Known } from "../../scripts/validate_config/rule.ts";
import { type ProgramName, validate } from "../../scripts/validate_config/validate.ts";
import { findProgram } from "../../scripts/debian.ts";
import { BUNDLE, CERT, type Change, KEY, RIGHT_MILLRACE } from "./right.ts";

/** What a validation without options knows. */
export const KNOWN: Known = {
  heartbeatSeconds: 30,
  pongSeconds: 10,
  heartbeatSource: "default",
  isStickyRequired: false,
  isBehindTls: false,
  connections: undefined,
  nowMs: Date.parse("2027-01-01T00:00:00Z"),
  millrace: undefined,
};

/** A text with changes made to it, every one of which must find its place. */
export function changed(text: string, changes: readonly Change[]): string {
  return changes.reduce((before, [from, to]) => {
    const parts = before.split(from);
    if (parts.length < 2) throw new RangeError(`there is no ${JSON.stringify(from)} to change`);
    return parts.join(to);
  }, text);
}

export class Workbench {
  readonly folder = mkdtempSync(join(tmpdir(), "millrace-validate-"));
  private count = 0;

  constructor() {
    const pem = (path: string) => readFileSync(path, "utf8");
    writeFileSync(join(this.folder, BUNDLE), pem(CERT) + pem(KEY));
    writeFileSync(join(this.folder, "MIXED.pem"), pem(CERT) + pem(KEY.replace("localhost", "renewed")));
  }

  remove(): void {
    rmSync(this.folder, { recursive: true });
  }

  /** Writes a configuration into a folder of its own; names of bundles become paths. */
  write(program: ProgramName, text: string): string {
    const folder = join(this.folder, String(this.count++));
    mkdirSync(folder);
    const path = join(folder, program === "nginx" ? "nginx.conf" : "haproxy.cfg");
    writeFileSync(path, text.replaceAll(/(BUNDLE|MIXED)\.pem/g, (name) => join(this.folder, name)));
    return path;
  }

  /** What the validator finds in a file. */
  findings(
    program: ProgramName,
    path: string,
    known: Partial<Known>,
    options?: Readonly<Record<string, unknown>>,
  ): readonly Finding[] {
    if (options === undefined) return validate(program, [path], { ...KNOWN, ...known }, undefined).findings;
    const file = join(this.folder, `${this.count++}.json`);
    writeFileSync(file, JSON.stringify({ ...RIGHT_MILLRACE, ...options }, undefined, 2));
    const read = readMillrace(file, []);
    if ("problems" in read) throw new TypeError(read.problems.map(({ what }) => what).join("\n"));
    const { millrace } = read;
    return validate(program, [path], { ...KNOWN, ...known, millrace }, millrace.options.path).findings;
  }
}

/** HAProxy's word for a file that is right and has nothing to listen on. */
const NO_LISTENER = /has no error but will not start/;

/** Why the real program refuses a file; undefined when it takes it. */
async function refusal(program: ProgramName, path: string): Promise<string | undefined> {
  const args = program === "nginx"
    ? ["-t", "-q", "-e", "stderr", "-p", join(path, ".."), "-c", path]
    : ["-c", "-f", path];
  const child = spawn(findProgram(program) ?? program, args, { stdio: ["ignore", "ignore", "pipe"] });
  const [said, [code]] = await Promise.all([text(child.stderr), once(child, "close")]);
  return code === 0 || NO_LISTENER.test(said) ? undefined : said;
}

const PARALLEL = 4;

/** Why the real program refuses each of some files, in their order. */
export async function refusals(
  program: ProgramName,
  paths: readonly string[],
): Promise<(string | undefined)[]> {
  const answers: (string | undefined)[] = [];
  let next = 0;
  const work = async () => {
    for (let index = next++; index < paths.length; index = next++) {
      answers[index] = await refusal(program, paths[index] ?? "");
    }
  };
  await Promise.all(Array.from({ length: PARALLEL }, work));
  return answers;
}
