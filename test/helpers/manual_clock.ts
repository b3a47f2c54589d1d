/** A clock that a test moves by hand. */
import type { Clock } from "../../server/clock.ts";

interface Timer {
  at: number;
  readonly everyMs: number | undefined;
  readonly run: () => void;
}

/** What {@link ManualClock.wallMs} answers before time has moved: 2026-01-01. */
export const WALL_START_MS = Date.UTC(2026, 0, 1);

export class ManualClock implements Clock {
  private time = 0;
  private readonly timers = new Set<Timer>();

  now(): number {
    return this.time;
  }

  wallMs(): number {
    return WALL_START_MS + this.time;
  }

  after(ms: number, run: () => void): () => void {
    return this.add({ at: this.time + ms, everyMs: undefined, run });
  }

  every(ms: number, run: () => void): () => void {
    return this.add({ at: this.time + ms, everyMs: ms, run });
  }

  /** Moves time forward and runs what falls due, in order. */
  advance(ms: number): void {
    const end = this.time + ms;
    for (let timer = this.nextBy(end); timer !== undefined; timer = this.nextBy(end)) {
      this.time = timer.at;
      if (timer.everyMs === undefined) this.timers.delete(timer);
      else timer.at += timer.everyMs;
      timer.run();
    }
    this.time = end;
  }

  private add(timer: Timer): () => void {
    this.timers.add(timer);
    return () => void this.timers.delete(timer);
  }

  private nextBy(end: number): Timer | undefined {
    let next: Timer | undefined;
    for (const timer of this.timers) {
      if (timer.at <= end && (next === undefined || timer.at < next.at)) next = timer;
    }
    return next;
  }
}
