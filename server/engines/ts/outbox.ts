/**
 * Where frames are put together before they leave: one buffer for all connections. While a connection's read is being
 * handled it owns the buffer, and everything sent to it leaves in one write at the end.
 */
import { Buffer } from "node:buffer";
import {
  binaryFrameBytes,
  BY_REFERENCE_FROM_BYTES,
  maxTextFrameBytes,
  prepareFrame,
} from "../../codec/frame.ts";
import { copyBytes, writeBinaryFrame, writeTextFrame } from "../../codec/frame.ts";
import type { Message } from "../../engine.ts";
import type { Connection } from "./connection.ts";

const OUTBOX_BYTES = 256 * 1024;

type Owner = Connection<unknown>;

export class Outbox {
  private buffer = Buffer.allocUnsafeSlow(OUTBOX_BYTES);
  private length = 0;
  private owner: Owner | undefined = undefined;

  /** Whether a connection is collecting. */
  get isTaken(): boolean {
    return this.owner !== undefined;
  }

  /** `owner` collects from now on. Answers whose turn it was, to be handed to {@link finish}. */
  begin(owner: Owner): Owner | undefined {
    const previous = this.owner;
    if (previous === owner) return previous;
    this.flush();
    this.owner = owner;
    return previous;
  }

  /** What has been collected leaves, and `previous` collects again. */
  finish(previous: Owner | undefined): void {
    if (previous === this.owner) return;
    this.flush();
    this.owner = previous;
  }

  collect(owner: Owner, write: () => void): void {
    const previous = this.begin(owner);
    try {
      write();
    } finally {
      this.finish(previous);
    }
  }

  /** One message as a frame: collected for the owner, written at once for others. */
  message(to: Owner, message: Message): void {
    const room = typeof message === "string"
      ? maxTextFrameBytes(message.length)
      : binaryFrameBytes(message.length);
    if (room > OUTBOX_BYTES - this.length) {
      this.flush();
      if (room > OUTBOX_BYTES) return to.writeDirectly(prepareFrame(message));
    }
    const start = this.length;
    const end = typeof message === "string"
      ? writeTextFrame(this.buffer, start, message)
      : writeBinaryFrame(this.buffer, start, message);
    if (to === this.owner) this.length = end;
    else this.leave(to, start, end);
  }

  /** Collects finished frames if `to` is the owner; answers whether it did. Large ones are not copied. */
  append(to: Owner, frames: Uint8Array): boolean {
    if (to !== this.owner) return false;
    if (frames.length >= BY_REFERENCE_FROM_BYTES) {
      this.flush();
      return false;
    }
    if (frames.length > OUTBOX_BYTES - this.length) this.flush();
    this.length = copyBytes(this.buffer, this.length, frames, 0, frames.length);
    return true;
  }

  /** What has been collected for `connection` leaves now. */
  flushFor(connection: Owner): void {
    if (this.owner === connection) this.flush();
  }

  private flush(): void {
    const { owner, length } = this;
    if (owner === undefined || length === 0) return;
    this.length = 0;
    this.leave(owner, 0, length);
  }

  private leave(to: Owner, start: number, end: number): void {
    if (to.writeCollected(this.buffer, start, end)) return;
    // The bytes are still on their way out; what others have collected before them goes on in a new buffer.
    const buffer = Buffer.allocUnsafeSlow(OUTBOX_BYTES);
    this.buffer.copy(buffer, 0, 0, this.length);
    this.buffer = buffer;
  }
}
