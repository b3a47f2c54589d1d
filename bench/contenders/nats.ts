/** nats-server's WebSocket, without TLS, compression and authentication; a slow consumer may lag by 16 MiB. */
import { findProgram } from "../../scripts/debian.ts";
import type { Contender } from "../contender.ts";
import { lacksEcho } from "../contender.ts";
import { HOST, MAX_BACKPRESSURE_BYTES } from "./settings.ts";

const CONFIGURATION = `
listen: "${HOST}:-1"
websocket { listen: "${HOST}:{port}", no_tls: true, compression: false }
max_pending: ${MAX_BACKPRESSURE_BYTES}
ping_interval: "1h"
logtime: false
`;

const program = findProgram("nats-server");

export const nats: Contender = {
  name: "nats",
  protocol: "nats",
  startSeconds: 0.2,
  ...(program !== undefined && { versionCommand: [program, "--version"] }),
  launch(setup) {
    if (program === undefined) return "missing: apt-get install nats-server";
    return lacksEcho(setup) ?? {
      command: [program, "-c", "{folder}/nats.conf"],
      files: { "nats.conf": CONFIGURATION },
      url: `ws://${HOST}:{port}/`,
    };
  },
};
