/**
 * The contract between the server and whatever moves WebSocket messages for it. Everything above this file speaks
 * these types only; every engine keeps the same promises, and `test/contract/` holds each engine to them by name.
 * Nothing here may know a topic's meaning, a wire format or the name of an engine.
 */
import type { Clock } from "./clock.ts";

/** A WebSocket message: a string travels as a text frame, bytes as a binary frame (RFC 6455 section 5.6). */
export type Message = string | Uint8Array;

/** What became of a message given to {@link Socket.send}. */
export const SendStatus = {
  /** The bytes are with the operating system. */
  Sent: "sent",
  /** The bytes wait in the engine; {@link Handlers.drain} follows once some of them have left. */
  Queued: "queued",
  /** The message is not sent: the socket is over its backpressure limit, or closing. */
  Dropped: "dropped",
} as const;
export type SendStatus = typeof SendStatus[keyof typeof SendStatus];

/** What happens to a socket whose backlog passes {@link ListenOptions.maxBackpressureBytes}. */
export const SlowPolicy = {
  /** It is closed with 4008 once its backlog has left, or terminated at the close deadline. */
  Close: "close",
  /** Messages for it are left out, each one reported by {@link Handlers.dropped}, until it has drained to half of the limit. */
  Skip: "skip",
} as const;
export type SlowPolicy = typeof SlowPolicy[keyof typeof SlowPolicy];

/** permessage-deflate (RFC 7692) as the engine offers it. */
export const DeflateMode = {
  /** The extension is not negotiated. */
  Off: "off",
  /** One compressor for all connections, no context takeover: no memory per idle connection. */
  Shared: "shared",
  /** A sliding window per connection: smaller messages, tens of kilobytes per connection. */
  Dedicated: "dedicated",
} as const;
export type DeflateMode = typeof DeflateMode[keyof typeof DeflateMode];

/** The request line and headers of an HTTP request, copied: it stays valid after the handler has returned. */
export interface RequestHead {
  readonly method: string;
  /** The path without the query, as sent: still percent-encoded. */
  readonly path: string;
  /** What follows the `?`, without it; empty when there is none. */
  readonly query: string;
  /** Header values by lower-case name; repeated headers are joined with `, ` (RFC 9110 section 5.3). */
  readonly headers: ReadonlyMap<string, string>;
  /** The peer's address as text, IPv4-mapped addresses in their IPv4 form. */
  readonly remoteAddress: string;
}

/** A WebSocket handshake that RFC 6455 section 4.2.1 finds valid; the engine has refused the others itself. */
export type UpgradeRequest = RequestHead;

/** An HTTP request that is no WebSocket handshake, with its whole body. */
export interface HttpRequest extends RequestHead {
  readonly body: Uint8Array;
}

/** An HTTP answer; the engine adds the length and closes or keeps the connection as HTTP/1.1 asks. */
export interface HttpResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | Uint8Array;
}

/** What {@link Handlers.upgrade} decides about a handshake. */
export type UpgradeAnswer<Data> =
  | { readonly accept: true; readonly data: Data; readonly protocol?: string | undefined }
  | { readonly accept: false; readonly response: HttpResponse };

/** One open WebSocket connection. After it has closed every method is a harmless no-op. */
export interface Socket<Data> {
  /** What {@link Handlers.upgrade} attached. */
  readonly data: Data;
  /** The peer's address as text. */
  readonly remoteAddress: string;
  /** Bytes that wait in this process because the peer does not read fast enough. */
  readonly bufferedAmount: number;
  send(message: Message): SendStatus;
  /** Makes the socket a receiver of {@link Listener.publish} for `topic`. Subscribing twice is subscribing once. */
  subscribe(topic: string): void;
  unsubscribe(topic: string): void;
  /** Runs `write` at once; what it sends to this socket leaves in as few packets as the engine can manage. */
  cork(write: () => void): void;
  /** Sends a ping frame without payload; {@link Handlers.pong} reports the answer. */
  ping(): void;
  /**
   * Starts the close handshake: what was accepted before leaves first, then a close frame, then the connection ends.
   * Nothing is received or sent in between. {@link ListenOptions.closeTimeoutSeconds} bounds it.
   * @param code a code that may be sent: 1000 to 1003, 1007 to 1014 or 3000 to 4999 (RFC 6455 section 7.4)
   * @param reason at most 123 bytes of UTF-8
   */
  close(code: number, reason: string): void;
  /** Drops the connection now, without a close frame; {@link Handlers.close} sees 1006. */
  terminate(): void;
}

/**
 * What the server does with an engine's events. A handler that throws costs its connection a 1011 (or its request a
 * 500) and is reported to `failed`; nobody else notices.
 */
export interface Handlers<Data> {
  /** May answer later; a client that has gone meanwhile is not opened. */
  upgrade(request: UpgradeRequest): UpgradeAnswer<Data> | Promise<UpgradeAnswer<Data>>;
  http(request: HttpRequest): HttpResponse | Promise<HttpResponse>;
  open(socket: Socket<Data>): void;
  /** An accepted handshake comes to nothing, because its client or its listener has gone: `data` is never opened. */
  abandoned(data: Data): void;
  /** `message` is lent: bytes are valid until the handler returns. */
  message(socket: Socket<Data>, message: Message): void;
  /** Bytes have left after a send that was Queued, or a skipped socket receives again. */
  drain(socket: Socket<Data>): void;
  /** A message was left out for this socket: one that was published to `topic`, or one that was sent to it. */
  dropped(socket: Socket<Data>, topic: string | undefined): void;
  /**
   * The socket is about to be terminated because {@link ListenOptions.maxQueuedBytes} is spent and its backlog, which
   * its `bufferedAmount` still tells, is among the largest. `close` follows with 1006.
   */
  evicted(socket: Socket<Data>): void;
  pong(socket: Socket<Data>): void;
  /** Exactly once per opened socket, possibly during a call of one of its methods. 1006 stands for a connection that just ended. */
  close(socket: Socket<Data>, code: number, reason: string): void;
  failed(error: unknown, socket: Socket<Data> | undefined): void;
}

/** Where the certificate chain and its key are: PEM files. */
export interface TlsFiles {
  readonly certFile: string;
  readonly keyFile: string;
}

/** Everything an engine must be told; none of its own defaults apply. */
export interface ListenOptions {
  readonly host: string;
  /** 0 takes a free port. */
  readonly port: number;
  /** Undefined for plain TCP. */
  readonly tls: TlsFiles | undefined;
  /** A message above this many bytes, after inflating, ends the connection. */
  readonly maxPayloadBytes: number;
  /** The backlog of one socket above which messages for it are dropped. One message more than this may wait. */
  readonly maxBackpressureBytes: number;
  readonly slowPolicy: SlowPolicy;
  /**
   * What may wait in this process over all sockets, whatever each of them may on its own. Past it the sockets with the
   * largest backlogs are terminated, one after the other, until seven eighths of it are left: a polite close would wait
   * behind the backlog. It is passed by an eighth and by what two turns of the event loop send and publish at the most.
   * Where one publication is large for its audience, its size times their number may wait at once even if all of them
   * read: the budget must be well above that. Infinity for none.
   */
  readonly maxQueuedBytes: number;
  readonly deflate: DeflateMode;
  /** Messages below this many bytes (UTF-16 units for text) are sent uncompressed. */
  readonly deflateThresholdBytes: number;
  /** An HTTP request body above this is refused with 413. */
  readonly maxHttpBodyBytes: number;
  /** A request head, with its body, that is not complete after this ends the connection. */
  readonly handshakeTimeoutSeconds: number;
  /** A closing socket whose backlog has not left after this is terminated. */
  readonly closeTimeoutSeconds: number;
  /**
   * A connection from which nothing has come for this long may be dropped; 0 for never. It is what frees a connection
   * that was closed towards a peer that has vanished: the engine waits for that peer's end of it.
   */
  readonly idleTimeoutSeconds: number;
  readonly clock: Clock;
}

/** An engine that listens. */
export interface Listener {
  /** `ws://host:port`, or `wss:` with TLS, with the port that was really taken. */
  readonly url: string;
  /** Delivers one message to every subscriber of `topic`, in the order of the calls. */
  publish(topic: string, message: Message): void;
  subscriberCount(topic: string): number;
  /**
   * Bytes that wait in this process over all sockets, closing ones too, as of now. Reading it asks every socket that may
   * have a backlog, which can mean every one, for some 20 ns each: for metrics, not for every message.
   */
  readonly queuedBytes: number;
  /**
   * Reads the TLS files again: handshakes from now on get the new certificate, open connections stay as they are, the
   * URL too. Does nothing without TLS, or on a listener that is closing. An engine may have to listen anew on the same
   * port for it, within the call: a client that has sent no request yet may be cut off then, and has to try again.
   * @throws {ListenError} when the files cannot be used; the old certificate stays in use then. Also when the port
   * could not be taken again: its message says so, nobody is accepted, and the call may be repeated.
   */
  reloadTls(): void;
  /** Stops accepting at once; resolves when the last socket is gone and what was sent to it has left. Closes no socket itself. */
  close(): Promise<void>;
}

/** A way to serve WebSockets. */
export interface Engine {
  readonly name: string;
  /** @throws {ListenError} when the address cannot be taken or the TLS files cannot be used */
  listen<Data>(options: ListenOptions, handlers: Handlers<Data>): Promise<Listener>;
}

/** An engine cannot listen, or not with these files; `message` says where and why in one line. */
export class ListenError extends Error {
  override readonly name = "ListenError";
}
