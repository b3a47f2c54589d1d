/** How messages are written: a WebSocket subprotocol each. JSON is built in; others are handed in. */

export interface Format {
  /** As the server knows it. */
  readonly subprotocol: string;
  /** @throws when the value cannot be written */
  encode(command: object): string | Uint8Array<ArrayBuffer>;
  /** @throws when the frame is none of this format's */
  decode(frame: string | ArrayBuffer): unknown;
}

/** `millrace.v1.json`. */
export const json: Format = {
  subprotocol: "millrace.v1.json",
  encode: (command) => JSON.stringify(command),
  decode: (frame) => JSON.parse(frame as string),
};
