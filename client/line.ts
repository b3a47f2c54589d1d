/**
 * One WebSocket, from the attempt to its end: bytes become events, and the end is told exactly once, however it comes.
 * Whether to try again, and what events mean, is not known here.
 */
import type { Clock } from "./clock.ts";
import type { Format } from "./format.ts";
import type { WebSocketConstructor, WebSocketLike } from "./options.ts";
import type { ServerEvent } from "./wire.ts";

/** What a connection that just ended has for a close code. */
export const ABNORMAL = 1006;
const NORMAL = 1000;
const OPEN = 1;
/** How long the other side may take to answer our close. */
const CLOSE_TIMEOUT_MS = 2_000;

export interface LineOptions {
  readonly url: string;
  readonly WebSocket: WebSocketConstructor;
  readonly format: Format;
  readonly clock: Clock;
  readonly received: (event: ServerEvent) => void;
  /** A frame that could not be read or made no sense. */
  readonly bad: (error: unknown) => void;
  readonly ended: (code: number, reason: string) => void;
}

export class Line {
  private readonly options: LineOptions;
  private readonly socket: WebSocketLike;
  private hasEnded = false;
  private cancel: () => void = () => {};
  private whenEnded: () => void = () => {};

  /** @throws when the URL is none */
  constructor(options: LineOptions) {
    this.options = options;
    const { WebSocket, url, format, received, bad } = options;
    const socket = this.socket = new WebSocket(url, format.subprotocol);
    socket.binaryType = "arraybuffer";
    socket.onmessage = ({ data }: { data: string | ArrayBuffer }) => {
      if (this.hasEnded) return;
      try {
        received(format.decode(data) as ServerEvent);
      } catch (error) {
        bad(error);
      }
    };
    socket.onclose = ({ code, reason }: { code: number; reason: string }) => this.end(code, reason);
    // Says nothing that the close does not; without a listener `ws` would throw it.
    socket.onerror = () => {};
  }

  /** Harmless once it has ended. */
  send(frame: string | Uint8Array<ArrayBuffer>): void {
    if (this.socket.readyState === OPEN) this.socket.send(frame);
  }

  /** Ends it in good order: what was sent leaves first. Resolves when it has ended. */
  close(): Promise<void> {
    return new Promise((resolve) => {
      if (this.hasEnded) return resolve();
      this.whenEnded = resolve;
      this.cancel = this.options.clock.after(CLOSE_TIMEOUT_MS, () => this.end(NORMAL, ""));
      this.socket.close(NORMAL);
    });
  }

  /** Ends it now: nobody is there to answer a close. */
  drop(reason: string): void {
    this.end(ABNORMAL, reason);
    this.socket.close();
  }

  private end(code: number, reason: string): void {
    if (this.hasEnded) return;
    this.hasEnded = true;
    this.cancel();
    this.whenEnded();
    this.options.ended(code, reason);
  }
}
