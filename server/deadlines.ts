/**
 * Deadlines of connections that are on their way in or out: one timer for all of them, which runs only while there
 * are any.
 */
import type { Clock } from "./clock.ts";

const TICK_MS = 1000;

/** Somebody who has run out of time. */
export interface Deadlined {
  expire(): void;
}

export class Deadlines {
  private readonly clock: Clock;
  private readonly pending = new Map<Deadlined, number>();
  private stopTimer: (() => void) | undefined = undefined;

  constructor(clock: Clock) {
    this.clock = clock;
  }

  /** `who` expires in `seconds`, to the next second; an earlier deadline of it is replaced. */
  set(who: Deadlined, seconds: number): void {
    this.pending.set(who, this.clock.now() + seconds * 1000);
    this.stopTimer ??= this.clock.every(TICK_MS, () => this.tick());
  }

  clear(who: Deadlined): void {
    if (!this.pending.delete(who) || this.pending.size > 0) return;
    this.stopTimer?.();
    this.stopTimer = undefined;
  }

  private tick(): void {
    const now = this.clock.now();
    for (const [who, at] of this.pending) {
      if (at > now) continue;
      this.clear(who);
      who.expire();
    }
  }
}
