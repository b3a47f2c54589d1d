/**
 * `POST /api/publish`: one publication or several. All of them are checked before the first is handed to the broker, in
 * the order of the request; the answer comes once every one is stored, and says which are when some may not be.
 */
import { Buffer } from "node:buffer";
import { BrokerUnavailable, type Position } from "../broker/broker.ts";
import type { HttpRequest, HttpResponse } from "../engine.ts";
import type { Hub } from "../hub/hub.ts";
import { toCommand } from "../protocol/command.ts";
import { CommandError } from "../protocol/protocol.ts";
import { brokerUnavailable, json, RequestFault } from "./answers.ts";
import { isFields, readJson } from "./input.ts";

/** Publications of one request. */
export const MAX_BATCH = 1_000;

export interface PublishSettings {
  readonly hub: Pick<Hub, "publish" | "subscriberCount">;
  /** The most that the JSON of one publication's data may take: no message that clients get is larger than one of theirs. */
  readonly maxMessageBytes: number;
  /** Told of each publication that was stored. */
  published(): void;
}

interface Item {
  readonly topic: string;
  readonly data: unknown;
}

/** What is told of a publication that is stored. */
interface Published extends Position {
  readonly topic: string;
  /** Of this node, to the topic itself. */
  readonly subscribers: number;
}

/** @throws {RequestFault} for a body of which any part cannot be published: nothing of it is */
export async function publish(request: HttpRequest, settings: PublishSettings): Promise<HttpResponse> {
  const body = readJson(request);
  const items = toItems(body, request.body.length, settings.maxMessageBytes);
  // All are begun in this turn, which is what keeps their order; async turns what is thrown at once into a rejection.
  const outcomes = await Promise.allSettled(
    items.map(async ({ topic, data }) => await settings.hub.publish(topic, data)),
  );
  const stored: (Published & { readonly index: number })[] = [];
  for (const [index, outcome] of outcomes.entries()) {
    if (outcome.status === "rejected") {
      if (!(outcome.reason instanceof BrokerUnavailable)) throw outcome.reason;
      continue;
    }
    settings.published();
    const { topic } = items[index] as Item; // one for each outcome
    const { epoch, offset } = outcome.value;
    stored.push({ index, topic, epoch, offset, subscribers: settings.hub.subscriberCount(topic) });
  }
  if (stored.length < items.length) return refused(items.length, stored);
  const published = stored.map(({ index: _, ...told }): Published => told);
  return json(200, Array.isArray(body) ? published : published[0]);
}

function refused(count: number, stored: readonly unknown[]): HttpResponse {
  const detail = stored.length === 0
    ? "The broker cannot be reached now: no publication is known to be stored. Try again."
    : `The broker went away: ${stored.length} of ${count} publications are stored, as \`stored\` says; of the others it is not known. Try those again.`;
  return brokerUnavailable(detail, { stored });
}

function toItems(body: unknown, bodyBytes: number, maxBytes: number): Item[] {
  if (!Array.isArray(body)) return [toItem(body, bodyBytes, maxBytes, "")];
  if (body.length < 1 || body.length > MAX_BATCH) {
    throw new RequestFault(400, `A batch has 1 to ${MAX_BATCH} publications; this one has ${body.length}.`);
  }
  return body.map((item, index) => toItem(item, bodyBytes, maxBytes, `Publication ${index}: `));
}

/** @param prefix which of several it is, in front of what is wrong with it */
function toItem(value: unknown, bodyBytes: number, maxBytes: number, prefix: string): Item {
  if (!isFields(value)) {
    throw new RequestFault(400, `${prefix}A publication is an object with \`topic\` and \`data\`.`);
  }
  const item = checked(value["topic"], value["data"], prefix);
  if (bodyBytes > maxBytes) {
    const bytes = Buffer.byteLength(JSON.stringify(item.data));
    if (bytes > maxBytes) {
      const most = `data may take ${maxBytes} bytes (--max-message-bytes)`;
      throw new RequestFault(400, `${prefix}Its data takes ${bytes} bytes; ${most}.`);
    }
  }
  return item;
}

/** What a client may publish, the API may. */
function checked(topic: unknown, data: unknown, prefix: string): Item {
  try {
    const command = toCommand({ type: "publish", topic, data });
    if (command.type === "publish") return { topic: command.topic, data: command.data };
    throw new TypeError(`a publication became ${command.type}`);
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    throw new RequestFault(400, prefix + error.message);
  }
}
