/** A log of things that happened, which a test can wait on: nothing here polls or sleeps. */

/** Fails a wait that would otherwise hang the whole run; never decides a test that works. */
const PATIENCE_MS = 20_000;

/** Records events and wakes those who wait for one. */
export class Events<T> {
  readonly all: T[] = [];
  private waiters: (() => void)[] = [];

  push(event: T): void {
    this.all.push(event);
    this.wake();
  }

  wake(): void {
    const waiters = this.waiters;
    this.waiters = [];
    for (const waiter of waiters) waiter();
  }

  /** Resolves once `holds` is true of the log; it is asked again after each event. */
  async until(holds: (all: readonly T[]) => boolean, what = holds.toString()): Promise<void> {
    const end = performance.now() + PATIENCE_MS;
    while (!holds(this.all)) {
      await new Promise<void>((resolve, reject) => {
        const timer = setTimeout(
          () => reject(new Error(`waited in vain for: ${what}`)),
          end - performance.now(),
        );
        this.waiters.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
  }

  /** Resolves with the first event, past or future, that `matches`. */
  async find(matches: (event: T) => boolean, what = matches.toString()): Promise<T> {
    await this.until((all) => all.some(matches), what);
    return this.all.find(matches) as T;
  }
}
