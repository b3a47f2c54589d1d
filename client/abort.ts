/** What an AbortSignal ends. */

/**
 * Calls `run` once when a signal, if there is one, is aborted; not when it has been already.
 * @returns what gives that up: signals may outlive by far what they could have ended
 */
export function onAbort(signal: AbortSignal | undefined, run: () => void): () => void {
  signal?.addEventListener("abort", run);
  return () => signal?.removeEventListener("abort", run);
}
