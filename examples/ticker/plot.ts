/** What each client received, as a drawing: three charts over the same seconds. It must never know how it was measured. */
import { BarChart, LineChart } from "echarts/charts";
import { GridComponent, LegendComponent, TitleComponent } from "echarts/components";
import * as echarts from "echarts/core";
import { SVGRenderer } from "echarts/renderers";
import { type Bin, BIN_MS } from "./watcher.ts";

echarts.use([BarChart, LineChart, GridComponent, LegendComponent, TitleComponent, SVGRenderer]);

/** A client in the drawing. */
export interface Trace {
  readonly name: string;
  readonly bins: readonly Bin[];
}

const WIDTH = 760;
const TOP = 64;
const CHART_HEIGHT = 130;
const CHART_DISTANCE = 56;
const MS_PER_SECOND = 1_000;
const COLOURS = ["#1668b8", "#2f7d4f", "#757c87", "#b4540a"];
const INK = "#1b1d21";
const MUTED = "#565b64";
const text = { color: INK, fontFamily: "sans-serif", fontSize: 12 };

const charts: readonly { title: string; kind: "line" | "bar"; valueOf(bin: Bin): number | null }[] = [
  {
    title: "Received, ticks a second",
    kind: "line",
    valueOf: (bin) => bin.received * MS_PER_SECOND / BIN_MS,
  },
  {
    title: "Lag, seconds from publication",
    kind: "line",
    valueOf: (bin) => bin.received === 0 ? null : bin.maxLagMs / MS_PER_SECOND,
  },
  {
    title: "Left out by the server, ticks a second",
    kind: "bar",
    valueOf: (bin) => bin.lost * MS_PER_SECOND / BIN_MS,
  },
];

/** An SVG document. */
export function plot(traces: readonly Trace[]): string {
  const seconds = Math.max(...traces.map(({ bins }) => bins.length)) * BIN_MS / MS_PER_SECOND;
  const height = TOP + charts.length * (CHART_HEIGHT + CHART_DISTANCE);
  const chart = echarts.init(null, null, { renderer: "svg", ssr: true, width: WIDTH, height });
  const topOf = (at: number) => TOP + at * (CHART_HEIGHT + CHART_DISTANCE);
  const perChart = <T>(make: (at: number) => T) => charts.map((_, at) => make(at));
  try {
    chart.setOption({
      animation: false,
      backgroundColor: "#ffffff",
      color: COLOURS,
      textStyle: text,
      legend: {
        top: 8,
        left: 8,
        icon: "roundRect",
        itemHeight: 8,
        itemGap: 28,
        textStyle: text,
        data: traces.map(({ name }) => name),
      },
      title: perChart((at) => ({
        ...{
          text: charts[at]?.title,
          left: 8,
          top: topOf(at) - 26,
          textStyle: { ...text, fontWeight: "bold" },
        },
      })),
      grid: perChart((at) => ({ left: 56, right: 24, top: topOf(at), height: CHART_HEIGHT })),
      xAxis: perChart((gridIndex) => ({
        ...{
          gridIndex,
          type: "value",
          min: 0,
          max: Math.ceil(seconds),
          axisLabel: { ...text, color: MUTED },
        },
        ...{ splitLine: { show: false }, axisLabel: { ...text, color: MUTED, formatter: "{value} s" } },
      })),
      yAxis: perChart((gridIndex) => ({
        ...{
          gridIndex,
          type: "value",
          min: 0,
          splitNumber: 3,
          splitLine: { lineStyle: { color: "#dfe2e6" } },
        },
        axisLabel: { ...text, color: MUTED },
      })),
      series: traces.flatMap(({ name, bins }) =>
        charts.map(({ kind, valueOf }, at) => ({
          ...{
            name,
            type: kind,
            xAxisIndex: at,
            yAxisIndex: at,
            symbol: "none",
            connectNulls: true,
            barWidth: 6,
            lineStyle: { width: 1.5 },
          },
          data: bins.map((bin, nth) => [nth * BIN_MS / MS_PER_SECOND, valueOf(bin)]),
        }))
      ),
    });
    return chart.renderToSVGString();
  } finally {
    chart.dispose();
  }
}
