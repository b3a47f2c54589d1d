/**
 * A stock exchange that never closes: prices that wander, each with the order book around it, published as MessagePack.
 * It knows nothing of who reads them.
 */
import type { Client } from "../../client/mod.ts";

/** What is published to `prices.EXCHANGE.SYMBOL`. */
export interface Tick {
  readonly price: number;
  /** When it was published, by the clock of `performance.now()`. */
  readonly atMs: number;
  /** Sizes and prices around it as 32-bit floats: bytes go through MessagePack as they are. */
  readonly book: Uint8Array;
}

export type Topics = { "prices.>": Tick };

const exchanges: Readonly<Record<string, readonly string[]>> = {
  xetra: ["ADS", "BMW", "SAP"],
  nyse: ["GE", "IBM", "KO"],
  tse: ["7203", "6758", "9984"],
};
const topics = Object.entries(exchanges).flatMap(([exchange, symbols]) =>
  symbols.map((symbol) => `prices.${exchange}.${symbol}` as const)
);

const FIRST_PRICE = 100;
const STEP = 0.02;
const BOOK_LEVELS = 64;
const INTERVAL_MS = 10;
/** As many as the client keeps waiting, and some less. */
const MAX_BATCH = 500;
const MS_PER_SECOND = 1_000;

/** Resolves once the server has stored `count` ticks; that takes longer where it cannot take so many a second. */
export async function publishTicks(
  client: Client<Topics>,
  count: number,
  ticksPerSecond: number,
): Promise<void> {
  const prices = topics.map(() => FIRST_PRICE);
  const startedMs = performance.now();
  for (let published = 0; published < count;) {
    const nowDue = (performance.now() - startedMs) / MS_PER_SECOND * ticksPerSecond;
    const due = Math.min(count, nowDue, published + MAX_BATCH);
    const batch: Promise<unknown>[] = [];
    for (; published < due; published++) {
      const at = published % topics.length;
      const price = prices[at] = (prices[at] ?? FIRST_PRICE) + (Math.random() - 0.5) * STEP;
      batch.push(client.publish(topics[at] as typeof topics[number], tickOf(price)));
    }
    // No more is under way than the server can take.
    await Promise.all(batch);
    await new Promise((resolve) => setTimeout(resolve, INTERVAL_MS));
  }
}

function tickOf(price: number): Tick {
  const levels = new Float32Array(BOOK_LEVELS * 4);
  for (let level = 0; level < BOOK_LEVELS; level++) {
    const distance = (level + 1) * STEP;
    levels.set([price - distance, Math.random(), price + distance, Math.random()], level * 4);
  }
  return { price, atMs: performance.now(), book: new Uint8Array(levels.buffer) };
}
