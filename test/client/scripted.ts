/** A client on scripted WebSockets and a clock that a test moves: what it sends is read, what comes is said by the test. */
import { type Client, type ClientOptions, createClient, type StateChange } from "../../client/mod.ts";
import { ManualClock } from "../helpers/manual_clock.ts";

type Sent = Record<string, unknown> & { readonly type: string };

/** The other end is the test. */
export class ScriptedSocket {
  binaryType = "";
  readyState = 0;
  onopen: ((event: never) => void) | null = null;
  onmessage: ((event: never) => void) | null = null;
  onclose: ((event: never) => void) | null = null;
  onerror: ((event: never) => void) | null = null;
  readonly url: string;
  readonly sent: Sent[] = [];

  constructor(url: string) {
    this.url = url;
  }

  send(frame: string | Uint8Array): void {
    this.sent.push(JSON.parse(frame as string));
  }

  close(): void {
    this.readyState = 2;
  }

  /** The server lets it in. */
  greet(more: Record<string, unknown> = {}): void {
    this.readyState = 1;
    this.say({
      type: "welcome",
      session: "s",
      node: "n",
      maxMessageBytes: 1000,
      authRequired: false,
      ...more,
    });
  }

  say(event: unknown): void {
    this.raw(JSON.stringify(event));
  }

  raw(data: string): void {
    this.onmessage?.({ data } as never);
  }

  /** Replies to the last command of a type. */
  reply(type: string, fields: Record<string, unknown> = {}): void {
    this.say({ type: "ack", id: this.last(type)["id"], ...fields });
  }

  refuse(type: string, code: string, more: Record<string, unknown> = {}): void {
    this.say({ type: "error", id: this.last(type)["id"], code, message: code, ...more });
  }

  end(code: number): void {
    this.readyState = 3;
    this.onclose?.({ code, reason: "" } as never);
  }

  last(type: string): Sent {
    const found = this.sent.findLast((sent) => sent.type === type);
    if (found === undefined) throw new Error(`nothing of type ${type} was sent`);
    return found;
  }

  of(type: string): Sent[] {
    return this.sent.filter((sent) => sent.type === type);
  }
}

export interface Scripted {
  readonly client: Client;
  readonly clock: ManualClock;
  readonly sockets: ScriptedSocket[];
  readonly states: StateChange[];
  /** Everything that `gap` and `error` said. */
  readonly told: unknown[];
  /** The present one. */
  socket(): ScriptedSocket;
  /** The machine's or the page's sign of life. */
  wake(): void;
  /** Lets what waits for promises go on. */
  settle(): Promise<void>;
}

/** A client that has not connected; its random number is always one half. */
export function scripted(options: Partial<ClientOptions> = {}): Scripted {
  const clock = new ManualClock();
  const sockets: ScriptedSocket[] = [];
  const states: StateChange[] = [];
  const told: unknown[] = [];
  let wake = (): void => {};
  class WebSocket extends ScriptedSocket {
    constructor(url: string) {
      super(url);
      sockets.push(this);
    }
  }
  const client = createClient({
    ...{ url: "ws://test/ws", WebSocket, clock, random: () => 0.5 },
    wake: (run) => {
      wake = run;
      return () => {
        wake = () => {};
      };
    },
    ...options,
  });
  client.on("state", (change) => states.push(change));
  client.on("gap", (gap) => told.push(gap));
  client.on("error", (error) => told.push(error.code));
  return {
    ...{ client, clock, sockets, states, told },
    socket: () => sockets.at(-1) as ScriptedSocket,
    wake: () => wake(),
    async settle() {
      for (let turn = 0; turn < 10; turn++) await Promise.resolve();
    },
  };
}
