/**
 * uWebSockets.js with nothing around it: echo, or publish to one topic.
 * Settings: message and backpressure limit 16 MiB, sockets over it are not closed, no compression, no idle
 * timeout, no automatic pings, no maximum lifetime. Run by Node.
 */
import uws from "uWebSockets.js";
import { port, publish } from "./flags.ts";
import {
  announce,
  collectOnSignal,
  HOST,
  MAX_BACKPRESSURE_BYTES,
  MAX_MESSAGE_BYTES,
  TOPIC,
} from "./settings.ts";

const app = uws.App();

app.ws("/*", {
  maxPayloadLength: MAX_MESSAGE_BYTES,
  maxBackpressure: MAX_BACKPRESSURE_BYTES,
  closeOnBackpressureLimit: 0,
  compression: uws.DISABLED,
  idleTimeout: 0,
  sendPingsAutomatically: false,
  maxLifetime: 0,
  open(socket) {
    if (publish) socket.subscribe(TOPIC);
  },
  message(socket, message, isBinary) {
    if (publish) app.publish(TOPIC, message, isBinary, false);
    else socket.send(message, isBinary, false);
  },
});

collectOnSignal(() => globalThis.gc?.());
app.listen(HOST, port, (token) => {
  if (!token) throw new Error(`cannot listen on port ${port}`);
  announce(`ws://${HOST}:${uws.us_socket_local_port(token)}/`);
});
