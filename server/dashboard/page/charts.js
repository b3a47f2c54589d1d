/**
 * The charts: one figure each, one line per node, drawn by uPlot. They show what they are given and know neither where
 * it comes from nor what it means.
 */
import { bytes, count, milliseconds, percent, rate } from "./units.js";

/** @typedef {import("./cluster.js").Cluster} Cluster */
/** @typedef {import("./cluster.js").Metric} Metric */
/** @typedef {typeof import("uplot")} UPlot */
/** @typedef {InstanceType<UPlot>} Plot */
/** @typedef {{ metric: Metric, title: string, form: (value: number) => string, least: number, adds: boolean }} ChartSpec `least`: how high the axis reaches at least; `adds`: whether nodes add up to something. */

/** @type {readonly ChartSpec[]} */
const specs = [
  { metric: "deliveries", title: "Deliveries per second", form: rate, least: 10, adds: true },
  { metric: "publications", title: "Publications per second", form: rate, least: 10, adds: true },
  { metric: "connections", title: "Connections", form: count, least: 10, adds: true },
  { metric: "queuedBytes", title: "Queued bytes", form: bytes, least: 1024, adds: true },
  { metric: "dropped", title: "Messages left out per second", form: rate, least: 10, adds: true },
  { metric: "loopLagMs", title: "Event loop lag", form: milliseconds, least: 10, adds: false },
  { metric: "cpuPercent", title: "CPU, percent of a core", form: percent, least: 10, adds: false },
  { metric: "residentBytes", title: "Memory", form: bytes, least: 1 << 20, adds: true },
];

const HEIGHT = 140;
const AXIS_WIDTH = 62;
const TIME_AXIS_HEIGHT = 28;
/** Steps of an axis that counts bytes, so that it shows 512 KiB and not 488. */
const POWERS_OF_TWO = Array.from({ length: 50 }, (_, exponent) => 2 ** exponent);
const HEADROOM = 1.1;
/** Lines that differ in colour; further nodes share those. */
export const SLOT_COUNT = 8;

/** @param {number} slot of a node */
export function colourOf(slot) {
  return styleOf(`--line-${slot % SLOT_COUNT}`);
}

/** @param {string} name of a custom property */
function styleOf(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

const uPlot = /** @type {UPlot} */ (Reflect.get(globalThis, "uPlot"));

class Chart {
  /** @type {ChartSpec} */
  #spec;
  #figure = document.createElement("figure");
  #reading = document.createElement("output");
  #canvas = document.createElement("div");
  /** @type {Plot | undefined} */
  #plot;
  /** The nodes whose lines the plot has. */
  #lines = "";

  /**
   * @param {ChartSpec} spec
   * @param {Element} parent
   */
  constructor(spec, parent) {
    this.#spec = spec;
    const caption = document.createElement("figcaption");
    const title = document.createElement("h3");
    title.textContent = spec.title;
    this.#reading.setAttribute("aria-live", "off");
    caption.append(title, this.#reading);
    this.#canvas.setAttribute("role", "img");
    this.#figure.className = "card";
    this.#figure.append(caption, this.#canvas);
    parent.append(this.#figure);
  }

  /** The width that there is to draw in. */
  get width() {
    return this.#canvas.clientWidth;
  }

  /** Draws anew with the colours that hold now. */
  restyle() {
    this.#lines = "";
  }

  /**
   * @param {Cluster} cluster
   * @param {number} nowMs
   */
  show(cluster, nowMs) {
    const { metric, form, adds, title } = this.#spec;
    const nodes = cluster.sorted();
    const values = cluster.live(nowMs).map((node) => node.values[metric]);
    const value = adds ? values.reduce((sum, one) => sum + one, 0) : Math.max(0, ...values);
    const text = values.length === 0 ? "–" : `${!adds && values.length > 1 ? "worst " : ""}${form(value)}`;
    this.#reading.textContent = text;
    this.#canvas.setAttribute("aria-label", `${title}: ${text} now`);
    const data = /** @type {import("uplot").AlignedData} */ ([
      cluster.times,
      ...nodes.map(({ points }) => points[metric]),
    ]);
    const lines = nodes.map(({ figures, slot }) => `${figures.run}=${slot}`).join();
    if (this.#plot !== undefined && lines === this.#lines) return this.#plot.setData(data);
    this.#lines = lines;
    this.#plot?.destroy();
    this.#plot = new uPlot(optionsOf(this.#spec, nodes, this.width), data, this.#canvas);
  }

  fit() {
    if (this.#plot !== undefined && this.#plot.width !== this.width) {
      this.#plot.setSize({ width: this.width, height: HEIGHT });
    }
  }
}

/**
 * @param {ChartSpec} spec
 * @param {readonly import("./cluster.js").Node[]} nodes
 * @param {number} width
 * @returns {import("uplot").Options}
 */
function optionsOf({ form, least }, nodes, width) {
  const axis = {
    stroke: styleOf("--muted"),
    font: "12px system-ui, sans-serif",
    grid: { stroke: styleOf("--grid"), width: 1 },
    ticks: { show: false },
  };
  const steps = form === bytes ? { incrs: POWERS_OF_TWO } : {};
  return {
    width,
    height: HEIGHT,
    legend: { show: false },
    cursor: { sync: { key: "all" }, y: false, points: { size: 7 }, drag: { x: false, y: false } },
    padding: [8, 8, 0, 0],
    scales: { y: { range: (_plot, _min, max) => [0, Math.max(least, max * HEADROOM)] } },
    axes: [
      { ...axis, space: 70, size: TIME_AXIS_HEIGHT, values: (_plot, times) => times.map(timeOf) },
      { ...axis, size: AXIS_WIDTH, space: 36, values: (_plot, values) => values.map(form), ...steps },
    ],
    series: [
      {},
      ...nodes.map(({ slot, figures }) => ({
        label: figures.node,
        stroke: colourOf(slot),
        width: 2,
        points: { show: false },
        ...(nodes.length === 1 ? { fill: `${colourOf(slot)}22` } : {}),
      })),
    ],
  };
}

/** @param {number} seconds since 1970 */
function timeOf(seconds) {
  return new Date(seconds * 1000).toLocaleTimeString("en-GB");
}

/** All charts of the page. */
export class Charts {
  /** @type {readonly Chart[]} */
  #charts;

  /** @param {Element} parent */
  constructor(parent) {
    this.#charts = specs.map((spec) => new Chart(spec, parent));
    new ResizeObserver(() => this.#charts.forEach((chart) => chart.fit())).observe(parent);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      for (const chart of this.#charts) chart.restyle();
    });
  }

  /**
   * @param {Cluster} cluster
   * @param {number} nowMs
   */
  show(cluster, nowMs) {
    for (const chart of this.#charts) chart.show(cluster, nowMs);
  }
}
