/** The flags of the built-in contenders. */
import { parseArgs } from "node:util";

const { values } = parseArgs({
  options: {
    port: { type: "string", default: "0" },
    publish: { type: "boolean", default: false },
    deflate: { type: "boolean", default: false },
    tls: { type: "boolean", default: false },
  },
});

/** `--port N`; 0 lets the system choose. */
export const port: number = Number(values.port);

/**
 * `--publish`: a connection is subscribed to the topic that its path names, and each of its messages is sent to all that
 * are, itself included, instead of being echoed.
 */
export const publish: boolean = values.publish;

/** `--deflate`: permessage-deflate without context takeover, for messages of any size. */
export const deflate: boolean = values.deflate;

/** `--tls`. */
export const tls: boolean = values.tls;

/** The URL's scheme. */
export const scheme: string = tls ? "wss" : "ws";
