/**
 * Writing to a TCP handle of Node without the stream on top of it. A stream keeps books for every write that this
 * engine keeps itself; on small frames that costs a tenth of the time. It rests on parts of Node that are not
 * documented, so it is checked member by member, and `directWriter` is undefined wherever one is missing.
 */
import process from "node:process";
import type { Socket } from "node:net";

/** The native side of one write; it lives until the bytes have left. */
interface WriteRequest {
  /** Keeps the bytes alive meanwhile. */
  bytes?: Uint8Array;
  owner?: WriteOwner;
  oncomplete?: (this: WriteRequest, status: number) => void;
}

interface Handle {
  readonly writeQueueSize: number;
  writeBuffer(request: WriteRequest, bytes: Uint8Array): number;
}

interface StreamBinding {
  readonly WriteWrap: new () => WriteRequest;
  readonly streamBaseState: ArrayLike<number>;
  readonly kLastWriteWasAsync: number;
}

/** Who is told when bytes that had to wait have left. */
export interface WriteOwner {
  written(status: number): void;
}

export interface DirectWriter {
  /** Whether the socket can be written to this way. */
  serves(socket: Socket): boolean;
  /** Bytes the kernel has not taken yet. */
  waitingBytes(socket: Socket): number;
  /**
   * Writes all of `bytes`. Answers 0 when they have left, 1 when some wait and `owner` will be told, or the negative
   * error of a connection that is gone.
   */
  write(socket: Socket, bytes: Uint8Array, owner: WriteOwner): number;
}

function handleOf(socket: Socket): Handle | undefined {
  return (socket as unknown as { _handle?: Handle })._handle ?? undefined;
}

function onComplete(this: WriteRequest, status: number): void {
  this.owner?.written(status);
}

function streamBinding(): StreamBinding | undefined {
  if (process.versions["deno"] !== undefined || process.versions["bun"] !== undefined) return undefined;
  try {
    const { binding } = process as unknown as { binding?: (name: string) => Partial<StreamBinding> };
    const found = binding?.("stream_wrap");
    const complete = typeof found?.WriteWrap === "function" && typeof found.kLastWriteWasAsync === "number" &&
      found.streamBaseState?.[found.kLastWriteWasAsync] !== undefined;
    return complete ? found as StreamBinding : undefined;
  } catch {
    // A Node without this binding, or one that forbids it: the stream does the work.
    return undefined;
  }
}

function createWriter({ WriteWrap, streamBaseState, kLastWriteWasAsync }: StreamBinding): DirectWriter {
  let spare = new WriteWrap();
  return {
    serves(socket) {
      const handle = handleOf(socket);
      return typeof handle?.writeBuffer === "function" && typeof handle.writeQueueSize === "number";
    },
    waitingBytes: (socket) => handleOf(socket)?.writeQueueSize ?? 0,
    write(socket, bytes, owner) {
      const handle = handleOf(socket);
      if (handle === undefined) return -1;
      const request = spare;
      const error = handle.writeBuffer(request, bytes);
      if (error !== 0) return -1;
      if (streamBaseState[kLastWriteWasAsync] === 0) return 0;
      request.bytes = bytes;
      request.owner = owner;
      request.oncomplete = onComplete;
      spare = new WriteWrap();
      return 1;
    },
  };
}

const binding = streamBinding();

export const directWriter: DirectWriter | undefined = binding === undefined
  ? undefined
  : createWriter(binding);
