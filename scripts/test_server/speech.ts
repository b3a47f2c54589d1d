/**
 * How a server is made to give a message back: a plain echo server by itself, Millrace by its `echo` command, in JSON or in
 * MessagePack. Pure: payloads in, frames out, and back again.
 */
import { Packr } from "msgpackr";
import { Opcode, toBytes } from "../conformance/frame.ts";
import type { WireEvent } from "../conformance/wire.ts";
import type { Kind } from "./kind.ts";
import { Skip } from "./test.ts";

/** A message's content: text or bytes. */
export type Payload = string | Uint8Array;

/** A payload that came back, or the server's word that it does not carry this one out. */
export type Heard = { readonly payload: Payload } | { readonly refused: string };

/** One way to make a server give messages back. */
export interface Dialect {
  /** What the handshake has to carry for it. */
  readonly headers: Readonly<Record<string, string>>;
  /** How many messages the server sends by itself at the start. */
  readonly greetings: number;
  encode(payload: Payload): { readonly opcode: number; readonly bytes: Uint8Array };
  /** Undefined for an event that is no answer. */
  decode(event: WireEvent): Heard | undefined;
}

/** One of Millrace's formats: a subprotocol and how its objects are written. */
export interface Format {
  readonly subprotocol: string;
  readonly opcode: number;
  write(object: object): Uint8Array;
  /** Undefined for what is not an object in this format. */
  read(event: WireEvent): Reply | undefined;
}

/** An event of Millrace's protocol. */
export interface Reply {
  readonly type: string;
  readonly [field: string]: unknown;
}

const utf8 = new TextDecoder();
const packr = new Packr({ useRecords: false, mapsAsObjects: true });

/** Text frames of JSON. */
export const jsonFormat: Format = {
  subprotocol: "millrace.v1.json",
  opcode: Opcode.Text,
  write: (object) => toBytes(JSON.stringify(object)),
  read: ({ kind, payload }) =>
    kind === "text" ? readReply(() => JSON.parse(utf8.decode(payload))) : undefined,
};

/** Binary frames of MessagePack. */
export const msgpackFormat: Format = {
  subprotocol: "millrace.v1.msgpack",
  opcode: Opcode.Binary,
  write: (object) => packr.pack(object),
  read: ({ kind, payload }) => kind === "binary" ? readReply(() => packr.unpack(payload)) : undefined,
};

/** Both. */
export const formats: readonly Format[] = [jsonFormat, msgpackFormat];

function readReply(parse: () => unknown): Reply | undefined {
  try {
    const value = parse();
    return isReply(value) ? value : undefined;
  } catch {
    // What cannot be read is not in this format, and that is the answer.
    return undefined;
  }
}

function isReply(value: unknown): value is Reply {
  return typeof value === "object" && value !== null && "type" in value && typeof value.type === "string";
}

/**
 * The dialect for a kind of server; `binary` asks for one that carries bytes.
 * @throws Skip for a server that gives nothing back.
 */
export function dialectFor(kind: Kind, binary: boolean): Dialect {
  if (kind.name === "echo") return plainEcho(kind.greetings);
  if (kind.name === "millrace") return millraceEcho(binary ? msgpackFormat : jsonFormat);
  throw new Skip(kind.why);
}

/** Pings, which every server gives back, with payloads of up to 125 bytes (RFC 6455 section 5.5.3). */
export const pingDialect: Dialect = {
  headers: {},
  greetings: 0,
  encode: (payload) => ({ opcode: Opcode.Ping, bytes: toBytes(payload) }),
  decode: ({ kind, payload }) => kind === "pong" ? { payload: utf8.decode(payload) } : undefined,
};

function plainEcho(greetings: number): Dialect {
  return {
    headers: {},
    greetings,
    encode: (payload) => ({
      opcode: typeof payload === "string" ? Opcode.Text : Opcode.Binary,
      bytes: toBytes(payload),
    }),
    decode({ kind, payload }) {
      if (kind === "text") return { payload: utf8.decode(payload) };
      return kind === "binary" ? { payload } : undefined;
    },
  };
}

function millraceEcho(format: Format): Dialect {
  return {
    headers: { "Sec-WebSocket-Protocol": format.subprotocol },
    greetings: 1,
    encode: (data) => ({ opcode: format.opcode, bytes: format.write({ type: "echo", data }) }),
    decode(event) {
      const reply = format.read(event);
      if (reply?.type === "error") return { refused: String(reply["code"]) };
      if (reply?.type !== "echo") return undefined;
      const data = reply["data"];
      // MessagePack's bytes arrive as a Buffer, which compares unlike a plain array of bytes.
      if (data instanceof Uint8Array) return { payload: new Uint8Array(data) };
      return typeof data === "string" ? { payload: data } : undefined;
    },
  };
}
