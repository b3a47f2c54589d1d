/**
 * One WebSocket, from the attempt to its end: bytes become events, and the end is told exactly once, however it comes.
 * Whether to try again, and what events mean, is not known here.
 */
import type { Clock } from "./clock.ts";
import type { Format } from "./format.ts";
import type { WebSocketConstructor } from "./options.ts";
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
  readonly received: (event: ServerEvent) => unknown;
  /** A frame that could not be read or made no sense. */
  readonly bad: (error: unknown) => void;
  readonly ended: (code: number, reason: string) => unknown;
}

export interface Line {
  /** Harmless once it has ended. */
  send(frame: string | Uint8Array<ArrayBuffer>): void;
  /** Ends it in good order: what was sent leaves first. Resolves when it has ended. */
  close(): Promise<void>;
  /** Ends it now: nobody is there to answer a close. */
  drop(): void;
}

/** @throws when the URL is none */
export function openLine({ url, WebSocket, format, clock, received, bad, ended }: LineOptions): Line {
  let hasEnded = false;
  let whenEnded = (): void => {};
  const socket = new WebSocket(url, format.subprotocol);
  const end = (code: number, reason: string): void => {
    if (hasEnded) return;
    hasEnded = true;
    whenEnded();
    ended(code, reason);
  };
  socket.binaryType = "arraybuffer";
  socket.onmessage = ({ data }: { data: string | ArrayBuffer }) => {
    if (hasEnded) return;
    try {
      received(format.decode(data) as ServerEvent);
    } catch (error) {
      bad(error);
    }
  };
  socket.onclose = ({ code, reason }: { code: number; reason: string }) => end(code, reason);
  // Says nothing that the close does not; without a listener `ws` would throw it.
  socket.onerror = () => {};
  return {
    send(frame) {
      if (socket.readyState === OPEN) socket.send(frame);
    },
    close: () =>
      new Promise((resolve) => {
        if (hasEnded) return resolve();
        const cancel = clock.after(CLOSE_TIMEOUT_MS, () => end(NORMAL, ""));
        whenEnded = () => (cancel(), resolve());
        socket.close(NORMAL);
      }),
    drop() {
      end(ABNORMAL, "");
      socket.close();
    },
  };
}
