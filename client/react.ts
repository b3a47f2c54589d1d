/**
 * React hooks on one shared client. What a component shows lives in a store per client and topic, outside of React: it
 * subscribes with its first user and unsubscribes behind its last, so that StrictMode's second mount costs nothing. On
 * a server nothing connects, and every hook gives what it has at first.
 */
import {
  createContext,
  createElement,
  type ReactElement,
  type ReactNode,
  useCallback,
  useContext,
  useSyncExternalStore,
} from "react";
import type { Client } from "./client.ts";
import type { State } from "./connection.ts";
import type { MillraceError } from "./errors.ts";
import type { Gap, Member, Message, PresenceChange } from "./message.ts";

// Hooks say what a topic carries by themselves; which topics the client's type knows is nothing to them.
type AnyClient = Pick<Client, "state" | "on" | "subscribe" | "presence">;

const Context = createContext<AnyClient | undefined>(undefined);

export interface ClientProviderProps {
  /** Made once, outside of components; it connects with the first hook that needs it. Who made it closes it. */
  readonly client: object & Pick<Client, "state" | "on">;
  readonly children?: ReactNode;
}

/** Hands a client to the hooks below it. */
export function ClientProvider({ client, children }: ClientProviderProps): ReactElement {
  return createElement(Context.Provider, { value: client as AnyClient }, children);
}

/**
 * The client of the provider above.
 * @throws {Error} without one
 */
export function useClient<Topics extends object = Record<string, unknown>>(): Client<Topics> {
  const client = useContext(Context);
  if (client === undefined) throw new Error("No <ClientProvider> above this component.");
  return client as Client<Topics>;
}

/** Where the connection stands. It asks for none by itself. */
export function useConnection(): State {
  const client = useClient();
  const subscribe = useCallback((changed: () => void) => client.on("state", changed), [client]);
  return useSyncExternalStore(subscribe, () => client.state, () => "idle");
}

export interface UseTopicOptions {
  /** How many messages are kept, the newest; 100. */
  readonly limit?: number;
}

export interface TopicView<Data = unknown> {
  /** Oldest first. */
  readonly messages: readonly Message<Data>[];
  readonly last: Message<Data> | undefined;
  /** What was missing most recently. */
  readonly gap: Gap | undefined;
  /** The server does not allow the subscription. */
  readonly error: MillraceError | undefined;
  readonly isSubscribed: boolean;
}

const KEPT_MESSAGES = 100;
const emptyTopic: TopicView = {
  messages: [],
  last: undefined,
  gap: undefined,
  error: undefined,
  isSubscribed: false,
};

/** The messages of a topic or pattern from now on. All users of the same topic share one subscription. */
export function useTopic<Data = unknown>(
  topic: string,
  { limit = KEPT_MESSAGES }: UseTopicOptions = {},
): TopicView<Data> {
  const client = useClient();
  const store = storeOf(client, `topic ${limit} ${topic}`, () => topicStore(client, topic, limit));
  return useSyncExternalStore(store.subscribe, store.get, () => emptyTopic) as TopicView<Data>;
}

function topicStore(client: Client, topic: string, limit: number): Source<TopicView> {
  return {
    value: emptyTopic,
    start(changed) {
      const set = (part: Partial<TopicView>) => changed((view) => ({ ...view, ...part }));
      const { unsubscribe } = client.subscribe(
        topic,
        (last) => changed((view) => ({ ...view, last, messages: [...view.messages, last].slice(-limit) })),
        {
          onGap: (gap) => set({ gap }),
          onError: (error) => set({ error, isSubscribed: false }),
          onSubscribed: () => set({ isSubscribed: true }),
        },
      );
      return unsubscribe;
    },
  };
}

export interface PresenceView {
  /** One for each user, and one for each anonymous connection. */
  readonly members: readonly Member[];
  readonly error: unknown;
  /** Whether the server has said who is there. */
  readonly isKnown: boolean;
}

const nobody: PresenceView = { members: [], error: undefined, isKnown: false };

/** Who is in a topic, kept up to date. Whoever uses this is in it too. */
export function usePresence(topic: string): PresenceView {
  const client = useClient();
  const store = storeOf(client, `presence ${topic}`, () => presenceStore(client, topic));
  return useSyncExternalStore(store.subscribe, store.get, () => nobody);
}

function presenceStore(client: Client, topic: string): Source<PresenceView> {
  return {
    value: nobody,
    start(changed) {
      const stopping = new AbortController();
      const { signal } = stopping;
      const failed = (error: unknown) => {
        if (!signal.aborted) changed((view) => ({ ...view, error }));
      };
      client.subscribe(topic, () => {}, {
        signal,
        onPresence: (change) => changed((view) => ({ ...view, members: after(view.members, change) })),
        onError: failed,
        onSubscribed() {
          client.presence(topic, { signal }).then(({ members }) => {
            changed(() => ({ members, error: undefined, isKnown: true }));
          }).catch(failed);
        },
      });
      return () => stopping.abort();
    },
  };
}

/** The members after somebody has come or gone. */
function after(members: readonly Member[], { type, user, session }: PresenceChange): readonly Member[] {
  const others = members.filter((member) =>
    user === null ? member.session !== session : member.user !== user
  );
  return type === "join" ? [...others, { user, session }] : others;
}

/** Where a store's value comes from. */
interface Source<Value> {
  /** Without a user. */
  readonly value: Value;
  /** Begins; returns what ends it. */
  start(changed: (update: (value: Value) => Value) => void): () => void;
}

interface Store<Value> {
  get(): Value;
  /** For useSyncExternalStore: the same function each time. */
  subscribe(changed: () => void): () => void;
}

const stores = new WeakMap<object, Map<string, Store<never>>>();

function storeOf<Value>(client: object, key: string, source: () => Source<Value>): Store<Value> {
  let ofClient = stores.get(client);
  if (ofClient === undefined) stores.set(client, ofClient = new Map());
  let store = ofClient.get(key) as Store<Value> | undefined;
  if (store === undefined) {
    const own = ofClient;
    store = createStore(source(), () => own.delete(key));
    own.set(key, store as Store<never>);
  }
  return store;
}

function createStore<Value>({ value: initial, start }: Source<Value>, unused: () => void): Store<Value> {
  let value = initial;
  let stop: (() => void) | undefined;
  const listeners = new Set<() => void>();
  return {
    get: () => value,
    subscribe(changed) {
      listeners.add(changed);
      stop ??= start((update) => {
        value = update(value);
        for (const listener of listeners) listener();
      });
      return () => {
        listeners.delete(changed);
        // StrictMode mounts again at once.
        queueMicrotask(() => {
          if (listeners.size > 0 || stop === undefined) return;
          stop();
          stop = undefined;
          value = initial;
          unused();
        });
      };
    },
  };
}
