/** The known name that was probably meant by an unknown one. */
import { editDistance } from "../../server/config.ts";

/** How many letters may differ; two are swapped neighbours. */
const MAX_TYPING_ERRORS = 2;

/** The nearest of some names, if it is near; undefined otherwise. */
export function nearest(name: string, known: readonly string[]): string | undefined {
  let best: string | undefined;
  let least = MAX_TYPING_ERRORS + 1;
  for (const candidate of known) {
    if (Math.abs(candidate.length - name.length) >= least) continue;
    const distance = editDistance(name, candidate);
    if (distance < least) [best, least] = [candidate, distance];
  }
  return best;
}
