/**
 * The ceiling on Node: what arrives on a socket goes back on it, without framing.
 * Settings: no delay (Nagle off), no idle timeout. It has no fan-out. Run by Node.
 */
import { type AddressInfo, createServer } from "node:net";
import { port, publish } from "./flags.ts";
import { announce, collectOnSignal, HOST, LISTEN_BACKLOG } from "./settings.ts";

if (publish) throw new Error("a raw TCP echo has no fan-out");

const server = createServer({ noDelay: true }, (socket) => {
  socket.on("data", (chunk) => socket.write(chunk));
  socket.on("error", () => socket.destroy());
});

collectOnSignal();
server.listen({ host: HOST, port, backlog: LISTEN_BACKLOG }, () => {
  announce(`tcp://${HOST}:${(server.address() as AddressInfo).port}`);
});
