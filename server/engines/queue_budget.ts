/**
 * How many bytes wait in this process over all sockets of a listener, and who is cut when they are too many. It must not
 * know how an engine keeps its bytes, nor why a socket is slow.
 */

/** Once the budget is spent, the largest backlogs are cut until this share of it is left. */
const EVICT_TO_SHARE = 7 / 8;

/** Above the budget's edge a look at all backlogs happens once per this share of it, not with every message. */
const LOOKS_PER_BUDGET = 8;

/** A socket as the budget sees it. */
export interface Queue {
  /** What the budget holds for it; the budget alone writes it. */
  countedBytes: number;
  /** Hands what waits now to {@link QueueBudget.count}. */
  recount(): void;
  /** Tells the server and drops the connection. */
  evict(): void;
}

/**
 * The budget of one listener. The sum passes `maxBytes` by an eighth of it and by what is sent and published in two
 * turns of the event loop at the most: nobody is cut in the middle of a send or a publication.
 */
export class QueueBudget {
  private readonly maxBytes: number;
  private readonly recountSilent: () => void;
  /** Those with something counted. */
  private readonly waiting = new Set<Queue>();
  private totalBytes = 0;
  /** At most so much has been queued without being counted since all were looked at. */
  private unseenBytes = 0;
  private lookAboveBytes: number;
  private scheduled = false;

  /** @param recountSilent recounts every queue that may have grown without a word to {@link count} */
  constructor(maxBytes: number, recountSilent: () => void) {
    this.maxBytes = maxBytes;
    this.lookAboveBytes = maxBytes;
    this.recountSilent = recountSilent;
  }

  /** What waits now, over all sockets. Asks each that may have a backlog, so it is not for every message. */
  measure(): number {
    this.recountAll();
    return this.totalBytes;
  }

  /** `bytes` wait for `queue`. */
  count(queue: Queue, bytes: number): void {
    const before = queue.countedBytes;
    if (before === bytes) return;
    queue.countedBytes = bytes;
    this.totalBytes += bytes - before;
    if (before === 0) this.waiting.add(queue);
    else if (bytes === 0) this.waiting.delete(queue);
    if (bytes > before) this.lookWhenDue();
  }

  /** Up to `bytes` more may wait from now on, in sockets that will not say so. */
  expect(bytes: number): void {
    this.unseenBytes += bytes;
    this.lookWhenDue();
  }

  private lookWhenDue(): void {
    if (this.scheduled || this.totalBytes + this.unseenBytes <= this.lookAboveBytes) return;
    this.scheduled = true;
    // A native engine hands what one turn has published to its sockets when its own loop comes round, which may be
    // after the first of these.
    setImmediate(() => setImmediate(() => this.look()));
  }

  private look(): void {
    this.unseenBytes = 0;
    this.recountAll();
    if (this.totalBytes > this.maxBytes) this.evictLargest();
    this.lookAboveBytes = Math.max(this.maxBytes, this.totalBytes + this.maxBytes / LOOKS_PER_BUDGET);
    this.scheduled = false;
  }

  private recountAll(): void {
    for (const queue of this.waiting) queue.recount();
    this.recountSilent();
  }

  private evictLargest(): void {
    const slowest = [...this.waiting].sort((a, b) => b.countedBytes - a.countedBytes);
    for (const queue of slowest) {
      if (this.totalBytes <= this.maxBytes * EVICT_TO_SHARE) return;
      // It may have closed while another one was cut.
      if (queue.countedBytes > 0) queue.evict();
      this.count(queue, 0);
    }
  }
}
