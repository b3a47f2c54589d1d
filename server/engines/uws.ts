/**
 * The engine `uws`: uWebSockets.js, native code bound to Node's V8; it runs on Node only. It answers a send with 1 for
 * sent, 0 for queued and 2 for dropped, takes 0 as "no limit" for the backlog, lends its requests and messages for the
 * synchronous part of a handler only, and just drops the connection of a peer that breaks the protocol.
 */
import { Buffer } from "node:buffer";
import { STATUS_CODES } from "node:http";
import type {
  HttpRequest as NativeRequest,
  HttpResponse as NativeResponse,
  TemplatedApp,
  us_listen_socket,
  us_socket_context_t,
  WebSocket as NativeWebSocket,
} from "uWebSockets.js";
import { DeflateMode, type Engine, type HttpResponse, type ListenOptions } from "../engine.ts";
import { type Message, type RequestHead, SendStatus } from "../engine.ts";
import type { Generation, NativeServer } from "./native/generation.ts";
import { NativeListener } from "./native/listener.ts";
import { NativeSocket } from "./native/socket.ts";
import { abandon, asksForWebSocket, listenError, payloadTooLarge, plainAddress } from "./request.ts";
import { readTls } from "./tls_files.ts";

type Uws = typeof import("uWebSockets.js");
type Native<Data> = NativeWebSocket<Attachment<Data>>;

interface Attachment<Data> {
  readonly data: Data;
  socket: UwsSocket<Data> | undefined;
}

/** LIBUS_LISTEN_EXCLUSIVE_PORT: without it a second server on the same port is accepted and takes half of the clients. */
const EXCLUSIVE_PORT = 1;

/**
 * The engine drops the connection of a peer whose message is above its own limit; between our limit and twice that
 * the message reaches us and its sender is told 1009.
 */
const NATIVE_PAYLOAD_FACTOR = 2;

/** What the engine takes as an idle timeout besides 0, in seconds. */
const IDLE_TIMEOUT_RANGE = { min: 8, max: 960 } as const;

class UwsSocket<Data> extends NativeSocket<Data> {
  private readonly native: Native<Data>;
  private corked = false;
  private endWhenUncorked: (() => void) | undefined = undefined;

  constructor(generation: Generation<Data>, native: Native<Data>) {
    super(generation, native.getUserData().data, addressOf(native));
    this.native = native;
  }

  protected nativeSend(message: Message, compress: boolean): SendStatus {
    const status = this.native.send(message, typeof message !== "string", compress);
    return status === 1 ? SendStatus.Sent : status === 0 ? SendStatus.Queued : SendStatus.Dropped;
  }

  protected nativePing(): void {
    this.native.ping();
  }

  protected nativeBuffered(): number {
    return this.native.getBufferedAmount();
  }

  protected nativeSubscribe(topic: string): void {
    this.native.subscribe(topic);
  }

  protected nativeUnsubscribe(topic: string): void {
    this.native.unsubscribe(topic);
  }

  protected nativeCork(write: () => void): void {
    this.corked = true;
    try {
      this.native.cork(write);
    } finally {
      this.corked = false;
      this.endWhenUncorked?.();
    }
  }

  protected nativeEnd(code: number, reason: string): void {
    // Ended inside cork, the engine sends the close frame and then forgets to end the TCP connection.
    if (this.corked) this.endWhenUncorked = () => this.native.end(code, reason);
    else this.native.end(code, reason);
  }

  protected nativeTerminate(): void {
    this.native.close();
  }
}

function addressOf(peer: { getRemoteAddressAsText(): ArrayBuffer }): string {
  return plainAddress(Buffer.from(peer.getRemoteAddressAsText()).toString("latin1"));
}

function headOf(request: NativeRequest, response: NativeResponse): RequestHead {
  const headers = new Map<string, string>();
  request.forEach((name, value) => {
    const earlier = headers.get(name);
    headers.set(name, earlier === undefined ? value : `${earlier}, ${value}`);
  });
  return {
    method: request.getCaseSensitiveMethod().toUpperCase(),
    path: request.getUrl(),
    query: request.getQuery(),
    headers,
    remoteAddress: addressOf(response),
  };
}

function respond(native: NativeResponse, answer: HttpResponse, headOnly = false): void {
  native.cork(() => {
    native.writeStatus(`${answer.status} ${STATUS_CODES[answer.status] ?? ""}`);
    for (const [name, value] of Object.entries(answer.headers)) native.writeHeader(name, value);
    if (!headOnly) return void native.end(answer.body);
    // The engine would send the body of an answer to HEAD too, and given the length it drops the next request.
    native.writeHeader("content-length", String(Buffer.byteLength(answer.body)));
    native.endWithoutBody();
  });
}

/** Follows whether the client is still there: touching the response of one that has gone would end the process. */
function watch(native: NativeResponse): { gone: boolean } {
  const client = { gone: false };
  native.onAborted(() => {
    client.gone = true;
  });
  return client;
}

async function handleUpgrade<Data>(
  native: NativeResponse,
  request: NativeRequest,
  context: us_socket_context_t,
  listener: NativeListener<Data>,
): Promise<void> {
  const head = headOf(request, native);
  const client = watch(native);
  if (!asksForWebSocket(head.headers)) {
    // The engine goes by the key header alone.
    const answer = await listener.answerHttp({ ...head, body: new Uint8Array(0) });
    if (!client.gone) respond(native, answer);
    return;
  }
  const decision = listener.decideUpgrade(head);
  const answer = decision instanceof Promise ? await decision : decision;
  if (!answer.accept) {
    if (!client.gone) respond(native, answer.response);
    return;
  }
  if (client.gone) return abandon(listener.handlers, answer.data);
  if (listener.isClosing) {
    abandon(listener.handlers, answer.data);
    return respond(native, { status: 503, headers: {}, body: "The server is shutting down.\n" });
  }
  const attachment: Attachment<Data> = { data: answer.data, socket: undefined };
  native.cork(() => {
    native.upgrade(
      attachment,
      head.headers.get("sec-websocket-key") ?? "",
      answer.protocol ?? "",
      head.headers.get("sec-websocket-extensions") ?? "",
      context,
    );
  });
}

function handleHttp<Data>(
  native: NativeResponse,
  request: NativeRequest,
  listener: NativeListener<Data>,
): void {
  const head = headOf(request, native);
  const client = watch(native);
  const chunks: Uint8Array[] = [];
  let length = 0;
  native.onData((chunk, isLast) => {
    if (client.gone) return;
    length += chunk.byteLength;
    if (length > listener.options.maxHttpBodyBytes) {
      client.gone = true;
      respond(native, { ...payloadTooLarge, headers: { ...payloadTooLarge.headers, connection: "close" } });
      return;
    }
    chunks.push(new Uint8Array(chunk.slice(0)));
    if (!isLast) return;
    const body = chunks.length === 1 && chunks[0] !== undefined
      ? chunks[0]
      : new Uint8Array(Buffer.concat(chunks));
    void listener.answerHttp({ ...head, body }).then((answer) => {
      if (!client.gone) respond(native, answer, head.method === "HEAD");
    });
  });
}

function nativeIdleTimeout(seconds: number): number {
  if (seconds === 0) return 0;
  return Math.min(Math.max(seconds, IDLE_TIMEOUT_RANGE.min), IDLE_TIMEOUT_RANGE.max);
}

function compressionOf(uws: Uws, mode: DeflateMode): number {
  if (mode === DeflateMode.Off) return uws.DISABLED;
  return mode === DeflateMode.Shared
    ? uws.SHARED_COMPRESSOR | uws.SHARED_DECOMPRESSOR
    : uws.DEDICATED_COMPRESSOR_32KB | uws.DEDICATED_DECOMPRESSOR_32KB;
}

function createApp(uws: Uws, { tls }: ListenOptions): TemplatedApp {
  if (tls === undefined) return uws.App();
  // The engine reads the files itself and says nothing of what is wrong with them.
  readTls(tls);
  return uws.SSLApp({ cert_file_name: tls.certFile, key_file_name: tls.keyFile });
}

function build<Data>(uws: Uws, generation: Generation<Data>): (port: number) => NativeServer {
  const { listener, options } = generation;
  const app = createApp(uws, options);
  app.ws<Attachment<Data>>("/*", {
    maxPayloadLength: options.maxPayloadBytes * NATIVE_PAYLOAD_FACTOR,
    maxBackpressure: 0,
    idleTimeout: nativeIdleTimeout(options.idleTimeoutSeconds),
    maxLifetime: 0,
    sendPingsAutomatically: false,
    compression: compressionOf(uws, options.deflate),
    upgrade: (response, request, context) => handleUpgrade(response, request, context, listener),
    open(native) {
      const socket = new UwsSocket(generation, native);
      native.getUserData().socket = socket;
      socket.handleOpen();
    },
    message(native, bytes, isBinary) {
      const message = isBinary ? new Uint8Array(bytes) : Buffer.from(bytes).toString();
      native.getUserData().socket?.handleMessage(message, bytes.byteLength);
    },
    drain(native) {
      native.getUserData().socket?.handleDrain();
    },
    ping(native) {
      native.getUserData().socket?.handlePing();
    },
    pong(native) {
      native.getUserData().socket?.handlePong();
    },
    close(native, code, reason) {
      native.getUserData().socket?.handleClose(code, Buffer.from(reason).toString());
    },
  });
  app.any("/*", (response, request) => handleHttp(response, request, listener));
  return (port) => {
    const token = listen(uws, app, options, port);
    return {
      port: uws.us_socket_local_port(token),
      publish: (topic, message, compress) => {
        app.publish(topic, message, typeof message !== "string", compress);
      },
      stopAccepting: () => uws.us_listen_socket_close(token),
      dispose: () => void app.close(),
    };
  };
}

function listen(uws: Uws, app: TemplatedApp, options: ListenOptions, port: number): us_listen_socket {
  const token = tryListen(app, options.host, port);
  if (token === false) throw new Error("the address is in use or not ours to take");
  if (port !== 0 || options.tls === undefined) return token;
  // The engine lets only those ports be taken again while connections are open that it was told by number.
  const taken = uws.us_socket_local_port(token);
  uws.us_listen_socket_close(token);
  return listen(uws, app, options, taken);
}

/** Answers before it returns, in spite of its form. */
function tryListen(app: TemplatedApp, host: string, port: number): us_listen_socket | false {
  // The declarations leave out this overload, which the engine has had since its version 18.
  const withOptions = app as unknown as {
    listen(
      host: string,
      port: number,
      options: number,
      taken: (token: us_listen_socket | false) => void,
    ): void;
  };
  let result: us_listen_socket | false = false;
  withOptions.listen(host, port, EXCLUSIVE_PORT, (token) => result = token);
  return result;
}

/** @param uws the loaded native module */
export function uwsEngine(uws: Uws): Engine {
  return {
    name: "uws",
    listen(options, handlers) {
      try {
        return Promise.resolve(
          new NativeListener(options, handlers, (generation) => build(uws, generation)),
        );
      } catch (error) {
        return Promise.reject(listenError(options, error));
      }
    },
  };
}
