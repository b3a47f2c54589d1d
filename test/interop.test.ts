/** Clients by other people against the real command, on each native engine, in both formats. */
import { after, describe, it } from "node:test";
import { Buffer } from "node:buffer";
import { constants, deflateRawSync, inflateRawSync } from "node:zlib";
import { assert, assertEquals, assertFalse, assertGreater, assertLess, assertMatch } from "@std/assert";
import { WebSocket as NodeWebSocket } from "ws";
import { type FormatName, Peer } from "./helpers/peer.ts";
import { type Frame, Opcode, RawClient } from "./helpers/raw_client.ts";
import { runtime } from "./helpers/runtime.ts";
import {
  everyProcessEngine,
  joinRaw,
  type ServerProcess,
  spawnServer,
  stopProcesses,
  whyNotAsProcess,
} from "./helpers/server.ts";

const formats: readonly FormatName[] = ["json", "msgpack"];
const pairs = formats.flatMap((from) => formats.map((to) => [from, to] as const));

/** What both formats can carry. */
const data = { text: "grüße 🌊", numbers: [0, -1, 1.5, 2 ** 53 - 1], nothing: null, nested: { yes: true } };

for (const engine of everyProcessEngine) {
  describe(`independent clients and the engine ${engine}`, { skip: whyNotAsProcess(engine) }, () => {
    after(async () => {
      RawClient.destroyAll();
      await stopProcesses();
    });

    let common: Promise<ServerProcess> | undefined;
    const open = async (format: FormatName = "json") => {
      common ??= spawnServer(engine);
      return await Peer.open((await common).url, format);
    };

    for (const [from, to] of pairs) {
      it(`brings what a ${from} client publishes to a ${to} subscriber, in order and with its place`, async () => {
        const [publisher, subscriber] = await Promise.all([open(from), open(to)]);
        const topic = `from.${from}.to.${to}`;
        const joined = await subscriber.ask({ type: "subscribe", topic });
        assertEquals([joined.type, joined["topic"], joined["offset"]], ["ack", topic, 0]);
        const { epoch } = joined;
        for (let offset = 1; offset <= 20; offset++) {
          const ack = await publisher.ask({ type: "publish", topic, data: { ...data, offset } });
          const { id: _, ...place } = ack;
          assertEquals(place, { type: "ack", topic, epoch, offset });
        }
        const messages = await subscriber.messages(20);
        assertEquals(
          messages,
          Array.from({ length: 20 }, (_, index) => ({
            type: "message",
            topic,
            data: { ...data, offset: index + 1 },
            offset: index + 1,
            epoch,
          })),
        );
        assertEquals(publisher.of("message"), []);
        await Promise.all([publisher.close(), subscriber.close()]);
      });
    }

    for (const format of formats) {
      it(`answers ping, echo and nothing but what was asked, in ${format}`, async () => {
        const peer = await open(format);
        assertEquals(peer.socket.protocol, `millrace.v1.${format}`);
        assertEquals(peer.received.all[0]?.["format"], format);
        assertEquals(await peer.ask({ type: "ping" }), { type: "pong", id: 1 });
        assertEquals(await peer.ask({ type: "echo", data }), { type: "echo", id: 2, data });
        peer.send({ type: "ping" });
        await peer.received.until((all) => all.length === 4, "the pong");
        assertEquals(peer.received.all[3], { type: "pong" });
        await peer.close();
      });

      it(`delivers nothing after unsubscribe, and everything after the next subscribe, in ${format}`, async () => {
        const [peer, publisher] = await Promise.all([open(format), open("json")]);
        const topic = `left.${format}`;
        await peer.ask({ type: "subscribe", topic });
        await publisher.ask({ type: "publish", topic, data: "heard" });
        await peer.messages(1);
        assertEquals(await peer.ask({ type: "unsubscribe", topic }), { type: "ack", id: 2, topic });
        await publisher.ask({ type: "publish", topic, data: "missed" });
        const back = await peer.ask({ type: "subscribe", topic });
        assertEquals(back["offset"], 2);
        await publisher.ask({ type: "publish", topic, data: "heard again" });
        const messages = await peer.messages(2);
        assertEquals(messages.map((message) => [message["offset"], message["data"]]), [[1, "heard"], [
          3,
          "heard again",
        ]]);
        await Promise.all([peer.close(), publisher.close()]);
      });

      it(`tells a client what was wrong and goes on, in ${format}`, async () => {
        const peer = await open(format);
        const bad: [Record<string, unknown>, string][] = [
          [{ type: "fly" }, "unknown_type"],
          [{ type: "subscribe", topic: "a b" }, "invalid_topic"],
          [{ type: "publish", topic: "t" }, "invalid_message"],
          [{ type: "unsubscribe", topic: "never" }, "not_subscribed"],
        ];
        for (const [command, code] of bad) {
          const error = await peer.ask(command);
          assertEquals([error.type, error["code"]], ["error", code]);
          assert(typeof error["message"] === "string" && error["message"].length > 10);
        }
        peer.send({ id: {} });
        const error = await peer.received.find((event) => event.type === "error" && !("id" in event));
        assertEquals(error["code"], "invalid_message");
        assertEquals((await peer.ask({ type: "ping" })).type, "pong");
        await peer.close();
      });
    }

    it("broadcasts to every client in its own format", async () => {
      const own = await spawnServer(engine, ["--allow-broadcast"]);
      const peers = await Promise.all(
        ["json", "msgpack", "json"].map((f) => Peer.open(own.url, f as FormatName)),
      );
      const [first] = peers;
      const ack = await first?.ask({ type: "broadcast", data });
      assertEquals(ack, { type: "ack", id: 1, sent: 3 });
      for (const peer of peers) {
        assertEquals(await peer.received.find((event) => event.type === "broadcast"), {
          type: "broadcast",
          data,
        });
      }
      await own.stop();
    });

    it("answers a client's close with its code, and forgets its subscriptions (RFC 6455 section 7.1.5)", async () => {
      const [leaving, staying] = await Promise.all([open("json"), open("msgpack")]);
      for (const peer of [leaving, staying]) await peer.ask({ type: "subscribe", topic: "after.close" });
      leaving.socket.close(4321, "enough");
      assertEquals((await leaving.end()).code, 4321);
      await staying.ask({ type: "publish", topic: "after.close", data: 1 });
      await staying.messages(1);
      await staying.close();
    });

    it("closes with 1003 on the other format's kind of frame", async () => {
      const peer = await open("json");
      peer.socket.send(new Uint8Array([1]));
      assertEquals((await peer.end()).code, 1003);
    });

    describeDeflate(engine);
  });
}

const THRESHOLD_BYTES = 1024;
const RSV1 = 4;
const offer = { "Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits" };

/** Text that shrinks well. */
const long = "a publication that repeats itself. ".repeat(100);

function inflate(frame: Frame): string {
  assertEquals([frame.fin, frame.rsv], [true, RSV1]);
  // RFC 7692 section 7.2.2: the sender has left the last four bytes out.
  const whole = Buffer.concat([frame.payload, Buffer.from([0, 0, 0xff, 0xff])]);
  return inflateRawSync(whole, { finishFlush: constants.Z_SYNC_FLUSH }).toString();
}

function describeDeflate(engine: (typeof everyProcessEngine)[number]): void {
  const servers = new Map<string, Promise<ServerProcess>>();
  const serverWith = (deflate: string) => {
    const flags = ["--deflate", deflate, "--deflate-threshold-bytes", String(THRESHOLD_BYTES)];
    const server = servers.get(deflate) ?? spawnServer(engine, flags);
    servers.set(deflate, server);
    return server;
  };

  for (const mode of ["shared", "dedicated"]) {
    it(`negotiates permessage-deflate with deflate ${mode} and brings every size whole to the runtime's client`, async () => {
      const { url } = await serverWith(mode);
      const peer = await Peer.open(url);
      if (runtime !== "deno") assertMatch(peer.socket.extensions, /permessage-deflate/);
      for (const length of [0, 1, THRESHOLD_BYTES, 60_000]) {
        const text = long.repeat(length / long.length + 1).slice(0, length);
        assertEquals((await peer.ask({ type: "echo", data: text }))["data"], text);
      }
      await peer.close();
    });

    it(`takes what the npm client ws compresses itself, with deflate ${mode}`, async () => {
      const { url } = await serverWith(mode);
      const socket = new NodeWebSocket(url, "millrace.v1.json", { perMessageDeflate: { threshold: 0 } });
      const texts: string[] = [];
      await new Promise<void>((resolve, reject) => {
        socket.on("error", reject);
        socket.on("message", (message: { toString(): string }) => {
          texts.push(message.toString());
          if (texts.length === 1) {
            for (let id = 1; id <= 3; id++) {
              socket.send(JSON.stringify({ type: "echo", id, data: long + id }));
            }
          } else if (texts.length === 4) resolve();
        });
      });
      assertMatch(socket.extensions, /permessage-deflate/);
      assertEquals(
        texts.slice(1).map((text) => JSON.parse(text)),
        [1, 2, 3].map((id) => ({ type: "echo", id, data: long + id })),
      );
      socket.terminate();
    });

    it(`compresses from the threshold on and not below, smaller on the wire, with deflate ${mode} (RFC 7692 section 7.2.1)`, async () => {
      const { url } = await serverWith(mode);
      const client = await joinRaw(url, offer);
      assertMatch(client.head, /^sec-websocket-extensions: permessage-deflate/im);
      const echo = async (length: number): Promise<Frame> => {
        const before = client.textCount;
        const empty = JSON.stringify({ type: "echo", data: "" }).length;
        client.send(Opcode.Text, JSON.stringify({ type: "echo", data: long.slice(0, length - empty) }));
        await client.receiveTexts(before + 1);
        return client.frames.all.at(-1) as Frame;
      };
      const below = await echo(THRESHOLD_BYTES - 1);
      assertEquals([below.rsv, below.payload.length], [0, THRESHOLD_BYTES - 1]);
      const at = await echo(THRESHOLD_BYTES);
      assertEquals(inflate(at).length, THRESHOLD_BYTES);
      assertLess(at.payload.length, THRESHOLD_BYTES / 4);
    });

    it(`compresses publications too, and reads compressed commands, with deflate ${mode}`, async () => {
      const { url } = await serverWith(mode);
      const [compressing, plain] = await Promise.all([joinRaw(url, offer), joinRaw(url)]);
      assertFalse(/sec-websocket-extensions/i.test(plain.head), plain.head);
      for (const client of [compressing, plain]) {
        client.send(Opcode.Text, JSON.stringify({ type: "subscribe", id: 1, topic: "t" }));
        await client.receiveTexts(2);
      }
      const command = deflateRawSync(JSON.stringify({ type: "publish", topic: "t", data: long }), {
        finishFlush: constants.Z_SYNC_FLUSH,
      });
      compressing.send(Opcode.Text, command.subarray(0, -4), { rsv: RSV1 });
      await Promise.all([compressing.receiveTexts(3), plain.receiveTexts(3)]);
      const [small, whole] = [compressing, plain].map((client) => client.frames.all.at(-1) as Frame);
      assert(small !== undefined && whole !== undefined);
      assertEquals(whole.rsv, 0);
      assertEquals(inflate(small), whole.payload.toString());
      assertEquals(JSON.parse(inflate(small)).data, long);
      assertLess(small.payload.length * 4, whole.payload.length);
    });
  }

  const noTakeover = engine === "uws" &&
    "uWebSockets.js compresses every message by itself, whatever compressor it is given";
  it("makes repeated messages smaller still with deflate dedicated, and not with shared", {
    skip: noTakeover,
  }, async () => {
    const sizes = await Promise.all(["shared", "dedicated"].map(async (mode) => {
      const client = await joinRaw((await serverWith(mode)).url, offer);
      // Hexadecimal noise shrinks by half, and to next to nothing once it has been seen.
      const noise = Buffer.from(Array.from({ length: 1000 }, (_, i) => (i * i * 31 + i * 7) >> 3)).toString(
        "hex",
      );
      for (let count = 2; count <= 4; count++) {
        client.send(Opcode.Text, JSON.stringify({ type: "echo", data: noise }));
        await client.receiveTexts(count);
      }
      return client.frames.all.slice(1).map((frame) => frame.payload.length);
    }));
    const [shared = [], dedicated = []] = sizes;

    assertEquals(new Set(shared).size, 1);
    assertGreater((dedicated[0] ?? 0) / 4, dedicated[2] ?? Infinity);
  });

  it("does not negotiate permessage-deflate with deflate off", async () => {
    const { url } = await serverWith("off");
    const client = await joinRaw(url, offer);
    assertFalse(/sec-websocket-extensions/i.test(client.head), client.head);
    const peer = await Peer.open(url);
    assertEquals(peer.socket.extensions, "");
    assertEquals((await peer.ask({ type: "echo", data: long }))["data"], long);
    await peer.close();
  });
}
