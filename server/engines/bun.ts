/**
 * The engine `bun`: Bun.serve, the uWebSockets inside Bun. It runs on Bun only. Bun answers a send with a positive
 * number for sent, -1 for queued and 0 for dropped, takes 0 as "no limit" for the backlog, and closes gracefully.
 */
import { type Engine, type Message, SendStatus } from "../engine.ts";
import { DeflateMode, type RequestHead } from "../engine.ts";
import type { Generation, NativeServer } from "./native/generation.ts";
import { NativeListener } from "./native/listener.ts";
import { NativeSocket } from "./native/socket.ts";
import { abandon, asksForWebSocket, listenError, payloadTooLarge, plainAddress } from "./request.ts";
import { readTls, type TlsTexts } from "./tls_files.ts";

/** The longest that Bun takes, for WebSockets and for HTTP. */
const MAX_IDLE_TIMEOUT_SECONDS = 960;
const MAX_HTTP_IDLE_SECONDS = 255;

type Native<Data> = Bun.ServerWebSocket<Attachment<Data>>;

/** What Bun carries for us: the data until the socket opens, then the socket itself. */
interface Attachment<Data> {
  readonly data: Data;
  socket: BunSocket<Data> | undefined;
}

class BunSocket<Data> extends NativeSocket<Data> {
  private readonly native: Native<Data>;

  constructor(generation: Generation<Data>, native: Native<Data>) {
    super(generation, native.data.data, plainAddress(native.remoteAddress));
    this.native = native;
  }

  protected nativeSend(message: Message, compress: boolean): SendStatus {
    // Bun types bytes as backed by an ArrayBuffer; it takes any.
    const status = this.native.send(message as string | Uint8Array<ArrayBuffer>, compress);
    return status > 0 ? SendStatus.Sent : status < 0 ? SendStatus.Queued : emptySent(message);
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
    this.native.cork(write);
  }

  protected nativeEnd(code: number, reason: string): void {
    this.native.close(code, reason);
  }

  protected nativeTerminate(): void {
    this.native.terminate();
  }
}

/** Bun counts payload bytes, so that an empty message that was sent looks like a dropped one. */
function emptySent(message: Message): SendStatus {
  return message.length === 0 ? SendStatus.Sent : SendStatus.Dropped;
}

function headOf(request: Request, server: Bun.Server<unknown>): RequestHead {
  const url = request.url;
  const pathStart = url.indexOf("/", url.indexOf("://") + 3);
  const queryStart = url.indexOf("?", pathStart);
  return {
    method: request.method,
    path: pathStart < 0 ? "/" : url.slice(pathStart, queryStart < 0 ? undefined : queryStart),
    query: queryStart < 0 ? "" : url.slice(queryStart + 1),
    headers: new Map(request.headers),
    remoteAddress: plainAddress(server.requestIP(request)?.address ?? ""),
  };
}

function deflateOption(mode: DeflateMode): NonNullable<Bun.WebSocketHandler<unknown>["perMessageDeflate"]> {
  if (mode === DeflateMode.Off) return false;
  const window = mode === DeflateMode.Shared ? "shared" : "32KB";
  return { compress: window, decompress: window };
}

async function handleRequest<Data>(
  request: Request,
  server: Bun.Server<Attachment<Data>>,
  listener: NativeListener<Data>,
): Promise<Response | undefined> {
  const head = headOf(request, server);
  if (asksForWebSocket(head.headers)) {
    const answer = await listener.decideUpgrade(head);
    if (!answer.accept) return toResponse(answer.response);
    if (listener.isClosing) {
      abandon(listener.handlers, answer.data);
      return new Response("The server is shutting down.\n", { status: 503 });
    }
    const upgraded = server.upgrade(request, {
      data: { data: answer.data, socket: undefined },
      ...(answer.protocol === undefined ? {} : { headers: { "sec-websocket-protocol": answer.protocol } }),
    });
    if (upgraded) return undefined;
    abandon(listener.handlers, answer.data);
    return new Response("The connection is gone.\n", { status: 400 });
  }
  let body: Uint8Array;
  try {
    body = new Uint8Array(await request.arrayBuffer());
  } catch {
    // The client went away in the middle of its body: nobody is there to read an answer.
    return new Response(null, { status: 400 });
  }
  if (body.length > listener.options.maxHttpBodyBytes) return toResponse(payloadTooLarge);
  return toResponse(await listener.answerHttp({ ...head, body }));
}

function toResponse(
  answer: { status: number; headers: Readonly<Record<string, string>>; body: string | Uint8Array },
) {
  return new Response(answer.body as string | Uint8Array<ArrayBuffer>, {
    status: answer.status,
    headers: { ...answer.headers },
  });
}

function build<Data>(generation: Generation<Data>): (port: number) => NativeServer {
  const tls = generation.options.tls && readTls(generation.options.tls);
  return (port) => {
    const server = serve(generation, port, tls);
    return {
      port: server.port ?? port,
      publish: (topic, message, compress) => {
        server.publish(topic, message as string | Uint8Array<ArrayBuffer>, compress);
      },
      // This also ends HTTP connections without a request under way; Bun knows no way to close the listening socket alone.
      stopAccepting: () => void server.stop(false),
      dispose: () => void server.stop(true),
    };
  };
}

function serve<Data>(
  generation: Generation<Data>,
  port: number,
  tls: TlsTexts | undefined,
): Bun.Server<Attachment<Data>> {
  const { listener, options, handlers } = generation;
  return Bun.serve<Attachment<Data>>({
    // In production mode Bun shares the port unless told not to: a second server would take half of the clients.
    reusePort: false,
    hostname: options.host,
    port,
    ...(tls === undefined ? {} : { tls }),
    // One byte more than is allowed lets a body that is too large be told from one that fits.
    maxRequestBodySize: options.maxHttpBodyBytes + 1,
    idleTimeout: Math.min(options.handshakeTimeoutSeconds, MAX_HTTP_IDLE_SECONDS),
    development: false,
    fetch: (request, server) => handleRequest(request, server, listener),
    error(error) {
      handlers.failed(error, undefined);
      return new Response("Internal error.\n", { status: 500 });
    },
    websocket: {
      // Bun sends 1009 by itself above this and never hands the message over.
      maxPayloadLength: options.maxPayloadBytes,
      backpressureLimit: 0,
      closeOnBackpressureLimit: false,
      idleTimeout: Math.min(options.idleTimeoutSeconds, MAX_IDLE_TIMEOUT_SECONDS),
      sendPings: false,
      publishToSelf: true,
      perMessageDeflate: deflateOption(options.deflate),
      open(native) {
        native.data.socket = new BunSocket(generation, native);
        native.data.socket.handleOpen();
      },
      message(native, message) {
        native.data.socket?.handleMessage(message, message.length);
      },
      drain(native) {
        native.data.socket?.handleDrain();
      },
      ping(native) {
        native.data.socket?.handlePing();
      },
      pong(native) {
        native.data.socket?.handlePong();
      },
      close(native, code, reason) {
        native.data.socket?.handleClose(code, reason);
      },
    },
  });
}

export const bunEngine: Engine = {
  name: "bun",
  listen(options, handlers) {
    try {
      return Promise.resolve(new NativeListener(options, handlers, build));
    } catch (error) {
      return Promise.reject(listenError(options, error));
    }
  },
};
