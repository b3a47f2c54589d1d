/**
 * Finds the knee: the highest rate at which something holds, by doubling or halving until it is between two rates and then
 * bisecting. A failure counts once it has happened twice, as a single one may be chance. It must never know what is probed.
 */

/** What a probe of a rate found. */
export const Verdict = {
  Holds: "holds",
  Fails: "fails",
  /** The prober itself could not offer the rate: nothing above can be probed either. */
  Unprobed: "unprobed",
} as const;
export type Verdict = typeof Verdict[keyof typeof Verdict];

/** Where to search, and how long. */
export interface Search {
  /** The first rate to probe. */
  readonly start: number;
  /** No rate below or above is probed. */
  readonly least: number;
  readonly most: number;
  /** The search ends when the knee is known this exactly: 0.05 for 5 %. */
  readonly precision: number;
  /** It ends after so many probes anyway, second ones included. */
  readonly mostProbes: number;
}

/** What a search found. */
export interface Knee {
  /** The highest rate that held; undefined when none did. */
  readonly rate: number | undefined;
  /** The lowest rate that failed; undefined when none did. */
  readonly failedAt: number | undefined;
  /** Why the search ended: the knee is between the two, or above `rate`, or the probes were used up before. */
  readonly ended: "found" | "unprobed" | "most" | "least" | "probes";
  readonly probes: number;
}

const GROWTH = 1.6;
const SHRINKAGE = 3;

/** Searches with `probe`. At most `mostProbes` probes are made, one after the other. */
export async function findKnee(search: Search, probe: (rate: number) => Promise<Verdict>): Promise<Knee> {
  const { least, most, precision, mostProbes } = search;
  let holds: number | undefined;
  let fails: number | undefined;
  let probes = 0;
  const found = (ended: Knee["ended"]): Knee => ({ rate: holds, failedAt: fails, ended, probes });
  let rate = Math.min(most, Math.max(least, search.start));
  while (probes < mostProbes) {
    probes++;
    let verdict = await probe(rate);
    if (verdict === Verdict.Fails && probes < mostProbes) {
      probes++;
      verdict = await probe(rate);
    }
    if (verdict === Verdict.Unprobed) return found("unprobed");
    if (verdict === Verdict.Holds) holds = rate;
    else fails = rate;
    if (holds === undefined) {
      if (rate <= least) return found("least");
      rate = Math.max(least, rate / SHRINKAGE);
    } else if (fails === undefined) {
      if (rate >= most) return found("most");
      rate = Math.min(most, rate * GROWTH);
    } else {
      if (fails / holds <= 1 + precision) return found("found");
      rate = Math.sqrt(holds * fails);
    }
  }
  return found("probes");
}
