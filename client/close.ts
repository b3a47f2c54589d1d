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

const TOKEN_EXPIRED = 4005;
const stops = [1000, 1002, 1003, 1007, 1008, 1009, 4001, 4002, 4003, 4004, 4006];
const backsOff = [1013, 4009];

/** Codes that are not in the table, 1006 among them, are taken for a line that was cut. */
export function adviceOn(code: number): Advice {
  if (stops.includes(code)) return "stop";
  if (code === TOKEN_EXPIRED) return "new-token";
  return backsOff.includes(code) ? "back-off" : "return";
}
