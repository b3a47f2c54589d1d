/** A Prometheus of a test's own, with the configuration in deploy/ and its times cut to fractions of a second. */
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { stringify } from "yaml";
import { findProgram } from "../../scripts/debian.ts";
import { pathOf, readYaml } from "./deployment.ts";
import { ServerProcess } from "./server_process.ts";

/** Where the configuration is. */
export const prometheusFolder = pathOf("deploy/prometheus");

/** How often it scrapes and evaluates here. */
export const SCRAPE_INTERVAL_MS = 100;
/** Between two looks at whether it has what is waited for. */
const LOOK_MS = 50;

/** What a test needs of prometheus.yml. */
export interface PrometheusConfig {
  readonly global: Record<string, string>;
  readonly rule_files: readonly string[];
  readonly scrape_configs: readonly Record<string, unknown>[];
}

/** One series of an instant vector. */
export interface Sample {
  readonly metric: Readonly<Record<string, string>>;
  readonly value: number;
}

/** An entry of its targets file. */
export interface TargetGroup {
  readonly targets: readonly string[];
  readonly labels?: Readonly<Record<string, string>>;
}

export class Prometheus {
  private readonly process: ServerProcess;
  private readonly folder: string;

  private constructor(process: ServerProcess, folder: string) {
    this.process = process;
    this.folder = folder;
  }

  /** Starts it with these targets; `scrape` is added to the scrape configuration. */
  static async start(groups: readonly TargetGroup[], scrape: Record<string, unknown>): Promise<Prometheus> {
    const folder = mkdtempSync(join(tmpdir(), "millrace-prometheus-"));
    const config = readYaml<PrometheusConfig>("deploy/prometheus/prometheus.yml");
    const interval = `${SCRAPE_INTERVAL_MS}ms`;
    const quick = { scrape_interval: interval, scrape_timeout: interval, evaluation_interval: interval };
    const [first] = config.scrape_configs;
    writeFileSync(
      join(folder, "prometheus.yml"),
      stringify({ ...config, global: quick, scrape_configs: [{ ...first, ...scrape }] }),
    );
    for (const file of config.rule_files) copyFileSync(join(prometheusFolder, file), join(folder, file));
    mkdirSync(join(folder, "targets"));
    writeFileSync(join(folder, "targets", "nodes.json"), JSON.stringify(groups));
    const server = await ServerProcess.prepare({
      command: findProgram("prometheus") ?? "prometheus",
      args: (port, data) => [
        `--config.file=${join(folder, "prometheus.yml")}`,
        `--storage.tsdb.path=${data}`,
        `--web.listen-address=127.0.0.1:${port}`,
        // By itself it looks every five seconds whether there are targets.
        `--scrape.discovery-reload-interval=${interval}`,
      ],
      ready: /Server is ready to receive web requests/,
    });
    await server.start();
    return new Prometheus(server, folder);
  }

  /** The data of an answer of its API. */
  async get(path: string, parameters: Record<string, string> = {}): Promise<unknown> {
    const url = `http://127.0.0.1:${this.process.port}/api/v1/${path}?${new URLSearchParams(parameters)}`;
    const answer = await (await fetch(url)).json() as { status: string; data: unknown; error?: string };
    if (answer.status !== "success") {
      throw new Error(`${path} ${JSON.stringify(parameters)}: ${answer.error}`);
    }
    return answer.data;
  }

  /** What a query answers now. */
  async ask(query: string): Promise<Sample[]> {
    const { result } = await this.get("query", { query }) as {
      result: { metric: Record<string, string>; value: [number, string] }[];
    };
    return result.map(({ metric, value: [, value] }) => ({ metric, value: Number(value) }));
  }

  /** Asks until there is no fault any more or patience ends, and answers the last faults. */
  async untilNone(faults: () => Promise<string[]>, patienceMs: number): Promise<string[]> {
    const end = performance.now() + patienceMs;
    for (;;) {
      const found = await faults();
      if (found.length === 0 || performance.now() > end) return found;
      await new Promise((resolve) => void setTimeout(resolve, LOOK_MS));
    }
  }

  async remove(): Promise<void> {
    await this.process.remove();
    rmSync(this.folder, { recursive: true, force: true });
  }
}
