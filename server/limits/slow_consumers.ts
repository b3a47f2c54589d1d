/**
 * Who does not read fast enough: how much waits for each peer, since when, and what it has missed. It looks at all peers
 * when it is told to, once a second or so, and remembers only those with a backlog. It closes nobody and has no clock.
 */

/** A peer with a backlog, or one that has just missed messages, as the last scan found it. */
export interface SlowConsumer<Peer> {
  readonly peer: Peer;
  readonly queuedBytes: number;
  /** For how long it has had a backlog without interruption, as far as scans could see. */
  readonly sinceMs: number;
  /** Messages that were left out for it since it came into the report. */
  readonly skipped: number;
}

/** A set, an array, or the values of a map. Their own loop makes nothing per peer, where an iterator may. */
export interface Peers<Peer> {
  forEach(look: (peer: Peer) => void): void;
}

interface Entry {
  queuedBytes: number;
  /** The scan that first found the backlog, or the last one before a message was skipped. */
  startMs: number;
  skipped: number;
  /** The number of the last scan that found a backlog. */
  seenInScan: number;
  skippedSinceScan: boolean;
}

export class SlowConsumers<Peer extends { readonly bufferedAmount: number }> {
  private readonly look: (peer: Peer) => void;
  private readonly entries = new Map<Peer, Entry>();
  private scans = 0;
  private scannedMs = 0;
  private total = 0;

  /** @param observe is told every backlog that a scan finds, in bytes: for a histogram */
  constructor(observe: (queuedBytes: number) => void) {
    this.look = (peer) => {
      const queuedBytes = peer.bufferedAmount;
      if (queuedBytes === 0) return;
      this.found(peer, queuedBytes);
      observe(queuedBytes);
    };
  }

  /** What waited at the last scan for the peers that are still there, in bytes. */
  get queuedBytes(): number {
    return this.total;
  }

  /** How many peers a report can have. */
  get count(): number {
    return this.entries.size;
  }

  /**
   * Looks at every peer. One without a backlog, or no longer among `peers`, is forgotten unless it has missed a message
   * since the scan before: a loss stays in the report from one scan to the next at least.
   * @param nowMs monotonic milliseconds
   */
  scan(peers: Peers<Peer>, nowMs: number): void {
    this.scans++;
    this.scannedMs = nowMs;
    this.total = 0;
    peers.forEach(this.look);
    for (const [peer, entry] of this.entries) {
      if (entry.seenInScan !== this.scans) this.drained(peer, entry);
      entry.skippedSinceScan = false;
    }
  }

  /** A message was left out for `peer`. */
  skipped(peer: Peer): void {
    const entry = this.entryOf(peer);
    entry.skipped++;
    entry.skippedSinceScan = true;
  }

  /** The peer is gone. */
  remove(peer: Peer): void {
    this.total -= this.entries.get(peer)?.queuedBytes ?? 0;
    this.entries.delete(peer);
  }

  /** Those with most bytes queued first, at most `limit` of them. */
  report(limit: number): SlowConsumer<Peer>[] {
    return [...this.entries]
      .sort(([, a], [, b]) => b.queuedBytes - a.queuedBytes)
      .slice(0, limit)
      .map(([peer, { queuedBytes, startMs, skipped }]) => (
        { peer, queuedBytes, sinceMs: this.scannedMs - startMs, skipped }
      ));
  }

  private found(peer: Peer, queuedBytes: number): void {
    const entry = this.entryOf(peer);
    entry.queuedBytes = queuedBytes;
    entry.seenInScan = this.scans;
    this.total += queuedBytes;
  }

  private drained(peer: Peer, entry: Entry): void {
    if (!entry.skippedSinceScan) this.entries.delete(peer);
    entry.queuedBytes = 0;
    entry.startMs = this.scannedMs;
  }

  private entryOf(peer: Peer): Entry {
    let entry = this.entries.get(peer);
    if (entry === undefined) {
      entry = {
        queuedBytes: 0,
        startMs: this.scannedMs,
        skipped: 0,
        seenInScan: 0,
        skippedSinceScan: false,
      };
      this.entries.set(peer, entry);
    }
    return entry;
  }
}
