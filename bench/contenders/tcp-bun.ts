/**
 * The ceiling on Bun: what arrives on a socket goes back on it, without framing.
 * Settings: no idle timeout; what the system does not take at once waits in `data` for the drain. It has no
 * fan-out. Run by Bun.
 */
import type { Socket } from "bun";
import { port, publish } from "./flags.ts";
import { announce, collectOnSignal, HOST } from "./settings.ts";

if (publish) throw new Error("a raw TCP echo has no fan-out");

type EchoSocket = Socket<{ waiting: Uint8Array[] }>;

function send(socket: EchoSocket, bytes: Uint8Array): void {
  const { waiting } = socket.data;
  const sent = waiting.length > 0 ? 0 : socket.write(bytes);
  if (sent < bytes.length) waiting.push(bytes.subarray(sent));
}

function flush(socket: EchoSocket): void {
  const waiting = socket.data.waiting;
  socket.data.waiting = [];
  for (const bytes of waiting) send(socket, bytes);
}

const server = Bun.listen<{ waiting: Uint8Array[] }>({
  hostname: HOST,
  port,
  socket: {
    open(socket) {
      socket.data = { waiting: [] };
    },
    data: send,
    drain: flush,
  },
});

collectOnSignal();
announce(`tcp://${HOST}:${server.port}`);
