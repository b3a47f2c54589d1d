/** mosquitto's WebSocket listener: MQTT at QoS 0, without authentication and persistence; a client may lag by 16 MiB. */
import { findProgram } from "../../scripts/debian.ts";
import type { Contender } from "../contender.ts";
import { lacksEcho } from "../contender.ts";
import { HOST, MAX_BACKPRESSURE_BYTES } from "./settings.ts";

// It does not start with WebSocket listeners alone, as it does not count them; `user` holds when root starts it, whose
// folder this is.
const CONFIGURATION = `
user root
listener 0 {folder}/mqtt.sock
listener {port} ${HOST}
protocol websockets
allow_anonymous true
persistence false
log_type error
set_tcp_nodelay true
max_inflight_messages 0
max_queued_messages 0
max_queued_bytes ${MAX_BACKPRESSURE_BYTES}
`;

const program = findProgram("mosquitto");

export const mosquitto: Contender = {
  name: "mosquitto",
  protocol: "mqtt",
  startSeconds: 0.2,
  ...(program !== undefined && { versionCommand: [program, "-h"] }),
  launch(setup) {
    if (program === undefined) return "missing: apt-get install mosquitto";
    return lacksEcho(setup) ?? {
      command: [program, "-c", "{folder}/mosquitto.conf"],
      files: { "mosquitto.conf": CONFIGURATION },
      url: `ws://${HOST}:{port}/`,
    };
  },
};
