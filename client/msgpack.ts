/** The format `millrace.v1.msgpack`, with a MessagePack library of the application's choice: none is brought along. */
import type { Format } from "./format.ts";

/** The two functions of a MessagePack library, such as msgpackr's `Packr` or `@msgpack/msgpack`. */
export interface MessagePackCodec {
  /** One value as MessagePack, objects as plain maps. */
  encode(value: unknown): Uint8Array;
  /** One value, maps as objects with string keys. */
  decode(bytes: Uint8Array): unknown;
}

/**
 * The format for {@link ClientOptions.format}.
 * @example
 * import { Packr } from "msgpackr";
 * createClient({ url, format: msgpack(new Packr({ useRecords: false, mapsAsObjects: true })) });
 */
export function msgpack(codec: MessagePackCodec): Format {
  return {
    subprotocol: "millrace.v1.msgpack",
    // A view into a buffer that the library goes on using, in some: what waits in the queue is a copy.
    encode: (command) => new Uint8Array(codec.encode(command)),
    decode: (frame) => codec.decode(new Uint8Array(frame as ArrayBuffer)),
  };
}
