/**
 * The connection as the application sees it: lines come and go, it stays. It decides when to try again and when not,
 * authenticates, and watches the line's pulse. What commands and events mean is not known here.
 */
import { Backoff } from "./backoff.ts";
import type { Clock } from "./clock.ts";
import { Advice, adviceOn } from "./close.ts";
import { ClientErrorCode, MillraceError } from "./errors.ts";
import type { Format } from "./format.ts";
import { Heartbeat } from "./heartbeat.ts";
import { ABNORMAL, Line } from "./line.ts";
import type { ClientOptions, WebSocketConstructor } from "./options.ts";
import { Token } from "./token.ts";
import type { Refusal, Reply, ServerEvent, Welcome } from "./wire.ts";

/** Where a client stands. */
export const State = {
  /** Nothing has asked for a connection yet. */
  Idle: "idle",
  Connecting: "connecting",
  Open: "open",
  /** For the next attempt. */
  Waiting: "waiting",
  /** The server said not to come back; `connect` tries nevertheless. */
  Stopped: "stopped",
  /** For good. */
  Closed: "closed",
} as const;
export type State = typeof State[keyof typeof State];

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
  readonly owner: ConnectionOwner;
}

export interface ConnectionOwner {
  changed(change: StateChange): void;
  /** Commands may be sent. */
  opened(line: Line, welcome: Welcome): void;
  /** The line that was told has ended. Told before {@link changed}. */
  lost(): void;
  received(event: ServerEvent): void;
  error(error: MillraceError): void;
}

/** A line that has lasted so long was a success: the wait after it is short. */
const STABLE_MS = 10_000;
/** The id of this connection's own command; those of the application are numbers. */
const AUTH_ID = "auth";
const UNAUTHORIZED = "unauthorized";

export class Connection {
  state: State = State.Idle;
  private readonly options: ConnectionOptions;
  private readonly backoff: Backoff;
  private readonly tokenBackoff: Backoff;
  private readonly ping: ReturnType<Format["encode"]>;
  private line: Line | undefined = undefined;
  private heartbeat: Heartbeat | undefined = undefined;
  private token: Token | undefined = undefined;
  private welcome: Welcome | undefined = undefined;
  private openedMs = 0;
  /** What the server asked for when it sent us away. */
  private drainMs: number | undefined = undefined;
  /** Counts attempts, so that the answer of an earlier one is known for what it is. */
  private attempt = 0;
  /** Whether the wait is our own, which a sign of life may shorten. */
  private mayHurry = false;
  private cancel: () => void = () => {};

  constructor(options: ConnectionOptions) {
    this.options = options;
    this.backoff = new Backoff(options);
    this.tokenBackoff = new Backoff(options);
    this.ping = options.format.encode({ type: "ping" });
  }

  /** Begins, unless it has already or has been closed. */
  connect(): void {
    if (this.state === State.Idle || this.state === State.Stopped) void this.try();
  }

  /** There is reason to look: the machine was asleep, or offline, or the page hidden. */
  wake(): void {
    if (this.state === State.Open) this.heartbeat?.check();
    else if (this.state === State.Waiting && this.mayHurry) void this.try();
  }

  /** Ends it for good, in good order if there is a line: resolves when that has ended. Told through `changed` at once. */
  async close(): Promise<void> {
    if (this.state === State.Closed) return;
    this.attempt++;
    const { line } = this;
    this.left();
    this.change(State.Closed);
    await line?.close();
  }

  private async try(): Promise<void> {
    const { url, clock, format, connectTimeoutMs } = this.options;
    const attempt = ++this.attempt;
    const isCurrent = () => attempt === this.attempt;
    this.cancel();
    this.change(State.Connecting);
    this.cancel = clock.after(connectTimeoutMs, () => this.drop("no welcome in time"));
    let target: string;
    try {
      target = typeof url === "string" ? url : await url();
    } catch (cause) {
      if (!isCurrent()) return;
      this.fail(ClientErrorCode.CannotConnect, "The URL could not be had.", cause);
      return this.ended(ABNORMAL, "no URL");
    }
    if (!isCurrent()) return;
    try {
      this.line = new Line({
        ...{ url: target, format, clock, WebSocket: findWebSocket(this.options.WebSocket) },
        received: (event) => {
          if (isCurrent()) this.received(event);
        },
        bad: (cause) =>
          this.fail(ClientErrorCode.BadMessage, "What the server said was not understood.", cause),
        ended: (code, reason) => {
          if (isCurrent()) this.ended(code, reason);
        },
      });
    } catch (cause) {
      this.fail(ClientErrorCode.CannotConnect, "No WebSocket could be made.", cause);
      this.stop(ABNORMAL, String(cause));
    }
  }

  private received(event: ServerEvent): void {
    this.heartbeat?.heard();
    const { owner } = this.options;
    if (event.type === "welcome") this.greeted(event);
    else if (event.type === "drain") this.drainMs = event.reconnectAfterMs;
    else if ((event as { id?: unknown }).id === AUTH_ID) this.authAnswered(event as Reply | Refusal);
    else if (this.state === State.Open) owner.received(event);
  }

  private greeted(welcome: Welcome): void {
    this.welcome = welcome;
    const { token: source, clock, format } = this.options;
    if (!welcome.authRequired) return this.open();
    if (source === undefined) {
      this.fail(UNAUTHORIZED, "The server wants a token, and there is no option `token`.");
      const { line } = this;
      this.stop(ABNORMAL, UNAUTHORIZED);
      return void line?.close();
    }
    // Its time is the server's to set: it closes with 4003.
    this.cancel();
    this.token = new Token({
      ...{ source, clock, backoff: this.tokenBackoff },
      got: (token) => this.line?.send(format.encode({ type: "auth", token, id: AUTH_ID })),
      failed: (cause) => this.fail(ClientErrorCode.TokenFailed, "The token could not be had.", cause),
    });
    void this.token.ask("connect");
  }

  private authAnswered(reply: Reply | Refusal): void {
    if (reply.type === "error") return this.fail(reply.code, reply.message);
    this.token?.accepted(reply.expiresAt);
    if (this.state === State.Connecting) this.open();
  }

  private open(): void {
    const { clock, idleMs, timeoutMs, owner } = this.options;
    const { line, welcome } = this;
    if (line === undefined || welcome === undefined || this.state !== State.Connecting) return;
    this.cancel();
    this.openedMs = clock.now();
    this.heartbeat = new Heartbeat({
      ...{ clock, idleMs, timeoutMs },
      ping: () => line.send(this.ping),
      dead: () => this.drop("the server is silent"),
    });
    this.change(State.Open);
    owner.opened(line, welcome);
  }

  private drop(reason: string): void {
    const { line } = this;
    if (line !== undefined) return line.drop(reason);
    // There was only a URL to wait for.
    this.attempt++;
    this.ended(ABNORMAL, reason);
  }

  private ended(code: number, reason: string): void {
    const { clock, token, url } = this.options;
    const { drainMs } = this;
    const advice = drainMs === undefined ? adviceOn(code) : Advice.Return;
    const hasLasted = this.state === State.Open && clock.now() - this.openedMs >= STABLE_MS;
    const canRenew = token !== undefined || typeof url === "function";
    if (advice === Advice.Stop || (advice === Advice.NewToken && !canRenew)) return this.stop(code, reason);
    if (hasLasted && advice !== Advice.BackOff) this.backoff.reset();
    this.left();
    this.mayHurry = drainMs === undefined && advice !== Advice.BackOff;
    const retryInMs = drainMs ?? this.backoff.next();
    this.cancel = clock.after(retryInMs, () => void this.try());
    this.change(State.Waiting, { closeCode: code, reason, retryInMs });
  }

  private stop(closeCode: number, reason: string): void {
    this.attempt++;
    this.left();
    this.change(State.Stopped, { closeCode, reason });
  }

  /** There is no line any more. */
  private left(): void {
    this.cancel();
    this.heartbeat?.stop();
    this.token?.stop();
    const wasOpen = this.state === State.Open;
    this.heartbeat =
      this.token =
      this.line =
      this.welcome =
      this.drainMs =
        undefined;
    if (wasOpen) this.options.owner.lost();
  }

  private change(state: State, more: Partial<StateChange> = {}): void {
    const previous = this.state;
    this.state = state;
    this.options.owner.changed({ state, previous, ...more });
  }

  private fail(code: string, text: string, cause?: unknown): void {
    this.options.owner.error(new MillraceError(code, text, cause === undefined ? {} : { cause }));
  }
}

function findWebSocket(given: WebSocketConstructor | undefined): WebSocketConstructor {
  const found = given ?? (globalThis as { WebSocket?: WebSocketConstructor }).WebSocket;
  if (found !== undefined) return found;
  throw new TypeError(
    "This runtime has no WebSocket (Node has from 22 on): give the option `WebSocket`, of `ws` say.",
  );
}
