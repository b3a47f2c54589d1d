/**
 * Bun.serve with nothing around it: echo, or publish to one topic.
 * Settings: message and backpressure limit 16 MiB, sockets over it are not closed, no idle timeout, no automatic pings;
 * compression, when asked for, with the shared compressor. Run by Bun.
 */
import { deflate, port, publish, scheme, tls } from "./flags.ts";
import {
  announce,
  CERT_FILE,
  collectOnSignal,
  HOST,
  KEY_FILE,
  MAX_BACKPRESSURE_BYTES,
  MAX_MESSAGE_BYTES,
  topicOf,
} from "./settings.ts";

interface Data {
  topic: string;
}

const noData: Data = { topic: "" };

const server = Bun.serve<Data>({
  hostname: HOST,
  port,
  ...(tls && { tls: { cert: Bun.file(CERT_FILE), key: Bun.file(KEY_FILE) } }),
  fetch(request, listener) {
    const data = publish ? { topic: topicOf(new URL(request.url).pathname) } : noData;
    return listener.upgrade(request, { data }) ? undefined : new Response("WebSocket only", { status: 426 });
  },
  websocket: {
    maxPayloadLength: MAX_MESSAGE_BYTES,
    backpressureLimit: MAX_BACKPRESSURE_BYTES,
    closeOnBackpressureLimit: false,
    perMessageDeflate: deflate ? { compress: "shared", decompress: "shared" } : false,
    idleTimeout: 0,
    sendPings: false,
    open(socket) {
      if (publish) socket.subscribe(socket.data.topic);
    },
    message(socket, message) {
      if (publish) server.publish(socket.data.topic, message, deflate);
      else socket.send(message, deflate);
    },
  },
});

collectOnSignal();
announce(`${scheme}://${HOST}:${server.port}/`);
