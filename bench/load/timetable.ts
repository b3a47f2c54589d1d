/**
 * The timetable of an open loop: message `n` is due `n / perSecond` after the start, whatever has come back by then; and
 * how well the load generator keeps to it. It must never know what is sent.
 */
import { createHistogram } from "node:perf_hooks";
import type { RecordableHistogram } from "node:perf_hooks";

const MILLISECONDS = 1e3;
export const NANOSECONDS_PER_MS = 1e6;
/** Three digits, from a nanosecond to a minute. */
const HISTOGRAM = { lowest: 1, highest: 60e9, figures: 3 };

/** A histogram of times; see `recordMs`. */
export function timesHistogram(): RecordableHistogram {
  return createHistogram(HISTOGRAM);
}

/** Records a time in milliseconds, in a histogram that holds nanoseconds. */
export function recordMs(histogram: RecordableHistogram, milliseconds: number): void {
  const nanoseconds = Math.round(milliseconds * NANOSECONDS_PER_MS);
  histogram.record(Math.min(HISTOGRAM.highest, Math.max(HISTOGRAM.lowest, nanoseconds)));
}

export class Timetable {
  /** How late messages left that were due when recording had begun. */
  readonly lateness = timesHistogram();
  /** Messages that have left. */
  sent = 0;
  /** Set by who handles arrivals: the time since the last look at the timetable was not idle. */
  hasWorked = false;
  /** Since the start, the time in which there was nothing to send and nothing had arrived. */
  idleMs = 0;
  readonly #msPerMessage: number;
  readonly #send: (index: number) => void;
  #startMs = 0;
  /** What is due earlier is not recorded: the server is warming up. */
  #recordFromMs = 0;
  #lookedMs = 0;
  #running = false;

  /** `send` is called with the number of each message when it is due. */
  constructor(perSecond: number, send: (index: number) => void) {
    this.#msPerMessage = MILLISECONDS / perSecond;
    this.#send = send;
  }

  start(warmupSeconds: number): void {
    this.#running = true;
    this.#startMs = performance.now();
    this.#lookedMs = this.#startMs;
    this.#recordFromMs = this.#startMs + warmupSeconds * MILLISECONDS;
    this.#tick();
  }

  stop(): void {
    this.#running = false;
  }

  /** When message `index` is due, on the clock of `performance.now`. */
  dueMs(index: number): number {
    return this.#startMs + index * this.#msPerMessage;
  }

  /** Whether what is due at `dueMs` is recorded. */
  isRecorded(dueMs: number): boolean {
    return dueMs >= this.#recordFromMs;
  }

  /** Sends what is due, then looks for arrivals, again and again: timers are a millisecond coarse. */
  #tick(): void {
    if (!this.#running) return;
    const now = performance.now();
    const before = this.sent;
    for (;;) {
      const dueMs = this.dueMs(this.sent);
      if (dueMs > now) break;
      if (this.isRecorded(dueMs)) recordMs(this.lateness, now - dueMs);
      this.#send(this.sent++);
    }
    if (this.sent === before && !this.hasWorked) this.idleMs += now - this.#lookedMs;
    this.hasWorked = false;
    this.#lookedMs = now;
    setImmediate(this.#again);
  }

  readonly #again = (): void => this.#tick();
}
