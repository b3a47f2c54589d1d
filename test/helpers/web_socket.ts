/** The WebSocket that the client is given in tests: the runtime's own; that of `ws` on Node 20, which has none. */
import { WebSocket as WsWebSocket } from "ws";
import type { WebSocketConstructor } from "../../client/mod.ts";
import { runtime } from "./runtime.ts";

export const testWebSocket = (runtime === "node" ? WsWebSocket : WebSocket) as WebSocketConstructor;
