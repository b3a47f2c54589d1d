/** What to do about a lost connection, by its close code: docs/protocol.md has the table, a test holds the two together. */

export type Advice =
  /** Not to come back. */
  | "stop"
  /** To come back, after a random wait. */
  | "return"
  /** The same, with waits that go on growing however long the connection has lasted. */
  | "back-off"
  /** To come back with another token. */
  | "new-token";

const stops = /^(?:100[023789]|400[12346])$/;
const backsOff = /^(?:1013|4009)$/;
const TOKEN_EXPIRED = 4005;

/** Codes that are not in the table, 1006 among them, are taken for a line that was cut. */
export function adviceOn(code: number): Advice {
  const text = String(code);
  if (stops.test(text)) return "stop";
  if (code === TOKEN_EXPIRED) return "new-token";
  return backsOff.test(text) ? "back-off" : "return";
}
