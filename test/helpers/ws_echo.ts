/**
 * An echo server on npm's ws: an implementation nobody here wrote. Imported by path, because Bun puts its own in place
 * of the package's name.
 */
import type { AddressInfo } from "node:net";
import type { WebSocket, WebSocketServer } from "ws";
// @ts-expect-error The package declares types for its name only.
import ServerOfWs from "../../node_modules/ws/lib/websocket-server.js";

const MAX_PAYLOAD_BYTES = 64 * 1024 * 1024;

/** A running server. */
export interface WsEcho {
  readonly url: string;
  close(): Promise<void>;
}

/** Starts the server on a free port of 127.0.0.1, with permessage-deflate on and messages of up to 64 MiB. */
export async function startWsEcho(): Promise<WsEcho> {
  const options = { host: "127.0.0.1", port: 0, perMessageDeflate: true, maxPayload: MAX_PAYLOAD_BYTES };
  const Server = ServerOfWs as typeof WebSocketServer;
  const server = new Server(options);
  server.on("connection", (socket: WebSocket) => {
    // The peer's faults are what the runner sends; they end the socket and need no more here.
    socket.on("error", () => {});
    socket.on("message", (data, isBinary) => socket.send(data, { binary: isBinary }));
  });
  await new Promise<void>((resolve) => server.once("listening", () => resolve()));
  return {
    url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    close: () =>
      new Promise((resolve) => {
        for (const socket of server.clients) socket.terminate();
        server.close(() => resolve());
      }),
  };
}
