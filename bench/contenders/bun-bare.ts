/**
 * Bun.serve with nothing around it: echo, or publish to one topic.
 * Settings: message and backpressure limit 16 MiB, sockets over it are not closed, no compression, no idle
 * timeout, no automatic pings. Run by Bun.
 */
import { port, publish } from "./flags.ts";
import {
  announce,
  collectOnSignal,
  HOST,
  MAX_BACKPRESSURE_BYTES,
  MAX_MESSAGE_BYTES,
  TOPIC,
} from "./settings.ts";

const server = Bun.serve({
  hostname: HOST,
  port,
  fetch: (request, listener) =>
    listener.upgrade(request) ? undefined : new Response("WebSocket only", { status: 426 }),
  websocket: {
    maxPayloadLength: MAX_MESSAGE_BYTES,
    backpressureLimit: MAX_BACKPRESSURE_BYTES,
    closeOnBackpressureLimit: false,
    perMessageDeflate: false,
    idleTimeout: 0,
    sendPings: false,
    open(socket) {
      if (publish) socket.subscribe(TOPIC);
    },
    message(socket, message) {
      if (publish) server.publish(TOPIC, message);
      else socket.send(message);
    },
  },
});

collectOnSignal(() => Bun.gc(true));
announce(`ws://${HOST}:${server.port}/`);
