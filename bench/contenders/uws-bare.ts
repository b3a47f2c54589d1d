/**
 * uWebSockets.js with nothing around it: echo, or publish to one topic.
 * Settings: message and backpressure limit 16 MiB, sockets over it are not closed, no idle timeout, no automatic pings,
 * no maximum lifetime; compression, when asked for, with the shared compressor. Run by Node.
 */
import uws from "uWebSockets.js";
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
  topic?: string;
}

const app = tls ? uws.SSLApp({ cert_file_name: CERT_FILE, key_file_name: KEY_FILE }) : uws.App();

app.ws<Data>("/*", {
  maxPayloadLength: MAX_MESSAGE_BYTES,
  maxBackpressure: MAX_BACKPRESSURE_BYTES,
  closeOnBackpressureLimit: 0,
  compression: deflate ? uws.SHARED_COMPRESSOR : uws.DISABLED,
  idleTimeout: 0,
  sendPingsAutomatically: false,
  maxLifetime: 0,
  ...(publish && {
    upgrade(response, request, context) {
      response.upgrade<Data>(
        { topic: topicOf(request.getUrl()) },
        request.getHeader("sec-websocket-key"),
        request.getHeader("sec-websocket-protocol"),
        request.getHeader("sec-websocket-extensions"),
        context,
      );
    },
    open(socket) {
      socket.subscribe(socket.getUserData().topic ?? "");
    },
  }),
  message(socket, message, isBinary) {
    if (publish) app.publish(socket.getUserData().topic ?? "", message, isBinary, deflate);
    else socket.send(message, isBinary, deflate);
  },
});

collectOnSignal();
app.listen(HOST, port, (token) => {
  if (!token) throw new Error(`cannot listen on port ${port}`);
  announce(`${scheme}://${HOST}:${uws.us_socket_local_port(token)}/`);
});
