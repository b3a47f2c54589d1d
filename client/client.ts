/**
 * The client: what an application calls, and who is told what. The connection below comes and goes; subscriptions and
 * commands outlive it. Made of functions rather than classes: what is local has no name in the bundle.
 */
import { onAbort } from "./abort.ts";
import { createBackoff } from "./backoff.ts";
import { systemClock } from "./clock.ts";
import { createConnection, type State, type StateChange } from "./connection.ts";
import { createEmitter, guarded, type Listener } from "./emitter.ts";
import { MillraceError } from "./errors.ts";
import { createFeed, type Feed } from "./feed.ts";
import { json } from "./format.ts";
import type { Gap, History, Message, Place, Presence } from "./message.ts";
import { createStream, type MessageStream } from "./messages.ts";
import type {
  ClientOptions,
  CloseOptions,
  CommandOptions,
  HistoryOptions,
  MessagesOptions,
  PublishOptions,
  SubscribeOptions,
} from "./options.ts";
import { createRequests } from "./requests.ts";
import { createSubscriber, type Subscription } from "./subscription.ts";
import { checkTopic, type DataOf, isPattern, type Topic } from "./topics.ts";
import { pageWake } from "./wake.ts";
import type { Reply, ServerEvent } from "./wire.ts";

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

export interface Client<Topics extends object = Record<string, unknown>> {
  readonly state: State;

  /** @returns what takes the listener away again */
  on<Name extends keyof ClientEvents>(name: Name, listener: Listener<ClientEvents[Name]>): () => void;

  /**
   * Connects, if it has not yet. Resolves once commands can be sent, however many attempts that takes.
   * @throws {MillraceError} (as a rejection) `stopped` or `closed`; or the signal's reason, which stops no attempt
   */
  connect(options?: CommandOptions): Promise<void>;

  /**
   * Calls `listener` with each message of a topic or pattern, once and in order, until it is unsubscribed.
   * @throws {TypeError} for a name that is none, and for a pattern with a place or presence
   * @throws {MillraceError} `closed`
   */
  subscribe<Name extends Topic<Topics>>(
    topic: Name,
    listener: (message: Message<DataOf<Topics, Name>>) => void,
    options?: SubscribeOptions,
  ): Subscription;

  /** The same as an async iterator, which starts to collect at once. */
  messages<Name extends Topic<Topics>>(
    topic: Name,
    options?: MessagesOptions,
  ): MessageStream<DataOf<Topics, Name>>;

  /**
   * Resolves with the publication's place, once it is stored.
   * @throws {MillraceError} (as a rejection, as all commands) with the code that says what became of it
   */
  publish<Name extends Topic<Topics>>(
    topic: Name,
    data: DataOf<Topics, Name>,
    options?: PublishOptions,
  ): Promise<Place>;

  /** To every connection of the node that this client is connected to. Resolves with how many. */
  broadcast(data: unknown, options?: CommandOptions): Promise<number>;

  history<Name extends Topic<Topics>>(
    topic: Name,
    options?: HistoryOptions,
  ): Promise<History<DataOf<Topics, Name>>>;

  /** Who is in a topic now. */
  presence(topic: Topic<Topics>, options?: CommandOptions): Promise<Presence>;

  /** Waits for what was asked for, as long as it may take, then ends the connection and all subscriptions for good. */
  close(options?: CloseOptions): Promise<void>;
}

/** Makes a client. It does not connect before it is asked for something. */
export function createClient<Topics extends object = Record<string, unknown>>(
  options: ClientOptions,
): Client<Topics> {
  const { clock = systemClock, format = json, random = Math.random, wake = pageWake, signal } = options;
  const { limit = 1_000, whenFull = "reject" } = options.queue ?? {};
  const backoffOptions = { minMs: 500, maxMs: 30_000, random, ...options.backoff };
  const requests = createRequests({ format, clock, limit, whenFull });
  const feeds = new Map<string, Feed>();
  const { on, emit } = createEmitter<ClientEvents>((cause, name) => {
    if (name === "error") console.error(cause);
    else listenerFailed(cause);
  });
  let isOnline = false;
  let isClosing = false;
  let willVerify = false;
  /** Why nothing can be sent. */
  let stopped: MillraceError | undefined;
  let stopWaking: (() => void) | undefined;

  const failed = (error: MillraceError): void => {
    if (!emit("error", error)) console.error(error);
  };
  const listenerFailed = (cause: unknown): void =>
    failed(new MillraceError("listener_failed", "A listener failed.", { cause }));
  const lost = (gap: Gap): void => void emit("gap", gap);
  const closed = (): MillraceError => new MillraceError("closed", "The client is closed.");

  const setOnline = (is: boolean): void => {
    isOnline = is;
    for (const feed of feeds.values()) feed.online(is);
  };

  const connection = createConnection({
    ...{ connectTimeoutMs: 10_000, idleMs: 25_000, timeoutMs: 10_000 },
    ...options,
    ...options.heartbeat,
    ...backoffOptions,
    ...{ clock, format },
    changed(change) {
      const { state, closeCode, reason } = change;
      stopped = undefined;
      if (state === "closed") stopped = closed();
      else if (state === "stopped") {
        stopped = new MillraceError(state, `Not to come back: ${closeCode} ${reason}`, { closeCode });
      }
      if (stopped) {
        stopWaking?.();
        requests.fail(stopped);
      }
      emit("state", change);
      if (state !== "closed") return;
      for (const { subscribers } of [...feeds.values()]) {
        for (const subscriber of [...subscribers]) subscriber.end();
      }
    },
    opened(send, { maxMessageBytes }) {
      setOnline(true);
      requests.opened(send, maxMessageBytes);
    },
    lost() {
      setOnline(false);
      requests.closed();
    },
    received,
    failed,
  });

  function received(event: ServerEvent): void {
    if (event.type === "message") feeds.get(event.pattern ?? event.topic)?.take(event);
    else if ("id" in event) requests.answered(event as Reply);
    else if (event.type === "gap") { for (const feed of feeds.values()) feed.told(event); }
    else if (event.type === "broadcast") emit("broadcast", event);
    else if (event.type === "join" || event.type === "leave") {
      for (const subscriber of feeds.get(event.topic)?.subscribers ?? []) subscriber.changed(event);
    } else if (event.type !== "error") return;
    else if (event.code !== "forbidden") failed(new MillraceError(event.code, event.message));
    // Every command of ours has an id: a new token has ended subscriptions, it is not said which.
    else if (!willVerify) {
      willVerify = true;
      clock.after(0, () => {
        willVerify = false;
        for (const feed of [...feeds.values()]) feed.verify();
      });
    }
  }

  /** Begins; also what the server has stopped, if it is to be tried again. */
  const start = (again?: boolean): void => {
    if (connection.state !== "idle" && !(again && connection.state === "stopped")) return;
    stopWaking = wake?.(connection.wake);
    connection.connect();
  };

  const add = (
    topic: string,
    listener: (message: Message) => void,
    options: SubscribeOptions,
    ended: (error: MillraceError | undefined) => void,
  ): Subscription => {
    checkTopic(topic, true);
    if (isPattern(topic) && (options.since ?? options.onPresence) !== undefined) {
      throw new TypeError("not a topic");
    }
    if (isClosing) throw closed();
    const subscriber = createSubscriber(topic, {
      ...options,
      ...{ listener, lost, failed: listenerFailed },
      ended(error) {
        if (feeds.get(topic)?.remove(subscriber)) feeds.delete(topic);
        ended(error);
      },
    });
    if (options.signal?.aborted) subscriber.end();
    else {
      let feed = feeds.get(topic);
      if (!feed) {
        feed = createFeed({ name: topic, requests, clock, backoff: createBackoff(backoffOptions) });
        feeds.set(topic, feed);
        feed.add(subscriber);
        if (isOnline) feed.online(true);
      } else feed.add(subscriber);
    }
    start();
    return subscriber;
  };

  const ask = async (
    command: { readonly type: string; readonly topic?: string; readonly data?: unknown },
    { repeat, signal }: { readonly repeat?: boolean | undefined; readonly signal?: AbortSignal | undefined },
  ): Promise<Reply> => {
    // A broadcast has none.
    checkTopic(command.topic ?? "-");
    if ("data" in command && command.data === undefined) throw new TypeError("not undefined");
    if (isClosing) throw closed();
    if (stopped) throw stopped;
    const reply = requests.ask(command, { repeat: repeat ?? false, signal });
    start();
    return await reply;
  };

  /** What data is, is the application's word: here it is unknown. */
  const client = {
    get state() {
      return connection.state;
    },
    on,
    async connect({ signal }: CommandOptions = {}) {
      signal?.throwIfAborted();
      start(true);
      let forget: (() => void)[] = [];
      await new Promise<void>((resolve, reject) => {
        const look = () => {
          if (connection.state === "open") resolve();
          if (stopped) reject(stopped);
        };
        forget = [on("state", look), onAbort(signal, () => reject(signal?.reason))];
        look();
      }).finally(() => forget.forEach((run) => run()));
    },
    subscribe: (topic: string, listener: (message: Message) => void, options: SubscribeOptions = {}) =>
      add(topic, listener, options, (error) => {
        if (error && !options.onError) failed(error);
      }),
    messages: (topic: string, { bufferLimit = 1_000, ...options }: MessagesOptions = {}) =>
      createStream({
        limit: bufferLimit,
        subscribe: (listener, ended) => add(topic, listener, options, ended),
        lost(gap) {
          guarded(options.onGap, gap, listenerFailed);
          lost(gap);
        },
      }),
    async publish(topic: string, data: unknown, more: PublishOptions = {}) {
      const { epoch, offset } = await ask({ type: "publish", topic, data }, {
        repeat: options.repeat,
        ...more,
      });
      return { epoch, offset };
    },
    async broadcast(data: unknown, options: CommandOptions = {}) {
      return (await ask({ type: "broadcast", data }, options)).sent as number;
    },
    history: (topic: string, { signal, ...more }: HistoryOptions = {}) =>
      ask({ type: "history", topic, ...more }, { repeat: true, signal }),
    presence: (topic: string, { signal }: CommandOptions = {}) =>
      ask({ type: "presence", topic }, { repeat: true, signal }),
    async close({ flushMs = 5_000, signal }: CloseOptions = {}) {
      isClosing = true;
      if (!stopped && connection.state !== "idle" && flushMs > 0 && !signal?.aborted) {
        await new Promise<void>((resolve) => {
          const cancel = clock.after(flushMs, resolve);
          void requests.idle().then(cancel).then(resolve);
          onAbort(signal, resolve);
        });
      }
      await connection.close();
    },
  };
  const abort = () => void client.close({ flushMs: 0 });
  if (signal?.aborted) abort();
  else onAbort(signal, abort);
  return client as unknown as Client<Topics>;
}
