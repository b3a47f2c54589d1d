/**
 * Stands for the balancer in front of a real deployment: takes each WebSocket to the first node that is ready, and can
 * cut a line as nothing in good order would. It must never know what is said on a line.
 */
import type { IncomingMessage } from "node:http";
import { connect } from "node:net";
import type { Duplex } from "node:stream";

const READY_TIMEOUT_MS = 1_000;

export class Balancer {
  private readonly nodes: readonly URL[];
  /** By the name that its page gave it: `?line=`. */
  private readonly lines = new Map<string, Duplex>();
  private readonly cutLines = new Set<string>();

  /** @param nodes where Millrace answers HTTP, most wanted first */
  constructor(nodes: readonly URL[]) {
    this.nodes = nodes;
  }

  /** For the event `upgrade` of an HTTP server. */
  async upgrade(request: IncomingMessage, socket: Duplex, head: Uint8Array): Promise<void> {
    const line = new URL(request.url ?? "", "http://balancer").searchParams.get("line") ?? "";
    // A line may be cut at any moment; that is what this is for.
    socket.on("error", () => socket.destroy());
    if (this.cutLines.has(line)) return void socket.destroy();
    const node = await this.firstReady();
    if (node === undefined) return void socket.end("HTTP/1.1 503 Service Unavailable\r\n\r\n");
    const upstream = connect(Number(node.port), node.hostname);
    upstream.on("error", () => socket.destroy());
    upstream.on("close", () => socket.destroy());
    socket.on("close", () => {
      upstream.destroy();
      if (this.lines.get(line) === socket) this.lines.delete(line);
    });
    this.lines.set(line, socket);
    const headers = request.rawHeaders.map((part, at) => part + (at % 2 === 0 ? ": " : "\r\n")).join("");
    upstream.write(`GET ${request.url} HTTP/1.1\r\n${headers}\r\n`);
    upstream.write(head);
    socket.pipe(upstream).pipe(socket);
  }

  /** Cuts a line, and each that comes in its place until it is mended. */
  cut(line: string): void {
    this.cutLines.add(line);
    this.lines.get(line)?.destroy();
  }

  mend(line: string): void {
    this.cutLines.delete(line);
  }

  private async firstReady(): Promise<URL | undefined> {
    for (const node of this.nodes) {
      const signal = AbortSignal.timeout(READY_TIMEOUT_MS);
      const isReady = fetch(new URL("/ready", node), { method: "HEAD", signal }).then(
        ({ ok }) => ok,
        () => false,
      );
      if (await isReady) return node;
    }
    return undefined;
  }
}
