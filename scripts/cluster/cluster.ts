/**
 * Nodes behind one Redis, proxies in front of them, and Prometheus beside them: real processes on loopback, from the files
 * in `deploy/`, with a folder that is gone after them. It prints nothing; what its owner should know it reports.
 */
import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { findProgram } from "../debian.ts";
import { Child, type Launch } from "./child.ts";
import { type ClusterEngine, ClusterNode } from "./node.ts";
import { freePort } from "./ports.ts";
import { untilReady, untilSaid } from "./probe.ts";
import { type ProxyName, proxyPrograms } from "./proxies.ts";

const deployed = fileURLToPath(new URL("../../deploy/prometheus/", import.meta.url));

const HANDSHAKE_ACCEPTED = 101;
const STOP_SECONDS = 5;
const API_KEY_BYTES = 16;
const CERTIFICATE_DAYS = 7;
/** So that clients recover what they miss while nodes come and go. */
const DEFAULT_NODE_FLAGS = ["--history", ">:1000:600"];

/** What to start. */
export interface ClusterSettings {
  readonly engine: ClusterEngine;
  readonly nodeCount: number;
  /** At least one. */
  readonly proxies: readonly ProxyName[];
  readonly hasPrometheus: boolean;
  /** Ports that are not to be free ones; that of nodes is the first node's, the others' follow. */
  readonly ports?: Partial<Record<ProxyName | "node" | "redis" | "prometheus", number>>;
  /** Flags for each node. */
  readonly nodeFlags?: readonly string[];
  /** Where certificate, keys and process ids lie while it runs: a folder that is not there yet. A temporary one when undefined. */
  readonly folder?: string;
  /** What the proxies let one address have; that of the files in `deploy/` when undefined. */
  readonly connectionsPerAddress?: number;
  /** Something that the owner has to know: a program has died. */
  readonly report: (line: string) => void;
  /** What the programs say, if anybody wants to know. */
  readonly said?: (name: string, text: string) => void;
}

/** Where everything is. */
export interface Addresses {
  /** WebSockets, through each proxy. */
  readonly proxies: Partial<Readonly<Record<ProxyName, string>>>;
  /** The certificate that the proxies present, for clients to trust. */
  readonly certificateFile: string;
  readonly nodes: readonly { readonly name: string; readonly url: string; readonly pid: number }[];
  readonly apiKey: string;
  readonly redis: string;
  readonly prometheus: string | undefined;
}

/** A program that listens on a port. */
interface Front {
  readonly child: Child;
  readonly port: number;
}

/** Programs that are not installed; the message says how to get them. */
export class MissingPrograms extends Error {}

const packages = {
  "redis-server": "redis-server",
  "openssl": "openssl",
  "prometheus": "prometheus",
} as const;

/** What has to be installed for these settings and is not; undefined when nothing. */
export function whatIsMissing(
  { proxies, hasPrometheus }: Pick<ClusterSettings, "proxies" | "hasPrometheus">,
): string | undefined {
  const needed: [program: string, debianPackage: string][] = [
    ...Object.entries(packages).filter(([program]) => program !== "prometheus" || hasPrometheus),
    ...proxies.map((name): [string, string] => [name, proxyPrograms[name].package]),
  ];
  const missing = needed.filter(([program]) => findProgram(program) === undefined);
  if (missing.length === 0) return undefined;
  const [names, from] = [missing.map(([name]) => name), missing.map(([, name]) => name)];
  return `not installed: ${names.join(", ")}; on Debian: apt-get install ${from.join(" ")}`;
}

export class Cluster {
  readonly nodes: ClusterNode[] = [];
  readonly apiKey: string = randomBytes(API_KEY_BYTES).toString("hex");
  private readonly settings: ClusterSettings;
  private readonly folder: string;
  private readonly children = new Set<Child>();
  private readonly proxies = new Map<ProxyName, Front>();
  private redis: Front | undefined = undefined;
  private prometheus: Front | undefined = undefined;
  private state: "starting" | "running" | "stopping" = "starting";

  /** @throws {MissingPrograms} @throws an Error when the folder is there already */
  constructor(settings: ClusterSettings) {
    const missing = whatIsMissing(settings);
    if (missing !== undefined) throw new MissingPrograms(missing);
    this.settings = settings;
    const { folder } = settings;
    if (folder !== undefined) mkdirSync(folder);
    this.folder = folder === undefined ? mkdtempSync(join(tmpdir(), "millrace-cluster-")) : resolve(folder);
  }

  /** Resolves once everything takes clients; stops what has started and rejects when something does not. */
  async start(): Promise<void> {
    try {
      this.makeCertificate();
      writeFileSync(this.file("api-keys"), `${this.apiKey}\n`, { mode: 0o600 });
      const { port: redisPort } = await this.startRedis();
      await this.makeNodes(redisPort);
      await Promise.all([...this.nodes.map((node) => node.start()), this.startPrometheus()]);
      for (const { name, pid } of this.nodes) writeFileSync(this.file(`${name}.pid`), `${pid}\n`);
      await Promise.all(this.settings.proxies.map((name) => this.startProxy(name)));
      if (this.state === "starting") this.state = "running";
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  get addresses(): Addresses {
    const proxies = [...this.proxies].map(([name, { port }]) => [name, `wss://127.0.0.1:${port}/ws`]);
    return {
      proxies: Object.fromEntries(proxies),
      certificateFile: this.file("certificate.pem"),
      nodes: this.nodes.map(({ name, url, pid }) => ({ name, url, pid })),
      apiKey: this.apiKey,
      redis: `redis://127.0.0.1:${this.redis?.port}`,
      prometheus: this.prometheus && `http://127.0.0.1:${this.prometheus.port}`,
    };
  }

  /** The proxy reads its files again, and goes on with its connections. */
  reload(name: ProxyName): void {
    this.proxies.get(name)?.child.signal(proxyPrograms[name].reloadSignal);
  }

  /** Ends everything: who watches, the nodes with their clients, those in front, and what was behind. */
  async stop(): Promise<void> {
    this.state = "stopping";
    await this.prometheus?.child.stop(STOP_SECONDS);
    await Promise.all(this.nodes.map((node) => node.stop()));
    await Promise.all([...this.proxies.values()].map(({ child }) => child.stop(STOP_SECONDS)));
    await this.redis?.child.stop(STOP_SECONDS);
    this.removeFolder();
  }

  /** Ends everything at once, for a process that is about to exit. */
  destroy(): void {
    this.state = "stopping";
    for (const child of this.children) child.kill();
    this.removeFolder();
  }

  private file(...path: string[]): string {
    return join(this.folder, ...path);
  }

  private removeFolder(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }

  private readonly run = (launch: Launch): Child => {
    if (this.state === "stopping") throw new Error("the cluster is being stopped");
    const child = new Child(launch, {
      said: (text) => this.settings.said?.(launch.name, text),
      died: (how) => {
        if (this.state === "running") this.settings.report(`${launch.name} has died: it ended ${how}`);
      },
    });
    this.children.add(child);
    void child.ended.then(() => this.children.delete(child));
    return child;
  };

  /** Runs a program of Debian's in a folder of its own. */
  private runProgram(name: string, args: readonly string[]): Child {
    return this.run({ name, program: findProgram(name) ?? name, args, folder: this.file(name) });
  }

  private async portFor(name: ProxyName | "redis" | "prometheus"): Promise<number> {
    return this.settings.ports?.[name] ?? await freePort();
  }

  /** One that the clients of this run can trust, and nobody else. */
  private makeCertificate(): void {
    const [certificate, key] = [this.file("certificate.pem"), this.file("key.pem")];
    const { status, stderr } = spawnSync(findProgram("openssl") ?? "openssl", [
      ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"],
      ...["-days", String(CERTIFICATE_DAYS), "-keyout", key, "-out", certificate],
      ...["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
    ], { encoding: "utf8" });
    if (status !== 0) throw new Error(`openssl made no certificate: ${stderr}`);
    const bundle = readFileSync(certificate, "utf8") + readFileSync(key, "utf8");
    writeFileSync(this.file("bundle.pem"), bundle, { mode: 0o600 });
  }

  private async startRedis(): Promise<Front> {
    const port = await this.portFor("redis");
    mkdirSync(this.file("redis-server"));
    const child = this.runProgram("redis-server", [
      ...["--port", String(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"],
    ]);
    this.redis = { child, port };
    await untilSaid(child, /Ready to accept connections/);
    return this.redis;
  }

  private async makeNodes(redisPort: number): Promise<void> {
    const { nodeCount, engine, ports, nodeFlags = [] } = this.settings;
    const flags = [
      ...[...DEFAULT_NODE_FLAGS, ...nodeFlags, "--api-key-file", this.file("api-keys")],
      ...["--broker", "redis", "--broker-urls", `redis://127.0.0.1:${redisPort}`],
      // Both proxies connect from there; a client that does so itself cannot lie about more than its own address.
      ...["--trusted-proxies", "127.0.0.1"],
    ];
    for (let index = 0; index < nodeCount; index++) {
      const port = ports?.node === undefined ? await freePort() : ports.node + index;
      const name = `node-${index + 1}`;
      this.nodes.push(new ClusterNode({ name, port, engine, flags, run: this.run }));
    }
  }

  private async startProxy(name: ProxyName): Promise<void> {
    const port = await this.portFor(name);
    mkdirSync(this.file(name));
    const certificateFile = this.file("certificate.pem");
    const args = proxyPrograms[name].prepare({
      ...{ folder: this.file(name), port, nodes: this.nodes, certificateFile },
      ...{ keyFile: this.file("key.pem"), bundleFile: this.file("bundle.pem") },
      connectionsPerAddress: this.settings.connectionsPerAddress,
    });
    const child = this.runProgram(name, args);
    this.proxies.set(name, { child, port });
    const certificate = readFileSync(certificateFile, "utf8");
    await untilReady(child, { url: `wss://127.0.0.1:${port}/ws`, status: HANDSHAKE_ACCEPTED, certificate });
  }

  private async startPrometheus(): Promise<void> {
    if (!this.settings.hasPrometheus) return;
    const port = await this.portFor("prometheus");
    const folder = this.file("prometheus");
    mkdirSync(join(folder, "targets"), { recursive: true });
    for (const entry of readdirSync(deployed).filter((entry) => entry !== "targets")) {
      symlinkSync(join(deployed, entry), join(folder, entry));
    }
    const targets = this.nodes.map((node) => `127.0.0.1:${node.port}`);
    writeFileSync(join(folder, "targets", "nodes.json"), JSON.stringify([{ targets }]));
    const child = this.runProgram("prometheus", [
      ...["--config.file", join(folder, "prometheus.yml"), "--storage.tsdb.path", join(folder, "data")],
      ...["--web.listen-address", `127.0.0.1:${port}`],
    ]);
    this.prometheus = { child, port };
    await untilReady(child, { url: `http://127.0.0.1:${port}/-/ready`, status: 200 });
  }
}
