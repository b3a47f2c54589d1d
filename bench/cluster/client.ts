/**
 * A client of a cluster's node, in Millrace's protocol or in Socket.IO's: both over the same WebSocket and with as little
 * done per message, so that none of the contenders is measured by its own client. It knows no clock.
 */
import type { Dialect } from "./job.ts";

/** A node that has just started may not take connections yet. */
const OPEN_ATTEMPTS = 100;
const RETRY_MS = 50;

export interface Client {
  /** Resolves once publications of the topic come. */
  subscribe(topic: string): Promise<void>;
  publish(topic: string, data: string): void;
  close(): void;
}

interface Language {
  /** What is said first. */
  readonly hello: string | undefined;
  /** Whether a message says that commands are taken now. */
  readonly isWelcome: (text: string) => boolean;
  readonly subscribe: (topic: string) => string;
  readonly isSubscribed: (text: string) => boolean;
  readonly publish: (topic: string, data: string) => string;
}

/** Socket.IO's packets, over Engine.IO's: 0 open, 40 connect, 42 event, 43 its acknowledgement. */
const languages: Readonly<Record<Dialect, Language>> = {
  millrace: {
    hello: undefined,
    isWelcome: (text) => text.startsWith(`{"type":"welcome"`),
    subscribe: (topic) => `{"type":"subscribe","id":1,"topic":"${topic}"}`,
    isSubscribed: (text) => text.startsWith(`{"type":"ack"`),
    publish: (topic, data) => `{"type":"publish","topic":"${topic}","data":"${data}"}`,
  },
  socketio: {
    hello: "40",
    isWelcome: (text) => text.startsWith("40"),
    subscribe: (topic) => `421["subscribe","${topic}"]`,
    isSubscribed: (text) => text.startsWith("431"),
    publish: (topic, data) => `42["publish","${topic}","${data}"]`,
  },
};

/** Connects; `delivered` gets the number between the first two `#` of each publication that comes. */
export async function openClient(
  dialect: Dialect,
  url: string,
  delivered: (sequence: number) => void,
): Promise<Client> {
  for (let attempt = 1;; attempt++) {
    try {
      return await connect(languages[dialect], url, delivered);
    } catch (error) {
      if (attempt === OPEN_ATTEMPTS) throw error;
      await new Promise((resolve) => void setTimeout(resolve, RETRY_MS));
    }
  }
}

function connect(language: Language, url: string, delivered: (sequence: number) => void): Promise<Client> {
  const socket = new WebSocket(url);
  let subscribed = (): void => undefined;
  const client: Client = {
    subscribe: (topic) =>
      new Promise((resolve) => {
        subscribed = resolve;
        socket.send(language.subscribe(topic));
      }),
    publish: (topic, data) => socket.send(language.publish(topic, data)),
    close: () => socket.close(),
  };
  return new Promise((resolve, reject) => {
    socket.onopen = () => {
      if (language.hello !== undefined) socket.send(language.hello);
    };
    socket.onclose = () => reject(new Error(`${url} let nobody in`));
    socket.onmessage = ({ data }) => {
      const text = String(data);
      const start = text.indexOf("#");
      if (start > 0) delivered(parseInt(text.slice(start + 1, start + 16)));
      else if (language.isWelcome(text)) resolve(client);
      else if (language.isSubscribed(text)) subscribed();
    };
  });
}
