/**
 * TCP on Node without the stream on top of it: the handle reads into one buffer for all connections and is written to
 * directly. A net.Socket keeps books that this engine keeps itself: they cost three quarters of an idle connection's memory,
 * and node:net allocates 64 KiB for every read. All of this rests on parts of Node that are not documented, so it is
 * checked member by member, and where one is missing the documented way is taken.
 */
import { Buffer } from "node:buffer";
import type { Server } from "node:net";
import process from "node:process";
import type { TcpHandler, TcpOptions, TcpSocket } from "./tcp.ts";

/** What one read takes at the most. */
const READ_BYTES = 256 * 1024;

/** libuv's code for the peer's FIN. */
const UV_EOF = -4095;

/** The native side of a write or a shutdown; it lives until that is done. */
interface Request {
  owner?: HandleTcp;
  /** Keeps the bytes alive meanwhile. */
  bytes?: Uint8Array;
  oncomplete?: (this: Request, status: number) => void;
}

/** A connection of libuv's, as Node wraps it. */
interface Handle {
  owner?: HandleTcp;
  onread: (this: Handle) => void;
  readonly writeQueueSize: number;
  useUserBuffer(buffer: Uint8Array): void;
  readStart(): number;
  setNoDelay(on: boolean): number;
  writeBuffer(request: Request, bytes: Uint8Array): number;
  shutdown(request: Request): number;
  getpeername(out: { address?: string }): number;
  close(closed: () => void): void;
}

interface StreamBinding {
  readonly WriteWrap: new () => Request;
  readonly ShutdownWrap: new () => Request;
  readonly streamBaseState: ArrayLike<number>;
  readonly kLastWriteWasAsync: number;
  readonly kReadBytesOrError: number;
}

const METHODS = [
  "useUserBuffer",
  "readStart",
  "setNoDelay",
  "writeBuffer",
  "shutdown",
  "getpeername",
  "close",
] as const;

function isHandle(handle: unknown): handle is Handle {
  const candidate = handle as Partial<Handle>;
  return METHODS.every((method) => typeof candidate[method] === "function") &&
    typeof candidate.writeQueueSize === "number";
}

function findBinding(): StreamBinding | undefined {
  if (process.versions["deno"] !== undefined || process.versions["bun"] !== undefined) return undefined;
  try {
    const { binding } = process as unknown as { binding?: (name: string) => Partial<StreamBinding> };
    const found = binding?.("stream_wrap");
    const complete = typeof found?.WriteWrap === "function" && typeof found.ShutdownWrap === "function" &&
      found.streamBaseState?.[found.kLastWriteWasAsync ?? -1] !== undefined &&
      found.streamBaseState[found.kReadBytesOrError ?? -1] !== undefined;
    return complete ? found as StreamBinding : undefined;
  } catch {
    // A Node without this binding, or one that forbids it.
    return undefined;
  }
}

const binding = findBinding();

// Shared by all connections: closures of its own would cost each idle one more than the rest of it.
function onRead(this: Handle): void {
  const length = binding?.streamBaseState[binding.kReadBytesOrError] ?? UV_EOF;
  this.owner?.read(length);
}

function onWritten(this: Request, status: number): void {
  this.owner?.written(status);
}

function onShutdown(this: Request): void {
  this.owner?.wasShutDown();
}

const readBuffer = Buffer.allocUnsafeSlow(READ_BYTES);

class HandleTcp implements TcpSocket {
  handler: TcpHandler;
  private readonly handle: Handle;
  private readonly binding: StreamBinding;
  /** Writes that have not left yet. */
  private writes = 0;
  private isOpen = true;
  private ending = false;
  private weHaveEnded = false;
  private peerHasEnded = false;

  constructor(handle: Handle, binding: StreamBinding, accept: TcpOptions["accept"]) {
    this.handle = handle;
    this.binding = binding;
    this.handler = accept(this);
    handle.owner = this;
    handle.setNoDelay(true);
    handle.onread = onRead;
    handle.useUserBuffer(readBuffer);
    handle.readStart();
  }

  get pendingBytes(): number {
    return this.writes === 0 || !this.isOpen ? 0 : this.handle.writeQueueSize;
  }

  get remoteAddress(): string {
    const out: { address?: string } = {};
    if (this.isOpen) this.handle.getpeername(out);
    return out.address ?? "";
  }

  write(bytes: Uint8Array): void {
    if (!this.isOpen || bytes.length === 0) return;
    const { binding } = this;
    const request = spareRequest ?? new binding.WriteWrap();
    spareRequest = undefined;
    if (this.handle.writeBuffer(request, bytes) !== 0) return this.destroy();
    if (binding.streamBaseState[binding.kLastWriteWasAsync] === 0) {
      spareRequest = request;
      return;
    }
    request.bytes = bytes;
    request.owner = this;
    request.oncomplete = onWritten;
    this.writes++;
  }

  writeLent(bytes: Uint8Array, start: number, end: number): boolean {
    const waiting = this.writes > 0;
    const view = bytes.subarray(start, end);
    this.write(waiting ? Buffer.from(view) : view);
    return waiting || this.writes === 0;
  }

  end(): void {
    if (!this.isOpen || this.ending) return;
    this.ending = true;
    // libuv waits for what is queued by itself.
    const request = new this.binding.ShutdownWrap();
    request.owner = this;
    request.oncomplete = onShutdown;
    if (this.handle.shutdown(request) < 0) this.destroy();
  }

  destroy(): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.handle.close(() => this.handler.closed());
  }

  /** Called by the handle: so many bytes are in the buffer, or what ended the reading. */
  read(length: number): void {
    if (!this.isOpen) return;
    if (length > 0) return this.handler.received(readBuffer, length);
    if (length === 0) return;
    if (length !== UV_EOF) return this.destroy();
    this.peerHasEnded = true;
    this.handler.peerEnded();
    if (this.weHaveEnded) this.destroy();
  }

  written(status: number): void {
    this.writes--;
    if (status < 0) return this.destroy();
    if (this.writes === 0 && this.isOpen) this.handler.drained();
  }

  /** Our FIN is out. Once both sides have sent theirs the connection has no use. */
  wasShutDown(): void {
    this.weHaveEnded = true;
    if (this.peerHasEnded) this.destroy();
  }
}

/** Most writes are done at once, and their request serves the next one. */
let spareRequest: Request | undefined = undefined;

type OnConnection = (this: unknown, error: number | undefined, handle: unknown) => void;

/** Makes `server` hand over its connections as handles. Answers whether this Node allows it. */
export function acceptHandles(server: Server, accept: TcpOptions["accept"]): boolean {
  const listening = (server as unknown as { _handle?: { onconnection?: OnConnection } })._handle;
  const asStream = listening?.onconnection;
  if (binding === undefined || listening === undefined || typeof asStream !== "function") return false;
  listening.onconnection = function (error, handle) {
    if (error || !isHandle(handle)) asStream.call(this, error, handle);
    else new HandleTcp(handle, binding, accept);
  };
  return true;
}
