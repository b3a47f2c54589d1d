/**
 * Who may come in: how many connections there are in total and per address, how many handshakes at the same time, and
 * how often one address may try. An address is a key; what it stands for, and how a refusal is told, others know.
 */
import type { Clock } from "../clock.ts";
import { Cooling } from "./cooling.ts";
import { assertRate, type Rate, TokenBucket } from "./token_bucket.ts";

/** The limits; 0 or undefined turns one off. */
export interface ConnectionSettings {
  readonly maxConnections: number;
  readonly maxConnectionsPerAddress: number;
  /** Handshakes that have arrived and are neither opened nor given up. */
  readonly maxPendingHandshakes: number;
  /** Per address. A handshake counts also when it is refused for another reason. */
  readonly handshakeRate: Rate | undefined;
}

/** Why a handshake is refused. */
export interface Refusal {
  /** `full` and `pending` are about the server (503), `address` and `handshake_rate` about the one who asks (429). */
  readonly kind: "full" | "pending" | "address" | "handshake_rate";
  /** At least 1; computed for `handshake_rate`, otherwise a guess, for nobody knows when somebody will leave. */
  readonly retryAfterSeconds: number;
}

/** How many addresses' handshakes are remembered at once; beyond that the one that was quiet for longest starts afresh. */
export const MAX_REMEMBERED_ADDRESSES = 100_000;

const MS_PER_SECOND = 1_000;

const FULL: Refusal = { kind: "full", retryAfterSeconds: 10 };
const ADDRESS: Refusal = { kind: "address", retryAfterSeconds: 10 };
const PENDING: Refusal = { kind: "pending", retryAfterSeconds: 1 };

/** Who is there: what all places share. */
interface Counts {
  readonly clock: Clock;
  places: number;
  pending: number;
  /** Undefined when nothing is limited per address. */
  readonly perAddress: Map<string, number> | undefined;
}

const Stage = { Pending: 0, Open: 1, Released: 2 } as const;
type Stage = typeof Stage[keyof typeof Stage];

/** One of the places that connections may take, held from the handshake on. Who holds it must release it. */
export class Place {
  /** The key that it counts for. */
  readonly address: string;
  /** When the connection was opened, by the clock; whole, because a fraction would take an object of its own. */
  openedSecond = 0;
  private readonly counts: Counts;
  private stage: Stage;

  /** Only {@link ConnectionLimits.arrive} makes one. */
  constructor(counts: Counts, address: string) {
    this.counts = counts;
    this.address = address;
    this.stage = Stage.Pending;
    counts.places++;
    counts.pending++;
    counts.perAddress?.set(address, (counts.perAddress.get(address) ?? 0) + 1);
  }

  /**
   * The handshake is over and the connection open.
   * @throws {TypeError} when the place has been released: nothing would limit the connection
   */
  opened(): void {
    if (this.stage === Stage.Released) throw new TypeError("this place has been released");
    if (this.stage === Stage.Pending) this.counts.pending--;
    this.stage = Stage.Open;
    this.openedSecond = Math.floor(this.counts.clock.now() / MS_PER_SECOND);
  }

  /** The connection has ended, or its handshake has failed or will not be finished. Doing it again changes nothing. */
  release(): void {
    if (this.stage === Stage.Released) return;
    const counts = this.counts;
    if (this.stage === Stage.Pending) counts.pending--;
    this.stage = Stage.Released;
    counts.places--;
    const others = (counts.perAddress?.get(this.address) ?? 0) - 1;
    if (others > 0) counts.perAddress?.set(this.address, others);
    else counts.perAddress?.delete(this.address);
  }
}

export class ConnectionLimits {
  private readonly settings: ConnectionSettings;
  private readonly clock: Clock;
  private readonly counts: Counts;
  private readonly handshakes: Cooling<TokenBucket>;

  /** @throws {RangeError} when the rate is not within its bounds */
  constructor(settings: ConnectionSettings, clock: Clock) {
    assertRate(settings.handshakeRate);
    this.settings = settings;
    this.clock = clock;
    const perAddress = settings.maxConnectionsPerAddress > 0 ? new Map<string, number>() : undefined;
    this.counts = { clock, places: 0, pending: 0, perAddress };
    this.handshakes = new Cooling(clock, MAX_REMEMBERED_ADDRESSES);
  }

  /** Places that are held, also by handshakes under way. */
  get places(): number {
    return this.counts.places;
  }

  /** Handshakes under way. */
  get pendingHandshakes(): number {
    return this.counts.pending;
  }

  /** Entries of the tables of addresses: one for who holds places, one for who has tried lately. */
  get remembered(): number {
    return (this.counts.perAddress?.size ?? 0) + this.handshakes.size;
  }

  /**
   * A handshake has come from `address`, a key that stands for one client or one network. The place is held at once, so
   * that handshakes which take their time cannot pass a limit together.
   */
  arrive(address: string): Place | Refusal {
    const refusal = this.countHandshake(address) ?? this.missingPlace(address);
    return refusal ?? new Place(this.counts, address);
  }

  /** Forgets who has tried, and stops the timer that would do so. Places can still be released. */
  stop(): void {
    this.handshakes.clear();
  }

  private countHandshake(address: string): Refusal | undefined {
    const rate = this.settings.handshakeRate;
    if (rate === undefined) return undefined;
    const nowMs = this.clock.now();
    const bucket = this.handshakes.take(address) ?? new TokenBucket(rate, nowMs);
    const taken = bucket.take(1, nowMs);
    this.handshakes.put(address, bucket);
    if (taken) return undefined;
    const retryAfterSeconds = Math.ceil(bucket.waitMs(1, nowMs) / MS_PER_SECOND);
    return { kind: "handshake_rate", retryAfterSeconds };
  }

  private missingPlace(address: string): Refusal | undefined {
    const { settings, counts } = this;
    if (reached(counts.places, settings.maxConnections)) return FULL;
    if (reached(counts.perAddress?.get(address) ?? 0, settings.maxConnectionsPerAddress)) return ADDRESS;
    if (reached(counts.pending, settings.maxPendingHandshakes)) return PENDING;
    return undefined;
  }
}

function reached(count: number, limit: number): boolean {
  return limit > 0 && count >= limit;
}
