/** An engine under test: it listens with small limits, and every event of its handlers is recorded. */
import { systemClock } from "../../server/clock.ts";
import {
  DeflateMode,
  type Engine,
  type Handlers,
  type HttpRequest,
  type Listener,
  type ListenOptions,
  type Message,
  SlowPolicy,
  type Socket,
  type UpgradeRequest,
} from "../../server/engine.ts";
import { Events } from "../helpers/events.ts";
import type { RawClient } from "../helpers/raw_client.ts";

export const limits = { maxPayloadBytes: 64 * 1024, maxBackpressureBytes: 256 * 1024 } as const;

/** What `data` is in these tests: a name, from the request's query. */
export type Name = string;

export type Event =
  | { kind: "open" | "drain" | "pong"; socket: Socket<Name> }
  | { kind: "message"; socket: Socket<Name>; message: Message }
  | { kind: "dropped"; socket: Socket<Name>; topic: string | undefined }
  | { kind: "abandoned"; data: Name }
  | { kind: "evicted"; socket: Socket<Name>; bytes: number }
  | { kind: "close"; socket: Socket<Name>; code: number; reason: string }
  | { kind: "failed"; error: unknown };

export interface Fixture {
  readonly listener: Listener;
  readonly url: string;
  readonly events: Events<Event>;
  /** The socket of the client that connected with `?name`. */
  socket(name: Name): Promise<Socket<Name>>;
  closes(name: Name): Extract<Event, { kind: "close" }>[];
  evicted(): Extract<Event, { kind: "evicted" }>[];
  dropped(name: Name): Extract<Event, { kind: "dropped" }>[];
}

/** What the cases of one engine are written with; all that they start is ended with the suite. */
export interface Tools {
  start(options?: Partial<ListenOptions>, overrides?: Partial<Handlers<Name>>): Promise<Fixture>;
  join(fixture: Fixture, name: Name): Promise<{ client: RawClient; socket: Socket<Name> }>;
}

/** Copies lent bytes, so that the record is still true after the handler. */
function kept(message: Message): Message {
  return typeof message === "string" ? message : message.slice();
}

/** Listens on a free port. `overrides` replace single handlers or options. */
export async function listen(
  engine: Engine,
  options: Partial<ListenOptions> = {},
  overrides: Partial<Handlers<Name>> = {},
): Promise<Fixture> {
  const events = new Events<Event>();
  const handlers: Handlers<Name> = {
    upgrade: (request: UpgradeRequest) => ({ accept: true, data: request.query }),
    http: (request: HttpRequest) => ({ status: 200, headers: {}, body: `${request.method} ${request.path}` }),
    open: (socket) => events.push({ kind: "open", socket }),
    abandoned: (data) => events.push({ kind: "abandoned", data }),
    message: (socket, message) => events.push({ kind: "message", socket, message: kept(message) }),
    drain: (socket) => events.push({ kind: "drain", socket }),
    dropped: (socket, topic) => events.push({ kind: "dropped", socket, topic }),
    evicted: (socket) => events.push({ kind: "evicted", socket, bytes: socket.bufferedAmount }),
    pong: (socket) => events.push({ kind: "pong", socket }),
    close: (socket, code, reason) => events.push({ kind: "close", socket, code, reason }),
    failed: (error) => events.push({ kind: "failed", error }),
    ...overrides,
  };
  const listener = await engine.listen({
    host: "127.0.0.1",
    port: 0,
    tls: undefined,
    ...limits,
    slowPolicy: SlowPolicy.Close,
    maxQueuedBytes: Infinity,
    deflate: DeflateMode.Off,
    deflateThresholdBytes: 1024,
    maxHttpBodyBytes: 1024,
    handshakeTimeoutSeconds: 10,
    closeTimeoutSeconds: 10,
    idleTimeoutSeconds: 0,
    clock: systemClock,
    ...options,
  }, handlers);
  const of = (name: Name) => (event: Event) => "socket" in event && event.socket.data === name;
  return {
    listener,
    url: listener.url,
    events,
    async socket(name) {
      const event = await events.find((event) => event.kind === "open" && of(name)(event), `${name} to open`);
      return (event as { socket: Socket<Name> }).socket;
    },
    closes: (name) => events.all.filter((event) => event.kind === "close").filter(of(name)),
    evicted: () => events.all.filter((event) => event.kind === "evicted"),
    dropped: (name) => events.all.filter((event) => event.kind === "dropped").filter(of(name)),
  };
}
