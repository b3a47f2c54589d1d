/**
 * Socket.IO's protocol 5 on Engine.IO's protocol 4, on the WebSocket transport from the start. The first digit is
 * Engine.IO's (0 open, 2 ping, 4 message), the second Socket.IO's (0 connect, 2 event). The room is in the query.
 */
import { Buffer } from "node:buffer";
import { type Dialect, plain } from "./dialect.ts";

/** The name of the one event that is sent, both ways. */
export const EVENT = "m";

function event(data: Buffer): Buffer {
  return Buffer.from(`42${JSON.stringify([EVENT, data.toString()])}`);
}

export const socketio: Dialect = {
  ...plain,
  target: (_path, topic) =>
    `/socket.io/?EIO=4&transport=websocket${topic === undefined ? "" : `&room=${topic}`}`,
  binary: false,
  isGreeted: () => true,
  greeted(step, payload, _greeter, say) {
    const text = payload.toString();
    const expected = step === 0 ? "0{" : "40{";
    if (!text.startsWith(expected)) throw new Error(`${text} came instead of ${expected}…`);
    if (step === 0) say(Buffer.from("40"));
    return step === 1;
  },
  sent: event,
  arriving: event,
};
