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

export interface Heartbeat {
  /** Something has come; whatever it is, the line is alive. */
  heard(): void;
  /** Asks the line at once: there is reason to doubt it. */
  check(): void;
  stop(): void;
}

/** A timer that fires this much late has slept, with its machine or in a hidden tab, and with it whatever has come. */
const LATE_MS = 1_000;

export function startHeartbeat({ clock, idleMs, timeoutMs, ping, dead }: HeartbeatOptions): Heartbeat {
  let heardMs = clock.now();
  /** Since the line was asked last. */
  let hasHeard = false;
  let cancel: () => void;

  const rest = (): void => {
    cancel = clock.after(Math.max(0, heardMs + idleMs - clock.now()), () => {
      if (clock.now() - heardMs < idleMs) rest();
      else ask(false);
    });
  };
  const ask = (isSecond: boolean): void => {
    const askedMs = clock.now();
    cancel();
    hasHeard = false;
    cancel = clock.after(timeoutMs, () => {
      if (hasHeard) rest();
      // What has come meanwhile may wait behind this very timer: once more, and then no more.
      else if (!isSecond && clock.now() - askedMs > timeoutMs + LATE_MS) ask(true);
      else dead();
    });
    ping();
  };
  rest();
  return {
    heard() {
      heardMs = clock.now();
      hasHeard = true;
    },
    check: () => ask(false),
    stop: () => cancel(),
  };
}
