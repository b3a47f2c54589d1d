/**
 * permessage-deflate on the engine's side: what is offered, and who compresses for whom. Connections that negotiated
 * the same window without context takeover share one compressor, and so share what it has made.
 */
import { DEFAULT_MEMORY_LEVEL, Deflater, Inflater } from "../../codec/deflate.ts";
import { type DeflateParameters, type Extension, negotiateDeflate } from "../../codec/extensions.ts";
import { DeflateMode, type Message } from "../../engine.ts";

const FULL_WINDOW_BITS = 15;

/** A dedicated compressor of 32 KiB, as the native engines are asked for: a window of 4 KiB and 16 KiB of hashes. */
const DEDICATED_WINDOW_BITS = 12;
const DEDICATED_MEMORY_LEVEL = 5;

/** How messages to a connection are compressed. */
export class Compression {
  /** Whether what it makes serves every connection that has it. */
  readonly isShared: boolean;
  private readonly thresholdBytes: number;
  private readonly deflater: Deflater;

  constructor(isShared: boolean, windowBits: number, thresholdBytes: number) {
    this.isShared = isShared;
    this.thresholdBytes = thresholdBytes;
    this.deflater = new Deflater({
      contextTakeover: !isShared,
      windowBits,
      memoryLevel: isShared ? DEFAULT_MEMORY_LEVEL : DEDICATED_MEMORY_LEVEL,
    });
  }

  applies(message: Message): boolean {
    return message.length >= this.thresholdBytes;
  }

  /** One whole frame; its own bytes. */
  frame(message: Message): Uint8Array {
    return this.deflater.prepareFrame(message);
  }

  release(): void {
    if (!this.isShared) this.deflater.release();
  }
}

/** What was agreed with one client. */
export interface Agreement {
  readonly parameters: DeflateParameters;
  readonly compression: Compression;
  readonly inflater: Inflater;
}

/** The compressors of one listener. */
export class CompressionPool {
  private readonly mode: DeflateMode;
  private readonly thresholdBytes: number;
  private readonly compressions = new Map<number, Compression>();
  private readonly inflaters = new Map<number, Inflater>();

  constructor(mode: DeflateMode, thresholdBytes: number) {
    this.mode = mode;
    this.thresholdBytes = thresholdBytes;
  }

  /** Answers a client's offers (RFC 7692 section 7); undefined when nothing is to be compressed. */
  agree(offers: readonly Extension[]): Agreement | undefined {
    if (this.mode === DeflateMode.Off) return undefined;
    const shared = this.mode === DeflateMode.Shared;
    const parameters = negotiateDeflate(offers, {
      serverNoContextTakeover: shared,
      clientNoContextTakeover: shared,
      serverMaxWindowBits: shared ? FULL_WINDOW_BITS : DEDICATED_WINDOW_BITS,
      clientMaxWindowBits: FULL_WINDOW_BITS,
    });
    if (parameters === null) return undefined;
    return {
      parameters,
      compression: this.compression(parameters),
      inflater: this.inflater(parameters),
    };
  }

  private compression(
    { serverNoContextTakeover, serverMaxWindowBits: bits }: DeflateParameters,
  ): Compression {
    if (!serverNoContextTakeover) return new Compression(false, bits, this.thresholdBytes);
    return cached(this.compressions, bits, () => new Compression(true, bits, this.thresholdBytes));
  }

  private inflater({ clientNoContextTakeover, clientMaxWindowBits: bits }: DeflateParameters): Inflater {
    if (!clientNoContextTakeover) return new Inflater(true, bits);
    return cached(this.inflaters, bits, () => new Inflater(false, bits));
  }
}

function cached<T>(cache: Map<number, T>, key: number, make: () => T): T {
  let value = cache.get(key);
  if (value === undefined) {
    value = make();
    cache.set(key, value);
  }
  return value;
}
