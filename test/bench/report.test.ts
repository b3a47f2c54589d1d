import { describe, it } from "node:test";
import { Buffer } from "node:buffer";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import {
  assert,
  assertEquals,
  assertMatch,
  assertNotMatch,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { runtime } from "../helpers/runtime.ts";
import { codecSection } from "../../bench/report/codec.ts";
import type { Chart } from "../../bench/report/document.ts";
import { fiveSentences } from "../../bench/report/answer.ts";
import { formatBytes, formatNumber } from "../../bench/report/figures.ts";
import { goals } from "../../bench/report/goals.ts";
import { toHtml } from "../../bench/report/html.ts";
import { folderName } from "../../bench/report/main.ts";
import { toMarkdown } from "../../bench/report/markdown.ts";
import type { Evidence } from "../../bench/profile/evidence.ts";
import { systemCallsOf, timeSharesOf } from "../../bench/profile/perf.ts";
import { topSelfTimes } from "../../bench/profile/self_time.ts";
import { parseResults, standingOf, Summary, withAdded } from "../../bench/report/results.ts";
import { makeReport } from "../../bench/report/sections.ts";
import { spreadOf } from "../../bench/report/statistics.ts";
import { throughputSection } from "../../bench/report/throughput.ts";
import type { Cell, Environment, Sample } from "../../bench/result.ts";
import { environment, fullResults, type Plan, samplesOf, toText } from "./report_data.ts";

const RATE = "messagesPerCpuSecond";
const echo: Cell = { workload: "echo", parameters: { payloadBytes: 128, connections: 64, inFlight: 8 } };
const idle: Cell = { workload: "idle", parameters: { connections: 5000 } };

const summaryOf = (...samples: Sample[]) => new Summary({ environment, samples });

/** Samples without noise: runs 1 to 3 of each contender have the values given. */
function exact(cell: Cell, figure: string, values: Readonly<Record<string, readonly number[]>>): Sample[] {
  return Object.entries(values).flatMap(([contender, list]) =>
    list.map((value, at): Sample => ({
      kind: "sample",
      cell,
      contender,
      run: at + 1,
      failures: [],
      figures: { [figure]: value },
    }))
  );
}

describe("the answer in five sentences", () => {
  const first = (...samples: Sample[]) => fiveSentences(summaryOf(...samples))[0] ?? "";

  it("says ahead, level or behind as the paired runs do, with their ratio", () => {
    const against = (own: number[]) =>
      first(...exact(echo, RATE, { "engine-ts-node": own, "uws-bare": [500e3, 500e3, 500e3] }));
    assertMatch(against([600e3, 610e3, 590e3]), /600 thousand .* 1\.20.× \(1\.18 to 1\.22\) .*\(ahead\)/);
    assertMatch(against([400e3, 410e3, 390e3]), /400 thousand .* 0\.80.× \(0\.78 to 0\.82\) .*\(behind\)/);
    assertMatch(against([504e3, 505e3, 503e3]), /504 thousand .*\(level\)/);
    assertMatch(against([600e3, 490e3, 600e3]), /600 thousand .* 1\.20.× \(0\.98 to 1\.20\) .*\(level\)/);
  });

  it("pairs runs by number: drift of the machine does not show", () => {
    const drifting = exact(echo, RATE, { "engine-ts-node": [100, 200, 300], "uws-bare": [50, 100, 150] });
    assertStringIncludes(first(...drifting), "2.00\u00a0× (2.00 to 2.00)");
  });

  it("says less where less memory is better, and more where it is not", () => {
    const sentence = (bytes: number) =>
      fiveSentences(summaryOf(...exact(idle, "bytesPerConnection", {
        "engine-ts-bun": [bytes, bytes, bytes],
        "bun-bare": [2900, 2900, 2900],
      })))[3];
    assertMatch(
      sentence(1900) ?? "",
      /5,000 connections idle.* 1,900 bytes on Bun against 2,900 .*\(less: 0\.66/,
    );
    assertMatch(sentence(5800) ?? "", /5,800 bytes on Bun against 2,900 .*\(more: 2\.00/);
  });

  it("says what was not measured, for one runtime or altogether", () => {
    const none = fiveSentences(summaryOf());
    assertEquals(none.length, 5);
    for (const sentence of none) assertMatch(sentence, /was (not )?measured/);
    const values = { "engine-ts-bun": [2, 2, 2], "bun-bare": [1, 1, 1] };
    assertMatch(
      first(...exact(echo, RATE, values)),
      /on Bun.*; on Node the two were not measured side by side\.$/,
    );
  });

  it("counts every comparison once, and names the greatest lead of each side", () => {
    const plain = (inFlight: number): Cell => ({ ...echo, parameters: { ...echo.parameters, inFlight } });
    const runs = (value: number) => [value, value, value];
    const [, , , , last] = fiveSentences(summaryOf(
      ...exact(plain(8), RATE, { "engine-ts-node": runs(3), "uws-bare": runs(1) }),
      ...exact(plain(1), RATE, { "engine-ts-node": runs(1), "uws-bare": runs(2) }),
      ...exact(idle, "bytesPerConnection", { "engine-ts-node": runs(5), "uws-bare": runs(1) }),
      ...exact(plain(64), RATE, { "engine-ts-node": runs(1), "uws-bare": runs(1) }),
    ));
    assertMatch(last ?? "", /all 4 comparisons .*ahead in 1, level in 1 and behind in 2/);
    assertMatch(last ?? "", /native engine's greatest lead is 5\.00.× on Node \(idle/);
    assertMatch(last ?? "", /TypeScript's greatest lead is 3\.00.× on Node \(echo/);
  });

  it("does not count samples that failed", () => {
    const samples = exact(echo, RATE, { "engine-ts-node": [9, 1, 1], "uws-bare": [1, 1, 1] });
    const failed = samples.map((sample, at) => at === 0 ? { ...sample, failures: ["lost"] } : sample);
    assertMatch(first(...failed), /1\.00.× \(1\.00 to 1\.00\)/);
  });
});

describe("what is reached for", () => {
  const measured = (index: number, ...samples: Sample[]) => goals[index]?.measure(summaryOf(...samples));

  it("is met by a median that reaches it, not met by one that does not, and else not measured", () => {
    const runs = (value: number) => [value, value, value];
    const eight = (own: number) => exact(echo, RATE, { "engine-ts-node": runs(own), ws: runs(100) });
    assertEquals(measured(0, ...eight(800))?.isMet, true);
    assertEquals(measured(0, ...eight(790))?.isMet, false);
    assertEquals(measured(0), undefined);
    assertEquals(goals.map((goal) => goal.measure(summaryOf())), goals.map(() => undefined));
  });

  it("is looked for in plain cells only", () => {
    const runs = (value: number) => [value, value, value];
    const values = { "engine-ts-node": runs(900), ws: runs(100) };
    const deflated: Cell = { ...echo, parameters: { ...echo.parameters, deflate: "on" } };
    assertEquals(measured(0, ...exact(deflated, RATE, values)), undefined);
    const plain: Cell = { ...echo, parameters: { ...echo.parameters, deflate: "off", binary: false } };
    assertEquals(measured(0, ...exact(plain, RATE, values))?.isMet, true);
  });

  it("asks of the codec to be ahead in every cell", () => {
    const coding = (name: string, ours: number): Sample[] =>
      exact({ workload: "codec", parameters: { name } }, "nsPerMessage", { codec: [ours], ws: [100] });
    const goal = goals.findIndex(({ about }) => about === "the codec alone");
    assertEquals(
      measured(goal, ...coding("decode 16 text", 20), ...coding("encode 16 text", 90))?.isMet,
      true,
    );
    const behind = measured(goal, ...coding("decode 16 text", 20), ...coding("encode 16 text", 110));
    assertEquals([behind?.isMet, behind?.text], [false, "1 of 2 cells; the least 0.91\u00a0×"]);
  });
});

describe("the codec alone", () => {
  const coding = (name: string, ours: number, theirs: number): Sample[] =>
    exact({ workload: "codec", parameters: { name, runtime: "bun" } }, "nsPerMessage", {
      codec: [ours, ours, ours],
      ws: [theirs, theirs, theirs],
      "one-shot": [3 * ours, 3 * ours, 3 * ours],
    });
  const chart = () => {
    const samples = [
      ...coding("mask 16384 bytes", 1000, 500),
      ...coding("mask 125 bytes", 10, 40),
      ...coding("inflate 1024 bytes", 100, 300),
      ...coding("utf8 decode 16384 bytes", 100, 300),
      ...coding("utf8 decode 1024 bytes", 100, 300),
    ];
    const blocks = codecSection(summaryOf(...samples));
    const drawn = blocks.flatMap((block) => block.type === "charts" ? block.charts : []);
    assertEquals(drawn.length, 1);
    return drawn[0] as Chart;
  };

  it("is told by runtime, in how many times as long the others take, faster or not", () => {
    const { id, table } = chart();
    assertEquals(id, "codec-bun");
    assertEquals(table.rows.map(([name, , ws, others]) => [name, ws, others]), [
      ["mask 16384 bytes", "0.50\u00a0× (0.50 to 0.50)", "zlib in one call 3.00\u00a0×"],
      ["mask 125 bytes", "4.00\u00a0× (4.00 to 4.00)", "zlib in one call 3.00\u00a0×"],
      ["inflate 1024 bytes", "3.00\u00a0× (3.00 to 3.00)", "zlib in one call 3.00\u00a0×"],
      ["utf8 decode 16384 bytes", "3.00\u00a0× (3.00 to 3.00)", "zlib in one call 3.00\u00a0×"],
      ["utf8 decode 1024 bytes", "3.00\u00a0× (3.00 to 3.00)", "zlib in one call 3.00\u00a0×"],
    ]);
  });

  it("draws each kind of cell once, at the size that is nearest to the longest short frame", () => {
    const { svg } = chart();
    assertEquals([...svg.matchAll(/>((?:mask|inflate|utf8 decode) \d+ bytes)</g)].map(([, label]) => label), [
      "inflate 1024 bytes",
      "mask 125 bytes",
      "utf8 decode 1024 bytes",
    ]);
  });
});

describe("throughput in every cell", () => {
  const blocks = throughputSection(summaryOf(
    ...exact(echo, RATE, { "engine-ts-node": [600e3, 600e3, 600e3], "uws-bare": [500e3, 500e3, 500e3] }),
    ...exact({ ...echo, parameters: { ...echo.parameters, tls: true } }, RATE, { ws: [2e3, 2e3, 2e3] }),
  ));
  const tables = blocks.flatMap((block) => block.type === "table" ? block.table : []);

  it("has the grid of plain echoes, with who is ahead", () => {
    const [grid] = tables;
    assertEquals(grid?.columns.map(({ title }) => title), ["echo", "Node, 8 in flight", "Bun, 8 in flight"]);
    assertEquals(grid?.rows, [["128 B, 64 connections", "1.20\u00a0× ahead", ""]]);
  });

  it("lists all contenders with all cells behind a fold", () => {
    const [, every] = tables;
    assertEquals(every?.isFolded, true);
    assertEquals(every?.rows.map(([cell, contender, rate]) => [cell, contender, rate]), [
      ["echo, 128 B, 64 connections, 8 in flight", "ts engine on Node", "600 (600 to 600)"],
      ["echo, 128 B, 64 connections, 8 in flight", "bare uWebSockets.js", "500 (500 to 500)"],
      ["echo, 128 B, 64 connections, 8 in flight, TLS", "ws on Node", "2.00 (2.00 to 2.00)"],
    ]);
  });
});

const evidence: Evidence = {
  ...{ command: "npm run bench:profile --", commit: "0123abc", connections: 64, payloadBytes: 128 },
  observations: [{
    ...{ contender: "engine-ts-node", inFlight: 8, messagesPerSecond: 1e6 },
    systemCallsPerMessage: { read: 0.13, write: 0.12, wait: 0.05, other: 0 },
    timeShares: { kernel: 0.5, compiled: 0.3, native: 0.2 },
  }],
  functions: [{
    ...{ contender: "engine-ts-node", inFlight: 8 },
    top: [{ functionName: "push<T>", place: "server/codec/decoder.ts:40", share: 0.25 }],
  }],
};

describe("a report", () => {
  const report = makeReport(parseResults(fullResults()), evidence);
  const html = toHtml(report);
  const markdown = toMarkdown(report);

  it("says right behind the answer what a reader has to know of how it was measured", () => {
    const remarked = toMarkdown(
      makeReport(parseResults(fullResults()), undefined, ["The machine was shared."]),
    );
    const at = remarked.indexOf("The machine was shared.");
    assert(at > remarked.indexOf("The answer in five sentences") && at < remarked.indexOf("## At a glance"));
  });

  it("leads with the answer, and ends with how to do it again", () => {
    const titles = report.blocks.flatMap((block) => block.type === "heading" ? block.text : []);
    assertEquals(titles, [
      "The answer in five sentences",
      "At a glance",
      "Who wins where",
      "Why",
      "Memory per connection",
      "Latency",
      "Connection storms",
      "What the whole server costs",
      "The codec alone",
      "What to choose",
      "What we reached for",
      "Throughput in every cell",
      "Method",
      "Samples that failed",
      "What was not run",
      "Do it again",
    ]);
  });

  it("shows failed samples and what was not run, escaped as page and Markdown need it", () => {
    assertStringIncludes(html, "echoes lost: 3 &lt;of&gt; 5 | *all*");
    assertStringIncludes(markdown, "echoes lost: 3 \\<of\\> 5 \\| \\*all\\*");
    assertStringIncludes(html, "nginx has no nchan module here");
    assertStringIncludes(
      markdown,
      "| churn, 1,000 connections, 600 s | ws on Node, NATS WebSocket | no time left |",
    );
    assertStringIncludes(html, "<code>push&lt;T&gt;</code>");
    assertStringIncludes(markdown, "npm run bench -- --full");
  });

  it("counts what was not run, but for what a later run has added", () => {
    assertStringIncludes(markdown, "2 entries name what was not run");
    const churn: Cell = { workload: "churn", parameters: { connections: 1000, seconds: 600 } };
    const results = parseResults(fullResults());
    const later = exact(churn, "growthBytes", { ws: [1], nats: [1] });
    const resumed = makeReport({ ...results, samples: [...results.samples, ...later] }, undefined);
    assertStringIncludes(toMarkdown(resumed), "one entry names what was not run");
  });

  it("needs nothing but itself", () => {
    assertNotMatch(html, /<script|<link rel="stylesheet"|@import|url\(|<img/);
    assertEquals([...html.matchAll(/(?:src|href)="([^"]*)"/g)].map(([, target]) => target), ["data:,"]);
  });

  it("has every id once", () => {
    const ids = [...html.matchAll(/ id="([^"]*)"/g)].map(([, id]) => id);
    assertEquals(new Set(ids).size, ids.length);
    assert(ids.length > 0);
  });

  it("gives every row of a table as many cells as it has columns", () => {
    for (const block of report.blocks) {
      const tables = block.type === "table"
        ? [block.table]
        : block.type === "charts"
        ? block.charts.map((chart) => chart.table)
        : [];
      for (const { caption, columns, rows } of tables) {
        for (const row of rows) assertEquals(row.length, columns.length, caption);
      }
    }
  });

  it("is the same for the same file", () => {
    assertEquals(
      toHtml(makeReport(parseResults(fullResults()), undefined)),
      toHtml(makeReport(parseResults(fullResults()), undefined)),
    );
  });

  it("can be made of a file with nothing but its environment, and says so everywhere", () => {
    const empty = toMarkdown(makeReport(parseResults(toText([environment])), undefined));
    assertNotMatch(empty, /undefined|NaN|Infinity/);
    assertStringIncludes(empty, "None of the headline cells was measured.");
  });

  it("has no number that is none", () => {
    assertNotMatch(markdown, /undefined|NaN|Infinity|\[object/);
  });
});

describe("a results file", () => {
  it("is refused with the line that is wrong", () => {
    const good = JSON.stringify(environment);
    assertThrows(() => parseResults("", "f"), RangeError, "environment");
    assertThrows(() => parseResults(`${good}\n{`, "f"), RangeError, "f:2: not JSON");
    assertThrows(() => parseResults(`${good}\nnull`, "f"), RangeError, "f:2: kind");
    assertThrows(() => parseResults(`${good}\n\n{"kind":"sample"}`, "f"), RangeError, "f:3: a sample lacks");
    assertThrows(() => parseResults(`${good}\n${good}`, "f"), RangeError, "f:2: a second environment");
    assertEquals(parseResults(`${good}\n{"kind":"summary"}`).samples, []);
  });

  it("is summed up by medians, with an odd and an even number of samples", () => {
    assertEquals(spreadOf([3, 1, 2]), { median: 2, low: 1, high: 3, samples: 3 });
    assertEquals(spreadOf([4, 1, 2, 3]), { median: 2.5, low: 1, high: 4, samples: 4 });
    assertEquals(spreadOf([]), undefined);
  });

  it("puts a contender on a side only when all runs are on it and the median is off by more than 2 %", () => {
    const standing = (low: number, median: number, high: number) =>
      standingOf({ low, median, high, samples: 5 }, "more");
    assertEquals(standing(1.01, 1.03, 1.05), "ahead");
    assertEquals(standing(0.99, 1.03, 1.05), "level");
    assertEquals(standing(1.01, 1.015, 1.02), "level");
    assertEquals(standing(0.9, 0.95, 0.99), "behind");
  });

  it("names its report's folder by day and processor", () => {
    assertEquals(folderName(environment), "2026-02-03-amd-epyc-7b13");
    const intel = { ...environment, cpu: "Intel(R) Xeon(R) CPU E5-2673 v4 @ 2.30GHz" };
    assertEquals(folderName(intel), "2026-02-03-intel-xeon-e5-2673-v4");
  });

  it("is written in numbers that people read", () => {
    assertEquals([1_010.4, 84.21, 1.234, 0.0456, 0].map(formatNumber), [
      "1,010",
      "84.2",
      "1.23",
      "0.046",
      "0",
    ]);
    assertEquals([16, 1000, 1024, 65_536].map(formatBytes), ["16 B", "1,000 B", "1 KiB", "64 KiB"]);
  });
});

describe("a CPU profile", () => {
  const node = (id: number, functionName: string, url: string) => ({
    id,
    callFrame: { functionName, url, lineNumber: 9 },
  });
  const profile = JSON.stringify({
    nodes: [
      node(1, "(idle)", ""),
      node(2, "push", "file:///home/somebody/server/codec/decoder.ts"),
      node(3, "", "node:net"),
      node(4, "push", "file:///home/somebody/server/codec/decoder.ts"),
    ],
    samples: [1, 2, 3, 4, 2],
    timeDeltas: [1000, 30, 25, 30, 15],
  });

  it("is summed up by each function's own time without idle time, and without folders of a machine", () => {
    assertEquals(topSelfTimes(profile, 10), [
      { functionName: "push", place: "server/codec/decoder.ts:10", share: 0.75 },
      { functionName: "(anonymous)", place: "node:net", share: 0.25 },
    ]);
    assertEquals(topSelfTimes(profile, 1).length, 1);
    const [last] = topSelfTimes(profile, 1, 20e-6);
    assertEquals([last?.place, last?.share], ["server/codec/decoder.ts:10", 1]);
  });

  it("is refused when it is something else", () => {
    assertThrows(() => topSelfTimes("{}", 10), RangeError, "not a CPU profile");
  });
});

describe("what perf prints", () => {
  it("is system calls by what they are for", () => {
    const text = [
      "1000,,raw_syscalls:sys_enter,5,100.00,,",
      "300,,syscalls:sys_enter_read,5,100.00,,",
      "20,,syscalls:sys_enter_recvfrom,5,100.00,,",
      "250,,syscalls:sys_enter_write,5,100.00,,",
      "100,,syscalls:sys_enter_epoll_pwait,5,100.00,,",
      "<not counted>,,syscalls:sys_enter_sendmmsg,0,0.00,,",
    ].join("\n");
    assertEquals(systemCallsOf(text), { read: 320, write: 250, wait: 100, other: 330 });
  });

  it("is time by whose code ran", () => {
    const text = [
      "# Overhead  Shared Object",
      "    50.00%  [kernel.kallsyms]",
      "    24.00%  [JIT] tid 77",
      "     6.00%  perf-77.map",
      "    15.00%  node",
      "     5.00%  libc.so.6",
    ].join("\n");
    assertEquals(timeSharesOf(text), { kernel: 0.5, compiled: 0.3, native: 0.2 });
  });

  it("is refused when there are no samples in it", () => {
    assertThrows(() => timeSharesOf("# nothing"), RangeError, "no samples");
  });
});

describe("a run that was taken twice", () => {
  it("counts once, as it was taken last", () => {
    const cell: Cell = { workload: "echo", parameters: { connections: 1 } };
    const [sample] = exact(cell, RATE, { ws: [5] }) as [Sample];
    const { samples } = parseResults(toText([environment, sample, { ...sample, figures: { [RATE]: 7 } }]));
    assertEquals(samples.map(({ figures }) => figures), [{ [RATE]: 7 }]);
  });
});

describe("runs that are added", () => {
  const run = (cell: Cell, other: Partial<Environment> = {}) =>
    parseResults(
      toText([
        { ...environment, ...other },
        ...samplesOf([{ cell, figure: "p99Ms", truth: { a: 1 } }], 1, 0),
      ]),
    );
  const one: Cell = { workload: "echo", parameters: { connections: 1 } };
  const server: Cell = { workload: "server", parameters: { nodes: 2 } };

  it("bring cells that those before do not have", () => {
    const { added, samples } = withAdded(run(one), [run(one), run(server), run(server)]);
    assertEquals([samples.length, added?.length], [10, 3]);
  });

  it("are refused when they are of another machine", () => {
    assertThrows(() => withAdded(run(one), [run(server, { cpu: "another" })]), RangeError, "another");
  });
});

// It starts itself on Node, whoever runs the tests.
describe("the report command", { skip: runtime !== "node" }, () => {
  const root = fileURLToPath(new URL("../../", import.meta.url));
  const run = (...args: string[]) => {
    const { status, stderr } = spawnSync("node", ["--import", "tsx", "bench/report/main.ts", ...args], {
      cwd: root,
    });
    return { code: status, error: Buffer.from(stderr).toString() };
  };

  it("writes the page, the Markdown, the drawings it names, and the raw data", () => {
    const folder = mkdtempSync(join(tmpdir(), "millrace-report-"));
    try {
      const file = join(folder, "run.jsonl");
      const plan: Plan = { cell: echo, figure: RATE, truth: { "engine-ts-node": 2, "uws-bare": 1 } };
      const text = toText([environment, ...samplesOf([plan], 1, 0.01)]);
      writeFileSync(file, text);
      const out = join(folder, "out");
      assertEquals(run(file, "--out", out), { code: 0, error: "" });
      assertEquals(readdirSync(out).sort(), [
        ...["README.md", "echo.svg", "index.html", "ratio-node.svg", "results.jsonl"],
      ]);
      assertEquals(readFileSync(join(out, "results.jsonl"), "utf8"), text);
      const pictures = readFileSync(join(out, "README.md"), "utf8").matchAll(/\]\(([^)]*\.svg)\)/g);
      assertEquals([...pictures].map(([, name]) => name), ["echo.svg", "ratio-node.svg"]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it("exits with 2 when it is used wrongly, and with 1 when there is no such file", () => {
    assertEquals(run().code, 2);
    assertEquals(run("one", "--nonsense").code, 2);
    assertEquals(run("/nonexistent/run.jsonl").code, 1);
  });
});
