/** Listeners by event. What a listener throws is the application's, and never stops what goes on here. */

export type Listener<Event> = (event: Event) => void;

export class Emitter<Events extends object> {
  private readonly listeners = new Map<keyof Events, Set<Listener<never>>>();

  /** @returns what takes the listener away again */
  on<Name extends keyof Events>(name: Name, listener: Listener<Events[Name]>): () => void {
    let set = this.listeners.get(name);
    if (set === undefined) this.listeners.set(name, set = new Set());
    set.add(listener);
    return () => void set.delete(listener);
  }

  /**
   * Calls every listener, and `failed` with what one throws.
   * @returns whether there was any
   */
  emit<Name extends keyof Events>(name: Name, event: Events[Name], failed: Listener<unknown>): boolean {
    const set = this.listeners.get(name) as Set<Listener<Events[Name]>> | undefined;
    for (const listener of set ?? []) guarded(listener, event, failed);
    return set !== undefined && set.size > 0;
  }
}

/** Calls an application's function; `failed` is told what it throws. */
export function guarded<Event>(
  listener: Listener<Event> | undefined,
  event: Event,
  failed: Listener<unknown>,
): void {
  try {
    listener?.(event);
  } catch (error) {
    failed(error);
  }
}
