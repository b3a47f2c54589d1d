/**
 * Every panel of the dashboard, every query of it, asked of a real Prometheus that has the configuration in deploy/ and
 * scrapes real servers under load. One runtime says it all: Prometheus and the busy node are processes of their own.
 */
import { after, before, describe, it } from "node:test";
import { assertEquals, assertGreater, assertStringIncludes } from "@std/assert";
import { whyMissing } from "../../scripts/debian.ts";
import { JsonClient } from "../helpers/json_client.ts";
import { pathOf, readText, readYaml } from "../helpers/deployment.ts";
import { Prometheus, type PrometheusConfig } from "../helpers/prometheus.ts";
import { Opcode, RawClient } from "../helpers/raw_client.ts";
import { runtime } from "../helpers/runtime.ts";
import {
  joinRaw,
  type ServerProcess,
  spawnServer,
  startServer,
  stopProcesses,
  type TestServer,
  unlimitedFlags,
  whyNotAsProcess,
} from "../helpers/server.ts";

interface Target {
  readonly expr: string;
  readonly legendFormat: string;
  readonly datasource: { readonly uid: string };
}

interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly targets?: readonly Target[];
}

interface Dashboard {
  readonly panels: readonly Panel[];
  readonly templating: { readonly list: readonly { readonly name: string; readonly query: unknown }[] };
}

const dashboard = JSON.parse(readText("deploy/grafana/dashboards/millrace.json")) as Dashboard;
const panels = dashboard.panels.filter(({ type }) => type !== "row");
const SUBSCRIBERS = 10;
const PUBLISH_EVERY_MS = 10;
const FLOOD_BYTES = 60_000;
/** Together more than the kernel buffers between the two ends, which are some megabytes. */
const FLOOD_MESSAGES = 250;
const PATIENCE_MS = 15_000;

/** The names of the nodes. */
const [BUSY, SECURED] = ["millrace-0", "millrace-1"] as const;

/** What Prometheus finds out of Kubernetes about a pod of ours. */
function podLabels(name: string): Record<string, string> {
  return {
    __meta_kubernetes_namespace: "default",
    __meta_kubernetes_pod_name: name,
    __meta_kubernetes_pod_phase: "Running",
    __meta_kubernetes_pod_container_port_name: "websocket",
  };
}

/** What Grafana makes of a query, with that node picked. */
function fillIn(query: string, instance: string): string {
  return query.replaceAll("$__rate_interval", "2s").replaceAll("$instance", instance);
}

describe("the dashboard", () => {
  it("has panels with a title of their own that do not overlap, and knows the variables that it uses", () => {
    assertEquals(new Set(panels.map(({ title }) => title)).size, panels.length);
    assertEquals(new Set(dashboard.panels.map(({ id }) => id)).size, dashboard.panels.length);
    const cells = dashboard.panels.flatMap(({ gridPos: { x, y, w, h } }) =>
      Array.from({ length: w * h }, (_, index) => `${x + index % w} ${y + Math.floor(index / w)}`)
    );
    assertEquals(new Set(cells).size, cells.length);
    const used = panels.flatMap(({ targets = [] }) =>
      targets.flatMap(({ expr, datasource }) => [...`${expr} ${datasource.uid}`.matchAll(/\$\{?(\w+)/g)])
    ).map(([, name]) => name).filter((name) => name !== "__rate_interval");
    assertEquals([...new Set(used)].sort(), dashboard.templating.list.map(({ name }) => name).sort());
  });
});

const skip = runtime === "node"
  ? whyMissing("prometheus") || whyNotAsProcess("bun")
  : "the processes are the same whoever starts them: the tests on Node do";
describe("the dashboard, during a load", { skip }, () => {
  let busy: ServerProcess;
  let secured: TestServer;
  let prometheus: Prometheus;
  let publishing: ReturnType<typeof setInterval>;
  const clients: JsonClient[] = [];
  const hostOf = ({ url }: { url: string }) => new URL(url).host;

  before(async () => {
    [busy, secured] = await Promise.all([
      spawnServer("bun", [...unlimitedFlags, "--max-backpressure-bytes", String(64 * 1024 * 1024)]),
      startServer({
        engine: "ts",
        tlsCert: pathOf("test/fixtures/localhost.cert.pem"),
        tlsKey: pathOf("test/fixtures/localhost.key.pem"),
      }),
    ]);
    // As pods: that is the harder way, because their labels are made by the rules in deploy/kubernetes.
    const pods = readYaml<PrometheusConfig>("deploy/kubernetes/prometheus.yml").scrape_configs[0];
    prometheus = await Prometheus.start([
      { targets: [hostOf(busy)], labels: podLabels(BUSY) },
      { targets: [hostOf(secured)], labels: { ...podLabels(SECURED), __scheme__: "https" } },
      {
        targets: [hostOf(busy)],
        labels: { ...podLabels("sidecar"), __meta_kubernetes_pod_container_port_name: "another" },
      },
      { targets: [hostOf(busy)], labels: { ...podLabels("ended"), __meta_kubernetes_pod_phase: "Failed" } },
    ], { tls_config: { insecure_skip_verify: true }, relabel_configs: pods?.["relabel_configs"] });
    await load();
  });

  /** Subscribers who read, one who does not, a publisher that goes on, and clients who come and go. */
  async function load(): Promise<void> {
    const owner = { received: () => {}, ended: () => {} };
    for (let count = 0; count < SUBSCRIBERS; count++) {
      const client = new JsonClient(busy.url, owner);
      client.send({ type: "subscribe", id: 1, topic: "news" });
      clients.push(client);
    }
    const slow = await joinRaw(busy.url);
    slow.send(Opcode.Text, JSON.stringify({ type: "subscribe", id: 1, topic: "flood" }));
    await slow.receiveTexts(2);
    slow.pause();
    const publisher = new JsonClient(busy.url, owner);
    clients.push(publisher);
    const data = "x".repeat(FLOOD_BYTES);
    for (let id = 0; id < FLOOD_MESSAGES; id++) publisher.send({ type: "publish", id, topic: "flood", data });
    publishing = setInterval(() => {
      publisher.send({ type: "publish", id: 0, topic: "news", data: "tick" });
      new JsonClient(busy.url, { received: (_, client) => client.close(), ended: () => {} });
    }, PUBLISH_EVERY_MS);
  }

  after(async () => {
    clearInterval(publishing);
    for (const client of clients) client.destroy();
    RawClient.destroyAll();
    await prometheus?.remove();
    await secured?.close();
    await stopProcesses();
  });

  /** What is wrong with the answers to a panel's queries. */
  async function faultsOf({ title, targets = [] }: Panel, instance: string): Promise<string[]> {
    const answers = await Promise.all(targets.map(async ({ expr, legendFormat }) => {
      const samples = await prometheus.ask(fillIn(expr, instance));
      if (samples.length === 0) return [`${title}: no data from ${expr}`];
      const labels = [...legendFormat.matchAll(/\{\{(\w+)\}\}/g)].map(([, label = ""]) => label);
      return samples.flatMap(({ metric, value }) => [
        ...(Number.isFinite(value) ? [] : [`${title}: ${value} from ${expr}`]),
        ...labels.filter((label) => !(label in metric)).map((label) => `${title}: no ${label} from ${expr}`),
      ]);
    }));
    return answers.flat();
  }

  it(
    "has data in every panel, from every query, for all nodes and for one",
    { timeout: 60_000 },
    async () => {
      assertGreater(panels.length, 20);
      const hasTls = (panel: Panel) => panel.title === "Certificate expires in";
      const faults = async () => {
        const all = await Promise.all(panels.flatMap((panel) => [
          faultsOf(panel, ".*"),
          faultsOf(panel, hasTls(panel) ? SECURED : BUSY),
        ]));
        return all.flat();
      };
      assertEquals(await prometheus.untilNone(faults, PATIENCE_MS), []);
    },
  );

  it("shows the load: what must be above zero is", { timeout: 60_000 }, async () => {
    const busyPanels = [
      ...["Nodes", "Ready", "Connections", "Publications", "Deliveries", "Connections by node"],
      ...[
        "Handshakes by outcome",
        "Closes by code",
        "Topics and subscriptions",
        "Queued bytes",
        "Connections with a backlog",
      ],
      ...["Backlogs", "CPU", "Memory", "File descriptors"],
    ];
    const faults = async () => {
      const all = await Promise.all(busyPanels.map(async (title) => {
        const panel = panels.find((panel) => panel.title === title);
        const answers = await Promise.all(
          (panel?.targets ?? []).map(({ expr }) => prometheus.ask(fillIn(expr, BUSY))),
        );
        return answers.every((samples) => samples.some(({ value }) => value > 0)) && answers.length > 0
          ? []
          : [`${title}: ${JSON.stringify(answers)}`];
      }));
      return all.flat();
    };
    assertEquals(await prometheus.untilNone(faults, PATIENCE_MS), []);
  });

  it("offers the nodes that there are", async () => {
    const variable = dashboard.templating.list.find(({ name }) => name === "instance");
    const { query } = variable?.query as { query: string };
    const [, match = "", label = ""] = /^label_values\((.*), (\w+)\)$/.exec(query) ?? [];
    assertEquals(
      (await prometheus.get(`label/${label}/values`, { "match[]": match }) as string[]).sort(),
      [BUSY, SECURED],
    );
  });

  it("counts connections of a pod for its autoscaler, by the query of prometheus-adapter", async () => {
    const { rules } = readYaml<{ rules: { custom: { seriesQuery: string; metricsQuery: string }[] } }>(
      "deploy/kubernetes/prometheus-adapter.yaml",
    );
    const [rule] = rules.custom;
    const pods = new Set((await prometheus.ask(rule?.seriesQuery ?? "")).map(({ metric }) => metric["pod"]));
    assertEquals([...pods].sort(), [BUSY, SECURED]);
    const query = (rule?.metricsQuery ?? "").replace("<<.Series>>", "millrace_connections")
      .replace("<<.LabelMatchers>>", `namespace="default",pod=~"${BUSY}|${SECURED}"`)
      .replace("<<.GroupBy>>", "pod");
    const counts = new Map((await prometheus.ask(query)).map(({ metric, value }) => [metric["pod"], value]));
    assertGreater(counts.get(BUSY) ?? 0, SUBSCRIBERS);
    assertEquals(counts.get(SECURED), 0);
  });

  it("has rules behind it that Prometheus can evaluate", async () => {
    const unhealthy = async () => {
      const { groups } = await prometheus.get("rules") as {
        groups: { rules: { name: string; health: string; lastError?: string }[] }[];
      };
      const rules = groups.flatMap(({ rules }) => rules);
      return rules.length === 0
        ? ["no rules"]
        : rules.filter(({ health }) => health !== "ok").map((rule) => JSON.stringify(rule));
    };
    assertEquals(await prometheus.untilNone(unhealthy, PATIENCE_MS), []);
  });

  it("is beside an alert when a node dies", { timeout: 60_000 }, async () => {
    const alerts = async () => {
      const { alerts } = await prometheus.get("alerts") as {
        alerts: { labels: Record<string, string>; annotations: Record<string, string> }[];
      };
      return alerts.filter(({ labels }) => labels["alertname"] === "MillraceNodeDown");
    };
    assertEquals(await alerts(), []);
    await busy.stop();
    await prometheus.untilNone(async () => (await alerts()).length === 0 ? ["no alert"] : [], PATIENCE_MS);
    const [alert] = await alerts();
    assertEquals(alert?.labels["instance"], BUSY);
    assertStringIncludes(alert?.annotations["summary"] ?? "", BUSY);
  });
});
