/**
 * A bounded table of buckets that are not full: who comes back finds the one that was used before. What is full is
 * dropped, a part of the table each second; beyond the bound what was unused for longest goes. It does not know whose
 * buckets they are.
 */
import type { Clock } from "../clock.ts";

const SWEEP_MS = 1_000;
/** How many buckets one sweep looks at: about a millisecond's work when it drops them all. */
const SWEEP_ENTRIES = 5_000;

/** Something that is as good as new once it is full. */
export interface Coolable {
  isFull(nowMs: number): boolean;
}

export class Cooling<T extends Coolable> {
  private readonly clock: Clock;
  private readonly maxSize: number;
  /** What was unused for longest comes first. */
  private readonly entries = new Map<string, T>();
  /** Where the next sweep goes on. */
  private cursor: MapIterator<[string, T]> | undefined;
  private stopTimer: (() => void) | undefined;

  constructor(clock: Clock, maxSize: number) {
    this.clock = clock;
    this.maxSize = maxSize;
  }

  get size(): number {
    return this.entries.size;
  }

  /** Keeps `value` until it is full. */
  put(key: string, value: T): void {
    // Set again, an entry would keep its place in the order.
    this.entries.delete(key);
    this.entries.set(key, value);
    if (this.entries.size > this.maxSize) this.dropFirst();
    this.stopTimer ??= this.clock.every(SWEEP_MS, () => this.sweep());
  }

  /** Gives back what is kept for `key`, and no longer keeps it. */
  take(key: string): T | undefined {
    const value = this.entries.get(key);
    if (value !== undefined) this.entries.delete(key);
    return value;
  }

  /** Forgets everything and stops the timer. */
  clear(): void {
    this.entries.clear();
    this.cursor = undefined;
    this.stopTimer?.();
    this.stopTimer = undefined;
  }

  private dropFirst(): void {
    for (const key of this.entries.keys()) {
      this.entries.delete(key);
      return;
    }
  }

  private sweep(): void {
    const nowMs = this.clock.now();
    this.cursor ??= this.entries.entries();
    for (let swept = 0; swept < SWEEP_ENTRIES; swept++) {
      const { done, value } = this.cursor.next();
      if (done) {
        this.cursor = undefined;
        break;
      }
      if (value[1].isFull(nowMs)) this.entries.delete(value[0]);
    }
    if (this.entries.size === 0) this.clear();
  }
}
