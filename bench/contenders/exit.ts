/** Loaded before a server that is profiled: runtimes write a CPU profile only when a process ends by itself. */
import process from "node:process";

process.on("SIGTERM", () => process.exit());
