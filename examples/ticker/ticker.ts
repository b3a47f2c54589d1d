#!/usr/bin/env -S npx tsx
/**
 * `npm run example:ticker`: publishes a market-data feed, follows it with four clients, one of them behind a slow line,
 * and tells what each received.
 */
import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { WebSocket } from "ws";
import { createClient } from "../../client/mod.ts";
import { publishTicks, type Topics } from "./feed.ts";
import { plot } from "./plot.ts";
import { format, Watcher, type WatcherOptions } from "./watcher.ts";

const HELP = `npm run example:ticker -- [options]

Publishes prices as MessagePack and follows them with four clients: all of them, those of one exchange as JSON, one
symbol, and all of them over a line that carries too little. Prints what each received, and draws it.

  --plot FILE                the drawing (ticker.svg)
  --seconds N                how long (10)
  --rate N                   ticks a second (2000)
  --slow-bytes-per-second N  what the slow line carries while the feed lasts (1000000)
  --url URL                  a Millrace that runs already, instead of one of its own; start it with
                             ${serverFlags().join(" ")}
  --help                     this text`;

const EXIT_WRONG_USE = 2;
const LOOK_INTERVAL_MS = 50;
/** How long what waits for the slow line may take when the feed has ended. */
const CATCH_UP_MS = 10_000;

/** No rates, for the feed is one connection; and who is slow misses something instead of being disconnected. */
function serverFlags(): string[] {
  return [
    "--slow-policy",
    "skip",
    "--max-backpressure-bytes",
    "131072",
    "--message-rate",
    "0",
    "--byte-rate",
    "0",
  ];
}

const { values } = parseArgs({
  options: {
    "plot": { type: "string", default: "ticker.svg" },
    "seconds": { type: "string", default: "10" },
    "rate": { type: "string", default: "2000" },
    "slow-bytes-per-second": { type: "string", default: "1000000" },
    "url": { type: "string" },
    "help": { type: "boolean", default: false },
  },
});
if (values.help) {
  console.log(HELP);
  process.exit();
}
const seconds = positive("seconds");
const rate = positive("rate");
const slow = positive("slow-bytes-per-second");

const { url, stop } = values.url === undefined ? await startMillrace() : { url: values.url, stop: () => {} };
try {
  await run(url);
} finally {
  stop();
}

async function run(url: string): Promise<void> {
  const roles: Omit<WatcherOptions, "url">[] = [
    { name: "all", topic: "prices.>", format: "msgpack" },
    { name: "one exchange, as JSON", topic: "prices.xetra.*", format: "json" },
    { name: "one symbol", topic: "prices.xetra.SAP", format: "msgpack" },
    { name: "all, slow line", topic: "prices.>", format: "msgpack", bytesPerSecond: slow },
  ];
  const startedMs = performance.now();
  const watchers = await Promise.all(roles.map((role) => Watcher.start({ url, ...role }, startedMs)));
  const client = createClient<Topics>({ url, format, WebSocket });
  const published = Math.ceil(rate * seconds);
  await publishTicks(client, published, rate);
  await client.close();
  for (const watcher of watchers) watcher.speedUp();
  // In the end each tick has come to those who follow all of them, or they have been told that it does not.
  const all = watchers.filter(({ name }) => name.startsWith("all"));
  const endMs = performance.now() + CATCH_UP_MS;
  while (all.some(({ received, lost }) => received + lost < published) && performance.now() < endMs) {
    await new Promise((resolve) => setTimeout(resolve, LOOK_INTERVAL_MS));
  }
  await Promise.all(watchers.map((watcher) => watcher.stop()));

  console.log(`published ${published}`);
  for (const { name, received, lost, lagsMs } of watchers) {
    const sorted = lagsMs.toSorted((a, b) => a - b);
    const at = (share: number) => `${(sorted[Math.floor((sorted.length - 1) * share)] ?? 0).toFixed(1)} ms`;
    const lag = `lag ${at(0.5)} in the middle, ${at(1)} at most`;
    console.log(
      `${name.padEnd(22)} received ${String(received).padStart(6)}, left out ${
        String(lost).padStart(6)
      }, ${lag}`,
    );
  }
  writeFileSync(values.plot, plot(watchers));
  console.log(`drawn in ${values.plot}`);
}

/** A server of our own, in a process of its own: what it does shall not be taken for what clients do. */
async function startMillrace(): Promise<{ url: string; stop(): void }> {
  const main = fileURLToPath(new URL("../../server/main.ts", import.meta.url));
  const args = [...process.execArgv, main, "--port", "0", ...serverFlags()];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  const url = await new Promise<string>((resolve, reject) => {
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (part: string) => {
        output += part;
        const found = /listening on (ws:[^\s"]+)/.exec(output)?.[1];
        if (found !== undefined) resolve(found);
      });
    }
    child.once("close", () => reject(new Error(`the server ended: ${output}`)));
  });
  return { url, stop: () => void child.kill() };
}

function positive(option: "seconds" | "rate" | "slow-bytes-per-second"): number {
  const value = Number(values[option]);
  if (value > 0 && Number.isFinite(value)) return value;
  console.error(`--${option} is a number above 0: see --help`);
  process.exit(EXIT_WRONG_USE);
}
