/**
 * Socket.IO on its default engine: echo, or emit to a room.
 * Settings: WebSocket transport only, message limit 16 MiB, pings an hour apart; compression, when
 * asked for, without context takeover and for all sizes; it
 * has no backpressure limit. Run by Node.
 */
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { Server } from "socket.io";
import { EVENT } from "../load/dialects/socketio.ts";
import { deflate, port, publish, scheme, tls } from "./flags.ts";
import {
  announce,
  CERT_FILE,
  collectOnSignal,
  HOST,
  KEY_FILE,
  LISTEN_BACKLOG,
  MAX_MESSAGE_BYTES,
} from "./settings.ts";

const PING_MS = 3_600_000;

const http = tls
  ? createTlsServer({ cert: readFileSync(CERT_FILE), key: readFileSync(KEY_FILE) })
  : createServer();

const server = new Server(http, {
  transports: ["websocket"],
  maxHttpBufferSize: MAX_MESSAGE_BYTES,
  perMessageDeflate: deflate &&
    { serverNoContextTakeover: true, clientNoContextTakeover: true, threshold: 0 },
  pingInterval: PING_MS,
  serveClient: false,
});

server.on("connection", (socket) => {
  if (!publish) {
    socket.on(EVENT, (data: unknown) => socket.emit(EVENT, data));
    return;
  }
  const room = String(socket.handshake.query["room"]);
  void socket.join(room);
  socket.on(EVENT, (data: unknown) => server.to(room).emit(EVENT, data));
});

collectOnSignal();
http.listen({ host: HOST, port, backlog: LISTEN_BACKLOG }, () => {
  announce(`${scheme}://${HOST}:${(http.address() as AddressInfo).port}/`);
});
