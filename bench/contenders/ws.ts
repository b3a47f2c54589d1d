/**
 * The `ws` package with nothing around it: echo, or a loop over all clients (it has no topics, and its public
 * interface has no prepared frame, so every client costs it a `send`).
 * Settings: message limit 16 MiB, no compression; it has no backpressure limit, idle timeout or pings to switch
 * off. Run by Node.
 */
import type { AddressInfo } from "node:net";
import { WebSocketServer } from "ws";
import { port, publish } from "./flags.ts";
import { announce, collectOnSignal, HOST, LISTEN_BACKLOG, MAX_MESSAGE_BYTES } from "./settings.ts";

const server = new WebSocketServer({
  host: HOST,
  port,
  backlog: LISTEN_BACKLOG,
  maxPayload: MAX_MESSAGE_BYTES,
  perMessageDeflate: false,
});

server.on("connection", (socket) => {
  socket.on("message", (data, binary) => {
    if (publish) { for (const client of server.clients) client.send(data, { binary }); }
    else socket.send(data, { binary });
  });
});

collectOnSignal(() => globalThis.gc?.());
server.on("listening", () => announce(`ws://${HOST}:${(server.address() as AddressInfo).port}/`));
