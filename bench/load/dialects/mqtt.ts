/**
 * MQTT 3.1.1 in binary WebSocket messages, one packet each: CONNECT, SUBSCRIBE, and PUBLISH at QoS 0, which is the same
 * bytes in both directions.
 */
import { Buffer } from "node:buffer";
import { type Dialect, plain } from "./dialect.ts";

/** Packet types with their flags (MQTT 3.1.1, section 2.2). */
const CONNECT = 0x10;
const CONNACK = 0x20;
const PUBLISH = 0x30;
const SUBSCRIBE = 0x82;
const SUBACK = 0x90;
const PROTOCOL_LEVEL = 4;
const CLEAN_SESSION = 2;
const PACKET_ID = 1;
const MOST_PER_BYTE = 0x80;

function text(value: string): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 0xff]), bytes]);
}

function packet(first: number, ...parts: Buffer[]): Buffer {
  const body = Buffer.concat(parts);
  const length: number[] = [];
  for (let left = body.length;;) {
    const byte = left % MOST_PER_BYTE;
    left = Math.floor(left / MOST_PER_BYTE);
    length.push(left > 0 ? byte + MOST_PER_BYTE : byte);
    if (left === 0) break;
  }
  return Buffer.concat([Buffer.from([first, ...length]), body]);
}

function publish(data: Buffer, topic = ""): Buffer {
  return packet(PUBLISH, text(topic), data);
}

export const mqtt: Dialect = {
  ...plain,
  subprotocol: "mqtt",
  binary: true,
  isGreeted: () => true,
  /** Without a keep-alive and with a client identifier that the server chooses. */
  hello: () => packet(CONNECT, text("MQTT"), Buffer.from([PROTOCOL_LEVEL, CLEAN_SESSION, 0, 0]), text("")),
  greeted(step, payload, { topic }, say) {
    const expected = step === 0 ? CONNACK : SUBACK;
    if (payload[0] !== expected || (payload.at(-1) ?? 1) !== 0) {
      throw new Error(
        `${payload.toString("hex")} came instead of packet ${expected.toString(16)} with result 0`,
      );
    }
    if (step === 1 || topic === undefined) return true;
    say(packet(SUBSCRIBE, Buffer.from([0, PACKET_ID]), text(topic), Buffer.from([0])));
    return false;
  },
  sent: publish,
  arriving: publish,
};
