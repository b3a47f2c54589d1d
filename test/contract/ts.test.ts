import { createTsEngine } from "../../server/engines/ts/engine.ts";
import { pickEngine } from "../../server/engines/pick.ts";
import { runtime } from "../helpers/runtime.ts";
import { describeEngine } from "./engine_suite.ts";

describeEngine("ts", () => pickEngine("ts"), { skip: false, tellsCloseCodes: true });

describeEngine("ts, on documented sockets", () => Promise.resolve(createTsEngine(true)), {
  skip: runtime !== "node" && "only on Node does the engine know a shorter way",
  tellsCloseCodes: true,
});
