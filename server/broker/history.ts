/**
 * The last publications of one topic in memory: a ring with a place for each offset, so that reading from an offset
 * costs nothing but the reading. It grows by doubling up to what is kept; it knows no topics and no clock.
 */
import type { HistoryPage, Position, Publication, Retention } from "./broker.ts";

const FIRST_CAPACITY = 8;

export class History {
  private readonly retention: Retention;
  /** The publication with offset `n` is at `n % length`. */
  private ring: (Publication | undefined)[] = new Array<Publication | undefined>(FIRST_CAPACITY).fill(
    undefined,
  );
  /** When it came, in milliseconds of the clock that the caller uses. */
  private times = new Float64Array(FIRST_CAPACITY);
  /** Offsets `first` to `last` are kept; none when `first` is greater. */
  private first = 1;
  private last = 0;

  constructor(retention: Retention) {
    this.retention = retention;
  }

  get size(): number {
    return this.last - this.first + 1;
  }

  /** Keeps the publication that comes after all that were added before. */
  add(publication: Publication, nowMs: number): void {
    const { offset } = publication;
    if (this.size === 0) this.first = offset;
    this.last = offset;
    if (this.size > this.retention.messages) this.ring[this.first++ % this.ring.length] = undefined;
    if (this.size > this.ring.length) this.grow();
    const at = offset % this.ring.length;
    this.ring[at] = publication;
    this.times[at] = nowMs;
  }

  /** Forgets what is older than the retention allows. */
  expire(nowMs: number): void {
    if (this.size === 0) return;
    const oldestMs = nowMs - this.retention.seconds * 1_000;
    while (this.first <= this.last) {
      const at = this.first % this.ring.length;
      if ((this.times[at] as number) > oldestMs) return;
      this.ring[at] = undefined;
      this.first++;
    }
    this.ring = new Array<Publication | undefined>(FIRST_CAPACITY).fill(undefined);
    this.times = new Float64Array(FIRST_CAPACITY);
  }

  /** The answer of {@link Broker.history}; `current` is where the topic is. */
  page(current: Position, since: Position | undefined, limit: number, nowMs: number): HistoryPage {
    this.expire(nowMs);
    return pageOf(current, since, limit, this.size === 0 ? current.offset + 1 : this.first, (from, to) => {
      const messages: Publication[] = [];
      for (let offset = from; offset <= to; offset++) {
        messages.push(this.ring[offset % this.ring.length] as Publication); // kept: first to last are
      }
      return messages;
    });
  }

  private grow(): void {
    const length = Math.min(this.ring.length * 2, Math.max(this.retention.messages, FIRST_CAPACITY));
    const ring = new Array<Publication | undefined>(length).fill(undefined);
    const times = new Float64Array(length);
    for (let offset = this.first; offset < this.last; offset++) {
      ring[offset % length] = this.ring[offset % this.ring.length];
      times[offset % length] = this.times[offset % this.ring.length] as number;
    }
    this.ring = ring;
    this.times = times;
  }
}

/** Makes a page of a topic that keeps the offsets `first` to `current.offset`. `read` gets a range that is kept. */
export function pageOf(
  current: Position,
  since: Position | undefined,
  limit: number,
  first: number,
  read: (from: number, to: number) => readonly Publication[],
): HistoryPage {
  const { epoch, offset } = current;
  if (since === undefined) {
    return { epoch, offset, messages: read(Math.max(first, offset - limit + 1), offset), complete: true };
  }
  const isKnown = since.epoch === epoch && since.offset <= offset;
  const after = isKnown ? since.offset : 0;
  const from = Math.max(first, after + 1);
  const messages = read(from, Math.min(offset, from + limit - 1));
  return { epoch, offset, messages, complete: isKnown && from === after + 1 };
}

/** A page of a topic that keeps nothing. */
export function emptyPage(current: Position, since: Position | undefined): HistoryPage {
  return pageOf(current, since, 0, current.offset + 1, () => []);
}
