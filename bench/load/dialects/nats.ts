/** The protocol of NATS in binary WebSocket messages, whose bounds the server does not keep. */
import { Buffer } from "node:buffer";
import { type Dialect, plain } from "./dialect.ts";

const SUBSCRIPTION_ID = 1;
const CONNECT =
  `CONNECT {"verbose":false,"pedantic":false,"tls_required":false,"echo":true,"lang":"bench"}\r\n`;

function withPayload(line: string, data: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`${line} ${data.length}\r\n`), data, Buffer.from("\r\n")]);
}

export const nats: Dialect = {
  ...plain,
  binary: true,
  /** Two seconds after a connection has come the server wants to know its round trip; no answer is no fault for an hour. */
  interjection: Buffer.from("PING\r\n"),
  isGreeted: () => true,
  /** The pong says that the subscription is in force. */
  greeted(step, payload, { topic }, say) {
    const text = payload.toString();
    if (step === 0) {
      if (!text.startsWith("INFO ")) throw new Error(`${text} came instead of INFO`);
      const subscribe = topic === undefined ? "" : `SUB ${topic} ${SUBSCRIPTION_ID}\r\n`;
      say(Buffer.from(`${CONNECT}${subscribe}PING\r\n`));
      return false;
    }
    if (text.startsWith("-ERR")) throw new Error(`the server said ${text}`);
    return text === "PONG\r\n";
  },
  sent: (data, topic) => withPayload(`PUB ${topic}`, data),
  arriving: (data, topic) => withPayload(`MSG ${topic} ${SUBSCRIPTION_ID}`, data),
};
