import process from "node:process";
import { pickEngine } from "../../server/engines/pick.ts";
import { describeEngine } from "./engine_suite.ts";

describeEngine("bun", () => pickEngine("bun"), {
  skip: process.versions["bun"] === undefined && "Bun.serve exists on Bun only",
  tellsCloseCodes: true,
});
