/**
 * Notices a server that has gone silent: browsers hide ping frames, so the line is asked with a message. No timer is set
 * per message. It knows no sockets: it is told what was heard, and says when to ask and when to give up.
 */
import type { Clock } from "./clock.ts";

export interface HeartbeatOptions {
  readonly clock: Clock;
  /** Silence after which the line is asked. */
  readonly idleMs: number;
  /** How long the answer may take. */
  readonly timeoutMs: number;
  readonly ping: () => void;
  /** Nothing came in time. */
  readonly dead: () => void;
}

/** A timer that fires this much late has slept, with its machine or in a hidden tab, and with it whatever has come. */
const LATE_MS = 1_000;

export class Heartbeat {
  private readonly options: HeartbeatOptions;
  private heardMs: number;
  /** Since the line was asked last. */
  private hasHeard = false;
  private cancel: () => void = () => {};

  constructor(options: HeartbeatOptions) {
    this.options = options;
    this.heardMs = options.clock.now();
    this.rest();
  }

  /** Something has come; whatever it is, the line is alive. */
  heard(): void {
    this.heardMs = this.options.clock.now();
    this.hasHeard = true;
  }

  /** Asks the line at once: there is reason to doubt it. */
  check(): void {
    this.ask(false);
  }

  stop(): void {
    this.cancel();
  }

  private rest(): void {
    const { clock, idleMs } = this.options;
    this.after(Math.max(0, this.heardMs + idleMs - clock.now()), () => {
      if (clock.now() - this.heardMs < idleMs) this.rest();
      else this.ask(false);
    });
  }

  private ask(isSecond: boolean): void {
    const { clock, timeoutMs, ping, dead } = this.options;
    const askedMs = clock.now();
    this.hasHeard = false;
    this.after(timeoutMs, () => {
      if (this.hasHeard) return this.rest();
      // What has come meanwhile may wait behind this very timer: once more, and then no more.
      if (!isSecond && clock.now() - askedMs > timeoutMs + LATE_MS) this.ask(true);
      else dead();
    });
    ping();
  }

  private after(ms: number, run: () => void): void {
    this.cancel();
    this.cancel = this.options.clock.after(ms, run);
  }
}
