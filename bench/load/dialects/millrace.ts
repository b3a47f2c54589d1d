/** Millrace's own protocol, in both formats; see docs/protocol.md. Offsets must grow by one with every message. */
import { Buffer } from "node:buffer";
import { Packr } from "msgpackr";
import { type Dialect, type Greeter, plain, type Remark } from "./dialect.ts";

const SUBSCRIBE_ID = 1;

type Fields = Record<string, unknown>;

interface Format {
  readonly subprotocol: string;
  readonly binary: boolean;
  encode(message: Fields): Buffer;
  decode(payload: Buffer): Fields;
}

const packr = new Packr({ useRecords: false });

function speak(format: Format): Dialect {
  const command = (fields: Fields): Buffer => format.encode(fields);
  return {
    ...plain,
    subprotocol: format.subprotocol,
    binary: format.binary,
    isGreeted: () => true,
    greeted(step, payload, greeter, say) {
      const message = format.decode(payload);
      if (step === 0) {
        if (message["type"] !== "welcome") {
          throw new Error(`a ${message["type"]} came instead of the welcome`);
        }
        if (greeter.topic === undefined) return true;
        say(command({ type: "subscribe", topic: greeter.topic, id: SUBSCRIBE_ID }));
        return false;
      }
      if (message["type"] !== "ack" || message["id"] !== SUBSCRIBE_ID) {
        const code = message["code"] === undefined ? "" : ` (${message["code"]})`;
        throw new Error(`a ${message["type"]}${code} came instead of the ack of the subscription`);
      }
      greeter.subscription = { epoch: message["epoch"], offset: Number(message["offset"]) };
      return true;
    },
    sent: (data, topic) =>
      command(
        topic === undefined
          ? { type: "echo", data: data.toString() }
          : { type: "publish", topic, data: data.toString() },
      ),
    arriving: undefined,
    prefix(topic) {
      const type = typeOfData(topic);
      const example = format.encode(
        topic === undefined ? { type, data: "" } : { type, topic, data: "", offset: 1, epoch: "" },
      );
      return example.subarray(0, example.indexOf(type) + type.length);
    },
    remark: (payload, topic) =>
      remarkOf(format.decode(Buffer.from(payload.buffer, payload.byteOffset, payload.length)), topic),
    check: (payload, data, sequence, greeter) =>
      checkMessage(format.decode(payload), data, sequence, greeter),
  };
}

function typeOfData(topic: string | undefined): string {
  return topic === undefined ? "echo" : "message";
}

function remarkOf(message: Fields, topic: string | undefined): Remark {
  const { type, code, retryAfterMs, from, to, reason } = message;
  if (type === typeOfData(topic)) return { kind: "data" };
  if (type === "gap") return { kind: "gap", missed: Number(to) - Number(from) + 1, reason: String(reason) };
  if (type !== "error") return { kind: "other", type: String(type) };
  const wait = typeof retryAfterMs === "number" ? retryAfterMs : undefined;
  return { kind: "refusal", code: String(code), retryAfterMs: wait };
}

function checkMessage(message: Fields, data: Buffer, sequence: number, greeter: Greeter): void {
  const { topic, subscription } = greeter;
  const type = typeOfData(topic);
  if (message["type"] !== type || message["topic"] !== topic || message["data"] !== data.toString()) {
    throw new Error(`message ${sequence} arrived with other content`);
  }
  if (subscription === undefined) return;
  const { epoch, offset } = subscription;
  if (message["epoch"] !== epoch || message["offset"] !== offset + 1 + sequence) {
    throw new Error(`message ${sequence} has offset ${message["offset"]}, ${offset} was subscribed at`);
  }
}

export const millrace: Dialect = speak({
  subprotocol: "millrace.v1.json",
  binary: false,
  encode: (message) => Buffer.from(JSON.stringify(message)),
  decode: (payload) => JSON.parse(payload.toString()) as Fields,
});

export const millraceMsgpack: Dialect = speak({
  subprotocol: "millrace.v1.msgpack",
  binary: true,
  encode: (message) => Buffer.from(packr.pack(message)),
  decode: (payload) => packr.unpack(payload) as Fields,
});
