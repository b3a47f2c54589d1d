/**
 * What is spoken to servers that are not ours, byte by byte, and what is not accepted from them.
 */
import { Buffer } from "node:buffer";
import { describe, it } from "node:test";
import { assert, assertEquals, assertThrows } from "@std/assert";
import type { Dialect, Greeter } from "../../bench/load/dialects/dialect.ts";
import { dialects } from "../../bench/load/dialects/pick.ts";

/** A greeting in which the server says `lines`; returns what was said to it, or throws what the dialect throws. */
function greet(dialect: Dialect, topic: string | undefined, ...lines: (string | Buffer)[]) {
  const greeter: Greeter = { topic, subscription: undefined };
  const said: string[] = [];
  const say = (message: Buffer): void => void said.push(message.toString("latin1"));
  const hello = dialect.hello(greeter);
  if (hello !== undefined) say(hello);
  const done = lines.map((line, step) => dialect.greeted(step, Buffer.from(line), greeter, say));
  return { said, done, greeter };
}

const data = Buffer.from("hello");

describe("Socket.IO's dialect", () => {
  const { socketio } = dialects;

  it("opens, connects to the main namespace, and sends an event that comes back as it is", () => {
    const { said, done } = greet(socketio, undefined, `0{"sid":"a"}`, `40{"sid":"b"}`);
    assertEquals([said, done], [["40"], [false, true]]);
    assertEquals(String(socketio.sent(data, undefined)), `42["m","hello"]`);
    assertEquals(String(socketio.arriving?.(data, undefined)), `42["m","hello"]`);
  });

  it("asks for the WebSocket transport, with its room in the query", () => {
    assertEquals(socketio.target("/", "room.1"), "/socket.io/?EIO=4&transport=websocket&room=room.1");
  });

  it("does not take an error for a connection", () => {
    assertThrows(() => greet(socketio, undefined, `0{"sid":"a"}`, `44{"message":"no"}`), Error, "44");
    assertThrows(() => greet(socketio, undefined, "hello"), Error, "hello");
  });
});

describe("MQTT's dialect", () => {
  const { mqtt } = dialects;
  const CONNACK = Buffer.from([0x20, 2, 0, 0]);
  const SUBACK = Buffer.from([0x90, 3, 0, 1, 0]);

  it("connects with a clean session and subscribes at QoS 0 (MQTT 3.1.1, sections 3.1 and 3.8)", () => {
    const { said, done } = greet(mqtt, "t", CONNACK, SUBACK);
    assertEquals(said, [
      "\x10\x0c\x00\x04MQTT\x04\x02\x00\x00\x00\x00",
      "\x82\x06\x00\x01\x00\x01t\x00",
    ]);
    assertEquals(done, [false, true]);
  });

  it("publishes the same bytes that arrive (section 3.3), with lengths above 127 in two bytes (section 2.2.3)", () => {
    assertEquals(mqtt.sent(data, "t").toString("latin1"), "0\x08\x00\x01thello");
    const long = mqtt.sent(Buffer.alloc(318), "t");
    assertEquals([...long.subarray(0, 3)], [0x30, 0xc1, 0x02]); // 321, the example of section 2.2.3
    assert(mqtt.arriving?.(data, "t").equals(mqtt.sent(data, "t")));
  });

  it("does not take a refusal for an acknowledgement", () => {
    assertThrows(() => greet(mqtt, "t", Buffer.from([0x20, 2, 0, 5])), Error, "20020005");
    assertThrows(() => greet(mqtt, "t", CONNACK, Buffer.from([0x90, 3, 0, 1, 0x80])), Error, "9003000180");
  });
});

describe("NATS' dialect", () => {
  const { nats } = dialects;

  it("subscribes and waits for the pong behind it", () => {
    const { said, done } = greet(nats, "t", "INFO {}\r\n", "PONG\r\n");
    assert(said[0]?.startsWith("CONNECT {") && said[0].endsWith("\r\nSUB t 1\r\nPING\r\n"), said[0]);
    assertEquals(done, [false, true]);
  });

  it("knows which bytes arrive for those it publishes", () => {
    assertEquals(String(nats.sent(data, "t")), "PUB t 5\r\nhello\r\n");
    assertEquals(String(nats.arriving?.(data, "t")), "MSG t 1 5\r\nhello\r\n");
  });

  it("does not take an error for a pong", () => {
    assertThrows(() => greet(nats, "t", "INFO {}\r\n", "-ERR 'no'\r\n"), Error, "-ERR");
    assertThrows(() => greet(nats, "t", "hello"), Error, "hello");
  });
});

describe("Millrace's dialect, in both formats", () => {
  for (const name of ["millrace", "millrace-msgpack"] as const) {
    const dialect = dialects[name];
    // Whatever the format, a message can be made by what it can send: `publish` has topic and data.
    const published = dialect.sent(data, "t");

    it(`refuses another message than the one that is due: ${name}`, () => {
      const greeter: Greeter = { topic: "t", subscription: { epoch: "e", offset: 7 } };
      assertThrows(() => dialect.check(published, data, 0, greeter), Error, "other content");
      assertThrows(() => greet(dialect, "t", published), Error, "a publish came instead of the welcome");
    });
  }

  it("counts offsets from the one that the subscription was acknowledged with", () => {
    const { millrace } = dialects;
    const welcome = `{"type":"welcome"}`;
    const { said, done, greeter } = greet(
      millrace,
      "t",
      welcome,
      `{"type":"ack","id":1,"epoch":"e","offset":7}`,
    );
    assertEquals([said, done], [[`{"type":"subscribe","topic":"t","id":1}`], [false, true]]);
    const message = (offset: number) =>
      Buffer.from(JSON.stringify({ type: "message", topic: "t", data: "hello", epoch: "e", offset }));
    millrace.check(message(8), data, 0, greeter);
    millrace.check(message(10), data, 2, greeter);
    assertThrows(() => millrace.check(message(9), data, 0, greeter), Error, "offset 9");
  });
});
