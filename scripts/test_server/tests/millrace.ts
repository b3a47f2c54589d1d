/** Millrace's own protocol: formats, subscribing, publishing, recovery, errors, rates. See docs/protocol.md. */
import { randomBytes } from "node:crypto";
import { setTimeout } from "node:timers/promises";
import { endOf } from "../line.ts";
import { type Command, Speaker } from "../speaker.ts";
import { formats, type Reply } from "../speech.ts";
import type { Stage } from "../stage.ts";
import { Finding, Need, type Passed, Skip, type Test } from "../test.ts";

const MESSAGES = 5;
const BAD_REQUEST = 400;
/** More at once than any sensible burst. */
const FLOOD = 20_000;
const FIRST_PART = 10;
const LARGEST_PART = 500;
const RATE_LIMITED = 4009;
const LONGEST_WAIT_MS = 5_000;

/** A topic that nobody else uses. */
function freshTopic(stage: Stage): string {
  return `${stage.settings.topic}.${randomBytes(8).toString("hex")}`;
}

/** The reply to a command that must succeed. @throws Skip where it is not permitted. */
async function succeed(speaker: Speaker, command: Command): Promise<Reply> {
  const reply = await speaker.ask(command);
  if (reply.type !== "error") return reply;
  const { code, message } = reply;
  if (code === "forbidden" || code === "unauthorized") {
    throw new Skip(
      `${command.type} is not permitted: give a --token that may, or a --topic that anybody may use`,
    );
  }
  throw new Finding(`${command.type} is refused: ${String(code)}, ${String(message)}`);
}

function placeOf(reply: Reply): { epoch: string; offset: number } {
  const { epoch, offset } = reply;
  if (typeof epoch === "string" && typeof offset === "number") return { epoch, offset };
  throw new Finding(`an ack without a place in its topic: ${JSON.stringify(reply)}`);
}

function isMessageOf(topic: string): (reply: Reply) => boolean {
  return (reply) => reply.type === "message" && reply["topic"] === topic;
}

/** Publishes `count` numbers from `first` on. */
async function publish(speaker: Speaker, topic: string, first: number, count: number): Promise<void> {
  for (let data = first; data < first + count; data++) {
    await succeed(speaker, { type: "publish", topic, data });
  }
}

async function bothFormats(stage: Stage): Promise<Passed> {
  for (const format of formats) {
    const speaker = await Speaker.open(stage, format);
    const chosen = speaker.wire.head?.headers.get("sec-websocket-protocol");
    if (chosen !== format.subprotocol) {
      throw new Finding(`${format.subprotocol} offered, ${chosen ?? "none"} chosen`);
    }
    const pong = await speaker.ask({ type: "ping" });
    if (pong.type !== "pong") throw new Finding(`a ping was answered with ${pong.type}`);
  }
  const { head } = await stage.ask({ headers: { "Sec-WebSocket-Protocol": "no.such.format" } });
  if (head?.status !== BAD_REQUEST) {
    throw new Finding(`an unknown subprotocol is answered with ${head?.status ?? "nothing"}, not with 400`);
  }
  return { what: "JSON and MessagePack are spoken, an unknown subprotocol is refused" };
}

async function subscribe(stage: Stage): Promise<Passed> {
  const speaker = await Speaker.open(stage);
  const topic = freshTopic(stage);
  const ack = await succeed(speaker, { type: "subscribe", topic });
  placeOf(ack);
  await succeed(speaker, { type: "unsubscribe", topic });
  const again = await speaker.ask({ type: "unsubscribe", topic });
  if (again["code"] !== "not_subscribed") {
    throw new Finding(`unsubscribing twice is answered with ${JSON.stringify(again)}`);
  }
  return { what: "subscribed, with a place in the topic, and unsubscribed" };
}

async function published(stage: Stage): Promise<Passed> {
  const [publisher, one, other] = await Promise.all([1, 2, 3].map(() => Speaker.open(stage)));
  if (publisher === undefined || one === undefined || other === undefined) throw new Skip("no connections");
  const topic = freshTopic(stage);
  const start = placeOf(await succeed(one, { type: "subscribe", topic }));
  await succeed(other, { type: "subscribe", topic });
  await publish(publisher, topic, 0, MESSAGES);
  for (const subscriber of [one, other]) {
    const messages = await subscriber.receiveAll(`${MESSAGES} publications`, MESSAGES, isMessageOf(topic));
    for (const [index, { data, offset, epoch }] of messages.entries()) {
      if (data === index && offset === start.offset + index + 1 && epoch === start.epoch) continue;
      throw new Finding(`publication ${index} arrived as ${JSON.stringify(messages[index])}`);
    }
  }
  return { what: `${MESSAGES} publications reached 2 subscribers in order, without a gap` };
}

async function recovery(stage: Stage): Promise<Passed> {
  const topic = freshTopic(stage);
  const publisher = await Speaker.open(stage);
  const lost = await Speaker.open(stage);
  await succeed(lost, { type: "subscribe", topic });
  await publish(publisher, topic, 0, 1);
  const since = placeOf(await lost.receive("a publication", isMessageOf(topic)));
  lost.wire.destroy();
  await publish(publisher, topic, 1, MESSAGES);
  const back = await Speaker.open(stage);
  const { recovered } = await succeed(back, { type: "subscribe", topic, since });
  if (recovered === false) throw new Skip("the server keeps no history of this topic (--history, --topic)");
  await publish(publisher, topic, MESSAGES + 1, 1);
  const messages = await back.receiveAll("what was missed", MESSAGES + 1, isMessageOf(topic));
  for (const [index, { data, offset, replayed }] of messages.entries()) {
    const isOld = index < MESSAGES;
    if (data === index + 1 && offset === since.offset + index + 1 && (replayed === true || !isOld)) continue;
    throw new Finding(`recovered: true, and then ${JSON.stringify(messages[index])}`);
  }
  return { what: `${MESSAGES} missed publications came after the loss, then a live one` };
}

async function errors(stage: Stage): Promise<Passed> {
  const speaker = await Speaker.open(stage);
  const bad: readonly (readonly [Command, string])[] = [
    [{ type: "no such command" }, "unknown_type"],
    [{ type: "subscribe", topic: "two words" }, "invalid_topic"],
    [{ type: "subscribe" }, "invalid_topic"],
  ];
  const answers: string[] = [];
  for (const [command, code] of bad) {
    const reply = await speaker.ask(command);
    if (reply.type !== "error" || typeof reply["code"] !== "string") {
      throw new Finding(`${JSON.stringify(command)} is answered with ${reply.type}, not with ${code}`);
    }
    answers.push(reply["code"]);
  }
  const pong = await speaker.ask({ type: "ping" });
  if (pong.type !== "pong") {
    throw new Finding(`after ${bad.length} mistakes a ping is answered with ${pong.type}`);
  }
  return { what: `mistakes are told (${answers.join(", ")}) and the connection lives on` };
}

async function rateLimit(stage: Stage): Promise<Passed> {
  const speaker = await Speaker.open(stage);
  const isRefusal = ({ code }: Reply) => code === "rate_limited";
  let sent = 0;
  for (
    let part = FIRST_PART;
    sent < FLOOD && !speaker.replies.some(isRefusal);
    part = Math.min(2 * part, LARGEST_PART)
  ) {
    await speaker.send(...Array.from({ length: part }, () => ({ type: "ping" })));
    sent += part;
    await speaker.wire.until(
      () => speaker.replies.length > sent || speaker.wire.over,
      stage.settings.timeoutMs,
    );
    if (speaker.replies.length <= sent) break;
  }
  const accepted = speaker.replies.filter(({ type }) => type === "pong").length;
  if (speaker.wire.serverClose?.code === RATE_LIMITED) {
    return {
      what: `limited after ${accepted} commands, and closed with ${RATE_LIMITED}`,
      figures: { accepted },
    };
  }
  const refusal = speaker.replies.findLast(isRefusal);
  if (refusal === undefined) {
    if (speaker.replies.length > sent) throw new Skip(`${sent} commands met no limit`);
    throw new Finding(`of ${sent} commands ${accepted} were answered: ${endOf(speaker.wire)}`);
  }
  const { retryAfterMs } = refusal;
  if (typeof retryAfterMs !== "number") throw new Finding("rate_limited without retryAfterMs");
  const what = `limited after ${accepted} commands`;
  const figures = { accepted, retryAfterMs };
  if (retryAfterMs > LONGEST_WAIT_MS) return { what, figures, notes: [`told to wait ${retryAfterMs} ms`] };
  await setTimeout(retryAfterMs);
  const pong = await speaker.ask({ type: "ping" });
  if (pong.type !== "pong") {
    throw new Finding(`after waiting ${retryAfterMs} ms as told: ${JSON.stringify(pong)}`);
  }
  return { what: `${what}; accepted again after ${retryAfterMs} ms, as told`, figures };
}

const COMMON = { need: Need.WebSocket, millrace: true, quick: true } as const;

/** The tests of this group. */
export const millraceTests: readonly Test[] = [
  {
    ...COMMON,
    name: "millrace.formats",
    checks: "Both subprotocols are negotiated and spoken; an unknown one is refused with 400.",
    section: "docs/protocol.md, subprotocols",
    onFailure: "A proxy that drops or adds Sec-WebSocket-Protocol, or a server of another version.",
    run: bothFormats,
  },
  {
    ...COMMON,
    name: "millrace.subscribe",
    checks: "A topic can be subscribed to, with a place in the acknowledgement, and left again.",
    section: "docs/protocol.md, Commands",
    onFailure:
      "broker_unavailable: see /ready and the broker's own log. Otherwise the server's log says more.",
    run: subscribe,
  },
  {
    ...COMMON,
    name: "millrace.publish",
    checks: "Publications reach every subscriber, in order and without a gap.",
    section: "docs/delivery.md",
    onFailure:
      "Several nodes behind one address need a shared broker (--broker redis or nats, with the same --broker-prefix): " +
      "with memory each node has its own topics.",
    run: published,
  },
  {
    ...COMMON,
    name: "millrace.recovery",
    checks: "After a lost connection, subscribe with since brings what was missed, where a history is kept.",
    section: "docs/protocol.md, Events",
    onFailure:
      "The history is shorter than it says, or differs between nodes: give all of them the same --history and broker.",
    run: recovery,
  },
  {
    ...COMMON,
    name: "millrace.errors",
    checks: "Mistakes are answered with an error and do not end the connection.",
    section: "docs/protocol.md, error codes",
    onFailure: "Another server, or another version, answers here; or --max-errors is below 3.",
    run: errors,
  },
  {
    ...COMMON,
    name: "millrace.rate-limit",
    checks: "A flood is told rate_limited with retryAfterMs, and after that wait all is well again.",
    section: "docs/limits.md",
    onFailure:
      "Compare --message-rate and --user-message-rate with what clients do; a burst too small looks like this.",
    quick: false,
    run: rateLimit,
  },
];
