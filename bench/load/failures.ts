/**
 * What went wrong in a run. The first failure wakes whoever waits, so that a broken run ends at once.
 * It must never know a workload.
 */

/** Failures kept of one run; the rest of a broken run's failures tells nothing new. */
const MOST_REASONS = 5;

/** Thrown out of a wait that a failure has ended; the reasons are in `Failures`. */
export class RunBroken extends Error {}

export class Failures {
  readonly reasons: string[] = [];
  #ended = false;
  #interrupt: (error: Error) => void = () => {};
  readonly #first: Promise<never>;

  constructor() {
    this.#first = new Promise((_, reject) => this.#interrupt = reject);
    this.#first.catch(() => {}); // it is awaited only where a run waits
  }

  add(reason: string): void {
    if (this.#ended) return;
    if (this.reasons.length < MOST_REASONS) this.reasons.push(reason);
    this.#interrupt(new RunBroken(reason));
  }

  /** Failures from now on do not count: the run is over and its connections go away. */
  end(): void {
    this.#ended = true;
  }

  /** `work`, or a RunBroken as soon as something fails. */
  async unless<T>(work: Promise<T>): Promise<T> {
    return await Promise.race([work, this.#first]);
  }

  /** Waits; rejects with RunBroken as soon as something fails. */
  async sleep(seconds: number): Promise<void> {
    await this.unless(new Promise<void>((resolve) => setTimeout(resolve, seconds * 1000)));
  }
}
