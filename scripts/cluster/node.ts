/** A Millrace node of the cluster, which can go, die and come back on the same port. */
import process from "node:process";
import { fileURLToPath } from "node:url";
import type { Child, Launch } from "./child.ts";
import { untilReady } from "./probe.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));

export const clusterEngines = ["auto", "bun", "uws", "ts"] as const;
export type ClusterEngine = typeof clusterEngines[number];

/** Beyond the server's own shutdown timeout, in which it sends its clients away. */
const STOP_SECONDS = 30;

/** What runs a node: Bun for its own engine, Node for `uws`, and for the others whatever runs this command. */
function runServer(engine: ClusterEngine): readonly [program: string, ...args: string[]] {
  const isOnBun = process.versions["bun"] !== undefined;
  if (engine === "bun" || (engine !== "uws" && isOnBun)) {
    return [isOnBun ? process.execPath : `${root}node_modules/.bin/bun`, "server/main.ts"];
  }
  return [isOnBun ? "node" : process.execPath, "--import", "tsx", "server/main.ts"];
}

export interface NodeSettings {
  readonly name: string;
  readonly port: number;
  readonly engine: ClusterEngine;
  /** Beside those that say where it listens and with what. */
  readonly flags: readonly string[];
  readonly run: (launch: Launch) => Child;
}

export class ClusterNode {
  readonly name: string;
  readonly port: number;
  private readonly launch: Launch;
  private readonly run: (launch: Launch) => Child;
  private child: Child | undefined = undefined;

  constructor({ name, port, engine, flags, run }: NodeSettings) {
    this.name = name;
    this.port = port;
    this.run = run;
    const [program, ...args] = runServer(engine);
    const own = ["--engine", engine, "--host", "127.0.0.1", "--port", String(port), "--node", name];
    // A server of this machine may be configured by variables; these nodes are not.
    const inherited = Object.entries(process.env).filter(([key]) => !/^(PORT$|MILLRACE_)/.test(key));
    this.launch = {
      name,
      program,
      args: [...args, ...flags, ...own],
      environment: Object.fromEntries(inherited),
      folder: root,
    };
  }

  /** Its HTTP side, past the proxies. */
  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** 0 while it does not run. */
  get pid(): number {
    return this.child?.isRunning ? this.child.pid : 0;
  }

  /** The end of what it has said since it was started last. */
  get said(): string {
    return this.child?.said ?? "";
  }

  /** Resolves once `/ready` says so; rejects with its last words when it ends instead. */
  async start(): Promise<void> {
    this.child = this.run(this.launch);
    await untilReady(this.child, { url: `${this.url}/ready`, status: 200 });
  }

  /** Ends it in good order: its clients are sent away. */
  async stop(): Promise<void> {
    await this.child?.stop(STOP_SECONDS);
  }

  /** Ends it at once, as a crash does. */
  async kill(): Promise<void> {
    this.child?.kill();
    await this.child?.ended;
  }
}
