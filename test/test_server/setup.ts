/** Runs tests of the tool inside this process, with little patience. */
import { readFileSync } from "node:fs";
import { parseTarget } from "../../scripts/conformance/target.ts";
import { runTests } from "../../scripts/test_server/run.ts";
import { DEFAULTS, type Settings } from "../../scripts/test_server/settings.ts";
import type { Result, Status } from "../../scripts/test_server/test.ts";
import { selectTests } from "../../scripts/test_server/tests/mod.ts";
import { fixture } from "./faulty_server.ts";

/** Believed besides those of the system: the fixtures sign themselves. */
export const AUTHORITIES = ["localhost", "expired", "elsewhere"].map((name) =>
  readFileSync(fixture(`${name}.cert.pem`), "utf8")
);

/** The settings of a run against `url`. */
export function settingsFor(url: string, changes: Partial<Settings> = {}): Settings {
  return {
    ...DEFAULTS,
    url,
    target: parseTarget(url),
    headers: {},
    subprotocols: [],
    trust: { authorities: AUTHORITIES },
    now: Date.now,
    greetingMs: 100,
    durationMs: 200,
    messages: 200,
    maxMessageBytes: 131_072,
    ...changes,
  };
}

/** Runs the tests with these names or of these groups. */
export async function runOn(
  url: string,
  names: readonly string[],
  changes: Partial<Settings> = {},
): Promise<readonly Result[]> {
  return (await runTests(selectTests(names), settingsFor(url, changes))).results;
}

/** What each test with this status said. */
export function saying(results: readonly Result[], status: Status): Record<string, string> {
  return Object.fromEntries(
    results.filter((result) => result.status === status).map(({ name, what }) => [name, what]),
  );
}
