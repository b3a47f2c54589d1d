/** The opening handshake of the faulty echo server, and the list of its faults. A pure function: head in, answer out. */
import { createHash } from "node:crypto";

/** What can be wrong with the server; "answers in fragments" is the one that is lawful. */
export type Fault =
  | "accept hash wrong"
  | "answers in fragments"
  | "any version accepted"
  | "bad window bits accepted"
  | "binary corrupted"
  | "close answered late by a message"
  | "close answered twice"
  | "close code changed"
  | "close codes not checked"
  | "close not echoed"
  | "close of one byte accepted"
  | "close reason not checked"
  | "close reason sent not UTF-8"
  | "context kept"
  | "continuation of nothing accepted"
  | "control frames fragmented"
  | "drops every tenth message"
  | "echoes twice"
  | "extension not offered"
  | "fails by dropping TCP"
  | "fails with 1000"
  | "fragments mixed"
  | "garbage for compressed"
  | "high bit of length ignored"
  | "keys not needed"
  | "large messages drop the connection"
  | "last byte wrong"
  | "length cut to 16 bits"
  | "long control frames accepted"
  | "long lengths accepted"
  | "long lengths sent"
  | "masks its frames"
  | "messages answered with another"
  | "no mask check"
  | "no UTF-8 check"
  | "ping not answered"
  | "pong after the message"
  | "pong with another payload"
  | "pong without payload"
  | "POST accepted"
  | "reserved opcodes ignored"
  | "RSV ignored"
  | "RSV of continuations ignored"
  | "RSV sent"
  | "swaps neighbours"
  | "TCP left open"
  | "text comes back as binary"
  | "UTF-8 checked at the end"
  | "window ignored";

const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/** What to write, whether frames follow, and the window to compress with where permessage-deflate was agreed on. */
export interface HandshakeAnswer {
  readonly response: string;
  readonly opens: boolean;
  readonly windowBits?: number;
}

/** Answers a request head, given without its empty line. */
export function answerHandshake(head: string, faults: ReadonlySet<Fault>): HandshakeAnswer {
  const [first = "", ...lines] = head.split("\r\n");
  const headers = new Map<string, string>();
  for (const line of lines) {
    const name = line.slice(0, line.indexOf(":")).toLowerCase();
    if (headers.has(name)) return refuse("400 Bad Request");
    headers.set(name, line.slice(line.indexOf(":") + 1).trim());
  }
  const key = headers.get("sec-websocket-key") ?? "";
  const connection = (headers.get("connection") ?? "").toLowerCase().split(/ *, */);
  const method = faults.has("POST accepted") ? /^\w+ \S+ HTTP\/1\.1$/ : /^GET \S+ HTTP\/1\.1$/;
  if (!method.test(first) || headers.get("upgrade")?.toLowerCase() !== "websocket") {
    return refuse("426 Upgrade Required");
  }
  if (!connection.includes("upgrade") || !headers.has("host")) return refuse("400 Bad Request");
  if (!/^[A-Za-z0-9+/]{21}[AQgw]==$/.test(key) && !faults.has("keys not needed")) {
    return refuse("400 Bad Request");
  }
  if (headers.get("sec-websocket-version") !== "13" && !faults.has("any version accepted")) {
    return refuse("426 Upgrade Required\r\nSec-WebSocket-Version: 13");
  }
  const wrong = faults.has("accept hash wrong") ? "!" : "";
  const accept = createHash("sha1").update(key + GUID + wrong).digest("base64");
  const agreed = negotiate(headers.get("sec-websocket-extensions") ?? "", faults);
  const extension = agreed === undefined ? "" : `Sec-WebSocket-Extensions: ${agreed.answer}\r\n`;
  return {
    response: "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
      `Sec-WebSocket-Accept: ${accept}\r\n${extension}\r\n`,
    opens: true,
    ...(agreed === undefined ? {} : { windowBits: agreed.windowBits }),
  };
}

function refuse(status: string): HandshakeAnswer {
  return { response: `HTTP/1.1 ${status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`, opens: false };
}

const STRICT =
  /^((server|client)_no_context_takeover|client_max_window_bits|(server|client)_max_window_bits=(8|9|1[0-5]))$/;

/** Takes the first element of the offer that is right in every parameter; no context is kept either way. */
function negotiate(
  offer: string,
  faults: ReadonlySet<Fault>,
): { answer: string; windowBits: number } | undefined {
  if (faults.has("extension not offered")) return { answer: "permessage-deflate", windowBits: 15 };
  for (const element of offer.split(",")) {
    const [name, ...parameters] = element.split(";").map((part) => part.trim());
    if (name !== "permessage-deflate") continue;
    const names = parameters.map((parameter) => parameter.split("=")[0]);
    const right = new Set(names).size === names.length &&
      parameters.every((parameter) => STRICT.test(parameter));
    if (!right && !faults.has("bad window bits accepted")) continue;
    const asked = parameters.find((parameter) => parameter.startsWith("server_max_window_bits="))?.split(
      "=",
    )[1];
    const granted = Math.min(15, Math.max(8, Number(asked ?? 15) || 15));
    const bits = asked === undefined ? "" : `; server_max_window_bits=${granted}`;
    return {
      answer: `permessage-deflate; server_no_context_takeover; client_no_context_takeover${bits}`,
      windowBits: faults.has("window ignored") ? 15 : Math.max(9, granted),
    };
  }
  return undefined;
}
