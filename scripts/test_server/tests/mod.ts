/** All tests in the order in which they run, and the choice among them. */
import { groupOf, type Test } from "../test.ts";
import { closeTests } from "./close.ts";
import { compressionTests } from "./compression.ts";
import { connectionTests } from "./connection.ts";
import { connectionsTests } from "./connections.ts";
import { echoTests } from "./echo.ts";
import { handshakeTests } from "./handshake.ts";
import { loadTests } from "./load.ts";
import { millraceTests } from "./millrace.ts";
import { pingTests } from "./ping.ts";
import { tlsTests } from "./tls.ts";

/** Every test once. */
export const allTests: readonly Test[] = [
  ...connectionTests,
  ...tlsTests,
  ...handshakeTests,
  ...pingTests,
  ...closeTests,
  ...echoTests,
  ...compressionTests,
  ...loadTests,
  ...connectionsTests,
  ...millraceTests,
];

/**
 * Tests by name or group, in their own order.
 * @throws RangeError for a name that is neither.
 */
export function selectTests(names: readonly string[]): readonly Test[] {
  const matches = (test: Test, name: string) => test.name === name || groupOf(test.name) === name;
  const unknown = names.find((name) => !allTests.some((test) => matches(test, name)));
  if (unknown !== undefined) {
    const groups = [...new Set(allTests.map(({ name }) => groupOf(name)))];
    throw new RangeError(
      `there is no test ${unknown}; groups are ${groups.join(", ")}, and --list shows all`,
    );
  }
  return allTests.filter((test) => names.some((name) => matches(test, name)));
}
