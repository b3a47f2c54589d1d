import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { after, describe, it } from "node:test";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { assert, assertAlmostEquals, assertEquals, assertMatch } from "@std/assert";
import { register, Registry } from "prom-client";
import { findProgram, whyMissing } from "../../scripts/debian.ts";
import { CloseCode } from "../../server/close.ts";
import { Counters } from "../../server/observe/counters.ts";
import { Families } from "../../server/observe/families.ts";
import { createMetrics, type Gauges, type Limits, type Metrics } from "../../server/observe/metrics.ts";
import { systemClock } from "../../server/clock.ts";
import { formats } from "../../server/protocol/formats.ts";
import { ManualClock } from "../helpers/manual_clock.ts";
import { runtime } from "../helpers/runtime.ts";
import { runScript, stopProcesses } from "../helpers/server.ts";

const idle: Gauges = {
  connections: () => formats.map(({ name }) => [name, 0] as const),
  topics: () => 0,
  subscriptions: () => 0,
  queuedBytes: () => 0,
  slowConsumers: () => 0,
  ready: () => true,
  brokerAvailable: () => true,
  certificateExpirySeconds: () => undefined,
};
const limits: Limits = { connections: 100, queuedBytes: 1000 };

interface Given {
  readonly counters?: Counters;
  readonly gauges?: Partial<Gauges>;
  readonly limits?: Limits;
  readonly clock?: ManualClock;
}

function metricsOf(
  { counters = new Counters(), gauges = {}, clock = new ManualClock(), ...given }: Given,
): Metrics {
  const build = { engine: "ts", runtime, version: "1.2.3" };
  return createMetrics({ counters, gauges: { ...idle, ...gauges }, limits, clock, ...build, ...given });
}

/** The samples of a scrape: `name{label="value"}` and the value. */
function samplesOf(text: string): Map<string, number> {
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return new Map(lines.map((line) => {
    const at = line.lastIndexOf(" ");
    return [line.slice(0, at), Number(line.slice(at + 1))];
  }));
}

interface Family {
  readonly type: string;
  readonly labels: Map<string, Set<string>>;
}

/** The families of a scrape, with the values that each label has. The bounds of a histogram are no label here. */
function familiesOf(text: string): Map<string, Family> {
  const families = new Map<string, Family>();
  for (const [, name = "", type = ""] of text.matchAll(/^# TYPE (\S+) (\S+)$/gm)) {
    const labels = new Map<string, Set<string>>();
    for (const sample of samplesOf(text).keys()) {
      if (!sample.startsWith(`${name}{`)) continue;
      for (const [, label = "", value = ""] of sample.matchAll(/(\w+)="([^"]*)"/g)) {
        labels.set(label, (labels.get(label) ?? new Set()).add(value));
      }
    }
    families.set(name, { type, labels });
  }
  return families;
}

describe("the metrics", () => {
  it("have every label value that there is from the first scrape on, with 0", async () => {
    const samples = samplesOf(await metricsOf({}).text());
    for (
      const sample of [
        `millrace_connections{engine="ts",format="json"}`,
        `millrace_connections{engine="ts",format="msgpack"}`,
        `millrace_handshakes_total{outcome="accepted"}`,
        `millrace_handshakes_total{outcome="draining"}`,
        `millrace_drops_total{reason="slow"}`,
        `millrace_rate_limited_total{reason="user"}`,
        `millrace_auth_failures_total{reason="not_yet_valid"}`,
        `millrace_command_errors_total{code="rate_limited"}`,
        `millrace_closes_total{code="4008"}`,
        `millrace_closes_total{code="other"}`,
        "millrace_messages_received_total",
        `millrace_backpressure_bytes_bucket{le="1024"}`,
      ]
    ) assertEquals(samples.get(sample), 0, sample);
    assertEquals(samples.get(`millrace_build_info{version="1.2.3",engine="ts",runtime="${runtime}"}`), 1);
    assertEquals([...samples].filter(([, value]) => !Number.isFinite(value)), []);
  });

  it("are what the counters and the gauges are at each scrape, and the same again when nothing happened", async () => {
    const counters = new Counters();
    let connections = 5;
    const metrics = metricsOf({
      counters,
      gauges: { connections: () => [["json", connections]], ready: () => connections > 5 },
    });
    counters.messagesIn += 7;
    counters.handshakes.origin++;
    counters.countClose(CloseCode.RateLimited);
    const expectAll = async (received: number, open: number, ready: number) => {
      const samples = samplesOf(await metrics.text());
      assertEquals(samples.get("millrace_messages_received_total"), received);
      assertEquals(samples.get(`millrace_handshakes_total{outcome="origin"}`), 1);
      assertEquals(samples.get(`millrace_closes_total{code="4009"}`), 1);
      assertEquals(samples.get(`millrace_connections{engine="ts",format="json"}`), open);
      assertEquals(samples.get("millrace_ready"), ready);
    };
    await expectAll(7, 5, 0);
    await expectAll(7, 5, 0);
    counters.messagesIn++;
    connections++;
    await expectAll(8, 6, 1);
  });

  it("are each server's own, and not in prom-client's global registry", async () => {
    const counters = new Counters();
    counters.evictions = 3;
    const [one, other] = [metricsOf({ counters }), metricsOf({})];
    const texts = await Promise.all([one.text(), other.text(), one.text()]);
    assertEquals(texts.map((text) => samplesOf(text).get("millrace_evictions_total")), [3, 0, 3]);
    assertEquals(register.getMetricsAsArray(), []);
  });

  it("sort backlogs into buckets from 1 KiB to 16 MiB", async () => {
    const metrics = metricsOf({});
    for (const bytes of [1024, 1025, 1_048_576, 16_777_216, 16_777_217]) metrics.observeBackpressure(bytes);
    const samples = samplesOf(await metrics.text());
    const upTo = (bound: string) => samples.get(`millrace_backpressure_bytes_bucket{le="${bound}"}`);
    assertEquals(["1024", "4096", "1048576", "16777216", "+Inf"].map(upTo), [1, 2, 3, 4, 5]);
    assertEquals(
      samples.get("millrace_backpressure_bytes_sum"),
      1024 + 1025 + 1_048_576 + 2 * 16_777_216 + 1,
    );
  });

  it("watch the event loop until they are closed, and can be read after that", async () => {
    const clock = new ManualClock();
    const metrics = metricsOf({ clock });
    const looks = async () => samplesOf(await metrics.text()).get("millrace_event_loop_lag_seconds_count");
    clock.advance(1000);
    assertEquals(await looks(), 10);
    metrics.close();
    clock.advance(1000);
    assertEquals(await looks(), 10);
  });

  it("say what the process uses, on every runtime", async () => {
    const metrics = createMetrics({
      ...{ counters: new Counters(), gauges: idle, clock: systemClock },
      ...{ engine: "ts", runtime, version: "1.2.3", limits },
    });
    metrics.close();
    const samples = samplesOf(await metrics.text());
    const read = (name: string) => samples.get(name) ?? NaN;
    const cpu = read("process_cpu_seconds_total");
    assert(cpu > 0.01 && cpu < 1000, `${cpu} s`);
    assertAlmostEquals(
      cpu,
      read("process_cpu_user_seconds_total") + read("process_cpu_system_seconds_total"),
      1e-9,
    );
    assertAlmostEquals(read("process_start_time_seconds"), Date.now() / 1000 - process.uptime(), 2);
    const [resident, used] = [read("process_resident_memory_bytes"), read("nodejs_heap_size_used_bytes")];
    assert(used > 2 ** 20 && used < resident, `heap ${used}, resident ${resident}`);
    assert(read("nodejs_heap_size_total_bytes") > 2 ** 20);
    assert(read("nodejs_external_memory_bytes") >= 0);
    if (process.platform !== "linux") return;
    const [open, max] = [read("process_open_fds"), samples.get("process_max_fds")];
    assert(open > 2, `${open} descriptors`);
    assert(max === undefined || open <= max, `${open} descriptors of ${max}`);
  });

  it("have the limits beside what they limit, and no sample for a limit that there is not", async () => {
    const gauges = { brokerAvailable: () => false, certificateExpirySeconds: () => 4_000_000_000 };
    const limited = samplesOf(await metricsOf({ gauges }).text());
    assertEquals(limited.get("millrace_max_connections"), 100);
    assertEquals(limited.get("millrace_max_queued_bytes"), 1000);
    assertEquals(limited.get("millrace_broker_available"), 0);
    assertEquals(limited.get("millrace_tls_certificate_expiry_timestamp_seconds"), 4_000_000_000);
    const none = samplesOf(await metricsOf({ limits: { ...limits, connections: undefined } }).text());
    assertEquals(none.get("millrace_max_connections"), undefined);
    assertEquals(none.get("millrace_tls_certificate_expiry_timestamp_seconds"), undefined);
    assertEquals(none.get("millrace_broker_available"), 1);
  });

  it("have no sample for a figure that cannot be had, and do not claim 0", async () => {
    const registry = new Registry();
    let figure: number | undefined = 4;
    new Families(registry).gauge("figure", "Known or not.", () => figure);
    assertEquals(samplesOf(await registry.metrics()).get("figure"), 4);
    figure = undefined;
    assertEquals(samplesOf(await registry.metrics()).size, 0);
  });

  const promtool = whyMissing("promtool");
  it("have nothing that `promtool check metrics` complains of", { skip: promtool }, async () => {
    const counters = new Counters();
    counters.messagesIn = 2 ** 53;
    counters.commandErrors.invalid_json = 3;
    const metrics = metricsOf({ counters, gauges: { connections: () => [["json", 3], ["msgpack", 0]] } });
    metrics.observeBackpressure(5000);
    const check = (input: string) => {
      const { status, stdout, stderr } = spawnSync(findProgram("promtool") ?? "", ["check", "metrics"], {
        input,
        encoding: "utf8",
      });
      return { status, said: stdout + stderr };
    };
    assertEquals(check(await metrics.text()), { status: 0, said: "" });
    assertMatch(check("# HELP a_total x\n# TYPE a_total gauge\na_total 1\n").said, /non-counter/);
  });
});

describe("a process with metrics", () => {
  after(stopProcesses);

  it("ends by itself and prints nothing but what it is told to", { timeout: 20_000 }, async () => {
    const run = runScript(runtime, "test/observe/scrape_once.ts", []);
    assertEquals(await run.exitCode(), 0);
    assertEquals(run.errorOutput(), "");
    assertEquals(run.output.all.join(""), "scraped\n");
  });
});

describe("docs/metrics.md", () => {
  const page = readFileSync(fileURLToPath(new URL("../../docs/metrics.md", import.meta.url)), "utf8");
  const rows = page.split("\n").filter((line) => line.startsWith("| `")).map((line) => {
    const [name = "", type = "", labels = "", meaning = ""] = line.split("|").slice(1).map((cell) =>
      cell.trim()
    );
    return { name: name.replaceAll("`", ""), type, labels: labels.replaceAll("`", ""), meaning };
  });

  it("has a row for every metric, and a metric for every row, with its type and its labels", async () => {
    const families = familiesOf(await metricsOf({}).text());
    assertEquals(
      rows.map(({ name, type, labels }) => [name, type, labels]).sort(),
      [...families].map(([name, { type, labels }]) => [name, type, [...labels.keys()].join(", ")]).sort(),
    );
  });

  it("names every value of `reason` and `outcome`", async () => {
    for (const [name, { labels }] of familiesOf(await metricsOf({}).text())) {
      const meaning = rows.find((row) => row.name === name)?.meaning ?? "";
      for (const value of [...labels.get("reason") ?? [], ...labels.get("outcome") ?? []]) {
        assert(meaning.includes(`\`${value}\``), `${name} has ${value}`);
      }
    }
  });
});
