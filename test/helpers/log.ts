/** A log that nobody reads. */
import type { Log } from "../../server/observe/log.ts";

const ignore = (): void => {};

export const silentLog: Log = { debug: ignore, info: ignore, warn: ignore, error: ignore };
