/**
 * Compresses what the runner sends under permessage-deflate (RFC 7692 section 7.2.1), with the context kept or not, by
 * the runtime's zlib. Knows nothing of frames.
 */
import { Buffer } from "node:buffer";
import { constants, createDeflateRaw, type DeflateRaw, deflateRawSync } from "node:zlib";
import type { Deflate } from "./handshake.ts";

/** zlib cannot do a window of 256 bytes; with 512 it never reaches back more than 250, which fits. */
const SMALLEST_ZLIB_WINDOW_BITS = 9;
/** The 00 00 ff ff of a sync flush, which is not sent. */
const FLUSH_TAIL_BYTES = 4;

/** The client's compressor of one connection. */
export class Deflater {
  readonly #windowBits: number;
  readonly #stream: DeflateRaw | undefined;
  #parts: Uint8Array[] = [];

  constructor(agreed: Deflate) {
    this.#windowBits = Math.max(SMALLEST_ZLIB_WINDOW_BITS, agreed.clientWindowBits);
    if (!agreed.clientTakeover) return;
    this.#stream = createDeflateRaw({ windowBits: this.#windowBits });
    this.#stream.on("data", (part: Uint8Array) => this.#parts.push(part));
  }

  /** One message as it goes on the wire. Messages must be compressed one after the other. */
  async message(payload: Uint8Array): Promise<Uint8Array> {
    const stream = this.#stream;
    if (stream === undefined) {
      const options = { windowBits: this.#windowBits, finishFlush: constants.Z_SYNC_FLUSH };
      return deflateRawSync(payload, options).subarray(0, -FLUSH_TAIL_BYTES);
    }
    this.#parts = [];
    await new Promise<void>((resolve, reject) => {
      stream.once("error", reject);
      stream.write(payload);
      stream.flush(constants.Z_SYNC_FLUSH, () => {
        stream.off("error", reject);
        resolve();
      });
    });
    return Buffer.concat(this.#parts).subarray(0, -FLUSH_TAIL_BYTES);
  }

  /** Frees zlib's memory. */
  close(): void {
    this.#stream?.close();
  }
}
