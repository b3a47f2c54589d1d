// A sink that writes down what it is told, in the words of reference.ts, and ways to feed a decoder.

import { Decoder } from "../../server/codec/decoder.ts";
import { type DecoderSettings, decoderSettings } from "../../server/codec/header.ts";
import type { ProtocolError } from "../../server/codec/errors.ts";
import type { Sink } from "../../server/codec/sink.ts";
import type { Inflater } from "../../server/codec/deflate.ts";
import { hex, type Outcome, utf8 } from "./reference.ts";

export const MAX_PAYLOAD_BYTES = 1 << 20;

export const SERVER = decoderSettings({
  role: "server",
  maxPayloadBytes: MAX_PAYLOAD_BYTES,
  maxFragments: 1024,
});
export const CLIENT = decoderSettings({
  role: "client",
  maxPayloadBytes: MAX_PAYLOAD_BYTES,
  maxFragments: 1024,
});

/** A connection that remembers. */
export class Recorder extends Decoder {
  readonly events: string[] = [];
  failure: number | null = null;
  error: ProtocolError | null = null;

  constructor(settings: DecoderSettings, inflater: Inflater | null = null) {
    super(settings);
    this.inflater = inflater;
  }

  /** Pushes a copy, because a decoder changes what it is given. */
  take(chunk: Uint8Array): this {
    this.push(Uint8Array.from(chunk), recorder);
    return this;
  }

  get outcome(): Outcome {
    return { events: this.events, failure: this.failure };
  }
}

export const recorder: Sink<Recorder> = {
  text: (connection, text) => connection.events.push(`text:${hex(utf8(text))}`),
  textBytes: (connection, bytes, start, end) =>
    connection.events.push(`text:${hex(bytes.subarray(start, end))}`),
  binary: (connection, bytes, start, end) =>
    connection.events.push(`binary:${hex(bytes.subarray(start, end))}`),
  ping: (connection, bytes, start, end) => connection.events.push(`ping:${hex(bytes.subarray(start, end))}`),
  pong: (connection, bytes, start, end) => connection.events.push(`pong:${hex(bytes.subarray(start, end))}`),
  close: (connection, code, reason) => connection.events.push(`close:${code}:${reason}`),
  error: (connection, error) => {
    connection.failure = error.code;
    connection.error = error;
  },
};

/** What a decoder makes of a stream cut at the given places. */
export function decodeCut(stream: Uint8Array, cuts: readonly number[], settings = SERVER): Outcome {
  const connection = new Recorder(settings);
  let from = 0;
  for (const cut of [...cuts, stream.length]) {
    connection.take(stream.subarray(from, cut));
    from = cut;
  }
  return connection.outcome;
}

/** Numbers that look random and are the same in every run (a linear congruential generator, high bits). */
export function seededRandom(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}
