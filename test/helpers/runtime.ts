/** Which runtime the tests run on, and which engines can run inside it. */
import process from "node:process";
import { type EngineName, pickEngine } from "../../server/engines/pick.ts";

export type Runtime = "node" | "bun" | "deno";

export const runtime: Runtime = process.versions["bun"] !== undefined
  ? "bun"
  : process.versions["deno"] !== undefined
  ? "deno"
  : "node";

/** Why an engine cannot run in this process; false when it can. */
export async function whyNot(engine: EngineName): Promise<string | false> {
  return await pickEngine(engine).then(() => false as const, (error: Error) => error.message);
}
