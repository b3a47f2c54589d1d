/**
 * A connection while it still speaks HTTP/1.1: requests are read within limits and a deadline, answered by the
 * handlers, and a handshake that is accepted turns the connection into a WebSocket one. It knows nothing of frames.
 */
import { Buffer } from "node:buffer";
import { STATUS_CODES } from "node:http";
import { acceptResponse, asksForUpgrade, readUpgrade, refusalResponse } from "../../codec/handshake.ts";
import { HeadReader, NEED_MORE, parseRequest, type Refusal, refusal, REFUSED } from "../../codec/head.ts";
import type { RequestHead as ParsedHead } from "../../codec/head.ts";
import type { UpgradeOffer } from "../../codec/handshake.ts";
import type { HttpResponse, RequestHead, UpgradeAnswer } from "../../engine.ts";
import { abandon, askHttp, askUpgrade, plainAddress, textAnswer } from "../request.ts";
import type { TsListener } from "./listener.ts";
import type { TcpHandler, TcpSocket } from "./tcp.ts";

/** What a client may send before it has its answer. */
const MAX_EARLY_BYTES = 64 * 1024;

const NOTHING = new Uint8Array(0);

export class Exchange<Data> implements TcpHandler {
  private readonly listener: TsListener<Data>;
  private readonly tcp: TcpSocket;
  private head: HeadReader;
  /** The request whose body is being read or whose answer is awaited. */
  private request: ParsedHead | undefined = undefined;
  /** `held[0, heldBytes)` came behind the head and is not used yet. */
  private held: Uint8Array = NOTHING;
  private heldBytes = 0;
  private answering = false;
  /** Whether the client sends no more; it may still read. */
  private halfClosed = false;
  private finished = false;

  constructor(listener: TsListener<Data>, tcp: TcpSocket) {
    this.listener = listener;
    this.tcp = tcp;
    this.head = new HeadReader();
    this.startDeadline();
  }

  received(bytes: Uint8Array, length: number): void {
    if (this.finished) return;
    const chunk = bytes.subarray(0, length);
    if (this.request !== undefined) return this.hold(chunk);
    const used = this.head.push(chunk);
    if (used === NEED_MORE) return;
    if (used === REFUSED) return this.refuse(this.head.refusal ?? refusal(400, "not a request"));
    const request = parseRequest(this.head.text);
    if (request.refused) return this.refuse(request);
    this.request = request;
    if (used < chunk.length) this.keep(chunk.subarray(used));
    this.continue(request);
  }

  drained(): void {}

  peerEnded(): void {
    // A client that half-closes behind its request still reads the answer; without a request it is gone.
    this.halfClosed = true;
    if (this.request === undefined || asksForUpgrade(this.request)) this.drop();
  }

  closed(): void {
    this.finished = true;
    this.listener.deadlines.clear(this);
    this.listener.exchanged(this);
    this.listener.gone();
  }

  /** The server has shut down but for this: a kept-alive connection between two requests has nothing to wait for. */
  dropIfIdle(): void {
    if (this.request === undefined) this.drop();
  }

  /** The request has taken too long. */
  expire(): void {
    if (this.finished) this.tcp.destroy();
    else this.refuse(refusal(408, "the request took too long"));
  }

  private startDeadline(): void {
    this.listener.deadlines.set(this, this.listener.options.handshakeTimeoutSeconds);
  }

  private hold(chunk: Uint8Array): void {
    const { request } = this;
    const most = MAX_EARLY_BYTES + this.listener.options.maxHttpBodyBytes;
    if (this.heldBytes + chunk.length > most) return this.drop();
    this.keep(chunk);
    if (request !== undefined && !this.answering) this.continue(request);
  }

  /** Room doubles, so that a body that comes byte by byte costs linear time. */
  private keep(chunk: Uint8Array): void {
    const needed = this.heldBytes + chunk.length;
    if (needed > this.held.length) {
      const grown = Buffer.allocUnsafe(Math.max(needed, 2 * this.held.length));
      grown.set(this.held.subarray(0, this.heldBytes));
      this.held = grown;
    }
    this.held.set(chunk, this.heldBytes);
    this.heldBytes = needed;
  }

  /** What is held and has not been used, which is not held any more. */
  private takeHeld(): Uint8Array {
    const taken = this.held.subarray(0, this.heldBytes);
    this.held = NOTHING;
    this.heldBytes = 0;
    return taken;
  }

  /** A request is there, as far as its head goes. */
  private continue(request: ParsedHead): void {
    if (asksForUpgrade(request)) return this.upgrade(request);
    if (request.chunked) {
      return this.refuse(refusal(411, "this server takes bodies with a Content-Length only"));
    }
    if (request.bodyBytes > this.listener.options.maxHttpBodyBytes) {
      return this.refuse(refusal(413, "the request body is too large"));
    }
    if (this.heldBytes < request.bodyBytes) return;
    const held = this.takeHeld();
    const body = held.subarray(0, request.bodyBytes);
    if (held.length > body.length) this.keep(held.subarray(body.length));
    this.awaitAnswer();
    void askHttp(this.listener.handlers, { ...this.headOf(request), body })
      .then((answer) => this.answer(request, answer));
  }

  /** The client has done its part: the deadline was for it, not for the handler. */
  private awaitAnswer(): void {
    this.answering = true;
    this.listener.deadlines.clear(this);
  }

  private answer(request: ParsedHead, answer: HttpResponse): void {
    if (this.finished) return;
    const keepAlive = request.minorVersion === 1 &&
      !/\bclose\b/i.test(request.headers.get("connection") ?? "") && !this.listener.isLastHttp;
    this.tcp.write(encodeResponse(answer, request.method === "HEAD", keepAlive));
    if (!keepAlive) return this.finish();
    this.request = undefined;
    this.answering = false;
    this.head = new HeadReader();
    this.startDeadline();
    const next = this.takeHeld();
    if (next.length > 0) this.received(next, next.length);
    if (this.halfClosed && this.request === undefined && !this.finished) this.finish();
    this.listener.settle();
  }

  private upgrade(request: ParsedHead): void {
    const offer = readUpgrade(request);
    if (offer.refused) return this.refuse(offer);
    this.awaitAnswer();
    const decision = askUpgrade(this.listener.handlers, this.headOf(request));
    if (decision instanceof Promise) void decision.then((answer) => this.decided(offer, answer));
    else this.decided(offer, decision);
  }

  private decided(offer: UpgradeOffer, answer: UpgradeAnswer<Data>): void {
    const { handlers } = this.listener;
    if (answer.accept && (this.finished || this.listener.isClosing)) abandon(handlers, answer.data);
    if (this.finished) return;
    if (!answer.accept || this.listener.isClosing) {
      const response = answer.accept ? textAnswer(503, "The server is shutting down.") : answer.response;
      this.tcp.write(encodeResponse(response, false, false));
      return this.finish();
    }
    const agreement = this.listener.compressions.agree(offer.extensions);
    let response: Uint8Array;
    try {
      response = acceptResponse(offer, {
        subprotocol: answer.protocol ?? null,
        deflate: agreement?.parameters ?? null,
      });
    } catch (error) {
      // The handler has chosen a subprotocol that was not offered.
      handlers.failed(error, undefined);
      abandon(handlers, answer.data);
      return this.refuse(refusal(500, "internal error"));
    }
    this.finished = true;
    this.listener.deadlines.clear(this);
    this.listener.exchanged(this);
    this.listener.opened(this.tcp, answer.data, agreement, response, this.takeHeld());
  }

  private headOf({ method, path, query, headers }: ParsedHead): RequestHead {
    return { method, path, query, headers, remoteAddress: plainAddress(this.tcp.remoteAddress) };
  }

  private refuse(why: Refusal): void {
    this.tcp.write(refusalResponse(why));
    this.finish();
  }

  /** Everything has been said: the answer leaves, and what the client still sends is not looked at. */
  private finish(): void {
    this.finished = true;
    this.tcp.end();
    this.startDeadline();
  }

  private drop(): void {
    this.finished = true;
    this.tcp.destroy();
  }
}

function encodeResponse(answer: HttpResponse, headOnly: boolean, keepAlive: boolean): Uint8Array {
  const body = typeof answer.body === "string" ? Buffer.from(answer.body) : answer.body;
  let head = `HTTP/1.1 ${answer.status} ${STATUS_CODES[answer.status] ?? ""}\r\n`;
  for (const [name, value] of Object.entries(answer.headers)) {
    if (!/^connection$/i.test(name)) head += `${name}: ${value}\r\n`;
  }
  const options = [keepAlive ? "keep-alive" : "close"];
  if ("upgrade" in answer.headers) options.push("Upgrade");
  head += `content-length: ${body.length}\r\nconnection: ${options.join(", ")}\r\n\r\n`;
  return headOnly ? Buffer.from(head, "latin1") : Buffer.concat([Buffer.from(head, "latin1"), body]);
}
