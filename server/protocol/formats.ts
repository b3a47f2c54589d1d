/** The formats there are, and which one a handshake asks for. The only place that knows them all. */
import { jsonFormat } from "./json.ts";
import { msgpackFormat } from "./msgpack.ts";
import type { Format } from "./protocol.ts";

export const formats: readonly Format[] = [jsonFormat, msgpackFormat];

/** What `Sec-WebSocket-Protocol` settles. */
export interface Negotiated {
  readonly format: Format;
  /** The subprotocol to answer with; undefined when the client offered none. */
  readonly subprotocol: string | undefined;
}

/**
 * Picks the first offered subprotocol that is known (RFC 6455 section 4.2.2); JSON when none is offered.
 * @returns undefined when only unknown ones are offered
 */
export function negotiateFormat(header: string | undefined): Negotiated | undefined {
  if (header === undefined || header.trim() === "") return { format: jsonFormat, subprotocol: undefined };
  for (const offered of header.split(",")) {
    const format = formats.find((format) => format.subprotocol === offered.trim());
    if (format !== undefined) return { format, subprotocol: format.subprotocol };
  }
  return undefined;
}
