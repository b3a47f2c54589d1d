/** Nodes that are processes of their own, behind one broker; each can be killed and started again, on another port. */
import type { Random } from "./random.ts";
import { runtime } from "./runtime.ts";
import { type ProcessEngine, type ServerProcess, spawnServer, whyNotAsProcess } from "./server.ts";

/** What the server takes when it is not told which: the native engine of the runtime, where there is one. */
export const defaultEngine: ProcessEngine = runtime === "bun"
  ? "bun"
  : runtime === "node" && whyNotAsProcess("uws") === false
  ? "uws"
  : "ts";

export class Cluster {
  private readonly flags: readonly string[];
  /** By number; one that is being started again is not there. */
  private readonly running = new Map<number, ServerProcess>();

  private constructor(flags: readonly string[]) {
    this.flags = flags;
  }

  /** Starts nodes that are called 0, 1 and so on, each with `flags`, and those of its own. */
  static async start(
    count: number,
    flags: readonly string[],
    own: (number: number) => readonly string[] = () => [],
  ): Promise<Cluster> {
    const cluster = new Cluster(flags);
    await Promise.all(Array.from({ length: count }, (_, number) => cluster.add(number, own(number))));
    return cluster;
  }

  node(number: number): ServerProcess {
    const node = this.running.get(number);
    if (node === undefined) throw new Error(`node ${number} is not there`);
    return node;
  }

  /** The address of a node that is there. */
  someUrl(random: Random): string {
    return random.pick([...this.running.values()]).url;
  }

  /** What the nodes have said that they should not have: warnings are for troubles, errors for faults of ours. */
  errors(): string[] {
    return [...this.running.values()].flatMap(({ output }) => output.all.join("").split("\n"))
      .filter((line) => /"level":(50|60|"error"|"fatal")/.test(line) && !line.includes("the broker is away"));
  }

  /** Takes the node away for the clients, before it goes. */
  retire(number: number): ServerProcess {
    const node = this.node(number);
    this.running.delete(number);
    return node;
  }

  /** A node dies at once, and another comes in its place. */
  async replace(number: number): Promise<void> {
    await this.retire(number).stop();
    await this.add(number, []);
  }

  async stop(): Promise<void> {
    await Promise.all([...this.running.values()].map((node) => node.stop()));
  }

  private async add(number: number, own: readonly string[]): Promise<void> {
    const flags = ["--node", String(number), ...this.flags, ...own];
    const node = await spawnServer(defaultEngine, flags);
    await node.output.until((all) => all.join("").includes("the broker is there"), "the broker");
    this.running.set(number, node);
  }
}
