/**
 * The only place that knows the engines by name: what each needs, which one suits this runtime, and what to say when
 * one cannot be loaded.
 */
import process from "node:process";
import type { Engine } from "../engine.ts";

/** The values of the `engine` option. */
export const engineNames = ["auto", "bun", "uws", "ts"] as const;
export type EngineName = typeof engineNames[number];

/** An engine that cannot run here; `message` says in one line why and what to do. */
export class EngineUnavailable extends Error {
  override readonly name = "EngineUnavailable";
}

/** What runs this process. */
export function runtimeName(): "bun" | "deno" | "node" {
  if (process.versions["bun"] !== undefined) return "bun";
  return process.versions["deno"] !== undefined ? "deno" : "node";
}

async function loadBun(): Promise<Engine> {
  if (runtimeName() !== "bun") {
    throw new EngineUnavailable(
      `engine "bun" is the WebSocket server inside Bun and this is ${runtimeName()}: use "npm run server", or --engine uws on Node`,
    );
  }
  return (await import("./bun.ts")).bunEngine;
}

async function loadUws(): Promise<Engine> {
  if (runtimeName() !== "node") {
    throw new EngineUnavailable(
      `engine "uws" binds to Node's V8 and cannot load in ${runtimeName()}: use "npm run server:node"${
        runtimeName() === "bun" ? ", or --engine bun" : ""
      }`,
    );
  }
  const { uwsEngine } = await import("./uws.ts");
  try {
    return uwsEngine((await import("uWebSockets.js")).default);
  } catch (error) {
    const [firstLine] = String((error as Error).message).split("\n");
    throw new EngineUnavailable(
      `engine "uws" cannot load on Node ${process.version} (${firstLine}): use Node 20, install the official release ` +
        `(see "Engines" in README.md), or use "npm run server" on Bun`,
    );
  }
}

async function loadTs(): Promise<Engine> {
  return (await import("./ts/engine.ts")).tsEngine;
}

/** The native engine of this runtime where it can be loaded, else our own. */
async function loadAuto(): Promise<Engine> {
  const runtime = runtimeName();
  if (runtime === "deno") return await loadTs();
  if (runtime === "bun") return await loadBun();
  return await loadUws().catch((error) => {
    if (error instanceof EngineUnavailable) return loadTs();
    throw error;
  });
}

const loaders: Readonly<Record<EngineName, () => Promise<Engine>>> = {
  auto: loadAuto,
  bun: loadBun,
  uws: loadUws,
  ts: loadTs,
};

/**
 * Loads an engine.
 * @throws {EngineUnavailable} when it cannot run here
 */
export function pickEngine(name: EngineName): Promise<Engine> {
  return loaders[name]();
}
