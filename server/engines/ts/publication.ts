/**
 * A message on its way to many: the frame is made once for all who share the way it is encoded. It must not know who
 * they are.
 */
import { prepareFrame } from "../../codec/frame.ts";
import type { Message } from "../../engine.ts";
import type { Compression } from "./compression.ts";

export class Publication {
  /** Its place among all publications of the listener. */
  readonly sequence: number;
  readonly message: Message;
  private plain: Uint8Array | undefined = undefined;
  private compressed: Map<Compression, Uint8Array> | undefined = undefined;

  constructor(sequence: number, message: Message) {
    this.sequence = sequence;
    this.message = message;
  }

  /** The frame for connections with this compression; shared, so it must not be changed. */
  frame(compression: Compression | undefined): Uint8Array {
    if (compression === undefined || !compression.applies(this.message)) {
      return this.plain ??= prepareFrame(this.message);
    }
    if (!compression.isShared) return compression.frame(this.message);
    let frame = this.compressed?.get(compression);
    if (frame === undefined) {
      frame = compression.frame(this.message);
      (this.compressed ??= new Map()).set(compression, frame);
    }
    return frame;
  }
}
