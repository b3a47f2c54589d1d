/** The objects that a server makes for itself, for tests that look at what is left in their tables. */

/** Every object of a class on which `method` is called from now on, until `release`. */
export function capture<T extends object, Name extends keyof T>(
  type: { readonly prototype: T },
  method: Name,
): { readonly all: Set<T>; release(): void } {
  const all = new Set<T>();
  const original = type.prototype[method] as (...parameters: unknown[]) => unknown;
  const replaced = function (this: T, ...parameters: unknown[]): unknown {
    all.add(this);
    return original.apply(this, parameters);
  };
  type.prototype[method] = replaced as T[Name];
  return {
    all,
    release() {
      type.prototype[method] = original as T[Name];
    },
  };
}

/** A whole collection of garbage; answers false where the runtime does none on demand (Deno, without a flag of V8). */
export function collectGarbage(): boolean {
  const { gc, Bun } = globalThis as { gc?: () => void; Bun?: { gc(wait: boolean): void } };
  gc?.();
  Bun?.gc(true);
  return gc !== undefined || Bun !== undefined;
}
