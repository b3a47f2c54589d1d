/**
 * The log: pino, as text on a terminal and as JSON lines otherwise. Nothing that a client sent is ever a field or part
 * of a message here.
 */
import process from "node:process";
import pino from "pino";
import pretty from "pino-pretty";
import type { LogFormat, LogLevel } from "../options.ts";

/** What the server needs of a logger; pino's own is one. */
export type Log = Pick<pino.Logger, "debug" | "info" | "warn" | "error">;

/** Writes to standard output. */
export function createLog(level: LogLevel, format: LogFormat): Log {
  const asText = format === "text" || (format === "auto" && process.stdout.isTTY === true);
  const formatters = { level: (label: string) => ({ level: label }) };
  const options = { level, base: null, timestamp: pino.stdTimeFunctions.isoTime, formatters };
  if (!asText) return pino(options, pino.destination({ dest: 1, sync: true }));
  const stream = pretty({
    sync: true,
    colorize: process.stdout.isTTY === true,
    translateTime: "SYS:HH:MM:ss",
    hideObject: false,
    ignore: "url,engine",
    singleLine: true,
  });
  return pino(options, stream);
}
