/**
 * Deno.upgradeWebSocket with nothing around it: echo, or a loop over the sockets of a topic.
 * Settings: no idle timeout; Deno offers no message limit, backpressure limit or compression to set. Run by Deno.
 */
import { readFileSync } from "node:fs";
import { port, publish, scheme, tls } from "./flags.ts";
import { announce, CERT_FILE, collectOnSignal, HOST, KEY_FILE, topicOf } from "./settings.ts";

/** The few members of Deno's interface used here; the project's types are Node's and Bun's. */
declare const Deno: {
  serve(
    options: {
      hostname: string;
      port: number;
      cert?: string;
      key?: string;
      onListen: (address: { port: number }) => void;
    },
    handler: (request: Request) => Response,
  ): void;
  upgradeWebSocket(request: Request, options: { idleTimeout: number }): {
    socket: WebSocket;
    response: Response;
  };
};

const topics = new Map<string, Set<WebSocket>>();

function join(topic: string, socket: WebSocket): void {
  const members = topics.get(topic) ?? new Set();
  topics.set(topic, members);
  socket.onopen = () => members.add(socket);
  socket.onclose = () => members.delete(socket);
  socket.onmessage = (event) => {
    for (const member of members) member.send(event.data);
  };
}

function upgrade(request: Request): Response {
  if (request.headers.get("upgrade") !== "websocket") return new Response("WebSocket only", { status: 426 });
  const { socket, response } = Deno.upgradeWebSocket(request, { idleTimeout: 0 });
  socket.binaryType = "arraybuffer";
  if (publish) join(topicOf(new URL(request.url).pathname), socket);
  else socket.onmessage = (event) => socket.send(event.data);
  return response;
}

collectOnSignal();
Deno.serve({
  hostname: HOST,
  port,
  ...(tls && { cert: readFileSync(CERT_FILE, "utf8"), key: readFileSync(KEY_FILE, "utf8") }),
  onListen: (address) => announce(`${scheme}://${HOST}:${address.port}/`),
}, upgrade);
