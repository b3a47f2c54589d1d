/**
 * The client: what an application calls, and who is told what. The connection below comes and goes; subscriptions and
 * commands outlive it.
 */
import { Backoff } from "./backoff.ts";
import { systemClock } from "./clock.ts";
import { Connection, State, type StateChange } from "./connection.ts";
import { Emitter, type Listener } from "./emitter.ts";
import { ClientErrorCode, MillraceError } from "./errors.ts";
import { Feed } from "./feed.ts";
import { json } from "./format.ts";
import type { Gap, History, Message, Place, Presence } from "./message.ts";
import { type MessageStream, Stream } from "./messages.ts";
import {
  type ClientOptions,
  type CloseOptions,
  type CommandOptions,
  type HistoryOptions,
  type MessagesOptions,
  Overflow,
  type PublishOptions,
  type SubscribeOptions,
  WhenFull,
} from "./options.ts";
import { type RequestOptions, Requests } from "./requests.ts";
import { Subscriber, type Subscription } from "./subscription.ts";
import { checkTopic, type DataOf, isPattern, matches, type Topic } from "./topics.ts";
import { pageWake } from "./wake.ts";
import type { Refusal, Reply, ServerEvent, ToldGap } from "./wire.ts";

export { State, type StateChange };

const DEFAULT_MIN_MS = 500;
const DEFAULT_MAX_MS = 30_000;
const DEFAULT_CONNECT_TIMEOUT_MS = 10_000;
const DEFAULT_IDLE_MS = 25_000;
const DEFAULT_TIMEOUT_MS = 10_000;
const DEFAULT_QUEUE_LIMIT = 1_000;
const DEFAULT_BUFFER_LIMIT = 1_000;
const DEFAULT_FLUSH_MS = 5_000;

/** What can be listened to. */
export interface ClientEvents {
  readonly state: StateChange;
  /** Messages are not coming; of every subscription that misses them. */
  readonly gap: Gap;
  /** What nobody else was told. Without a listener it is written to the console. */
  readonly error: MillraceError;
  /** Somebody sent a broadcast. */
  readonly broadcast: { readonly data: unknown };
}

/** Makes a client. It does not connect before it is asked for something. */
export function createClient<Topics extends object = Record<string, unknown>>(
  options: ClientOptions,
): Client<Topics> {
  return new Client(options);
}

export class Client<Topics extends object = Record<string, unknown>> {
  private readonly options: ClientOptions;
  private readonly emitter = new Emitter<ClientEvents>();
  private readonly connection: Connection;
  private readonly requests: Requests;
  private readonly feeds = new Map<string, Feed>();
  private readonly clock;
  private readonly backoffOptions;
  private isOnline = false;
  private isClosing = false;
  private willVerify = false;
  /** Why nothing can be sent. */
  private stopped: MillraceError | undefined = undefined;
  private stopWaking: () => void = () => {};

  constructor(options: ClientOptions) {
    const { clock = systemClock, format = json, random = Math.random, backoff, heartbeat, queue, signal } =
      options;
    const { minMs = DEFAULT_MIN_MS, maxMs = DEFAULT_MAX_MS } = backoff ?? {};
    const { idleMs = DEFAULT_IDLE_MS, timeoutMs = DEFAULT_TIMEOUT_MS } = heartbeat ?? {};
    const { limit = DEFAULT_QUEUE_LIMIT, whenFull = WhenFull.Reject } = queue ?? {};
    this.options = options;
    this.clock = clock;
    this.backoffOptions = { minMs, maxMs, random };
    this.requests = new Requests({ format, clock, limit, whenFull });
    this.connection = new Connection({
      connectTimeoutMs: DEFAULT_CONNECT_TIMEOUT_MS,
      ...options,
      ...{ clock, format, random, minMs, maxMs, idleMs, timeoutMs },
      owner: {
        changed: (change) => this.changed(change),
        opened: (line, { maxMessageBytes }) => {
          this.isOnline = true;
          this.requests.opened((frame) => line.send(frame), maxMessageBytes);
          for (const feed of this.feeds.values()) feed.online();
        },
        lost: () => {
          this.isOnline = false;
          for (const feed of this.feeds.values()) feed.offline();
          this.requests.closed();
        },
        received: (event) => this.received(event),
        error: (error) => this.failed(error),
      },
    });
    if (signal?.aborted) void this.close({ flushMs: 0 });
    else signal?.addEventListener("abort", () => void this.close({ flushMs: 0 }), { once: true });
  }

  get state(): State {
    return this.connection.state;
  }

  /** @returns what takes the listener away again */
  on<Name extends keyof ClientEvents>(name: Name, listener: Listener<ClientEvents[Name]>): () => void {
    return this.emitter.on(name, listener);
  }

  /**
   * Connects, if it has not yet. Resolves once commands can be sent, however many attempts that takes.
   * @throws {MillraceError} (as a rejection) `stopped` or `closed`; or the signal's reason, which stops no attempt
   */
  connect({ signal }: CommandOptions = {}): Promise<void> {
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      const settle = (): boolean => {
        if (this.state === State.Open) resolve();
        else if (this.stopped !== undefined) reject(this.stopped);
        else return false;
        return true;
      };
      this.start(true);
      if (settle()) return;
      const done = () => (off(), signal?.removeEventListener("abort", abort));
      const off = this.on("state", () => void (settle() && done()));
      const abort = () => (done(), reject(signal?.reason));
      signal?.addEventListener("abort", abort, { once: true });
    });
  }

  /**
   * Calls `listener` with each message of a topic or pattern, once and in order, until it is unsubscribed.
   * @throws {TypeError} for a name that is none; {@link MillraceError} once the client is closed
   */
  subscribe<Name extends Topic<Topics>>(
    topic: Name,
    listener: (message: Message<DataOf<Topics, Name>>) => void,
    options: SubscribeOptions = {},
  ): Subscription {
    return this.add(topic, listener as (message: Message) => void, options, () => {});
  }

  /** The same as an async iterator, which starts to collect at once. */
  messages<Name extends Topic<Topics>>(
    topic: Name,
    { bufferLimit = DEFAULT_BUFFER_LIMIT, overflow = Overflow.DropOldest, ...options }: MessagesOptions = {},
  ): MessageStream<DataOf<Topics, Name>> {
    const lost = (gap: Gap) => (options.onGap?.(gap), this.lost(gap));
    const stream = new Stream({ limit: bufferLimit, overflow, lost });
    const onGap = (gap: Gap) => (stream.missing(gap), options.onGap?.(gap));
    // The loop is told.
    const onError = options.onError ?? (() => {});
    const listener = (message: Message) => stream.push(message);
    stream.subscription = this.add(
      topic,
      listener,
      { ...options, onGap, onError },
      (error) => stream.end(error),
    );
    return stream as MessageStream as MessageStream<DataOf<Topics, Name>>;
  }

  /** Resolves with the publication's place, once it is stored. */
  async publish<Name extends Topic<Topics>>(
    topic: Name,
    data: DataOf<Topics, Name>,
    { repeat = this.options.repeat ?? false, signal }: PublishOptions = {},
  ): Promise<Place> {
    const { epoch, offset } = await this.ask({ type: "publish", topic, data }, { repeat, signal }, topic);
    return { epoch, offset };
  }

  /** To every connection of the node that this client is connected to. Resolves with how many. */
  async broadcast(data: unknown, { signal }: CommandOptions = {}): Promise<number> {
    const { sent } = await this.ask({ type: "broadcast", data }, { repeat: false, signal });
    return sent ?? 0;
  }

  history<Name extends Topic<Topics>>(
    topic: Name,
    { signal, ...more }: HistoryOptions = {},
  ): Promise<History<DataOf<Topics, Name>>> {
    const reply = this.ask({ type: "history", topic, ...more }, { repeat: true, signal }, topic);
    return reply as Promise<Reply & History<DataOf<Topics, Name>>>;
  }

  /** Who is in a topic now. */
  presence(topic: Topic<Topics>, { signal }: CommandOptions = {}): Promise<Presence> {
    return this.ask({ type: "presence", topic }, { repeat: true, signal }, topic) as Promise<
      Reply & Presence
    >;
  }

  /** Waits for what was asked for, as long as it may take, then ends the connection and all subscriptions for good. */
  async close({ flushMs = DEFAULT_FLUSH_MS, signal }: CloseOptions = {}): Promise<void> {
    this.isClosing = true;
    if (flushMs > 0 && signal?.aborted !== true && this.stopped === undefined && this.state !== State.Idle) {
      let cancel = () => {};
      await Promise.race([
        this.requests.idle(),
        new Promise<void>((resolve) => {
          cancel = this.clock.after(flushMs, resolve);
          signal?.addEventListener("abort", () => resolve(), { once: true });
        }),
      ]);
      cancel();
    }
    await this.connection.close();
  }

  private add(
    topic: string,
    listener: (message: Message) => void,
    options: SubscribeOptions,
    ended: (error: MillraceError | undefined) => void,
  ): Subscription {
    checkTopic(topic, true);
    if (isPattern(topic) && (options.since ?? options.onPresence) !== undefined) {
      throw new TypeError("a pattern has no place and no presence");
    }
    if (this.isClosing) throw closed();
    const subscriber = new Subscriber(topic, {
      ...options,
      listener,
      lost: (gap) => this.lost(gap),
      failed: (error) => this.listenerFailed(error),
      refused: (error) => this.failed(error),
      ended: (error) => {
        this.feeds.get(topic)?.remove(subscriber);
        ended(error);
      },
    });
    if (options.signal?.aborted) subscriber.unsubscribe();
    else this.feedOf(topic).add(subscriber);
    this.start(false);
    return subscriber;
  }

  private feedOf(name: string): Feed {
    let feed = this.feeds.get(name);
    if (feed === undefined) {
      const { requests, clock, backoffOptions } = this;
      const emptied = () => void this.feeds.delete(name);
      feed = new Feed(name, { requests, clock, emptied, backoff: new Backoff(backoffOptions) });
      this.feeds.set(name, feed);
      if (this.isOnline) feed.isOnline = true;
    }
    return feed;
  }

  private async ask(command: object, options: RequestOptions, topic?: string): Promise<Reply> {
    if (topic !== undefined) checkTopic(topic, false);
    if ("data" in command && command.data === undefined) throw new TypeError("undefined cannot be sent");
    if (this.isClosing) throw closed();
    if (this.stopped !== undefined) throw this.stopped;
    const reply = this.requests.ask(command, options);
    this.start(false);
    return await reply;
  }

  /** @param again whether what the server stopped is to be tried again */
  private start(again: boolean): void {
    if (this.state !== State.Idle && !(again && this.state === State.Stopped)) return;
    this.stopWaking();
    const { wake = pageWake } = this.options;
    this.stopWaking = wake?.(() => this.connection.wake()) ?? (() => {});
    this.connection.connect();
  }

  private changed(change: StateChange): void {
    const { state, closeCode, reason } = change;
    if (state === State.Closed) this.end(closed());
    else if (state === State.Stopped) {
      const text = `The server said not to come back: ${closeCode} ${reason}`;
      this.end(new MillraceError(ClientErrorCode.Stopped, text, { closeCode: closeCode ?? 0 }));
    } else this.stopped = undefined;
    this.emitter.emit("state", change, (error) => this.listenerFailed(error));
    if (state === State.Closed) {
      for (const { subscribers } of [...this.feeds.values()]) {
        for (const subscriber of [...subscribers]) subscriber.unsubscribe();
      }
    }
  }

  private end(error: MillraceError): void {
    this.stopped = error;
    this.stopWaking();
    this.requests.fail(error);
  }

  private received(event: ServerEvent): void {
    switch (event.type) {
      case "message":
        return this.feeds.get(event.pattern ?? event.topic)?.take(event);
      case "gap":
        return this.told(event);
      case "join":
      case "leave":
        for (const subscriber of this.feeds.get(event.topic)?.subscribers ?? []) subscriber.changed(event);
        return;
      case "broadcast":
        return void this.emitter.emit("broadcast", event, (error) => this.listenerFailed(error));
      case "error":
        return event.id === undefined ? this.refused(event) : this.requests.answered(event);
      default:
        if ("id" in event) this.requests.answered(event);
    }
  }

  private told(gap: ToldGap): void {
    if (gap.pattern !== undefined) return this.feeds.get(gap.pattern)?.told(gap);
    // Whoever was too slow is told once for the topic and all of its patterns.
    for (const feed of this.feeds.values()) {
      if (feed.name === gap.topic || (feed.isPattern && matches(feed.name, gap.topic))) feed.told(gap);
    }
  }

  /** Every command of ours has an id: this one is about the connection, or about subscriptions that have ended. */
  private refused({ code, message }: Refusal): void {
    if (code !== "forbidden") return this.failed(new MillraceError(code, message));
    if (this.willVerify) return;
    this.willVerify = true;
    this.clock.after(0, () => {
      this.willVerify = false;
      for (const feed of [...this.feeds.values()]) feed.verify();
    });
  }

  private lost(gap: Gap): void {
    this.emitter.emit("gap", gap, (error) => this.listenerFailed(error));
  }

  private listenerFailed(cause: unknown): void {
    this.failed(new MillraceError(ClientErrorCode.ListenerFailed, `A listener failed: ${cause}`, { cause }));
  }

  private failed(error: MillraceError): void {
    const wasHeard = this.emitter.emit("error", error, (cause) => console.error(cause));
    if (!wasHeard) console.error(error);
  }
}

function closed(): MillraceError {
  return new MillraceError(ClientErrorCode.Closed, "The client is closed.");
}
