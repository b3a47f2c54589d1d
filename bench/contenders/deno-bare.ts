/**
 * Deno.upgradeWebSocket with nothing around it: echo, or a loop over all sockets.
 * Settings: no idle timeout; Deno offers no message limit, backpressure limit or compression to set. Run by Deno.
 */
import { port, publish } from "./flags.ts";
import { announce, collectOnSignal, HOST } from "./settings.ts";

/** The few members of Deno's interface used here; the project's types are Node's and Bun's. */
declare const Deno: {
  serve(
    options: { hostname: string; port: number; onListen: (address: { port: number }) => void },
    handler: (request: Request) => Response,
  ): void;
  upgradeWebSocket(request: Request, options: { idleTimeout: number }): {
    socket: WebSocket;
    response: Response;
  };
};

const sockets = new Set<WebSocket>();

function upgrade(request: Request): Response {
  if (request.headers.get("upgrade") !== "websocket") return new Response("WebSocket only", { status: 426 });
  const { socket, response } = Deno.upgradeWebSocket(request, { idleTimeout: 0 });
  socket.binaryType = "arraybuffer";
  socket.onopen = () => sockets.add(socket);
  socket.onclose = () => sockets.delete(socket);
  socket.onmessage = (event) => {
    if (publish) { for (const other of sockets) other.send(event.data); }
    else socket.send(event.data);
  };
  return response;
}

collectOnSignal(() => globalThis.gc?.());
Deno.serve({
  hostname: HOST,
  port,
  onListen: (address) => announce(`ws://${HOST}:${address.port}/`),
}, upgrade);
