/** The flags of the built-in contenders. */
import { parseArgs } from "node:util";

const { values } = parseArgs({
  options: { port: { type: "string", default: "0" }, publish: { type: "boolean", default: false } },
});

/** `--port N`; 0 lets the system choose. */
export const port: number = Number(values.port);

/** `--publish`: send each message to every connection, the sender included, instead of echoing it. */
export const publish: boolean = values.publish;
