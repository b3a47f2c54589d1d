/** Whether a node takes new connections, and if not why: what `/ready` says and the gate goes by. */

export const Readiness = {
  Ready: "ready",
  /** It is going away. */
  Draining: "draining",
  /** What joins it to the other nodes cannot be reached. */
  BrokerUnavailable: "broker_unavailable",
} as const;
export type Readiness = typeof Readiness[keyof typeof Readiness];
