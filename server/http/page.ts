/**
 * A page of a list in the order of its names: whoever asks for the next one with the last name goes on exactly there,
 * whatever has come and gone meanwhile. A page costs one look at everything, and memory for itself only.
 */
import type { PageRequest } from "./input.ts";

export interface Page<Item> {
  readonly items: readonly Item[];
  /** What to ask after for the page behind this one; null for the last page. */
  readonly next: string | null;
}

/** @param nameOf different for each item, and not empty */
export function pageOf<Item>(
  all: Iterable<Item>,
  nameOf: (item: Item) => string,
  { after, limit }: PageRequest,
): Page<Item> {
  // One more than fits says that there is a next page.
  const wanted = limit + 1;
  const byName = (a: Item, b: Item) => nameOf(a) < nameOf(b) ? -1 : 1;
  let first: Item[] = [];
  let last: string | undefined;
  for (const item of all) {
    const name = nameOf(item);
    if (name <= after || (last !== undefined && name >= last)) continue;
    first.push(item);
    if (first.length < 2 * wanted) continue;
    first = first.sort(byName).slice(0, wanted);
    last = nameOf(first[wanted - 1] as Item); // there are twice as many
  }
  const items = first.sort(byName).slice(0, limit);
  return { items, next: first.length > limit ? nameOf(items[limit - 1] as Item) : null };
}
