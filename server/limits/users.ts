/**
 * What one user may have on this node: so many connections, and one pair of buckets for all of them. A user who leaves
 * and comes back finds the buckets as they were left. A user is a key here; who it is, others have found out.
 */
import type { Clock } from "../clock.ts";
import { Cooling } from "./cooling.ts";
import { MessageBuckets, type MessageRates } from "./message_guard.ts";
import { assertRate } from "./token_bucket.ts";

export interface UserSettings {
  /** 0 for no limit. */
  readonly maxConnectionsPerUser: number;
  /** What a user's connections may send together. */
  readonly rates: MessageRates;
}

/** How many users without connections are remembered at once; beyond that the one that left first gets fresh buckets. */
export const MAX_REMEMBERED_USERS = 100_000;

class User extends MessageBuckets {
  connections = 0;
}

export class UserLimits {
  private readonly settings: UserSettings;
  private readonly clock: Clock;
  private readonly users = new Map<string, User>();
  private readonly gone: Cooling<User>;
  /** The buckets of everybody when nothing is limited, and nobody needs to be remembered. */
  private readonly unlimited: User | undefined;

  /** @throws {RangeError} when a rate is not within its bounds */
  constructor(settings: UserSettings, clock: Clock) {
    const { maxConnectionsPerUser, rates } = settings;
    assertRate(rates.messages);
    assertRate(rates.bytes);
    this.settings = settings;
    this.clock = clock;
    this.gone = new Cooling(clock, MAX_REMEMBERED_USERS);
    const isLimited = maxConnectionsPerUser > 0 || rates.messages !== undefined || rates.bytes !== undefined;
    this.unlimited = isLimited ? undefined : new User(rates, clock.now());
  }

  /** Users of whom anything is remembered, with connections or without. */
  get remembered(): number {
    return this.users.size + this.gone.size;
  }

  /**
   * One more connection of `user`.
   * @returns the buckets that it shares with the others, or undefined when the user has as many connections as allowed
   */
  join(user: string): MessageBuckets | undefined {
    if (this.unlimited !== undefined) return this.unlimited;
    const { maxConnectionsPerUser, rates } = this.settings;
    const known = this.users.get(user);
    if (known === undefined) {
      const first = this.gone.take(user) ?? new User(rates, this.clock.now());
      first.connections = 1;
      this.users.set(user, first);
      return first;
    }
    if (maxConnectionsPerUser > 0 && known.connections >= maxConnectionsPerUser) return undefined;
    known.connections++;
    return known;
  }

  /**
   * A connection that had joined is gone, or belongs to another user now.
   * @throws {RangeError} when no connection of `user` is there
   */
  leave(user: string): void {
    if (this.unlimited !== undefined) return;
    const known = this.users.get(user);
    if (known === undefined) throw new RangeError("a connection left that had not joined");
    known.connections--;
    if (known.connections > 0) return;
    this.users.delete(user);
    if (!known.isFull(this.clock.now())) this.gone.put(user, known);
  }

  /** Forgets the users without connections, and stops the timer that would do so. */
  stop(): void {
    this.gone.clear();
  }
}
