/** How the server takes more than one small message: large ones, many in one go, and one after the other for a while. */
import { performance } from "node:perf_hooks";
import { endOf, type Line } from "../line.ts";
import type { Stage } from "../stage.ts";
import { percentile } from "../percentile.ts";
import { Finding, Need, type Passed, Skip, type Test } from "../test.ts";

const TOO_BIG = 1009;
/** Around the places where the length of a frame's length changes (RFC 6455 section 5.2), and on to a full 64 KiB. */
const FIRST_SIZES = [125, 126, 1_024, 16_384, 60_000, 65_535, 65_536];
/** Codes with which a server says that somebody sends too fast; 4009 is Millrace's. */
const RATE_CODES: readonly (number | null)[] = [1008, 1013, 4009];
const INTERVAL_MS = 50;
const FEWEST_SAMPLES = 10;
/** The first round trips also measure how long the tool takes to be compiled. */
const WARM_UP_ROUNDS = 5;
/** A latency that grows by this factor and this much during the test is told. */
const DRIFT_FACTOR = 2;
const DRIFT_MS = 5;
const COUNTER_DIGITS = 8;

/** A text of exactly this size in which no two places look alike. */
function counted(bytes: number): string {
  const parts: string[] = [];
  for (let at = 0; at < bytes; at += COUNTER_DIGITS) parts.push(String(at).padStart(COUNTER_DIGITS, "0"));
  return parts.join("").slice(0, bytes);
}

function sizesUpTo(largest: number): number[] {
  const sizes = FIRST_SIZES.filter((size) => size <= largest);
  for (let size = 2 * 65_536; size <= largest; size *= 2) sizes.push(size);
  return sizes;
}

async function largeMessages(stage: Stage): Promise<Passed> {
  const line = await stage.line();
  let largestBytes = 0;
  for (const size of sizesUpTo(stage.settings.maxMessageBytes)) {
    const sent = counted(size);
    await line.say(sent);
    const { wire } = line;
    await wire.until(() => wire.over || line.waiting, stage.settings.timeoutMs);
    if (!line.waiting && wire.serverClose?.code === TOO_BIG) {
      return {
        what: `messages of up to ${largestBytes} bytes came back`,
        notes: [`one of ${size} bytes is refused with 1009: the server's limit is between the two`],
        figures: { largestBytes },
      };
    }
    await line.expect(sent);
    largestBytes = size;
  }
  return { what: `messages of up to ${largestBytes} bytes came back`, figures: { largestBytes } };
}

async function rapidMessages(stage: Stage): Promise<Passed> {
  const { messages } = stage.settings;
  const line = await stage.line();
  const started = performance.now();
  await line.say(...Array.from({ length: messages }, (_, index) => `rapid ${index}`));
  const { numbers, refused } = await hearNumbers(line, messages);
  const durationMs = performance.now() - started;
  const { wire } = line;
  if (refused > 0 || RATE_CODES.includes(wire.serverClose?.code ?? null)) {
    throw new Skip(`the server limits the rate: ${numbers.length} of ${messages} came back, ${endOf(wire)}`);
  }
  const problem = orderProblem(numbers, messages);
  if (problem !== undefined) {
    throw new Finding(numbers.length < messages ? `${problem}; ${endOf(wire)}` : problem);
  }
  const messagesPerSecond = Math.round(messages / (durationMs / 1_000));
  return {
    what: `${messages} messages sent at once came back in order in ${durationMs.toFixed(0)} ms`,
    figures: { messages, durationMs, messagesPerSecond },
  };
}

async function hearNumbers(line: Line, messages: number): Promise<{ numbers: number[]; refused: number }> {
  const numbers: number[] = [];
  let refused = 0;
  // One more than were sent, should they come twice; the last wait shows that nothing follows.
  while (numbers.length + refused <= messages) {
    const heard = await line.hear(numbers.length + refused === messages ? INTERVAL_MS : undefined);
    if (heard === undefined) break;
    if ("refused" in heard) refused++;
    else numbers.push(Number(String(heard.payload).replace("rapid ", "")));
  }
  return { numbers, refused };
}

/** What is wrong with the numbers that came, 0 to `count` - 1 being right. */
function orderProblem(numbers: readonly number[], count: number): string | undefined {
  if (numbers.some((number) => !Number.isInteger(number))) return "a message came back changed";
  const seen = new Set(numbers);
  if (numbers.length > seen.size) return "a message came back twice";
  const missing = count - seen.size;
  if (missing > 0) {
    const first = Array.from({ length: count }, (_, index) => index).find((index) => !seen.has(index));
    return `${missing} of ${count} messages were lost, number ${first} first`;
  }
  const at = numbers.findIndex((number, index) => number !== index);
  if (at === -1) return undefined;
  return `the order is lost: number ${numbers[at]} came where ${at} was due`;
}

/** One message every {@link INTERVAL_MS}, whatever has come back; measured from when it was due. */
async function steady(stage: Stage): Promise<Passed> {
  const line = await stage.anyLine();
  const count = Math.max(FEWEST_SAMPLES, Math.floor(stage.settings.durationMs / INTERVAL_MS));
  const { wire } = line;
  for (let round = 0; round < WARM_UP_ROUNDS; round++) {
    await line.say(`warm-up ${round}`);
    if (await line.hear() === undefined) throw new Finding(`a message was not answered: ${endOf(wire)}`);
  }
  const started = performance.now();
  const samplesMs: number[] = [];
  const collect = (): boolean => {
    for (let heard = line.take(); heard !== undefined; heard = line.take()) {
      if ("refused" in heard) throw new Skip(`the server refuses messages: ${heard.refused}`);
      samplesMs.push(performance.now() - started - samplesMs.length * INTERVAL_MS);
    }
    return samplesMs.length >= count || wire.over;
  };
  for (let sent = 0; sent < count && !wire.over; sent++) {
    await line.say(`steady ${sent}`);
    const restMs = started + (sent + 1) * INTERVAL_MS - performance.now();
    if (sent + 1 < count) await wire.until(() => collect() && wire.over, Math.max(0, restMs));
  }
  await wire.until(collect, stage.settings.timeoutMs);
  if (samplesMs.length < count) {
    throw new Finding(`${count - samplesMs.length} of ${count} messages were not answered: ${endOf(wire)}`);
  }
  return latencyOf(samplesMs);
}

function latencyOf(samplesMs: readonly number[]): Passed {
  const third = Math.floor(samplesMs.length / 3);
  const early = percentile(samplesMs.slice(0, third), 50);
  const late = percentile(samplesMs.slice(-third), 50);
  const drifts = late > DRIFT_FACTOR * early && late - early > DRIFT_MS;
  const figures = {
    samples: samplesMs.length,
    medianMs: percentile(samplesMs, 50),
    p95Ms: percentile(samplesMs, 95),
    p99Ms: percentile(samplesMs, 99),
    maxMs: percentile(samplesMs, 100),
  };
  const { samples, medianMs, p99Ms, maxMs } = figures;
  return {
    what: `${samples} round trips: median ${medianMs.toFixed(2)} ms, 99 % below ${p99Ms.toFixed(2)} ms, ` +
      `longest ${maxMs.toFixed(2)} ms`,
    notes: drifts
      ? [`it grew while we watched: median ${early.toFixed(2)} ms at first, ${late.toFixed(2)} ms at the end`]
      : [],
    figures,
  };
}

/** The tests of these groups. */
export const loadTests: readonly Test[] = [
  {
    name: "size.large-messages",
    checks: "Ever larger texts come back, up to --max-message-bytes or a clean 1009.",
    section: "RFC 6455, 5.2 and 7.4.1",
    onFailure:
      "A limit is fine, and 1009 is how to say so. Without it look for a limit that drops the connection: the " +
      "library's maximum payload, a proxy's buffer, or a message taken for whole when its first part is there.",
    quick: true,
    need: Need.WebSocket,
    echo: true,
    run: largeMessages,
  },
  {
    name: "rapid.messages",
    checks: "Many small messages in one go (--messages) come back, each once and in order.",
    section: "RFC 6455, 5.4 and 1.5",
    onFailure:
      "Losing them: a queue that is full and does not say so. Changing their order: handlers that run side by side; " +
      "handle a connection's messages one after the other.",
    quick: true,
    need: Need.WebSocket,
    echo: true,
    run: rapidMessages,
  },
  {
    name: "latency.steady",
    checks:
      "A message every 50 ms for --duration is answered, and how fast; pings where messages do not come back.",
    section: "RFC 6455, 5.5.2",
    onFailure:
      "The connection did not live as long as the test. Compare the moment with idle timeouts and heartbeats, and " +
      "look for something that blocks the server.",
    quick: true,
    need: Need.WebSocket,
    run: steady,
  },
];
