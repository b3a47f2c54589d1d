/**
 * A server on `ws` that does right or does one planted thing wrong, so that the checks of a run can be seen to fail.
 * Arguments: the port and the behaviour. Run by Node.
 */
import process from "node:process";
import { WebSocket, WebSocketServer } from "ws";

const [, , port, behaviour] = process.argv;
/** Late enough for the window to have begun, early enough for a short run. */
const FAULT_AT = 40;

const server = new WebSocketServer({ host: "127.0.0.1", port: Number(port) });
let messages = 0;
let offset = 7;

function echo(socket: WebSocket, text: string): void {
  messages++;
  if (messages === FAULT_AT && behaviour === "echo-twice") socket.send(text);
  if (messages >= FAULT_AT && behaviour === "echo-lost") return;
  socket.send(behaviour === "echo-altered" ? `!${text.slice(1)}` : text);
}

function publish(text: string): void {
  messages++;
  let skip = messages >= FAULT_AT && behaviour === "fanout-lost" ? 1 : 0;
  for (const client of server.clients) {
    if (skip-- > 0) continue;
    client.send(text);
    if (messages === FAULT_AT && behaviour === "fanout-twice") client.send(text);
  }
}

function command(socket: WebSocket, text: string): void {
  const { type, id, topic, data } = JSON.parse(text) as Record<string, unknown>;
  if (type === "echo") socket.send(JSON.stringify({ data, type }));
  if (type === "subscribe") socket.send(JSON.stringify({ type: "ack", id, topic, epoch: "e", offset }));
  if (type !== "publish") return;
  if (++messages === FAULT_AT && behaviour === "millrace-gap") offset++;
  offset++;
  const event = JSON.stringify({ type: "message", topic, data, offset, epoch: "e" });
  for (const client of server.clients) client.send(event);
}

server.on("connection", (socket) => {
  if (behaviour?.startsWith("millrace")) socket.send(JSON.stringify({ type: "welcome", session: "s" }));
  socket.on("message", (bytes) => {
    const text = String(bytes);
    if (behaviour?.startsWith("echo")) echo(socket, text);
    else if (behaviour?.startsWith("fanout")) publish(text);
    else command(socket, text);
  });
});
server.on("listening", () => console.log(`listening on ws://127.0.0.1:${port}/`));
