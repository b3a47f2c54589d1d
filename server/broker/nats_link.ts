/**
 * The connection to NATS: it comes back by itself, and is up only once its owner has restored everything. Each
 * connection is a new one, so nothing old is left in it. It knows no topics.
 */
import { jetstream, type JetStreamClient, type JetStreamManager, jetstreamManager } from "@nats-io/jetstream";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import type { Clock } from "../clock.ts";
import type { Log } from "../observe/log.ts";
import { BrokerUnavailable } from "./broker.ts";

const FIRST_WAIT_MS = 20;
const LONGEST_WAIT_MS = 2_000;

export interface NatsLinkSettings {
  /** `nats:` or `tls:` URLs of the servers of one cluster; user and password, or a token, are those of the first. */
  readonly urls: readonly string[];
  /** For connecting, and for every answer. */
  readonly timeoutMs: number;
  readonly clock: Clock;
  readonly log: Log;
}

export interface NatsLinkHandlers {
  /** The server can be asked, and nothing is subscribed. Once this is done, the link is up. */
  readonly restore: () => Promise<void>;
  readonly up: () => void;
  readonly down: () => void;
}

/** One connection and what speaks JetStream over it. */
export interface NatsSession {
  readonly connection: NatsConnection;
  readonly streams: JetStreamManager;
  readonly publisher: JetStreamClient;
}

export class NatsLink {
  isUp = false;
  private readonly settings: NatsLinkSettings;
  private readonly handlers: NatsLinkHandlers;
  private current: NatsSession | undefined = undefined;
  private failures = 0;
  private stopWaiting: () => void = () => undefined;
  private isClosed = false;

  constructor(settings: NatsLinkSettings, handlers: NatsLinkHandlers) {
    this.settings = settings;
    this.handlers = handlers;
  }

  /** Connects, and again whenever the connection is lost, until {@link close}. */
  start(): void {
    void this.connect();
  }

  /** @throws {BrokerUnavailable} when there is no connection */
  get session(): NatsSession {
    if (this.current === undefined) throw new BrokerUnavailable("NATS is away");
    return this.current;
  }

  /** The session, or undefined while there is none. */
  get maybeSession(): NatsSession | undefined {
    return this.current;
  }

  /**
   * Waits for an answer, but not for ever.
   * @throws {BrokerUnavailable} (rejects) for any fault, in time or of the answer
   */
  async answer<T>(asked: Promise<T>): Promise<T> {
    let cancel = (): void => undefined;
    const late = new Promise<never>((_, reject) => {
      cancel = this.settings.clock.after(this.settings.timeoutMs * 2, () => {
        reject(new BrokerUnavailable("NATS did not answer in time"));
      });
    });
    try {
      return await Promise.race([asked, late]);
    } catch (error) {
      if (error instanceof BrokerUnavailable) throw error;
      throw new BrokerUnavailable("NATS did not answer", { cause: error });
    } finally {
      cancel();
    }
  }

  async close(): Promise<void> {
    this.isClosed = true;
    this.stopWaiting();
    const { current } = this;
    this.drop();
    await current?.connection.close();
  }

  private async connect(): Promise<void> {
    const { log } = this.settings;
    let session: NatsSession | undefined;
    try {
      session = await this.open();
      if (this.isClosed) return void await session.connection.close();
      this.current = session;
      await this.handlers.restore();
      if (this.current !== session) throw new BrokerUnavailable("NATS has gone again");
      this.isUp = true;
      this.failures = 0;
      log.info({ broker: "nats" }, "the broker is there");
      this.handlers.up();
    } catch (error) {
      void session?.connection.close();
      if (this.isClosed) return;
      if (this.failures === 0) log.warn({ broker: "nats", err: error }, "the broker cannot be reached");
      this.drop();
      this.connectLater();
    }
  }

  private async open(): Promise<NatsSession> {
    const { urls, timeoutMs } = this.settings;
    const connection = await connect({
      ...addressOf(urls),
      name: "millrace",
      reconnect: false,
      timeout: timeoutMs,
      // A server that has stopped is noticed after two of these.
      pingInterval: timeoutMs / 2,
      maxPingOut: 1,
    });
    void connection.closed().then(() => this.lost(connection));
    const publisher = jetstream(connection, { timeout: timeoutMs });
    const streams = await jetstreamManager(connection, { timeout: timeoutMs, checkAPI: false });
    return { connection, publisher, streams };
  }

  private lost(connection: NatsConnection): void {
    if (this.current?.connection !== connection) return;
    const wasUp = this.isUp;
    this.drop();
    // Before it is up, connect() sees the failure itself: what it waits for rejects.
    if (!wasUp || this.isClosed) return;
    this.settings.log.warn({ broker: "nats" }, "the broker is gone");
    this.connectLater();
  }

  private drop(): void {
    if (this.current === undefined) return;
    this.current = undefined;
    this.isUp = false;
    this.handlers.down();
  }

  private connectLater(): void {
    const wait = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** this.failures++);
    // Nodes that lost the same server do not come back in step.
    this.stopWaiting = this.settings.clock.after(wait * (0.5 + Math.random() / 2), () => void this.connect());
  }
}

function addressOf(urls: readonly string[]) {
  const parsed = urls.map((url) => new URL(url));
  const servers = parsed.map(({ hostname, port }) => `${hostname}:${port === "" ? "4222" : port}`);
  const { username = "", password = "", protocol } = parsed[0] ?? {};
  const [user, pass] = [decodeURIComponent(username), decodeURIComponent(password)];
  return {
    servers,
    ...(pass !== "" ? { user, pass } : user !== "" ? { token: user } : {}),
    ...(protocol === "tls:" ? { tls: {} } : {}),
  };
}
