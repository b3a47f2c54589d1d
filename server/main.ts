/**
 * The command: reads flags, environment and file, starts the server, and turns signals into an orderly end. Exit codes:
 * 0 after a signal, 1 when the server cannot start, 2 for options that cannot be used.
 */
import process from "node:process";
import { KeyError } from "./auth/key_file.ts";
import { type Config, configText, helpText, readConfig } from "./config.ts";
import { ListenError } from "./engine.ts";
import { EngineUnavailable } from "./engines/pick.ts";
import { createLog } from "./observe/log.ts";
import { OptionsError } from "./resolve.ts";
import { serve } from "./serve.ts";

const EXIT_CANNOT_START = 1;
const EXIT_BAD_OPTIONS = 2;
const SIGNAL_EXIT_BASE = 128;
const SIGNAL_NUMBERS = { SIGINT: 2, SIGTERM: 15 } as const;

function readOrExit(): Config {
  try {
    return readConfig(process.argv.slice(2), process.env);
  } catch (error) {
    if (!(error instanceof OptionsError)) throw error;
    for (const problem of error.problems) console.error(`millrace: ${problem}`);
    process.exit(EXIT_BAD_OPTIONS);
  }
}

async function run({ options }: Config): Promise<void> {
  const log = createLog(options.logLevel, options.logFormat);
  const server = await serve(options, { log });
  let stopping = false;
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.on(signal, () => {
      if (stopping) process.exit(SIGNAL_EXIT_BASE + SIGNAL_NUMBERS[signal]);
      stopping = true;
      void server.close().then(() => process.exit(0));
    });
  }
  process.on("SIGHUP", () => server.reload());
  // Last: who reads this line may signal at once.
  log.info({ url: server.url, engine: server.engine }, `listening on ${server.url} engine=${server.engine}`);
}

const config = readOrExit();
if (config.action === "help") process.stdout.write(helpText());
else if (config.action === "print-config") process.stdout.write(configText(config));
else {
  try {
    await run(config);
  } catch (error) {
    const isExpected = [ListenError, EngineUnavailable, KeyError].some((kind) => error instanceof kind);
    if (!isExpected) throw error;
    console.error(`millrace: ${(error as Error).message}`);
    process.exit(EXIT_CANNOT_START);
  }
}
