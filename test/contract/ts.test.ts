import { pickEngine } from "../../server/engines/pick.ts";
import { describeEngine } from "./engine_suite.ts";

describeEngine("ts", () => pickEngine("ts"), { skip: false, tellsCloseCodes: true });
