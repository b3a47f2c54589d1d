/**
 * The rules in deploy/prometheus: what promtool says of them and of their cases, that every alert has both kinds of
 * case, and that whoever is woken finds its entry in the manual.
 */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { describe, it } from "node:test";
import { assert, assertEquals, assertGreater, assertMatch } from "@std/assert";
import { findProgram, whyMissing } from "../../scripts/debian.ts";
import { flagName } from "../../server/config.ts";
import { optionNames } from "../../server/options.ts";
import { pathOf, readText, readYaml } from "../helpers/deployment.ts";
import { prometheusFolder } from "../helpers/prometheus.ts";
import { runtime } from "../helpers/runtime.ts";

interface Rules {
  readonly groups: readonly { readonly rules: readonly Alert[] }[];
}

interface Alert {
  readonly alert: string;
  readonly expr: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

interface Cases {
  readonly tests: readonly {
    readonly input_series: readonly { readonly series: string }[];
    readonly promql_expr_test: readonly { readonly expr: string; readonly exp_samples: readonly unknown[] }[];
  }[];
}

const ALERTING = "deploy/prometheus/alerting.rules.yml";
const RECORDING = "deploy/prometheus/recording.rules.yml";
const alerts = readYaml<Rules>(ALERTING).groups.flatMap(({ rules }) => rules);
const cases = readYaml<Cases>("deploy/prometheus/rules.test.yml").tests;
const manual = readText("docs/monitoring.md");

/** The entry of an alert in the manual, without its heading; undefined when there is none. */
function entryOf(alert: string): string | undefined {
  return manual.split(/^#+ /m).find((section) => section.startsWith(`${alert}\n`))?.slice(alert.length);
}

const skip = runtime === "node" ? whyMissing("promtool") : "promtool says the same to everybody";
describe("promtool", { skip }, () => {
  /** What it ends with, and what it says. */
  function promtool(...args: string[]): { status: number | null; said: string } {
    const { status, stdout, stderr } = spawnSync(findProgram("promtool") ?? "", args, {
      cwd: prometheusFolder,
      encoding: "utf8",
    });
    return { status, said: stdout + stderr };
  }

  it("takes the configuration and finds nothing wrong with the rules in it", () => {
    const { status, said } = promtool("check", "config", "--lint=all", "--lint-fatal", "prometheus.yml");
    assertEquals(status, 0, said);
    assertMatch(said, new RegExp(`alerting.rules.yml\\n  SUCCESS: ${alerts.length} rules found`));
  });

  it("sees every alert fire when it should, and not beside that", () => {
    const { status, said } = promtool("test", "rules", "rules.test.yml");
    assertEquals(status, 0, said);
  });
});

describe("an alert", () => {
  it("says how bad it is, what has happened, and where to read on", () => {
    assertGreater(alerts.length, 20);
    assertEquals(new Set(alerts.map(({ alert }) => alert)).size, alerts.length);
    for (const { alert, labels, annotations } of alerts) {
      assertMatch(labels["severity"] ?? "", /^(critical|warning)$/, alert);
      assertGreater(annotations["summary"]?.length ?? 0, 10, alert);
      assertMatch(annotations["description"] ?? "", /\.$/, alert);
      assertEquals(annotations["runbook_url"], `docs/monitoring.md#${alert.toLowerCase()}`);
    }
  });

  it("has a case in which it fires, one in which it does not yet, and a neighbour that must not set it off", () => {
    for (const { alert } of alerts) {
      const own = cases.filter(({ promql_expr_test }) =>
        promql_expr_test.some(({ expr }) => expr.includes(`"${alert}"`))
      );
      const expectations = own.flatMap(({ promql_expr_test }) => promql_expr_test);
      assert(expectations.some(({ exp_samples }) => exp_samples.length > 0), `${alert} never fires`);
      assert(expectations.some(({ exp_samples }) => exp_samples.length === 0), `${alert} is never silent`);
      const nodes = new Set(
        own.flatMap(({ input_series }) => input_series).map(({ series }) =>
          /instance="(.*?)"/.exec(series)?.[1]
        ),
      );
      assert(nodes.size > 1 || own.length > 1, `${alert} has no neighbour`);
    }
  });

  it("has an entry in the manual that says what it means and what to do, and every entry is of an alert", () => {
    for (const { alert } of alerts) {
      const entry = entryOf(alert) ?? "";
      assertGreater(entry.trim().length, 100, `docs/monitoring.md says nothing of ${alert}`);
    }
    const headings = [...manual.matchAll(/^#+ (Millrace[A-Z]\w+)$/gm)].map(([, name]) => name);
    assertEquals(headings.sort(), alerts.map(({ alert }) => alert).sort());
  });
});

describe("the rules", () => {
  it("ask for metrics that the server has, and for series that a rule records", () => {
    const documented = readText("docs/metrics.md");
    const recorded = readYaml<{ groups: { rules: { record: string }[] }[] }>(RECORDING).groups
      .flatMap(({ rules }) => rules.map(({ record }) => record));
    const series = /(?<=[\s(/])((?:[a-z]+:)?(?:millrace|process)_\w+(?::\w+)?)(?=[\s{[,)])/g;
    const asked = [...(readText(ALERTING) + readText(RECORDING)).matchAll(series)].map(([name]) => name);
    assertGreater(asked.length, 30);
    for (const name of asked) {
      const isRecorded = recorded.includes(name);
      assert(isRecorded || documented.includes(`\`${name.replace(/_bucket$/, "")}\``), name);
    }
  });
});

describe("docs/monitoring.md and docs/deployment.md", () => {
  const pages = ["docs/monitoring.md", "docs/deployment.md"];

  it("link to pages that there are", () => {
    const links = pages.flatMap((page) => [...readText(page).matchAll(/\]\(([^)#]+)[^)]*\)/g)]);
    assertGreater(links.length, 2);
    for (const [, link = ""] of links) assert(existsSync(pathOf(`docs/${link}`)), link);
  });

  it("name options, alerts and metrics that there are", () => {
    const documented = readText("docs/metrics.md");
    const flags = new Set(optionNames.map((name) => `--${flagName(name)}`));
    const names = /(?<=`)--[a-z-]+(?=[` ])|(?<!\w)(?:millrace_\w+|Millrace[A-Z]\w+)/g;
    for (const [name] of manual.matchAll(names)) {
      const isKnown = flags.has(name) || documented.includes(`\`${name}\``) ||
        alerts.some(({ alert }) => alert === name);
      assert(isKnown, name);
    }
  });
});
