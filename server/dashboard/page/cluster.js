/**
 * What the nodes have said, put together: rates from two records of a node, five minutes of points, sums over nodes,
 * and who has fallen silent. It knows no page and no connection, and is told the time.
 */

/** @typedef {import("../figures.ts").NodeFigures} NodeFigures */
/** @typedef {"connections" | "publications" | "deliveries" | "received" | "queuedBytes" | "dropped" | "loopLagMs" | "residentBytes" | "cpuPercent"} Metric */
/** @typedef {Record<Metric, number>} Values What a node is doing; rates are per second. */
/** @typedef {{ topic: string, subscribers: number, publications: number, deliveries: number, deliveredBytes: number }} TopicRow Rates are per second. */
/** @typedef {NodeFigures["slow"]["connections"][number] & { node: string }} SlowRow */

/** @type {readonly Metric[]} */
export const metrics = [
  "connections",
  "publications",
  "deliveries",
  "received",
  "queuedBytes",
  "dropped",
  "loopLagMs",
  "residentBytes",
  "cpuPercent",
];

/** Points of a chart: one a second. */
export const MAX_POINTS = 300;
/** A node that has said nothing for this long does not count, is shown as gone, and is forgotten. */
export const STALE_MS = 2_500;
export const GONE_MS = 5_000;
export const FORGOTTEN_MS = 60_000;

const MS_PER_SECOND = 1_000;
const PERCENT = 100;

/** One run of one node. */
export class Node {
  /** Its line and colour; kept as long as it is known. */
  slot = 0;
  /** @type {NodeFigures} */
  figures;
  /** @type {Values} */
  values;
  heardMs = 0;
  /** @type {Record<Metric, (number | null)[]>} as many as the cluster has times */
  points;

  /**
   * @param {NodeFigures} figures
   * @param {number} pointCount
   */
  constructor(figures, pointCount) {
    this.figures = figures;
    this.values = valuesOf(figures, undefined);
    const empty = metrics.map((metric) => [metric, Array(pointCount).fill(null)]);
    this.points = /** @type {Record<Metric, (number | null)[]>} */ (Object.fromEntries(empty));
  }

  /** By this page's clock. */
  get startedMs() {
    return this.heardMs - this.figures.uptimeSeconds * MS_PER_SECOND;
  }

  /** @param {number} nowMs */
  isStale(nowMs) {
    return nowMs - this.heardMs > STALE_MS;
  }

  /** @param {number} nowMs */
  isGone(nowMs) {
    return nowMs - this.heardMs > GONE_MS;
  }
}

/**
 * @param {NodeFigures} figures
 * @param {NodeFigures | undefined} before
 * @returns {Values}
 */
function valuesOf(figures, before) {
  const seconds = before === undefined ? 0 : (figures.atMs - before.atMs) / MS_PER_SECOND;
  /** @param {keyof NodeFigures["totals"]} name */
  const perSecond = (name) =>
    before === undefined || seconds <= 0 ? 0 : (figures.totals[name] - before.totals[name]) / seconds;
  return {
    connections: figures.connections,
    publications: perSecond("publications"),
    deliveries: perSecond("deliveries"),
    received: perSecond("received"),
    queuedBytes: figures.queuedBytes,
    dropped: perSecond("dropped"),
    loopLagMs: figures.loopLagMs,
    residentBytes: figures.residentBytes,
    cpuPercent: perSecond("cpuSeconds") * PERCENT,
  };
}

/** All nodes. */
export class Cluster {
  /** @type {Map<string, Node>} by run */
  nodes = new Map();
  /** @type {number[]} seconds since 1970 of each point */
  times = [];

  /**
   * Takes what a node says.
   * @param {NodeFigures} figures
   * @param {number} nowMs monotonic
   */
  receive(figures, nowMs) {
    let node = this.nodes.get(figures.run);
    if (node === undefined) {
      node = new Node(figures, this.times.length);
      node.slot = this.#freeSlot();
      this.nodes.set(figures.run, node);
    } else {
      node.values = valuesOf(figures, node.figures);
      node.figures = figures;
    }
    node.heardMs = nowMs;
  }

  /**
   * Adds a point to every line, and forgets who has been silent for long.
   * @param {number} nowMs monotonic
   * @param {number} wallSeconds since 1970
   */
  tick(nowMs, wallSeconds) {
    this.times.push(wallSeconds);
    if (this.times.length > MAX_POINTS) this.times.shift();
    for (const [run, node] of this.nodes) {
      if (nowMs - node.heardMs > FORGOTTEN_MS || this.#isReplaced(node, nowMs)) {
        this.nodes.delete(run);
        continue;
      }
      const isStale = node.isStale(nowMs);
      for (const metric of metrics) {
        const points = node.points[metric];
        points.push(isStale ? null : node.values[metric]);
        if (points.length > MAX_POINTS) points.shift();
      }
    }
  }

  /** Those that are known, by name. */
  sorted() {
    return [...this.nodes.values()].sort((a, b) =>
      a.figures.node.localeCompare(b.figures.node) || a.figures.run.localeCompare(b.figures.run)
    );
  }

  /**
   * Those that speak.
   * @param {number} nowMs
   */
  live(nowMs) {
    return this.sorted().filter((node) => !node.isStale(nowMs));
  }

  /**
   * Over all live nodes.
   * @param {Metric} metric
   * @param {number} nowMs
   */
  sum(metric, nowMs) {
    return this.live(nowMs).reduce((sum, { values }) => sum + values[metric], 0);
  }

  /**
   * The busiest first. Each node delivers a publication to its own subscribers, so deliveries add up, and publications
   * do not.
   * @param {number} nowMs
   * @returns {TopicRow[]}
   */
  topics(nowMs) {
    /** @type {Map<string, TopicRow>} */
    const rows = new Map();
    for (const { figures: { traffic } } of this.live(nowMs)) {
      const seconds = traffic.overMs / MS_PER_SECOND;
      if (seconds <= 0) continue;
      for (const { topic, subscribers, publications, deliveries, deliveredBytes } of traffic.topics) {
        const row = rows.get(topic) ??
          { topic, subscribers: 0, publications: 0, deliveries: 0, deliveredBytes: 0 };
        row.subscribers += subscribers;
        row.publications = Math.max(row.publications, publications / seconds);
        row.deliveries += deliveries / seconds;
        row.deliveredBytes += deliveredBytes / seconds;
        rows.set(topic, row);
      }
    }
    return [...rows.values()].sort((a, b) =>
      b.deliveries - a.deliveries || b.publications - a.publications || a.topic.localeCompare(b.topic)
    );
  }

  /**
   * The largest backlogs first.
   * @param {number} nowMs
   * @returns {SlowRow[]}
   */
  slow(nowMs) {
    return this.live(nowMs)
      .flatMap(({ figures }) => figures.slow.connections.map((one) => ({ ...one, node: figures.node })))
      .sort((a, b) => b.queuedBytes - a.queuedBytes);
  }

  /**
   * Whether a silent node has been started anew: another one of its name began when it fell silent.
   * @param {Node} node
   * @param {number} nowMs
   */
  #isReplaced(node, nowMs) {
    if (!node.isStale(nowMs)) return false;
    return [...this.nodes.values()].some((other) =>
      other.figures.node === node.figures.node && other.startedMs > node.heardMs - STALE_MS && other !== node
    );
  }

  #freeSlot() {
    const taken = new Set([...this.nodes.values()].map(({ slot }) => slot));
    let slot = 0;
    while (taken.has(slot)) slot++;
    return slot;
  }
}
