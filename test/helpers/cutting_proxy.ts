/**
 * A network that fails by a seeded schedule: a TCP proxy that delays what it carries, goes silent and cuts. It never
 * changes, reorders or repeats a byte; what was under way when it cuts is lost.
 */
import type { Buffer } from "node:buffer";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import type { Random } from "./random.ts";

const MIN_LIFE_MS = 20;
const MAX_LIFE_MS = 400;
const MAX_DELAY_MS = 15;
const REFUSED_SHARE = 0.1;
const SILENT_SHARE = 0.2;
const SILENT_MS = 60;

/** Both ends of one connection. */
class Wire {
  private readonly ends: readonly [Socket, Socket];
  private readonly random: Random;
  private isSilent = false;

  constructor(client: Socket, target: Socket, random: Random) {
    this.ends = [client, target];
    this.random = random;
    this.carry(client, target);
    this.carry(target, client);
  }

  goSilent(): void {
    this.isSilent = true;
  }

  cut(): void {
    for (const end of this.ends) end.destroy();
  }

  private carry(from: Socket, to: Socket): void {
    const underWay: Buffer[] = [];
    from.on("data", (chunk: Buffer) => {
      if (this.isSilent) return;
      underWay.push(chunk);
      // Whichever timer is first, the bytes keep their order.
      setTimeout(() => {
        const next = underWay.shift();
        if (next !== undefined && !to.destroyed) to.write(next);
      }, this.random.below(MAX_DELAY_MS));
    });
    from.on("error", () => this.cut());
    from.on("close", () => this.cut());
  }
}

export class CuttingProxy {
  /** How many connections it has cut. */
  cuts = 0;
  private readonly target: URL;
  private readonly random: Random;
  private readonly server: Server;
  private readonly wires = new Map<Wire, ReturnType<typeof setTimeout>>();
  private isCalm = false;

  private constructor(target: string, random: Random) {
    this.target = new URL(target);
    this.random = random;
    this.server = createServer((client) => this.accept(client));
  }

  /** @param target the server's WebSocket URL */
  static async start(target: string, random: Random): Promise<CuttingProxy> {
    const proxy = new CuttingProxy(target, random);
    proxy.server.listen(0, "127.0.0.1");
    await once(proxy.server, "listening");
    return proxy;
  }

  get url(): string {
    const url = new URL(this.target);
    url.port = String((this.server.address() as AddressInfo).port);
    return url.href;
  }

  /** Cuts everything once more, and nothing from then on. */
  calm(): void {
    this.isCalm = true;
    for (const wire of this.wires.keys()) this.cut(wire);
  }

  close(): Promise<void> {
    for (const wire of this.wires.keys()) this.cut(wire);
    return new Promise((resolve) => this.server.close(() => resolve()));
  }

  private accept(client: Socket): void {
    client.setNoDelay(true);
    client.on("error", () => {});
    if (!this.isCalm && this.random.chance(REFUSED_SHARE)) return void client.destroy();
    const target = connect({ host: this.target.hostname, port: Number(this.target.port), noDelay: true });
    const wire = new Wire(client, target, this.random);
    if (this.isCalm) return void this.wires.set(wire, setTimeout(() => {}, 0));
    const lifeMs = MIN_LIFE_MS + this.random.below(MAX_LIFE_MS - MIN_LIFE_MS);
    const silent = this.random.chance(SILENT_SHARE);
    this.wires.set(
      wire,
      setTimeout(() => {
        if (!silent) return this.cut(wire);
        wire.goSilent();
        this.wires.set(wire, setTimeout(() => this.cut(wire), SILENT_MS));
      }, lifeMs),
    );
  }

  private cut(wire: Wire): void {
    clearTimeout(this.wires.get(wire));
    if (!this.wires.delete(wire)) return;
    this.cuts++;
    wire.cut();
  }
}
