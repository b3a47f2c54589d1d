/**
 * The `ws` package with nothing around it: echo, or a loop over all clients (it has no topics, and its public
 * interface has no prepared frame, so every client costs it a `send`). `bufferutil` is used unless WS_NO_BUFFER_UTIL is set.
 * Settings: message limit 16 MiB; compression, when asked for, without context takeover and for all sizes; it has no
 * backpressure limit, idle timeout or pings to switch off. Run by Node.
 */
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { type WebSocket, WebSocketServer } from "ws";
import { deflate, port, publish, scheme, tls } from "./flags.ts";
import {
  announce,
  CERT_FILE,
  collectOnSignal,
  HOST,
  KEY_FILE,
  LISTEN_BACKLOG,
  MAX_MESSAGE_BYTES,
  topicOf,
} from "./settings.ts";

const http = tls
  ? createTlsServer({ cert: readFileSync(CERT_FILE), key: readFileSync(KEY_FILE) })
  : createServer();

const server = new WebSocketServer({
  server: http,
  maxPayload: MAX_MESSAGE_BYTES,
  perMessageDeflate: deflate &&
    { serverNoContextTakeover: true, clientNoContextTakeover: true, threshold: 0 },
});

const topics = new Map<string, Set<WebSocket>>();

server.on("connection", (socket, request) => {
  if (!publish) {
    socket.on("message", (data, binary) => socket.send(data, { binary }));
    return;
  }
  const topic = topicOf(request.url ?? "");
  const members = topics.get(topic) ?? new Set();
  topics.set(topic, members.add(socket));
  socket.on("close", () => members.delete(socket));
  socket.on("message", (data, binary) => {
    for (const member of members) member.send(data, { binary });
  });
});

collectOnSignal();
http.listen({ host: HOST, port, backlog: LISTEN_BACKLOG }, () => {
  announce(`${scheme}://${HOST}:${(http.address() as AddressInfo).port}/`);
});
