/**
 * The heartbeat of all connections: one timer and a wheel of seconds instead of a timer per connection. A peer is
 * pinged once per interval and given up when no pong has come in time, whatever else goes back and forth meanwhile.
 */
import type { Clock } from "./clock.ts";

const TICK_MS = 1000;

/** Where a connection stands between two pings. */
export const Pulse = { Resting: 0, Pinged: 1, Answered: 2 } as const;
export type Pulse = typeof Pulse[keyof typeof Pulse];

/** A connection as the heartbeat sees it; the two fields are the heartbeat's own. */
export interface HeartbeatPeer {
  pulse: Pulse;
  heartbeatSlot: number;
  ping(): void;
  /** No pong came in time. */
  unanswered(): void;
}

export interface HeartbeatOptions {
  /** Between two pings; 0 turns the heartbeat off. */
  readonly intervalSeconds: number;
  /** How long a pong may take; less than the interval. */
  readonly timeoutSeconds: number;
  readonly clock: Clock;
}

export class Heartbeat {
  private readonly options: HeartbeatOptions;
  /** `slots[second % slots.length]` holds the peers that are looked at in that second. */
  private readonly slots: Set<HeartbeatPeer>[];
  private readonly stopTimer: () => void;
  private second = 0;

  constructor(options: HeartbeatOptions) {
    this.options = options;
    const enabled = options.intervalSeconds > 0;
    this.slots = enabled ? Array.from({ length: options.intervalSeconds + 1 }, () => new Set()) : [];
    this.stopTimer = enabled ? options.clock.every(TICK_MS, () => this.tick()) : () => {};
  }

  add(peer: HeartbeatPeer): void {
    this.schedule(peer, this.options.intervalSeconds);
  }

  remove(peer: HeartbeatPeer): void {
    this.slots[peer.heartbeatSlot]?.delete(peer);
  }

  /** A pong has come. */
  answered(peer: HeartbeatPeer): void {
    if (peer.pulse === Pulse.Pinged) peer.pulse = Pulse.Answered;
  }

  stop(): void {
    this.stopTimer();
  }

  private schedule(peer: HeartbeatPeer, seconds: number): void {
    if (this.slots.length === 0) return;
    peer.heartbeatSlot = (this.second + seconds) % this.slots.length;
    this.slots[peer.heartbeatSlot]?.add(peer);
  }

  private tick(): void {
    this.second++;
    const { intervalSeconds, timeoutSeconds } = this.options;
    const due = this.slots[this.second % this.slots.length];
    if (due === undefined) return;
    for (const peer of due) {
      due.delete(peer);
      switch (peer.pulse) {
        case Pulse.Resting:
          peer.pulse = Pulse.Pinged;
          this.schedule(peer, timeoutSeconds);
          peer.ping();
          break;
        case Pulse.Pinged:
          peer.unanswered();
          break;
        case Pulse.Answered:
          peer.pulse = Pulse.Resting;
          this.schedule(peer, intervalSeconds - timeoutSeconds);
          break;
      }
    }
  }
}
