/** Listeners by event. What a listener throws is the application's, and never stops what goes on here. */

export type Listener<Event> = (event: Event) => void;

export interface Emitter<Events extends object> {
  /** @returns what takes the listener away again */
  on<Name extends keyof Events>(name: Name, listener: Listener<Events[Name]>): () => void;
  /** Calls every listener. Answers whether there was any. */
  emit<Name extends keyof Events>(name: Name, event: Events[Name]): boolean;
}

/** @param failed is told what a listener throws, and of which event */
export function createEmitter<Events extends object>(
  failed: (error: unknown, name: keyof Events) => void,
): Emitter<Events> {
  const listeners = new Map<keyof Events, Set<Listener<never>>>();
  return {
    on(name, listener) {
      let set = listeners.get(name);
      if (!set) listeners.set(name, set = new Set());
      set.add(listener);
      return () => void set.delete(listener);
    },
    emit(name, event) {
      const set = listeners.get(name);
      for (const listener of set ?? []) {
        guarded(listener as Listener<typeof event>, event, (error) => failed(error, name));
      }
      return set !== undefined && set.size > 0;
    },
  };
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
