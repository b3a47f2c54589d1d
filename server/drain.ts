/**
 * A node's way out: it says so to balancers first, gives them time to notice, then sends its clients away one after the
 * other, so that they come back elsewhere spread over a window, and cuts who is still there at the deadline. It ends no
 * process and closes no listener; HTTP goes on being answered.
 *
 * With n clients and a window of W seconds the i-th client is to be back at a random moment of the i-th of n parts of W:
 * never more than n / W a second, whoever they are. As far as the deadline allows, a client keeps its connection until
 * then; the rest of its wait it is told.
 */
import type { Clock } from "./clock.ts";
import type { Log } from "./observe/log.ts";

/** The share of the time before the deadline in which clients are sent away; in the rest the last ones can close. */
const LEAVING_SHARE = 0.8;
/** Those who are due within this leave together. */
const STEP_MS = 10;
/** How long nobody looks whether those who are next have gone by themselves. */
const LOOK_MS = 100;

const MS_PER_SECOND = 1_000;

/** A client as the drain sees it. */
export interface Leaver {
  /**
   * Tells the client to come back elsewhere and closes its connection. Harmless once that is closing.
   * @param deadlineMs how long the close may take
   */
  leave(reconnectAfterMs: number, deadlineMs: number): void;
  /** Drops the connection. */
  terminate(): void;
}

export interface DrainSettings {
  /** Those who are there; it changes as they come and go. */
  readonly clients: ReadonlySet<Leaver>;
  /** Between {@link Drain.isUnderWay} turning true and the first client that is sent away. */
  readonly delaySeconds: number;
  /** Over which clients come back. */
  readonly windowSeconds: number;
  /** After the delay, when the last connections are cut. */
  readonly timeoutSeconds: number;
  readonly clock: Clock;
  readonly log: Log;
}

export class Drain {
  /** From the start on, forever: nobody new is to be let in. */
  isUnderWay = false;
  private readonly settings: DrainSettings;
  private everybodyTold: Promise<void> | undefined = undefined;
  private cancelDeadline: () => void = () => {};

  constructor(settings: DrainSettings) {
    this.settings = settings;
  }

  /** Begins, if it has not yet. Resolves once everybody has been sent away, which is not yet gone. */
  start(): Promise<void> {
    this.isUnderWay = true;
    return this.everybodyTold ??= new Promise((resolve) => {
      const { clients, delaySeconds, clock, log } = this.settings;
      log.info({ connections: clients.size }, "draining");
      const begin = () => {
        this.setDeadline();
        this.sendAway(resolve);
      };
      if (delaySeconds === 0) begin();
      else clock.after(delaySeconds * MS_PER_SECOND, begin);
    });
  }

  /** Everybody has gone: there is nothing to cut at the deadline. */
  finished(): void {
    this.cancelDeadline();
  }

  private setDeadline(): void {
    const { clients, timeoutSeconds, clock, log } = this.settings;
    this.cancelDeadline = clock.after(timeoutSeconds * MS_PER_SECOND, () => {
      if (clients.size === 0) return;
      log.warn({ connections: clients.size }, "cutting connections that did not close in time");
      for (const client of clients) client.terminate();
    });
  }

  private sendAway(done: () => void): void {
    const { clients, windowSeconds, timeoutSeconds, clock } = this.settings;
    const timeoutMs = timeoutSeconds * MS_PER_SECOND;
    const windowMs = windowSeconds * MS_PER_SECOND;
    const share = windowMs === 0 ? 0 : Math.min(1, LEAVING_SHARE * timeoutMs / windowMs);
    const startMs = clock.now();
    const partMs = windowMs / Math.max(1, clients.size);
    // The iterator of a set goes on with those who come while it is used: handshakes that were under way.
    const rest = clients.values();
    let next = rest.next();
    let index = 0;
    const whenBackMs = () => Math.min(windowMs, partMs * (index + Math.random()));
    let backMs = whenBackMs();
    const later = () => step(clock.now() - startMs);
    const step = (elapsedMs: number) => {
      while (next.done !== true) {
        if (clients.has(next.value)) {
          const waitMs = backMs * share - elapsedMs;
          if (waitMs > 0) return void clock.after(Math.min(LOOK_MS, Math.max(STEP_MS, waitMs)), later);
          const inTime = (ms: number) => Math.max(0, Math.round(ms - elapsedMs));
          next.value.leave(inTime(backMs), inTime(timeoutMs));
        }
        next = rest.next();
        index++;
        backMs = whenBackMs();
      }
      done();
    };
    step(0);
  }
}
