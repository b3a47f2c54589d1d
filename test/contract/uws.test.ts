import process from "node:process";
import { pickEngine } from "../../server/engines/pick.ts";
import { describeEngine } from "./engine_suite.ts";

const isNode = process.versions["bun"] === undefined && process.versions["deno"] === undefined;
const unavailable = isNode
  ? await pickEngine("uws").then(() => undefined, (error: Error) => error.message)
  : "uWebSockets.js binds to Node's V8 and loads on Node only";

describeEngine("uws", () => pickEngine("uws"), {
  skip: unavailable ?? false,
  tellsCloseCodes: false,
  unmasked: "uWebSockets.js does not look at the mask bit and reads the payload's first bytes as the mask",
});
