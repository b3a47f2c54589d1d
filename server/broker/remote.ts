/** What every broker that lives in another process is told. */
import type { Clock } from "../clock.ts";
import type { Log } from "../observe/log.ts";
import type { RetentionOf } from "./broker.ts";

export interface RemoteBrokerSettings {
  /** Where it is; what several stand for is each broker's own. */
  readonly urls: readonly string[];
  /** In front of every name that is used there; keeps several installations apart. */
  readonly prefix: string;
  /** For connecting and for every answer. */
  readonly timeoutSeconds: number;
  /** How long an unused topic's offsets are remembered. */
  readonly idleTopicSeconds: number;
  /** How many topics seen through patterns are known, and so repaired. */
  readonly maxIdleTopics: number;
  /** How often subscribed topics are checked for a publication that got lost with none after it to show it. */
  readonly checkSeconds: number;
  /** How long the members of a node that died stay. */
  readonly presenceSeconds: number;
  readonly retentionOf: RetentionOf;
  readonly clock: Clock;
  readonly log: Log;
}
