/**
 * Draws charts with ECharts, on a machine without a screen: bars with whiskers, ratios around 1, and marks on a
 * logarithmic scale. Colours are CSS variables, so one drawing serves light and dark. It must never know a benchmark.
 */
import { CustomChart, type CustomSeriesOption, ScatterChart } from "echarts/charts";
import { GridComponent, LegendComponent, MarkLineComponent } from "echarts/components";
import * as echarts from "echarts/core";
import { SVGRenderer } from "echarts/renderers";
import { formatNumber } from "./figures.ts";
import type { Spread } from "./statistics.ts";

echarts.use([
  CustomChart,
  ScatterChart,
  GridComponent,
  LegendComponent,
  MarkLineComponent,
  SVGRenderer,
]);

/** A phone's width without its margins: drawn for that, and never smaller. */
const WIDTH = 350;
/** A line of text above each bar: fonts differ too much in width for a column of their own. */
const ROW_HEIGHT = 38;
const LABEL_RISE = 1;
const BAR_HEIGHT = 14;
/** Bars and marks are this far below the middle of their row, and labels above it. */
const DROP = 9;
const FONT_SIZE = 12;
const VALUE_WIDTH = 56;
const LEFT = 2;
const TOP = 4;
const AXIS_HEIGHT = 46;
const LEGEND_HEIGHT = 30;
const WHISKER_HALF_HEIGHT = 4;

const INK = "var(--ink)";
const MUTED = "var(--muted)";
const GRID = "var(--grid)";

/** One bar or mark, from the top of the chart down. */
export interface Row {
  readonly label: string;
  readonly spread: Spread;
  /** Names a CSS variable of theme.ts. */
  readonly colour: string;
}

type Options = Record<string, unknown>;

const text = { color: INK, fontSize: FONT_SIZE, fontFamily: "sans-serif" };

/** Keeps text legible where a line passes behind it. */
const halo = { textBorderColor: "var(--paper)", textBorderWidth: 3 };

/** Puts a label into a column of its own at the right edge. */
function valueColumn(at: readonly number[], texts: readonly string[]): Options {
  return {
    type: "scatter",
    symbolSize: 0.01,
    silent: true,
    itemStyle: { color: "none" },
    data: texts.map((value, row) => ({
      value: [at[row], row],
      symbolOffset: [0, DROP],
      label: { ...text, show: true, position: "right", distance: 7, formatter: value },
    })),
  };
}

function axes(labels: readonly string[], unit: string, value: Options): Options {
  return {
    animation: false,
    textStyle: text,
    yAxis: {
      type: "category",
      inverse: true,
      data: labels,
      axisTick: { show: false },
      axisLine: { lineStyle: { color: MUTED } },
      z: 5,
      axisLabel: {
        ...text,
        interval: 0,
        inside: true,
        margin: 2,
        align: "left",
        verticalAlign: "bottom",
        padding: [0, 0, LABEL_RISE, 0],
        ...halo,
      },
    },
    xAxis: {
      name: unit,
      nameLocation: "middle",
      nameGap: 26,
      nameTextStyle: { ...text, color: MUTED },
      axisLabel: { ...text, color: MUTED, hideOverlap: true, alignMinLabel: "left", formatter: formatTick },
      splitLine: { lineStyle: { color: GRID } },
      axisLine: { show: false },
      ...value,
    },
  };
}

function formatTick(value: number): string {
  return value.toLocaleString("en-US", { maximumSignificantDigits: 3 });
}

function grid(rightMargin: number, top = TOP): Options {
  return { left: LEFT, right: rightMargin, top, bottom: AXIS_HEIGHT, outerBoundsMode: "none" };
}

/** A line from least to greatest with a stop at both ends. `data` is row, low, high. */
function whiskers(rows: readonly Row[]): CustomSeriesOption {
  return {
    type: "custom",
    silent: true,
    z: 3,
    data: rows.map(({ spread }, at) => [spread.low, at, spread.high]),
    encode: { x: [0, 2], y: 1 },
    renderItem(_, api) {
      const [left = 0, middle = 0] = api.coord([api.value(0), api.value(1)]);
      const y = middle + DROP;
      const [right = 0] = api.coord([api.value(2), api.value(1)]);
      const [above, below] = [y - WHISKER_HALF_HEIGHT, y + WHISKER_HALF_HEIGHT];
      const d = `M${left} ${above}V${below}M${right} ${above}V${below}M${left} ${y}H${right}`;
      return { type: "path", shape: { pathData: d }, style: { fill: "none", stroke: INK, lineWidth: 1.5 } };
    },
  };
}

/** Horizontal bars from zero with the median at their end and a whisker from least to greatest. */
export function barChart(rows: readonly Row[], unit: string): string {
  return draw(rows.length * ROW_HEIGHT + TOP + AXIS_HEIGHT, {
    ...axes(rows.map(({ label }) => label), unit, { type: "value", min: 0, splitNumber: 3 }),
    grid: grid(VALUE_WIDTH),
    series: [
      barSeries(rows),
      whiskers(rows),
      valueColumn(
        rows.map(({ spread }) => spread.high),
        rows.map(({ spread }) => formatNumber(spread.median)),
      ),
    ],
  });
}

/** ECharts centres its own bars in a row, where our labels stand. */
function barSeries(rows: readonly Row[]): CustomSeriesOption {
  return {
    type: "custom",
    silent: true,
    data: rows.map(({ spread }, at) => [spread.median, at]),
    renderItem({ dataIndex }, api) {
      const [right = 0, middle = 0] = api.coord([api.value(0), api.value(1)]);
      const [left = 0] = api.coord([0, api.value(1)]);
      return {
        type: "rect",
        shape: { x: left, y: middle + DROP - BAR_HEIGHT / 2, width: right - left, height: BAR_HEIGHT },
        style: { fill: `var(--${rows[dataIndex]?.colour})` },
      };
    },
  };
}

/** Ratios as diamonds with whiskers on a logarithmic scale, and a line at 1. */
export function ratioChart(rows: readonly Row[], unit: string): string {
  const all = rows.flatMap(({ spread }) => [spread.low, spread.high]);
  const min = Math.min(0.5, floorTo(Math.min(...all)));
  const max = Math.max(2, ceilTo(Math.max(...all)));
  return draw(rows.length * ROW_HEIGHT + TOP + AXIS_HEIGHT, {
    ...axes(rows.map(({ label }) => label), unit, { type: "log", logBase: 2, min, max }),
    grid: grid(VALUE_WIDTH),
    series: [
      whiskers(rows),
      {
        type: "scatter",
        symbol: "diamond",
        symbolSize: 11,
        symbolOffset: [0, DROP],
        data: rows.map(({ spread, colour }, at) => ({
          value: [spread.median, at],
          itemStyle: { color: `var(--${colour})` },
        })),
        markLine: {
          silent: true,
          symbol: "none",
          label: { show: false },
          lineStyle: { color: INK, type: "dashed", width: 1 },
          data: [{ xAxis: 1 }],
        },
      },
      valueColumn(rows.map(() => max), rows.map(({ spread }) => spread.median.toFixed(2))),
    ],
  });
}

const floorTo = (value: number) => 2 ** Math.floor(Math.log2(value));
const ceilTo = (value: number) => 2 ** Math.ceil(Math.log2(value));

/** Several marks in each row, told apart by their shape; `values` of a mark are as many as there are labels. */
export interface Mark {
  readonly name: string;
  readonly symbol: "circle" | "triangle" | "diamond" | "rect";
  readonly values: readonly (number | undefined)[];
}

/** Marks on a logarithmic scale, with a legend of their shapes. */
export function markChart(labels: readonly string[], marks: readonly Mark[], unit: string): string {
  const top = TOP + LEGEND_HEIGHT;
  return draw(labels.length * ROW_HEIGHT + top + AXIS_HEIGHT, {
    ...axes(labels, unit, { type: "log", logBase: 10 }),
    grid: grid(16, top),
    legend: { top: 0, left: 0, itemWidth: 12, itemHeight: 10, itemGap: 12, textStyle: text },
    series: marks.map(({ name, symbol, values }, nth) => ({
      name,
      type: "scatter",
      symbol,
      symbolSize: 9,
      symbolOffset: [0, DROP],
      itemStyle: { color: `var(--mark-${nth + 1})` },
      data: values.flatMap((value, at) => value === undefined ? [] : [[value, at]]),
    })),
  });
}

function draw(height: number, option: Options): string {
  const chart = echarts.init(null, null, { renderer: "svg", ssr: true, width: WIDTH, height });
  try {
    chart.setOption(option);
    return tidy(chart.renderToSVGString());
  } finally {
    chart.dispose();
  }
}

/** Takes out what only serves a live chart: styles under the mouse, generated class names, event attributes. */
function tidy(svg: string): string {
  return svg
    .replace(/<style\s*>[^]*?<\/style>/g, "")
    .replace(/ class="[^"]*"/g, "")
    .replace(/ ecmeta_ssr_type="chart"/g, ' class="mark"')
    .replace(/ ecmeta_\w+="[^"]*"/g, "")
    .replace(
      / (pointer-events="visible"|baseProfile="full"|version="1.1"|xml:space="preserve"|xmlns:xlink="[^"]*")/g,
      "",
    )
    .replace(/\n+/g, "\n")
    .trim();
}
