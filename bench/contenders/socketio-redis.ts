/**
 * Socket.IO with its Redis adapter: a client joins rooms and publishes to them, on whichever node it is.
 * Settings: WebSocket only, no compression (its default), no connection state recovery (its default).
 * `--adapter classic` has every node hear everything, `sharded` subscribes per room. Run by Node.
 */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { parseArgs } from "node:util";
import { createClient } from "@redis/client";
import { createAdapter, createShardedAdapter } from "@socket.io/redis-adapter";
import { Server } from "socket.io";
import { announce, HOST, LISTEN_BACKLOG, MAX_MESSAGE_BYTES } from "./settings.ts";

const { values } = parseArgs({
  options: { port: { type: "string" }, redis: { type: "string" }, adapter: { type: "string" } },
});

const connect = () => createClient({ url: values.redis ?? "", RESP: 2 }).connect();
const [publisher, subscriber] = await Promise.all([connect(), connect()]);
const adapter = values.adapter === "sharded"
  ? createShardedAdapter(publisher, subscriber, { subscriptionMode: "dynamic-private" })
  : createAdapter(publisher, subscriber);

const http = createServer();
const io = new Server(http, { adapter, transports: ["websocket"], maxHttpBufferSize: MAX_MESSAGE_BYTES });

io.on("connection", (socket) => {
  socket.on("subscribe", async (topic: string, acknowledge: () => void) => {
    await socket.join(topic);
    acknowledge();
  });
  socket.on("publish", (topic: string, data: string) => io.to(topic).emit("message", topic, data));
});

http.listen({ host: HOST, port: Number(values.port), backlog: LISTEN_BACKLOG }, () => {
  const { port } = http.address() as AddressInfo;
  announce(`ws://${HOST}:${port}/socket.io/?EIO=4&transport=websocket`);
});
