/**
 * The connection as the application sees it: lines come and go, it stays. It decides when to try again and when not,
 * authenticates, and watches the line's pulse. What commands and events mean is not known here.
 */
import { createBackoff } from "./backoff.ts";
import type { Clock } from "./clock.ts";
import { adviceOn } from "./close.ts";
import { MillraceError } from "./errors.ts";
import type { Format } from "./format.ts";
import { type Heartbeat, startHeartbeat } from "./heartbeat.ts";
import { ABNORMAL, type Line, openLine } from "./line.ts";
import type { ClientOptions, WebSocketConstructor } from "./options.ts";
import { createToken, type Token } from "./token.ts";
import type { Reply, ServerEvent, Welcome } from "./wire.ts";

/** Where a client stands. */
export type State =
  /** Nothing has asked for a connection yet. */
  | "idle"
  | "connecting"
  | "open"
  /** For the next attempt. */
  | "waiting"
  /** The server said not to come back; `connect` tries nevertheless. */
  | "stopped"
  /** For good. */
  | "closed";

export interface StateChange {
  readonly state: State;
  readonly previous: State;
  /** Of the line that has ended; 1006 for one that was cut. */
  readonly closeCode?: number;
  readonly reason?: string;
  /** Until the next attempt. */
  readonly retryInMs?: number;
}

export interface ConnectionOptions extends Pick<ClientOptions, "url" | "token" | "WebSocket"> {
  readonly format: Format;
  readonly clock: Clock;
  readonly random: () => number;
  readonly minMs: number;
  readonly maxMs: number;
  readonly connectTimeoutMs: number;
  readonly idleMs: number;
  readonly timeoutMs: number;
  readonly changed: (change: StateChange) => void;
  /** Commands may be sent. */
  readonly opened: (send: Line["send"], welcome: Welcome) => void;
  /** The line that was told has ended. Told before {@link changed}. */
  readonly lost: () => void;
  readonly received: (event: ServerEvent) => void;
  readonly failed: (error: MillraceError) => void;
}

/** A line that has lasted so long was a success: the wait after it is short. */
const STABLE_MS = 10_000;
/** The id of this connection's own command; those of the application are numbers. */
const AUTH_ID = "auth";

export interface Connection {
  readonly state: State;
  /** Begins, unless it has already or has been closed. */
  connect(): void;
  /** There is reason to look: the machine was asleep, or offline, or the page hidden. */
  wake(): void;
  /** Ends it for good, in good order if there is a line: resolves when that has ended. Told through `changed` at once. */
  close(): Promise<void>;
}

export function createConnection(options: ConnectionOptions): Connection {
  const { url, token: source, clock, format, connectTimeoutMs, idleMs, timeoutMs, lost, changed } = options;
  const backoff = createBackoff(options);
  const tokenBackoff = createBackoff(options);
  const ping = format.encode({ type: "ping" });
  let state: State = "idle";
  let line: Line | undefined;
  let heartbeat: Heartbeat | undefined;
  let token: Token | undefined;
  let welcome: Welcome | undefined;
  let openedMs = 0;
  /** What the server asked for when it sent us away. */
  let drainMs: number | undefined;
  /** Counts attempts, so that the answer of an earlier one is known for what it is. */
  let attempt = 0;
  /** Whether the wait is our own, which a sign of life may shorten. */
  let mayHurry = false;
  let cancel = (): void => {};

  const fail = (code: string, text: string, cause?: unknown): void =>
    options.failed(new MillraceError(code, text, { cause }));

  const change = (next: State, more: Partial<StateChange> = {}): void => {
    const previous = state;
    state = next;
    changed({ state, previous, ...more });
  };

  /** There is no line any more. */
  const leave = (): void => {
    cancel();
    heartbeat?.stop();
    token?.stop();
    heartbeat =
      token =
      line =
      welcome =
      drainMs =
        undefined;
    if (state === "open") lost();
  };

  const stop = (closeCode: number, reason: string): void => {
    attempt++;
    leave();
    change("stopped", { closeCode, reason });
  };

  const ended = (closeCode: number, reason: string): void => {
    const advice = drainMs === undefined ? adviceOn(closeCode) : "return";
    const canRenew = source || typeof url === "function";
    if (advice === "stop" || (advice === "new-token" && !canRenew)) return stop(closeCode, reason);
    const hasLasted = state === "open" && clock.now() - openedMs >= STABLE_MS;
    if (hasLasted && advice !== "back-off") backoff.reset();
    mayHurry = drainMs === undefined && advice !== "back-off";
    const retryInMs = drainMs ?? backoff.next();
    leave();
    cancel = clock.after(retryInMs, start);
    change("waiting", { closeCode, reason, retryInMs });
  };

  const drop = (reason: string): void => {
    // Its end is told here and now, not by the line.
    attempt++;
    line?.drop();
    ended(ABNORMAL, reason);
  };

  /** The server's next word may take so long. */
  const expectWord = (): void => {
    cancel();
    cancel = clock.after(connectTimeoutMs, () => drop("No welcome."));
  };

  const open = (): void => {
    if (!line || !welcome || state !== "connecting") return;
    const { send } = line;
    cancel();
    openedMs = clock.now();
    heartbeat = startHeartbeat({
      ...{ clock, idleMs, timeoutMs },
      ping: () => send(ping),
      dead: () => drop("Silence."),
    });
    change("open");
    // Unless whoever heard that has closed it.
    if (welcome) options.opened(send, welcome);
  };

  const greeted = (event: Welcome): void => {
    welcome = event;
    if (!event.authRequired) return open();
    // How long the token may take is the server's to say: it closes with 4003.
    cancel();
    if (!source) return fail("token_failed", "No token: give the option `token`.");
    token = createToken({
      ...{ source, clock, backoff: tokenBackoff },
      got(token) {
        if (state === "connecting") expectWord();
        line?.send(format.encode({ type: "auth", token, id: AUTH_ID }));
      },
      failed: (cause) => fail("token_failed", "No token.", cause),
    });
    token.ask("connect");
  };

  const received = (event: ServerEvent): void => {
    heartbeat?.heard();
    if (event.type === "welcome") greeted(event);
    else if (event.type === "drain") drainMs = event.reconnectAfterMs;
    else if ((event as { id?: unknown }).id !== AUTH_ID) options.received(event);
    else if (event.type === "error") fail(event.code, event.message);
    else {
      token?.accepted((event as Reply).expiresAt);
      open();
    }
  };

  const start = async (): Promise<void> => {
    const own = ++attempt;
    const isCurrent = () => own === attempt;
    expectWord();
    change("connecting");
    let target;
    try {
      target = typeof url === "string" ? url : await url();
    } catch (cause) {
      if (!isCurrent()) return;
      fail("cannot_connect", "No URL.", cause);
      return ended(ABNORMAL, "No URL.");
    }
    if (!isCurrent()) return;
    try {
      line = openLine({
        ...{ url: target, format, clock, WebSocket: findWebSocket(options.WebSocket) },
        received: (event) => isCurrent() && received(event),
        bad: (cause) => fail("bad_message", "Not understood.", cause),
        ended: (code, reason) => isCurrent() && ended(code, reason),
      });
    } catch (cause) {
      fail("cannot_connect", "No WebSocket.", cause);
      stop(ABNORMAL, String(cause));
    }
  };

  return {
    get state() {
      return state;
    },
    connect() {
      if (state === "idle" || state === "stopped") void start();
    },
    wake() {
      if (state === "open") heartbeat?.check();
      else if (state === "waiting" && mayHurry) void start();
    },
    async close() {
      if (state === "closed") return;
      attempt++;
      const last = line;
      leave();
      change("closed");
      await last?.close();
    },
  };
}

function findWebSocket(given: WebSocketConstructor | undefined): WebSocketConstructor {
  const found = given ?? (globalThis as { WebSocket?: WebSocketConstructor }).WebSocket;
  if (found) return found;
  throw new TypeError(
    "No WebSocket here: give the option `WebSocket` (that of `ws`).",
  );
}
