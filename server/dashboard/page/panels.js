/** The page's numbers and tables. Everything is written as text: what a node or a client has named is never markup. */
import { colourOf } from "./charts.js";
import { bytes, count, milliseconds, percent, rate, span } from "./units.js";

/** @typedef {import("./cluster.js").Cluster} Cluster */
/** @typedef {import("./cluster.js").Node} Node */
/** @typedef {{ title: string, isText?: boolean }} Column */

const MAX_ROWS = 10;
const MS_PER_SECOND = 1_000;

/**
 * The element of the page with an id.
 * @param {string} id
 */
export function element(id) {
  const found = document.getElementById(id);
  if (found === null) throw new TypeError(`the page has no #${id}`);
  return found;
}

/**
 * Makes an element have so many children, and gives them.
 * @param {Element} parent
 * @param {number} length
 * @param {(index: number) => Element} create
 */
function children(parent, length, create) {
  while (parent.children.length > length) parent.lastElementChild?.remove();
  while (parent.children.length < length) parent.append(create(parent.children.length));
  return [...parent.children];
}

/**
 * Writes only what has changed, so that a selection stays.
 * @param {Element | undefined} target
 * @param {string} text
 */
function write(target, text) {
  if (target !== undefined && target.textContent !== text) target.textContent = text;
}

/**
 * @param {string} tag
 * @param {string} [className]
 */
function made(tag, className = "") {
  const one = document.createElement(tag);
  one.className = className;
  return one;
}

/**
 * Fills a table; the first cell of a row names it.
 * @param {string} id
 * @param {readonly Column[]} columns
 * @param {readonly (readonly string[])[]} rows
 */
function fill(id, columns, rows) {
  const table = element(id);
  const [head, body] = children(table, 2, (index) => document.createElement(index === 0 ? "thead" : "tbody"));
  if (head === undefined || body === undefined) return [];
  const [headRow] = children(head, 1, () => document.createElement("tr"));
  if (headRow === undefined) return [];
  const titles = children(headRow, columns.length, (index) => {
    const cell = made("th", columns[index]?.isText ? "text" : "");
    cell.setAttribute("scope", "col");
    return cell;
  });
  for (const [index, { title }] of columns.entries()) write(titles[index], title);
  table.hidden = rows.length === 0;
  return children(body, rows.length, () => document.createElement("tr")).map((row, at) => {
    const texts = rows[at] ?? [];
    const cells = children(row, texts.length, (index) => {
      const cell = made(index === 0 ? "th" : "td", columns[index]?.isText ? "text" : "");
      if (index === 0) cell.setAttribute("scope", "row");
      return cell;
    });
    for (const [index, text] of texts.entries()) write(cells[index], text);
    return row;
  });
}

/**
 * @param {Cluster} cluster
 * @param {number} nowMs
 */
export function showTotals(cluster, nowMs) {
  const live = cluster.live(nowMs);
  const known = cluster.nodes.size;
  const slow = live.reduce((sum, { figures }) => sum + figures.slow.count, 0);
  const totals = [
    ["Nodes", live.length === known ? String(known) : `${live.length} of ${known}`, live.length < known],
    ["Connections", count(cluster.sum("connections", nowMs)), false],
    ["Received /s", rate(cluster.sum("received", nowMs)), false],
    ["Published /s", rate(cluster.sum("publications", nowMs)), false],
    ["Delivered /s", rate(cluster.sum("deliveries", nowMs)), false],
    ["Queued", bytes(cluster.sum("queuedBytes", nowMs)), false],
    ["Left out /s", rate(cluster.sum("dropped", nowMs)), cluster.sum("dropped", nowMs) > 0],
    ["Slow consumers", count(slow), slow > 0],
  ];
  const tiles = children(element("totals"), totals.length, () => {
    const tile = made("div", "card");
    tile.append(made("dt"), made("dd"));
    return tile;
  });
  for (const [index, [name, value, isBad]] of totals.entries()) {
    const tile = tiles[index];
    write(tile?.children[0], String(name));
    write(tile?.children[1], String(value));
    tile?.classList.toggle("bad", isBad === true);
  }
}

/** @type {readonly Column[]} */
const nodeColumns = [
  { title: "Node", isText: true },
  { title: "State", isText: true },
  { title: "Connections" },
  { title: "Topics" },
  { title: "Delivered /s" },
  { title: "Queued" },
  { title: "Loop lag" },
  { title: "CPU" },
  { title: "Memory" },
  { title: "Broker", isText: true },
  { title: "Engine", isText: true },
  { title: "Version", isText: true },
  { title: "Up" },
];

const states = { ready: "ready", draining: "draining", broker_unavailable: "no broker" };

/**
 * @param {Node} node
 * @param {number} nowMs
 */
function stateOf(node, nowMs) {
  if (node.isGone(nowMs)) return `gone for ${span((nowMs - node.heardMs) / MS_PER_SECOND)}`;
  return node.isStale(nowMs) ? "silent" : states[node.figures.state];
}

/**
 * @param {Cluster} cluster
 * @param {number} nowMs
 */
export function showNodes(cluster, nowMs) {
  const nodes = cluster.sorted();
  const rows = fill(
    "nodes",
    nodeColumns,
    nodes.map((node) => {
      const { figures, values } = node;
      const isStale = node.isStale(nowMs);
      return [
        figures.node,
        stateOf(node, nowMs),
        ...(isStale ? Array(7).fill("–") : [
          count(values.connections),
          count(figures.topics),
          rate(values.deliveries),
          bytes(values.queuedBytes),
          milliseconds(values.loopLagMs),
          percent(values.cpuPercent),
          bytes(values.residentBytes),
        ]),
        figures.broker,
        `${figures.engine} on ${figures.runtime}`,
        figures.version,
        isStale ? "–" : span(figures.uptimeSeconds),
      ];
    }),
  );
  for (const [index, row] of rows.entries()) {
    const node = nodes[index];
    const isWell = node !== undefined && !node.isStale(nowMs) && node.figures.state === "ready";
    row.classList.toggle("bad", !isWell);
  }
  showLegend(nodes);
}

/** @param {readonly Node[]} nodes */
function showLegend(nodes) {
  const items = children(element("legend"), nodes.length, () => {
    const item = made("li");
    item.append(made("i"), made("span"));
    return item;
  });
  for (const [index, { slot, figures }] of nodes.entries()) {
    const [swatch, name] = items[index]?.children ?? [];
    if (swatch instanceof HTMLElement) swatch.style.background = colourOf(slot);
    write(name, figures.node);
  }
}

/** @type {readonly Column[]} */
const topicColumns = [
  { title: "Topic", isText: true },
  { title: "Subscribers" },
  { title: "Published /s" },
  { title: "Delivered /s" },
  { title: "Bytes /s" },
];

/**
 * @param {Cluster} cluster
 * @param {number} nowMs
 */
export function showTopics(cluster, nowMs) {
  const topics = cluster.topics(nowMs);
  const shown = topics.slice(0, MAX_ROWS);
  fill(
    "topics",
    topicColumns,
    shown.map(({ topic, subscribers, publications, deliveries, deliveredBytes }) => [
      topic,
      count(subscribers),
      rate(publications),
      rate(deliveries),
      bytes(deliveredBytes),
    ]),
  );
  const others = cluster.live(nowMs).reduce((most, { figures }) => Math.max(most, figures.traffic.others), 0);
  const more = Math.max(others, topics.length - shown.length);
  const text = shown.length === 0
    ? "Nothing was delivered in the last second."
    : more > 0
    ? `And at least ${count(more)} more topics with traffic in the last second.`
    : "";
  write(element("topics-note"), text);
}

/** @type {readonly Column[]} */
const slowColumns = [
  { title: "Session", isText: true },
  { title: "User", isText: true },
  { title: "Node", isText: true },
  { title: "Queued" },
  { title: "For" },
  { title: "Left out" },
];

/**
 * @param {Cluster} cluster
 * @param {number} nowMs
 */
export function showSlow(cluster, nowMs) {
  const shown = cluster.slow(nowMs).slice(0, MAX_ROWS);
  fill(
    "slow",
    slowColumns,
    shown.map(({ session, user, node, queuedBytes, sinceMs, skipped }) => [
      session,
      user ?? "–",
      node,
      bytes(queuedBytes),
      span(sinceMs / MS_PER_SECOND),
      count(skipped),
    ]),
  );
  const all = cluster.live(nowMs).reduce((sum, { figures }) => sum + figures.slow.count, 0);
  const text = all === 0
    ? "Everybody reads fast enough."
    : all > shown.length
    ? `These are the ${shown.length} with most bytes of ${count(all)}; GET /api/slow of a node lists more.`
    : "";
  write(element("slow-note"), text);
}
