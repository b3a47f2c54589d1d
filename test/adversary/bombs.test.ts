/** Messages of a few kilobytes that inflate to megabytes (RFC 7692): they end their connection and take no memory. */
import { Buffer } from "node:buffer";
import process from "node:process";
import { describe, it } from "node:test";
import { constants, deflateRawSync } from "node:zlib";
import { assertEquals, assertLess } from "@std/assert";
import { collectGarbage } from "../helpers/captured.ts";
import { encodeFrame, Opcode, RawClient } from "../helpers/raw_client.ts";
import { whyNot } from "../helpers/runtime.ts";
import { joinRaw } from "../helpers/server.ts";
import { ask, ownEngines, stage } from "../helpers/stage.ts";

const LIMIT_BYTES = 16 * 1024;
const INFLATED_BYTES = 8 << 20;
const BOMBS = 40;
const COMPRESSED = { rsv: 4 } as const;
const offer = { "Sec-WebSocket-Extensions": "permessage-deflate; client_no_context_takeover" };

/** What a frame carries of a compressed message (RFC 7692 section 7.2.1). */
function deflated(payload: Uint8Array): Buffer {
  return deflateRawSync(payload, { finishFlush: constants.Z_SYNC_FLUSH }).subarray(0, -4);
}

/** A publication of exactly so many bytes, which compresses well. */
function publication(bytes: number): Buffer {
  const command = { type: "publish", id: 1, topic: "t", data: "" };
  const data = "z".repeat(bytes - JSON.stringify(command).length);
  return Buffer.from(JSON.stringify({ ...command, data }));
}

/** One message in so many frames. */
function fragments(payload: Buffer, count: number): Buffer {
  const size = Math.ceil(payload.length / count);
  return Buffer.concat(
    Array.from(
      { length: count },
      (_, i) =>
        encodeFrame(i === 0 ? Opcode.Text : Opcode.Continuation, payload.subarray(i * size, (i + 1) * size), {
          rsv: i === 0 ? COMPRESSED.rsv : 0,
          fin: i === count - 1,
        }),
    ),
  );
}

const bomb = deflated(Buffer.alloc(INFLATED_BYTES, "z"));
// Whole blocks on a byte boundary: such a message may stand behind itself, and inflates to as much more.
const block = deflateRawSync(Buffer.alloc(INFLATED_BYTES / 4, "z"), { finishFlush: constants.Z_FULL_FLUSH });

for (const engine of ownEngines) {
  describe(`a deflate bomb on ${engine}`, { skip: await whyNot(engine) }, () => {
    const start = stage(engine);

    for (const deflate of ["shared", "dedicated"] as const) {
      it(`ends its connection and nothing else, whole or in fragments (${deflate})`, async () => {
        const server = await start({ deflate, maxMessageBytes: LIMIT_BYTES });
        const other = await joinRaw(server.url);
        const shapes = [
          encodeFrame(Opcode.Text, bomb, COMPRESSED),
          fragments(bomb, 2),
          fragments(bomb, 50),
          fragments(Buffer.concat([block, block, block.subarray(0, -4)]), 7),
        ];
        const blow = async (count: number) => {
          for (let i = 0; i < count; i++) {
            const client = await joinRaw(server.url, offer);
            client.write(shapes[i % shapes.length] as Buffer);
            const told = await client.closed();
            if (told !== undefined) assertEquals(told.code, 1009);
            client.destroy();
            assertEquals((await ask(other, { type: "publish", id: i, topic: "t", data: i }))["type"], "ack");
          }
        };
        await blow(shapes.length);
        const isMeasurable = collectGarbage();
        const before = process.memoryUsage();
        await blow(BOMBS);
        collectGarbage();
        const after = process.memoryUsage();
        // One in eight that was inflated as a whole and kept would be more.
        const grown = after.heapUsed - before.heapUsed + after.external - before.external;
        if (isMeasurable) assertLess(grown, BOMBS / 8 * INFLATED_BYTES);
        const last = await ask(other, { type: "publish", id: 1, topic: "t", data: "z" });
        assertEquals(last["offset"], shapes.length + BOMBS + 1);
      });
    }

    it("is what is one byte above the limit when it is inflated; at the limit and below it is a message", async () => {
      const server = await start({ deflate: "shared", maxMessageBytes: LIMIT_BYTES });
      for (const frames of [1, 3]) {
        const send = (client: RawClient, bytes: number) =>
          client.write(fragments(deflated(publication(bytes)), frames));
        const client = await joinRaw(server.url, offer);
        for (const [i, bytes] of [LIMIT_BYTES - 1, LIMIT_BYTES].entries()) {
          send(client, bytes);
          assertEquals(JSON.parse((await client.receiveTexts(2 + i))[1 + i] ?? "").type, "ack");
        }
        send(client, LIMIT_BYTES + 1);
        assertEquals((await client.closed())?.code ?? 1009, 1009);
        assertEquals(client.textCount, 3);
      }
    });
  });
}
