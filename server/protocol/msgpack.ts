/** The format `millrace.v1.msgpack`: one MessagePack map per binary frame, without record extensions. */
import { Packr } from "msgpackr";
import type { Message } from "../engine.ts";
import { CommandError, ErrorCode, type Format, type ServerEvent } from "./protocol.ts";

const packr = new Packr({
  useRecords: false,
  mapsAsObjects: true,
  // Integers that a number holds exactly come as numbers; the type declarations leave this value out.
  int64AsType: "auto" as "bigint",
  // The engine only lends a message's bytes, and a publication may outlive the handler.
  copyBuffers: true,
});

export const msgpackFormat: Format = {
  name: "msgpack",
  subprotocol: "millrace.v1.msgpack",
  accepts: (message: Message) => typeof message !== "string",
  decode(message: Message): unknown {
    try {
      return packr.unpack(message as Uint8Array);
    } catch {
      throw new CommandError(ErrorCode.InvalidMessage, "The message is not one valid MessagePack value.");
    }
  },
  encode: (event: ServerEvent) => packr.pack(event),
};
